"""Simulated requests go where Istio would send them, and the ledger tells what became of each."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.connection import workload_of
from rollout.adapters.memory.mesh import Caller, Cause, resolve, snapshot
from rollout.adapters.memory.splits import fqdn
from rollout.adapters.memory.world import World, shop_deployment
from rollout.plan.base import ROLE_LABEL, Json
from rollout.plan.kinds import DEPLOYMENT, DESTINATION_RULE, POD, REPLICASET, SERVICE, VIRTUAL_SERVICE

HOST = "web.shop.svc.cluster.local"


def virtual_service(*routes: Json, name: str = "web", namespace: str = "shop", **spec: Any) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": ["web"], "http": list(routes), **spec},
    }


def route(*backends: tuple[str, str, int], **more: Any) -> Json:
    destinations = []
    for host, subset, weight in backends:
        to = {"host": host, **({"subset": subset} if subset else {})}
        destinations.append({"destination": to, "weight": weight})
    return {"route": destinations, **more}


def rule(
    subsets: dict[str, Json], *, name: str = "web", namespace: str = "shop", host: str = "web", **spec: Any
) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"host": host, "subsets": [{"name": n, "labels": labels} for n, labels in subsets.items()], **spec},
    }


def hash_of(world: World, workload: str) -> Json:
    pod = next(p for p in world.objects.of(POD, "shop") if workload_of(p) == workload)
    return {"pod-template-hash": pod["metadata"]["labels"]["pod-template-hash"]}


@pytest.fixture
def world() -> World:
    """Stable `web` and a canary of it behind one Service, and a meshed client at 100 requests a second."""
    world = World(seed=7)
    world.deploy_shop()
    canary = shop_deployment("shop", "web-canary", 1, "shop/web:2.0")
    del canary["metadata"]["labels"]
    canary["spec"]["template"]["metadata"]["labels"] = {"app": "web", ROLE_LABEL: "canary"}
    canary["spec"]["selector"]["matchLabels"] = {"app": "web", ROLE_LABEL: "canary"}
    world.apply(canary)
    world.run(5)
    world.traffic.fresh_ledger()
    return world


def subsets(world: World) -> dict[str, Json]:
    return {"stable": hash_of(world, "web"), "canary": hash_of(world, "web-canary")}


@pytest.mark.parametrize(
    ("host", "full"),
    [
        ("web", HOST),
        ("web.shop", HOST),
        ("web.shop.svc", HOST),
        (HOST, HOST),
        ("api.example.com", "api.example.com"),
    ],
)
def test_hosts_have_one_full_name(host: str, full: str) -> None:
    assert fqdn(host, "shop") == full


def test_a_plain_service_spreads_evenly_and_leaks_to_a_canary(world: World) -> None:
    world.run(40)
    ledger = world.traffic.ledger
    assert ledger.requests == 4000
    assert ledger.dropped == 0
    assert ledger.by_workload == {"web": 3000, "web-canary": 1000}
    assert sum(leak.count for leak in ledger.leaks) == 1000


@pytest.mark.parametrize("host", ["web", "web.shop", HOST])
def test_a_pinned_route_sends_nothing_to_the_canary(world: World, host: str) -> None:
    world.apply(rule(subsets(world), host=host))
    world.apply(virtual_service(route((host, "stable", 100)), hosts=[host]))
    world.run(20)
    assert world.traffic.ledger.by_workload == {"web": 2000}
    assert world.traffic.ledger.leaks == []


def test_weights_split_requests_within_sampling_error(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 90), ("web", "canary", 10))))
    world.run(200)
    assert world.traffic.ledger.share("web-canary") == pytest.approx(0.1, abs=0.01)
    assert world.traffic.ledger.leaks == []
    assert world.traffic.ledger.failed == 0


def test_only_the_version_with_errors_fails(world: World) -> None:
    world.behaviour("shop/web:2.0", Behaviour(error_rate=0.05))
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 50), ("web", "canary", 50))))
    world.run(100)
    ledger = world.traffic.ledger
    assert ledger.failed == ledger.failed_by("web-canary")
    assert ledger.failed / ledger.by_workload["web-canary"] == pytest.approx(0.05, abs=0.01)
    assert ledger.dropped == 0


def causes(world: World) -> set[Cause]:
    return {failure.cause for failure in world.traffic.ledger.failures}


def test_a_subset_that_nobody_defines_drops_requests(world: World) -> None:
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.run(1)
    assert causes(world) == {Cause.NO_CLUSTER}
    assert world.traffic.ledger.dropped == world.traffic.ledger.requests == 100


def test_a_subset_without_a_ready_pod_drops_its_share(world: World) -> None:
    world.apply(rule({"stable": {"pod-template-hash": "gone"}}))
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.run(1)
    assert causes(world) == {Cause.NO_HEALTHY}


def test_a_rule_deleted_before_the_route_that_names_it_is_seen_even_within_a_second(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.run(1)
    world.delete(DESTINATION_RULE, "web")
    world.delete(VIRTUAL_SERVICE, "web")
    world.run(1)
    assert causes(world) == {Cause.NO_CLUSTER}


def test_the_right_order_within_a_second_drops_nothing(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.run(1)
    world.delete(VIRTUAL_SERVICE, "web")
    world.delete(DESTINATION_RULE, "web")
    world.run(1)
    assert world.traffic.ledger.dropped == 0


def test_two_rules_of_one_namespace_merge(world: World) -> None:
    both = subsets(world)
    world.apply(rule({"stable": both["stable"]}, name="users"))
    world.apply(rule({"canary": both["canary"]}, name="ours"))
    world.apply(virtual_service(route(("web", "stable", 50), ("web", "canary", 50))))
    world.run(10)
    assert world.traffic.ledger.dropped == 0


def test_rules_with_another_export_do_not_merge(world: World) -> None:
    both = subsets(world)
    world.apply(rule({"stable": both["stable"]}, name="users", exportTo=["."]))
    world.apply(rule({"canary": both["canary"]}, name="ours"))
    world.apply(virtual_service(route(("web", "stable", 50), ("web", "canary", 50))))
    world.run(10)
    assert causes(world) == {Cause.NO_CLUSTER}


def test_a_rule_in_the_callers_namespace_hides_ours() -> None:
    world = World()
    world.deploy_shop(rate=0)
    world.apply(rule({"stable": hash_of(world, "web")}))
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.apply(rule({}, name="mine", namespace="frontend", host=HOST))
    world.traffic.add_client("web", "shop", 100, client_namespace="frontend")
    world.run(1)
    assert causes(world) == {Cause.NO_CLUSTER}


def test_a_rule_for_one_workload_hides_ours_from_it_alone() -> None:
    world = World()
    world.deploy_shop(rate=100)
    world.apply(rule({"stable": hash_of(world, "web")}))
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.apply(rule({}, name="mine", workloadSelector={"matchLabels": {"app": "front"}}))
    world.run(1)
    assert world.traffic.ledger.dropped == 0
    world.traffic.add_client("web", "shop", 100, labels={"app": "front"})
    world.run(1)
    assert causes(world) == {Cause.NO_CLUSTER}


def test_the_first_route_that_matches_wins(world: World) -> None:
    world.apply(rule(subsets(world)))
    beta = {"match": [{"headers": {"x-beta": {"exact": "yes"}}}]}
    world.apply(virtual_service(route(("web", "canary", 100), **beta), route(("web", "stable", 100))))
    world.traffic.add_client("web", "shop", 50, headers={"x-beta": "yes"})
    world.run(10)
    assert world.traffic.ledger.by_workload == {"web": 1000, "web-canary": 500}


def test_a_route_that_matches_nobody_drops_requests(world: World) -> None:
    world.apply(virtual_service(route(("web", "", 100), match=[{"uri": {"prefix": "/admin"}}])))
    world.run(1)
    assert causes(world) == {Cause.NO_ROUTE}


def test_a_gateways_route_is_not_the_meshs(world: World) -> None:
    world.apply(virtual_service(route(("web", "nowhere", 100)), gateways=["istio-system/public"]))
    world.run(5)
    assert world.traffic.ledger.dropped == 0


def test_a_delegated_route_is_followed(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service({"delegate": {"name": "child", "namespace": "shop"}}))
    child = virtual_service(route(("web", "canary", 100)), name="child")
    del child["spec"]["hosts"]
    world.apply(child)
    world.run(2)
    assert world.traffic.ledger.by_workload == {"web-canary": 200}


def test_the_oldest_virtual_service_of_a_host_wins(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 100)), name="z-first"))
    world.run(1)
    world.apply(virtual_service(route(("web", "canary", 100)), name="a-second"))
    world.run(1)
    assert world.traffic.ledger.by_workload == {"web": 200}


def test_a_route_without_weights_and_another_host(world: World) -> None:
    world.apply(shop_deployment("shop", "other", 1, "shop/other:1.0"))
    service = world.get(SERVICE, "web")
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "other", "namespace": "shop"},
            "spec": {**service["spec"], "selector": {"app": "other"}},
        }
    )
    world.run(5)
    world.traffic.fresh_ledger()
    world.apply(virtual_service({"route": [{"destination": {"host": "other"}}]}))
    world.run(1)
    assert world.traffic.ledger.by_workload == {"other": 100}


def test_a_caller_outside_the_mesh_knows_only_the_service(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 100))))
    world.traffic.clients.clear()
    world.traffic.add_client("web", "shop", 100, meshed=False)
    world.run(4)
    assert world.traffic.ledger.by_workload == {"web": 300, "web-canary": 100}
    assert world.traffic.ledger.leaks


def test_late_proxies_send_to_pods_that_are_gone() -> None:
    world = World(delay=3)
    world.deploy_shop()
    world.run(5)
    world.kill_pod(world.ready_pods()[0])
    world.run(5)
    assert causes(world) == {Cause.KILLED}


def test_late_proxies_keep_the_old_route_for_a_while() -> None:
    world = World(delay=2)
    world.deploy_shop()
    world.run(5)
    world.traffic.fresh_ledger()
    world.apply(virtual_service(route(("web", "nowhere", 100))))
    world.run(1)
    assert world.traffic.ledger.dropped == 0
    world.run(2)
    assert world.traffic.ledger.dropped > 0


def test_a_roll_that_keeps_its_pods_drops_nothing() -> None:
    world = World()
    world.deploy_shop()
    world.set_image("web", "shop/web:2.0")
    world.run(60)
    assert world.traffic.ledger.dropped == 0
    assert world.traffic.ledger.requests == 6000


def test_resolving_alone_tells_who_gets_what(world: World) -> None:
    world.apply(rule(subsets(world)))
    world.apply(virtual_service(route(("web", "stable", 75), ("web", "canary", 25))))
    shares = resolve(snapshot(world.objects), Caller("shop"), HOST)
    assert [(s.subset, s.weight, len(s.pods)) for s in shares] == [("stable", 0.75, 3), ("canary", 0.25, 1)]


def test_pods_name_their_workload(world: World) -> None:
    assert {workload_of(pod) for pod in world.objects.of(POD, "shop")} == {"web", "web-canary"}
    assert len(world.objects.of(REPLICASET, "shop")) == 2
    assert world.exists(DEPLOYMENT, "web-canary")
