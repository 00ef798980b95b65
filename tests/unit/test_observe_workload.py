"""What is read of a Deployment, its ReplicaSets and its candidate."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.observe import candidate
from rollout.observe.templates import digest, images, restart_only
from rollout.observe.workload import full_size, owned, parse
from rollout.plan.base import RUN_UID, Json

RESTARTED = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}


def template(image: str = "web:1", **meta: Any) -> Json:
    return {"metadata": {"labels": {"app": "web"}, **meta}, "spec": {"containers": [{"name": "app", "image": image}]}}


def deployment(image: str = "web:1", *, generation: int = 2, status: Json | None = None, **spec: Any) -> Json:
    return {
        "metadata": {"name": "web", "uid": "uid-web", "generation": generation},
        "spec": {"replicas": 3, "template": template(image), **spec},
        "status": {"observedGeneration": 2, **(status or {})},
    }


def replica_set(hash_: str, image: str, replicas: int = 3, *, owner: str = "uid-web", **status: Any) -> Json:
    """A ReplicaSet as the Deployment controller makes it: its template has the hash as a label more."""
    made = template(image)
    made["metadata"]["labels"]["pod-template-hash"] = hash_
    meta: Json = {"name": f"web-{hash_}", "labels": {"pod-template-hash": hash_}}
    meta["ownerReferences"] = [{"uid": owner, "controller": True}]
    meta["annotations"] = {"deployment.kubernetes.io/revision": hash_[-1]}
    counted = {"replicas": replicas, "readyReplicas": replicas, **status}
    return {"metadata": meta, "spec": {"replicas": replicas, "template": made}, "status": counted}


OLD, NEW = replica_set("h1", "web:1"), replica_set("h2", "web:2", 0)


def test_a_template_and_its_replica_sets_copy_have_one_digest() -> None:
    assert digest(template()) == digest(OLD["spec"]["template"])
    assert digest(template()) != digest(template("web:2"))
    assert digest(template()) != digest(template(finalizers=["x"]))


def test_only_a_restart_is_only_a_restart() -> None:
    assert restart_only(template(), template(annotations=RESTARTED))
    assert not restart_only(template(), template())
    assert not restart_only(template(), template("web:2", annotations=RESTARTED))
    assert not restart_only(template(annotations={"a": "1"}), template(annotations=RESTARTED))


def test_images_by_container() -> None:
    assert images(template()) == {"app": "web:1"}
    assert images({}) == {}


@pytest.mark.parametrize(
    ("paused", "image", "sets", "held"),
    [
        (True, "web:2", [OLD], True),
        (True, "web:2", [OLD, NEW], True),
        (True, "web:1", [OLD], False),
        (False, "web:2", [OLD], False),
        (True, "web:2", [OLD, replica_set("h2", "web:2", 1)], False),
    ],
    ids=["new", "new-but-known", "own-pause", "rolls", "paused-in-mid-roll"],
)
def test_held_is_a_pause_before_the_first_new_pod(paused: bool, image: str, sets: list[Json], held: bool) -> None:
    assert parse(deployment(image, paused=paused), sets).held is held


def test_whole_means_one_replica_set_with_all_pods_of_what_is_asked() -> None:
    rolled = [replica_set("h1", "web:1", 0), replica_set("h2", "web:2")]
    assert parse(deployment("web:2"), rolled).rolled
    assert not parse(deployment("web:2", generation=3), rolled).rolled, "the controller is behind"
    assert not parse(deployment("web:2"), [OLD, rolled[1]]).rolled
    assert not parse(deployment("web:2"), [rolled[0], replica_set("h2", "web:2", readyReplicas=2)]).rolled
    assert not parse(deployment("web:1"), rolled).rolled
    leaving = replica_set("h1", "web:1", 0)
    leaving["status"]["replicas"] = 1
    assert not parse(deployment("web:2"), [leaving, rolled[1]]).rolled, "pods that go are still there"


def test_replica_sets_of_others_are_not_its_own() -> None:
    foreign = replica_set("h9", "web:9", owner="uid-other")
    assert owned([OLD, foreign], "uid-web") == [OLD]
    assert [rs.hash for rs in parse(deployment(), [foreign, OLD, replica_set("h2", "web:2")]).replica_sets] == [
        "h2",
        "h1",
    ]


def test_the_full_size_one_is_the_only_one_with_pods() -> None:
    assert full_size([OLD, NEW]) == OLD
    assert full_size([OLD, replica_set("h2", "web:2", 1)]) is None
    assert full_size([NEW]) is None


@pytest.mark.parametrize(
    ("condition", "stuck"),
    [
        (
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
            True,
        ),
        ({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}, True),
        ({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}, False),
        ({"type": "ReplicaFailure", "status": "False"}, False),
    ],
)
def test_stuck_is_what_the_controller_says(condition: Json, stuck: bool) -> None:
    work = parse(deployment(status={"conditions": [condition]}), [OLD])
    assert bool(work.stuck) is stuck
    assert not stuck or condition["message"] in work.stuck


def pod(*, waiting: str = "", restarts: int = 0, ready: bool = False, init: bool = False, **meta: Any) -> Json:
    state: Json = {"waiting": {"reason": waiting, "message": "back-off"}} if waiting else {"running": {}}
    last = {"terminated": {"exitCode": 3}} if restarts else {}
    container = {"name": "app", "state": state, "restartCount": restarts, "ready": ready, "lastState": last}
    status: Json = {"initContainerStatuses" if init else "containerStatuses": [container]}
    return {"metadata": {"name": "web-canary-x", **meta}, "status": status}


UNSCHEDULABLE: Json = {
    "metadata": {"name": "web-canary-y"},
    "status": {"conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}]},
}


@pytest.mark.parametrize(
    ("pods", "kind", "text"),
    [
        ([pod(waiting="ImagePullBackOff")], "broken", "ImagePullBackOff (back-off)"),
        ([pod(waiting="CrashLoopBackOff", restarts=2)], "broken", "last exit code 3"),
        ([pod(waiting="CreateContainerConfigError", init=True)], "broken", "container app of pod web-canary-x"),
        ([pod(restarts=3)], "broken", "restarted 3 times, last exit code 3"),
        ([UNSCHEDULABLE], "blocked", "0/1 nodes"),
        ([UNSCHEDULABLE, pod(waiting="ErrImagePull")], "broken", "ErrImagePull"),
        ([pod(waiting="ContainerCreating")], None, ""),
        ([pod(restarts=2)], None, ""),
        ([pod(restarts=9, ready=True)], None, ""),
        ([pod(waiting="ImagePullBackOff", deletionTimestamp="2026-01-01T00:00:00Z")], None, ""),
    ],
)
def test_whose_fault_it_is(pods: list[Json], kind: str | None, text: str) -> None:
    trouble = candidate.parse(deployment(), pods, "run-1").trouble
    assert (trouble.kind if trouble else None) == kind
    assert trouble is None or text in trouble.message


def test_a_full_quota_blocks_and_blames_nobody() -> None:
    full = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    trouble = candidate.parse(deployment(status={"conditions": [full]}), [], "run-1").trouble
    assert trouble is not None
    assert (trouble.kind, trouble.reason) == ("blocked", "FailedCreate")
    assert "exceeded quota" in trouble.message


def test_a_candidate_of_another_run_is_not_ours() -> None:
    found = deployment(status={"readyReplicas": 2})
    found["metadata"]["annotations"] = {RUN_UID: "run-1"}
    mine = candidate.parse(found, [], "run-1")
    assert (mine.ours, mine.ready, mine.settled, mine.deleting) == (True, 2, True, False)
    assert not candidate.parse(found, [], "run-2").ours
    assert not candidate.parse({**found, "metadata": {**found["metadata"], "generation": 9}}, [], "run-1").settled
