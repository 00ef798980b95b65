"""The in-memory controllers roll, pause, scale, fail and delete as those of Kubernetes do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.adapters.memory import rolling
from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.world import World, shop_deployment
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, DEPLOYMENT, POD, REPLICASET, SERVICE, Ref


def shop(replicas: int = 3, **behaviour: Any) -> World:
    world = World(hold_policy=False)
    if behaviour:
        world.behaviour("shop/web:1.0", Behaviour(**behaviour))
    world.deploy_shop(replicas=replicas, rate=0)
    return world


def patch(world: World, *ops: Json, name: str = "web") -> None:
    obj = world.get(DEPLOYMENT, name)
    for op in ops:
        target = obj
        *path, last = op["path"]
        for part in path:
            target = target[part]
        target[last] = op["value"]
    world.replace(obj)


def put(path: str, value: Any) -> Json:
    return {"path": path.split("."), "value": value}


def condition(world: World, type_: str, name: str = "web") -> tuple[str, str]:
    conditions = world.get(DEPLOYMENT, name)["status"]["conditions"]
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == type_), ("", ""))


def revisions(world: World) -> dict[str, int]:
    """Pods asked for, by image."""
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"]
        for rs in world.objects.of(REPLICASET, "shop")
    }


def test_a_deployment_gets_its_pods_and_says_so() -> None:
    world = shop()
    status = world.get(DEPLOYMENT, "web")["status"]
    assert status["readyReplicas"] == status["updatedReplicas"] == status["availableReplicas"] == 3
    assert status["observedGeneration"] == 1
    assert condition(world, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert condition(world, "Available") == ("True", "MinimumReplicasAvailable")
    pods = world.objects.of(POD, "shop")
    hashes = {pod["metadata"]["labels"]["pod-template-hash"] for pod in pods}
    (rs,) = world.objects.of(REPLICASET, "shop")
    assert hashes == {rs["metadata"]["labels"]["pod-template-hash"]}
    assert rs["metadata"]["name"] == f"web-{hashes.pop()}"


def test_the_same_seed_gives_the_same_world() -> None:
    first, second = shop(), shop()
    assert [obj for _, obj in first.objects] == [obj for _, obj in second.objects]


def test_a_roll_keeps_within_surge_and_availability() -> None:
    world = shop(replicas=10)
    world.set_image("web", "shop/web:2.0")
    for _ in range(40):
        world.run(1)
        alive = [p for p in world.objects.of(POD, "shop") if "deletionTimestamp" not in p["metadata"]]
        assert len(alive) <= 13
        assert len(world.ready_pods()) >= 8
    assert revisions(world) == {"shop/web:1.0": 0, "shop/web:2.0": 10}
    assert world.get(DEPLOYMENT, "web")["metadata"]["annotations"][rolling.REVISION] == "2"


def test_going_back_uses_the_old_replica_set_with_a_new_number() -> None:
    world = shop()
    world.set_image("web", "shop/web:2.0")
    world.run(30)
    world.set_image("web", "shop/web:1.0")
    world.run(30)
    assert revisions(world) == {"shop/web:1.0": 3, "shop/web:2.0": 0}
    assert world.get(DEPLOYMENT, "web")["metadata"]["annotations"][rolling.REVISION] == "3"


def test_a_deployment_created_paused_makes_no_pods() -> None:
    world = World(hold_policy=False)
    obj = shop_deployment("shop", "web", 3, "shop/web:1.0")
    obj["spec"]["paused"] = True
    world.apply(obj)
    world.run(10)
    assert world.objects.of(POD) == []
    assert condition(world, "Progressing") == ("Unknown", "DeploymentPaused")


def test_a_paused_deployment_keeps_its_pods_scales_them_and_rolls_on_when_resumed() -> None:
    world = shop()
    patch(world, put("spec.paused", value=True))
    world.set_image("web", "shop/web:2.0")
    world.scale("web", 6)
    world.run(20)
    assert revisions(world) == {"shop/web:1.0": 6}
    assert len(world.ready_pods()) == 6
    patch(world, put("spec.paused", value=False))
    world.run(30)
    assert revisions(world) == {"shop/web:1.0": 0, "shop/web:2.0": 6}


def test_scaling_in_mid_roll_is_shared_by_size() -> None:
    world = shop(replicas=10)
    world.behaviour("shop/web:2.0", Behaviour(never_ready=True))
    world.set_image("web", "shop/web:2.0")
    world.run(10)
    assert revisions(world) == {"shop/web:1.0": 8, "shop/web:2.0": 5}
    world.scale("web", 20)
    world.run(10)
    # 25 with surge, in the proportion 8 to 5
    assert revisions(world) == {"shop/web:1.0": 15, "shop/web:2.0": 10}


def test_a_roll_that_sticks_passes_its_deadline() -> None:
    world = shop()
    patch(world, put("spec.progressDeadlineSeconds", 60))
    world.behaviour("shop/web:2.0", Behaviour(crash=True))
    world.set_image("web", "shop/web:2.0")
    world.run(50)
    assert condition(world, "Progressing")[0] == "True"
    world.run(30)
    assert condition(world, "Progressing") == ("False", "ProgressDeadlineExceeded")
    assert len(world.ready_pods()) == 3


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour(crash=True), "CrashLoopBackOff"),
        (Behaviour(image_pull_error=True), "ImagePullBackOff"),
        (Behaviour(start_seconds=600), "ContainerCreating"),
    ],
)
def test_a_container_that_does_not_start_says_why(behaviour: Behaviour, reason: str) -> None:
    world = World()
    world.behaviour("shop/web:1.0", behaviour)
    world.deploy_shop(rate=0, settle=60)
    for pod in world.objects.of(POD, "shop"):
        (container,) = pod["status"]["containerStatuses"]
        assert container["state"]["waiting"]["reason"] == reason
        assert container["ready"] is False
    assert world.ready_pods() == []


def test_a_pull_error_shows_before_the_back_off() -> None:
    world = shop(image_pull_error=True)
    (container,) = world.objects.of(POD, "shop")[0]["status"]["containerStatuses"]
    assert container["state"]["waiting"]["reason"] == "ErrImagePull"


def test_a_crash_loop_counts_its_restarts() -> None:
    world = shop(crash=True)
    world.run(120)
    (container,) = world.objects.of(POD, "shop")[0]["status"]["containerStatuses"]
    assert container["restartCount"] >= 4


def test_pods_beyond_what_the_node_holds_are_unschedulable_until_there_is_room() -> None:
    world = shop(replicas=3, unschedulable_after=2)
    waiting = [p for p in world.objects.of(POD, "shop") if p["status"]["phase"] == "Pending"]
    (condition_,) = waiting[0]["status"]["conditions"]
    assert (condition_["type"], condition_["status"], condition_["reason"]) == (
        "PodScheduled",
        "False",
        "Unschedulable",
    )
    assert len(world.ready_pods()) == 2
    world.behaviour("shop/web:1.0", Behaviour())
    world.run(5)
    assert len(world.ready_pods()) == 3


def test_a_quota_is_a_replica_failure_until_there_is_room() -> None:
    world = World()
    world.workloads.quota["shop"] = 2
    world.deploy_shop(rate=0)
    assert condition(world, "ReplicaFailure") == ("True", "FailedCreate")
    world.workloads.quota["shop"] = 5
    world.run(5)
    assert condition(world, "ReplicaFailure") == ("", "")
    assert len(world.ready_pods()) == 3


def test_a_pod_whose_config_is_gone_does_not_start_again_while_others_run_on() -> None:
    world = World()
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "shop"}}
    world.apply(config)
    obj = shop_deployment("shop", "web", 3, "shop/web:1.0")
    obj["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    world.apply(obj)
    world.run(5)
    world.delete(CONFIGMAP, "settings")
    world.kill_pod(world.ready_pods()[0])
    world.run(10)
    assert len(world.ready_pods()) == 2
    reasons = [
        p["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason")
        for p in world.objects.of(POD, "shop")
    ]
    assert "CreateContainerConfigError" in reasons
    world.apply(config)
    world.run(5)
    assert len(world.ready_pods()) == 3


def test_deleting_in_the_foreground_keeps_the_deployment_until_its_pods_are_gone() -> None:
    world = shop(stop_seconds=3)
    world.delete(DEPLOYMENT, "web", foreground=True)
    for _ in range(3):
        world.run(1)
        assert world.get(DEPLOYMENT, "web")["metadata"]["deletionTimestamp"]
        assert world.objects.of(POD, "shop")
    world.run(3)
    assert [ref.kind for ref, _ in world.objects if ref.namespace == "shop"] == [SERVICE]


def test_deleting_in_the_background_takes_the_deployment_at_once_and_the_rest_later() -> None:
    world = shop()
    world.delete(DEPLOYMENT, "web")
    assert not world.exists(DEPLOYMENT, "web")
    assert world.objects.of(POD, "shop")
    world.run(5)
    assert world.objects.of(POD, "shop") == []
    assert world.objects.of(REPLICASET, "shop") == []


def test_a_deployment_deleted_and_made_again_gets_pods_of_its_own() -> None:
    world = shop()
    before = set(world.ready_pods())
    world.delete(DEPLOYMENT, "web")
    world.apply(shop_deployment("shop", "web", 3, "shop/web:1.0"))
    world.run(10)
    assert len(world.ready_pods()) == 3
    assert not before & set(world.ready_pods())


def test_an_orphaned_replica_set_is_adopted_by_a_selector_that_matches() -> None:
    world = shop()
    (rs,) = world.objects.of(REPLICASET, "shop")
    orphan = {**rs, "metadata": {k: v for k, v in rs["metadata"].items() if k != "ownerReferences"}}
    world.objects.put(orphan)
    world.objects.remove(Ref(DEPLOYMENT, "shop", "web"))
    world.apply(shop_deployment("shop", "web", 2, "shop/web:1.0"))
    world.run(5)
    assert revisions(world) == {"shop/web:1.0": 2}


def test_history_is_limited() -> None:
    world = shop()
    patch(world, put("spec.revisionHistoryLimit", 2))
    for number in range(2, 7):
        world.set_image("web", f"shop/web:{number}.0")
        world.run(30)
    assert sorted(revisions(world)) == ["shop/web:4.0", "shop/web:5.0", "shop/web:6.0"]


def test_a_busy_controller_sees_a_change_late() -> None:
    world = World(hold_policy=False, lag=3)
    world.deploy_shop(rate=0, settle=15)
    world.set_image("web", "shop/web:2.0")
    world.run(2)
    obj = world.get(DEPLOYMENT, "web")
    assert obj["status"]["observedGeneration"] < obj["metadata"]["generation"]
    world.run(60)
    obj = world.get(DEPLOYMENT, "web")
    assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
    assert revisions(world)["shop/web:2.0"] == 3


def test_a_recreate_deployment_has_never_pods_of_two_versions() -> None:
    world = World(hold_policy=False)
    obj = shop_deployment("shop", "web", 3, "shop/web:1.0")
    obj["spec"]["strategy"] = {"type": "Recreate"}
    world.apply(obj)
    world.run(5)
    world.set_image("web", "shop/web:2.0")
    for _ in range(10):
        world.run(1)
        alive = [p for p in world.objects.of(POD, "shop") if "deletionTimestamp" not in p["metadata"]]
        assert len({p["metadata"]["labels"]["pod-template-hash"] for p in alive}) <= 1
    assert len(world.ready_pods()) == 3


def test_nothing_is_written_while_nothing_happens() -> None:
    world = shop()
    before = world.objects.revision
    world.run(3600)
    assert world.objects.revision == before


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (3, "25%", "25%", (1, 0)),
        (10, "25%", "25%", (3, 2)),
        (1, "25%", "25%", (1, 0)),
        (4, 0, 0, (0, 1)),
        (4, 2, "50%", (2, 2)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    assert rolling.bounds({"replicas": replicas, "strategy": strategy}) == expected


@settings(deadline=None, max_examples=40)
@given(
    replicas=st.integers(0, 12),
    then=st.lists(st.one_of(st.integers(0, 12), st.sampled_from(["2.0", "3.0", "1.0"])), max_size=5),
    pauses=st.lists(st.integers(0, 6), min_size=5, max_size=5),
)
def test_whatever_is_asked_for_is_what_runs_in_the_end(replicas: int, then: list[int | str], pauses: list[int]) -> None:
    world = shop(replicas=replicas)
    image = "shop/web:1.0"
    for change, pause in zip(then, pauses, strict=False):
        if isinstance(change, int):
            replicas = change
            world.scale("web", replicas)
        else:
            image = f"shop/web:{change}"
            world.set_image("web", image)
        world.run(pause)
    world.run(90)
    assert len(world.ready_pods()) == replicas
    assert {image_: size for image_, size in revisions(world).items() if size} == (
        {image: replicas} if replicas else {}
    )
    assert condition(world, "Progressing") == ("True", "NewReplicaSetAvailable")
