"""The hold policy on a real API server: what starts, what is held, and that nothing but a release frees it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from rollout.act.release import end_hold_ops, hold_again_ops, pause_ops, release_ops, take_back_ops
from rollout.observe.templates import digest
from rollout.plan.base import HELD, HOLD_LABEL, Json
from tests.kit.held import Web, eventually, manifest

pytestmark = pytest.mark.apiserver


@pytest.fixture
def web(held_web: Web) -> Web:
    """Its namespace and rights are those of `tests.kit.held`."""
    return held_web


def test_a_created_deployment_starts_though_it_says_paused(web: Web) -> None:
    web.started(paused=True)
    assert (web.paused(), web.marked()) == (False, False)


def test_a_pause_by_the_user_is_his_own(web: Web) -> None:
    web.started()
    web.kubectl("rollout", "pause", "deployment/web")
    assert (web.paused(), web.marked()) == (True, False)
    web.kubectl("rollout", "resume", "deployment/web")
    assert (web.paused(), web.marked()) == (False, False)


def test_the_mark_remembers_a_pause_by_the_user(web: Web) -> None:
    web.started().kubectl("rollout", "pause", "deployment/web")
    for image in ("v2", "v3"):
        web.apply(manifest(image))
        assert web.held()
        assert web.get()["metadata"]["annotations"][HELD] == "paused"


def test_a_restart_rolls(web: Web) -> None:
    web.started()
    web.kubectl("rollout", "restart", "deployment/web")
    eventually(lambda: len(web.sets()) == 2, "a ReplicaSet of the restart")
    assert not web.marked()


@pytest.mark.parametrize(
    "change",
    [
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "v2"}],
        [{"op": "add", "path": "/spec/template/metadata/labels/more", "value": "x"}],
        [{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"more": "x"}}],
        [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "v2"}, *pause_ops()],
    ],
    ids=["image", "label", "annotation", "image-and-pause"],
)
def test_a_changed_template_is_held(web: Web, change: list[Json]) -> None:
    web.started().patch(change)
    assert web.held()
    time.sleep(0.5)
    assert {web.image_of(rs) for rs in web.sets()} == {"v1"}


def forge(web: Web) -> None:
    """Somebody with all rights on Deployments writes what a release writes."""
    ops = release_ops(web.get(), "forged")
    web.patch(ops)


def forge_another(web: Web) -> None:
    """The same, with yet another version in the same write."""
    image = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "v3"}
    web.patch([*release_ops(web.get(), "forged"), image])


FREEING: dict[str, Callable[[Web], object]] = {
    "resume": lambda web: web.kubectl("rollout", "resume", "deployment/web"),
    "re-apply": lambda web: web.apply(manifest("v2")),
    "re-apply unpaused": lambda web: web.apply(manifest("v2", paused=False)),
    "re-apply without our label": lambda web: web.apply(manifest("v2", labels={"mine": "x"})),
    "replace without our metadata": lambda web: web.replace(manifest("v2", labels={})),
    "newer version": lambda web: web.apply(manifest("v3")),
    "forged release": forge,
    "forged release with another version": forge_another,
    "label removed": lambda web: web.kubectl("label", "deployment/web", f"{HOLD_LABEL}-"),
    "mark removed": lambda web: web.kubectl("annotate", "deployment/web", f"{HELD}-"),
    "mark overwritten": lambda web: web.kubectl("annotate", "deployment/web", f"{HELD}=false", "--overwrite"),
}


@pytest.mark.parametrize("way", FREEING)
def test_it_stays_held_against(web: Web, way: str) -> None:
    web.holding()
    for _ in range(2):
        FREEING[way](web)
        assert web.held()
    time.sleep(0.5)
    assert {web.image_of(rs) for rs in web.sets()} == {"v1"}


def test_a_restart_of_a_held_deployment_is_refused(web: Web) -> None:
    web.holding()
    with pytest.raises(AssertionError, match="paused"):
        web.kubectl("rollout", "restart", "deployment/web")


def test_stable_scales_while_the_new_version_is_held(web: Web) -> None:
    """`kubectl scale` writes the scale subresource, as an autoscaler does."""
    web.holding()
    for replicas in (5, 1):
        web.kubectl("scale", "deployment/web", f"--replicas={replicas}")
        eventually(lambda n=replicas: [rs["spec"]["replicas"] for rs in web.sets()] == [n], "stable scales")  # type: ignore[misc]
    assert web.held()
    assert {web.image_of(rs) for rs in web.sets()} == {"v1"}


def test_the_release_that_we_write_rolls_and_the_next_version_is_held_again(web: Web) -> None:
    web.holding()
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    web.rolls_to("v2")
    assert (web.paused(), web.marked()) == (False, False)
    web.apply(manifest("v2"))
    assert not web.paused(), "a re-apply of what rolls is nothing new"
    web.apply(manifest("v3"))
    assert web.held()
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    assert web.held(), "an old token releases nothing"
    web.patch(release_ops(web.get(), "run-2"), by="releaser")
    web.rolls_to("v3")


def test_a_release_in_two_writes_by_hand_frees_it_too(web: Web) -> None:
    web.holding().release("by-hand", by="releaser")
    web.rolls_to("v2")


def test_taking_a_native_roll_back_passes_and_git_is_held_when_it_asks_again(web: Web) -> None:
    web.holding()
    stable = web.sets()[0]
    web.patch(release_ops(web.get(), "run-1"), by="releaser")
    web.rolls_to("v2")
    tried = next(rs for rs in web.sets() if web.image_of(rs) == "v2")
    web.patch(take_back_ops(web.get(), stable, "run-1.back"), by="releaser")
    assert (web.paused(), web.marked()) == (False, False)
    assert digest(web.get()["spec"]["template"]) == digest(stable["spec"]["template"])
    web.patch(hold_again_ops(web.get(), tried), by="releaser")
    assert (web.paused(), web.marked()) == (True, True)
    assert digest(web.get()["spec"]["template"]) == digest(tried["spec"]["template"])
    web.apply(manifest("v2"))
    assert (web.paused(), web.marked()) == (True, True)


def test_off_boarding_with_a_release_frees_it(web: Web) -> None:
    web.holding()
    web.patch(end_hold_ops(web.get(), "forged"))
    assert web.held()
    web.patch(end_hold_ops(web.get(), "bye"), by="releaser")
    assert (web.paused(), web.marked()) == (True, False)
    web.kubectl("rollout", "resume", "deployment/web")
    web.rolls_to("v2")
    web.apply(manifest("v3", labels={}))
    web.rolls_to("v3")


def test_deleted_and_made_again_it_starts(web: Web) -> None:
    """That cannot be told from a first installation; the engine reports it as Bypassed."""
    web.holding().kubectl("delete", "deployment/web", "--cascade=foreground", "--wait=true")
    web.apply(manifest("v2"))
    web.rolls_to("v2")
    assert not web.paused()


def test_restored_from_a_backup_it_starts_and_stays_free(web: Web) -> None:
    """A backup taken while held carries our mark and the pause; what is restored has no stable pods to fall back on."""
    backup = web.holding().get()
    web.kubectl("delete", "deployment/web", "--cascade=foreground", "--wait=true")
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        backup["metadata"].pop(key, None)
    backup.pop("status")
    web.kubectl("create", "-f", "-", stdin=json.dumps(backup))
    web.rolls_to("v2")
    web.kubectl("label", "deployment/web", "later=edit")
    assert (web.paused(), web.marked()) == (False, False)
    web.apply(manifest("v3"))
    assert web.held()


def test_a_mark_that_somebody_forges_pauses_nothing(web: Web) -> None:
    web.started().kubectl("annotate", "deployment/web", f"{HELD}=true")
    web.kubectl("label", "deployment/web", "later=edit")
    assert (web.paused(), web.marked()) == (False, False)
