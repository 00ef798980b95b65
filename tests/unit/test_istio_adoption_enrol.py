"""Proxies by the pod template: when a workload is in, what is in the way, and when it is out again."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollout.adapters.mesh.istio import Istio
from rollout.decide.seen import Progress
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.kinds import DAEMON_SET, DEPLOYMENT, JOB, REPLICASET, STATEFUL_SET, Kind, kind_of, ref_of
from rollout.plan.program import Adoption, Enrol, UnitName
from rollout.plan.run import Entry
from rollout.ports.mesh import Stage
from tests.conformance.mesh_suite import OWNER, World, done, undo
from tests.kit import meshed as kit

ISTIO, HERE = Istio(), Adoption(kit.SHOP, "mesh-1")
MESH = [kit.namespace(), kit.webhooks(), kit.istiod()]
READY = [{"type": "Ready", "status": "True"}]
UNREADY = [{"type": "Ready", "status": "False"}]
INJECT = "sidecar.istio.io/inject"


def rolled(kind: Kind, *, asks: bool = True, pods: int = 3, fresh: int | None = None, **spec: Any) -> Json:
    """A workload that its controller has brought so far."""
    made = kit.template("web", kit.WILLING if asks else None)
    fresh = pods if fresh is None else fresh
    if kind == DAEMON_SET:
        status = {"desiredNumberScheduled": pods, "updatedNumberScheduled": fresh, "numberReady": pods}
    else:
        status = {"replicas": pods, "updatedReplicas": fresh, "readyReplicas": pods}
        spec = {"replicas": pods, **spec}
    found = kit.workload("web", kind, made, **spec)
    found["metadata"]["generation"] = 2
    found["status"] = {"observedGeneration": 2, **status}
    return found


def pods(owner: Json, *proxied: bool, ready: bool = True, conditions: list[Json] | None = None) -> list[Json]:
    """Its pods, each with a proxy or without; a Deployment's over a ReplicaSet."""
    objects: list[Json] = []
    if kind_of(owner) == DEPLOYMENT:
        replica_set = kit.workload("web-1", REPLICASET, owner["spec"]["template"])
        replica_set["metadata"]["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "controller": True}]
        objects.append(replica_set)
        owner = replica_set
    for number, proxy in enumerate(proxied):
        made = kit.pod(f"web-{number}", owner)
        made["status"]["conditions"] = READY if conditions is None else conditions
        objects.append(kit.injected(made, ready=ready) if proxy else made)
    return objects


def stage(*objects: Json, journal: tuple[Entry, ...] = (), adoption: Adoption = HERE, mesh: Any = MESH) -> Stage:
    world = World([], kit.by_kind())
    world.objects = {}
    for obj in deepcopy([*mesh, *objects]):
        world.objects[ref_of(obj)] = obj
    return world.stage(adoption, journal)


def progress(*objects: Json, kind: Kind = DEPLOYMENT, **more: Any) -> Progress:
    return ISTIO.progress(Enrol(UnitName(kind.name, "web")), stage(*objects, **more))


def reason(found: Progress) -> tuple[str, str]:
    assert found.trouble is not None, found
    assert not found.done
    return found.trouble.kind, found.trouble.reason


@pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL_SET, DAEMON_SET], ids=str)
def test_a_workload_is_in_when_each_pod_has_a_ready_proxy(kind: Kind) -> None:
    web = rolled(kind)
    assert progress(web, *pods(web, True, True, True), kind=kind) == Progress(done=True)
    missing = progress(web, *pods(web, True, True, True, ready=False), kind=kind)
    assert (missing.done, missing.write, missing.trouble) == (False, False, None)
    assert missing.text == f"0 of 3 pods of {kind}/web have a ready proxy"


@pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL_SET, DAEMON_SET], ids=str)
def test_it_waits_for_the_controller_and_for_all_its_pods(kind: Kind) -> None:
    web = rolled(kind)
    web["metadata"]["generation"] = 3
    assert "has not seen" in progress(web, *pods(web, True, True, True), kind=kind).text
    rolling = rolled(kind, fresh=2)
    assert not progress(rolling, *pods(rolling, True, True, True), kind=kind).done
    some = rolled(kind, fresh=1)
    found = progress(some, *pods(some, True, False, False), kind=kind)
    assert (found.done, found.write, found.trouble) == (False, False, None)
    assert found.text.startswith("1 of 3")


@pytest.mark.parametrize("kind", [DEPLOYMENT, STATEFUL_SET, DAEMON_SET], ids=str)
def test_the_template_is_asked_first(kind: Kind) -> None:
    web = rolled(kind, asks=False)
    found = progress(web, *pods(web, False, False, False), kind=kind)
    assert (found.write, found.contested, found.text) == (True, False, f"{kind}/web: asks for a proxy")


def test_a_workload_that_is_in_by_its_namespace_is_left_alone() -> None:
    web = rolled(DEPLOYMENT, asks=False)
    mesh = [kit.namespace(istio_injection="enabled"), kit.webhooks(), kit.istiod()]
    assert progress(web, *pods(web, True, True, True), mesh=mesh).done
    found = progress(web, *pods(web, True, True, False), mesh=mesh)
    assert found.write  # its pods were made before the label


def test_a_proxy_that_is_not_ready_for_a_moment_is_no_reason_to_write() -> None:
    web = rolled(DEPLOYMENT, asks=False)
    mesh = [kit.namespace(istio_injection="enabled"), kit.webhooks(), kit.istiod()]
    assert not progress(web, *pods(web, True, True, True, ready=False), mesh=mesh).write


def test_another_revision_is_no_proxy_of_ours() -> None:
    adoption = Adoption(kit.SHOP, "mesh-1", revision="stable")
    mesh = [kit.namespace(), kit.webhooks("1-31"), kit.webhooks("1-31", "stable"), kit.istiod("1-31")]
    web = rolled(DEPLOYMENT)
    old = pods(web, True, True, True)
    assert progress(web, *old, mesh=mesh, adoption=adoption).write
    web["spec"]["template"]["metadata"]["labels"]["istio.io/rev"] = "stable"
    plain = pods(web, False, False, False)
    right = [kit.injected(it, "1-31") if it["kind"] == "Pod" else it for it in plain]
    assert progress(web, *right, mesh=mesh, adoption=adoption).done


def test_a_revision_is_written_where_there_is_no_default_one() -> None:
    mesh = [kit.namespace(), kit.webhooks("1-31"), kit.webhooks("1-31", "stable"), kit.istiod("1-31")]
    web = rolled(DEPLOYMENT, asks=False)
    here = stage(web, *pods(web, False), mesh=mesh)
    (change,) = ISTIO.render(Enrol(UnitName("Deployment", "web")), here, OWNER)
    assert change.body == [
        {"op": "add", "path": "/spec/template/metadata/labels/sidecar.istio.io~1inject", "value": "true"},
        {"op": "add", "path": "/spec/template/metadata/labels/istio.io~1rev", "value": "stable"},
    ]


@pytest.mark.parametrize(
    ("why", "spec", "mesh", "adoption"),
    [
        ("host-network", {"hostNetwork": True}, MESH, HERE),
        ("refused", {}, [kit.namespace(istio_injection="disabled"), *MESH[1:]], HERE),
        ("no-such-revision", {}, MESH, Adoption(kit.SHOP, "mesh-1", revision="1-99")),
        (
            "OtherRevision",
            {},
            [kit.namespace(istio_injection="enabled"), *MESH[1:], kit.webhooks("1-31"), kit.istiod("1-31")],
            Adoption(kit.SHOP, "mesh-1", revision="1-31"),
        ),
    ],
)
def test_nothing_is_written_where_no_proxy_would_come(why: str, spec: Json, mesh: Any, adoption: Adoption) -> None:
    web = rolled(DEPLOYMENT, asks=False)
    web["spec"]["template"]["spec"].update(spec)
    objects = (web, *pods(web, False, False, False))
    assert reason(progress(*objects, mesh=mesh, adoption=adoption)) == ("blocked", why)
    here = stage(*objects, mesh=mesh, adoption=adoption)
    assert not ISTIO.render(Enrol(UnitName("Deployment", "web")), here, OWNER)


def test_who_may_not_see_the_webhooks_tries_it() -> None:
    web = rolled(DEPLOYMENT, asks=False)
    assert progress(web, *pods(web, False), mesh=[kit.istiod()]).write


@pytest.mark.parametrize("asks", [True, False])
def test_a_deployment_that_its_user_paused_waits_for_him(asks: bool) -> None:
    web = rolled(DEPLOYMENT, asks=asks, fresh=0, paused=True)
    found = progress(web, *pods(web, False, False, False))
    assert reason(found) == ("blocked", "DeploymentPaused")
    assert "kubectl rollout resume deployment/web -n shop" in found.text


def test_a_version_that_is_held_is_not_set_free() -> None:
    web = rolled(DEPLOYMENT, asks=False, paused=True)
    web["metadata"]["annotations"] = {HELD: "true"}
    web["metadata"]["labels"][HOLD_LABEL] = "web"
    assert reason(progress(web, *pods(web, False))) == ("blocked", "Held")


def test_where_new_versions_are_held_the_label_comes_with_its_release() -> None:
    web = rolled(DEPLOYMENT, asks=False)
    web["metadata"]["labels"][HOLD_LABEL] = "web"
    world = World([*MESH, web, *pods(web, False)], kit.by_kind())
    journal = done(ISTIO, HERE, world, Enrol(UnitName("Deployment", "web")))
    held = next(it for ref, it in world.objects.items() if ref.name == "web")
    token = held["metadata"]["annotations"][RELEASE]
    undo(ISTIO, HERE, world, journal)
    held = next(it for ref, it in world.objects.items() if ref.name == "web")
    assert held["metadata"]["annotations"][RELEASE] != token
    assert held["spec"] == web["spec"]


def test_what_is_stuck_already_is_not_rolled_further() -> None:
    web = rolled(DEPLOYMENT, asks=False)
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "no luck"}
    web["status"]["conditions"] = [stuck]
    assert reason(progress(web, *pods(web, False))) == ("blocked", "RollStuck")
    ours = rolled(DEPLOYMENT, fresh=1)
    ours["status"]["conditions"] = [stuck]
    found = progress(ours, *pods(ours, True, False, False, ready=False))
    assert reason(found) == ("broken", "ProgressDeadlineExceeded")
    assert "no luck" in found.text


def test_a_new_pod_that_crashes_is_bad_and_an_old_one_is_not() -> None:
    crash = [{"name": "app", "ready": False, "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
    web = rolled(DEPLOYMENT, fresh=1)
    objects = pods(web, True, False, False)
    objects[1]["status"]["containerStatuses"] = crash
    assert reason(progress(web, *objects)) == ("broken", "CrashLoopBackOff")
    objects = pods(web, True, False, False)
    objects[2]["status"]["containerStatuses"] = crash
    assert progress(web, *objects).trouble is None


def test_pods_that_the_cluster_cannot_take_are_nobodys_fault() -> None:
    web = rolled(DEPLOYMENT, fresh=1)
    quota = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    web["status"]["conditions"] = [quota]
    assert reason(progress(web, *pods(web, True, False, False))) == ("blocked", "FailedCreate")


@pytest.mark.parametrize("kind", [STATEFUL_SET, DAEMON_SET], ids=str)
def test_pods_that_their_owner_replaces_himself_are_named(kind: Kind) -> None:
    web = rolled(kind, fresh=1, updateStrategy={"type": "OnDelete"})
    found = progress(web, *pods(web, False, False, True), kind=kind)
    assert reason(found) == ("blocked", "OnDelete")
    assert "web-0, web-1" in found.text
    assert "kubectl delete pod web-0 -n shop" in found.text
    assert progress(web, *pods(web, True, True, True), kind=kind).done


def test_a_partition_keeps_pods_as_they_are() -> None:
    partition = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    web = rolled(STATEFUL_SET, fresh=1, updateStrategy=partition)
    found = progress(web, *pods(web, False, False, True), kind=STATEFUL_SET)
    assert reason(found) == ("blocked", "Partition")
    assert "web-0, web-1" in found.text
    assert "kubectl patch statefulset web -n shop" in found.text
    rolling = progress(web, *pods(web, False, False, False), kind=STATEFUL_SET)
    assert rolling.trouble is None  # web-2 is still to come


def test_a_stateful_set_that_waits_for_a_bad_pod_needs_help() -> None:
    web = rolled(STATEFUL_SET, fresh=0)
    objects = pods(web, False, False, False)
    objects[2]["status"]["conditions"] = UNREADY
    found = progress(web, *objects, kind=STATEFUL_SET)
    assert reason(found) == ("blocked", "Waiting")
    assert "kubectl delete pod web-2 -n shop" in found.text
    web["spec"]["podManagementPolicy"] = "Parallel"
    assert progress(web, *objects, kind=STATEFUL_SET).trouble is None


def test_old_pods_that_are_about_to_go_are_no_trouble() -> None:
    web = rolled(DEPLOYMENT)
    web["status"]["replicas"] = 4
    found = progress(web, *pods(web, True, True, True, False))
    assert (found.done, found.trouble) == (False, None)


def test_a_pod_that_the_injector_missed_is_told() -> None:
    web = rolled(DEPLOYMENT)
    found = progress(web, *pods(web, True, True, False))
    assert reason(found) == ("blocked", "NotReplaced")
    assert "kubectl rollout restart deployment/web -n shop" in found.text


def test_a_cron_job_is_in_when_its_next_run_will_be() -> None:
    asks = Enrol(UnitName("CronJob", "report"))
    plain, willing = kit.cron_job("report", "@daily"), kit.cron_job("report", "@daily", kit.template("r", kit.WILLING))
    assert ISTIO.progress(asks, stage(plain)).write
    assert ISTIO.progress(asks, stage(willing)).done


def test_what_nobody_makes_anew_must_be_made_by_hand() -> None:
    job = kit.workload("web", JOB)
    found = progress(job, kit.pod("web-x", job), kind=JOB)
    assert reason(found) == ("blocked", "Bare")
    assert "make" in found.text
    willing = kit.workload("web", JOB, kit.template("web", kit.WILLING))
    assert progress(willing, kit.injected(kit.pod("web-x", willing)), kind=JOB).done
    assert not progress(willing, kit.injected(kit.pod("web-x", willing), ready=False), kind=JOB).done


def test_a_workload_that_is_gone_or_has_no_pods_is_in() -> None:
    assert progress().done
    assert progress(rolled(DEPLOYMENT, pods=0)).done


def test_a_template_that_lost_our_label_is_contested() -> None:
    web = rolled(DEPLOYMENT, asks=False)
    enrol = Enrol(UnitName("Deployment", "web"))
    (change,) = ISTIO.render(enrol, stage(web, *pods(web, False)), OWNER)
    assert change.entry is not None
    web["metadata"]["generation"] = 4
    assert progress(web, *pods(web, False), journal=(change.entry,)).contested


@pytest.fixture
def line() -> Entry:
    web = rolled(DEPLOYMENT, asks=False)
    (change,) = ISTIO.render(Enrol(UnitName("Deployment", "web")), stage(web, *pods(web, False)), OWNER)
    assert change.entry is not None
    return change.entry


def test_it_is_out_when_no_pod_has_a_proxy_any_more(line: Entry) -> None:
    asks, plain = rolled(DEPLOYMENT), rolled(DEPLOYMENT, asks=False)
    there = ISTIO.undone(line, stage(asks, *pods(asks, True, True, True)))
    assert (there.done, there.write) == (False, True)
    rolling = ISTIO.undone(line, stage(plain, *pods(plain, False, True, True)))
    assert (rolling.done, rolling.write) == (False, False)
    assert rolling.text == "1 of 3 pods of Deployment/web are without a proxy again"
    assert ISTIO.undone(line, stage(plain, *pods(plain, False, False, False))).done
    assert ISTIO.undone(line, stage()).done


def test_pods_may_keep_proxies_that_their_namespace_asks_for(line: Entry) -> None:
    plain = rolled(DEPLOYMENT, asks=False)
    mesh = [kit.namespace(istio_injection="enabled"), kit.webhooks(), kit.istiod()]
    assert ISTIO.undone(line, stage(plain, *pods(plain, True, True, True), mesh=mesh)).done


def test_what_keeps_proxies_from_going_is_told_and_bad_pods_are_no_reason_to_go_back_further(line: Entry) -> None:
    paused = rolled(DEPLOYMENT, asks=False, paused=True)
    assert reason(ISTIO.undone(line, stage(paused, *pods(paused, True)))) == ("blocked", "DeploymentPaused")
    plain = rolled(DEPLOYMENT, asks=False, fresh=1)
    objects = pods(plain, False, True, True)
    objects[1]["status"]["containerStatuses"] = [{"name": "app", "ready": False, "restartCount": 5}]
    assert ISTIO.undone(line, stage(plain, *objects)).trouble is None
