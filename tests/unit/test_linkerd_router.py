"""Linkerd's router: exact routes, and what is stronger than they are."""

from __future__ import annotations

import pytest

from rollout.adapters.routers.linkerd import Linkerd
from rollout.plan.kinds import POLICY_ROUTES, Ref
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import OWNER, World, play
from tests.conformance.test_service_routers import CANARY
from tests.unit.test_gateway_router import world

LINKERD = Linkerd()
PROFILE = """
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.shop.svc.cluster.local, namespace: shop}
spec:
  retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10s}
  routes: [{name: all, condition: {pathRegex: /.*}, isRetryable: true}]
"""
ELSEWHERE = PROFILE.replace("namespace: shop", "namespace: front")
ANOTHERS = PROFILE.replace("web.shop", "web.other")
BETWEEN = given.POLICY.replace("namespace: shop", "namespace: front").replace(
    "name: web, port", "name: web, namespace: shop, port"
)


def steered(there: World, weight: float) -> None:
    play(there, LINKERD.steer(CANARY, there.read(), weight, (), OWNER), ())


def test_a_route_is_made_as_linkerd_documents_it() -> None:
    there = world(given.HTTP_ONLY)
    steered(there, 0.5)
    assert there.objects[Ref(POLICY_ROUTES[0], "shop", "web-7")]["spec"] == {
        "parentRefs": [{"group": "core", "kind": "Service", "name": "web", "port": 80}],
        "rules": [
            {
                "backendRefs": [
                    {"name": "web-7-stable", "port": 80, "weight": 199},
                    {"name": "web-7-canary", "port": 80, "weight": 1},
                ]
            }
        ],
    }


def test_the_owners_route_keeps_all_but_its_destinations() -> None:
    there = world(given.HTTP_ONLY, given.POLICY)
    steered(there, 10)
    rule = there.objects[Ref(POLICY_ROUTES[0], "shop", "web-mesh")]["spec"]["rules"][0]
    assert rule == {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "timeouts": {"request": "5s"},
        "backendRefs": [
            {"group": "core", "kind": "Service", "name": "web-7-stable", "port": 80, "weight": 81},
            {"group": "core", "kind": "Service", "name": "web-7-canary", "port": 80, "weight": 9},
            {"name": "web-next", "port": 80, "weight": 10},
        ],
    }


def test_where_only_the_older_version_is_served_that_is_written() -> None:
    read = {**world(given.HTTP_ONLY).read(), POLICY_ROUTES[1]: []}
    assert LINKERD.steer(CANARY, read, 10, (), OWNER)[-1].ref == Ref(POLICY_ROUTES[1], "shop", "web-7")


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ((), []),
        ((given.POLICY,), []),
        ((BETWEEN,), []),
        ((ANOTHERS,), []),
        (
            (PROFILE,),
            [("RO344", "cluster.local is stronger than every HTTPRoute: callers would")],
        ),
        ((ELSEWHERE,), [("RO344", "callers in front would go to web itself")]),
        ((given.PRODUCER,), [("RO345", "HTTPRoute/web-mesh of the Gateway API is for web as well")]),
        ((given.GRPC,), [("RO345", "GRPCRoute/web-grpc of the Gateway API is for web as well")]),
        ((given.OUTSIDE,), []),
    ],
)
def test_what_hides_the_routes_is_found(more: tuple[str, ...], found: list[tuple[str, str]]) -> None:
    there = LINKERD.findings(CANARY, world(given.HTTP_ONLY, *more).read())
    assert [it.code for it in there] == [code for code, _ in found]
    assert all(words in it.message for it, (_, words) in zip(there, found, strict=True))
