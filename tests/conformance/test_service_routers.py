"""The port `Router` for routers that split between Services: the same suite as for all others."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

import pytest

from rollout.adapters.routers.consul import Consul
from rollout.adapters.routers.gateway import Gateway, GatewayMesh
from rollout.adapters.routers.linkerd import Linkerd
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.smi import Smi
from rollout.plan.base import Json
from rollout.plan.kinds import GRPC_ROUTE, HTTP_ROUTE, POLICY_ROUTES, SERVICE_SPLITTER, TRAFFIC_SPLITS, Kind
from rollout.plan.program import Backends, Side
from rollout.ports.router import Router
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import RouterSuite, Split, World

CANARY = Backends(
    "shop",
    "web",
    "web-7",
    Side("web", labels={"pod-template-hash": "aaa"}),
    Side("web-canary", labels={"pod-template-hash": "bbb"}),
)
TWO = Backends("shop", "web", "web-7", Side("", host="web-v1"), Side("", host="web-v2.shop.svc.cluster.local"))
TWO_SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
SIDES = {"web": "stable", "web-7-stable": "stable", "web-7-canary": "candidate"}
OWN_SIDES = {"web-v1": "stable", "web-v2": "candidate"}


def amount(weight: int | str) -> Fraction:
    """A weight as the documents define it."""
    text = str(weight)
    return Fraction(text[:-1]) / 1000 if text.endswith("m") else Fraction(text)


def shares(weights: dict[str, Fraction], sides: dict[str, str]) -> dict[str, Fraction]:
    """By side, and by name for others."""
    total = sum(weights.values())
    found: dict[str, Fraction] = {}
    for name, weight in weights.items():
        side = sides.get(name, name)
        found[side] = found.get(side, Fraction(0)) + weight / total
    return found


class ServiceSuite(RouterSuite):
    """A router between Services."""

    router_: ServiceRouter
    backends_ = CANARY

    @pytest.fixture
    def router(self) -> Router:
        return self.router_

    @pytest.fixture
    def backends(self) -> Backends:
        return self.backends_


class InMemory(ServiceSuite):
    """The world in memory only: what the API server takes is tried with another of the router's ways."""

    @pytest.fixture
    def world(self) -> World:
        return World(given.objects(*self.manifests))


class SmiSuite(ServiceSuite):
    router_ = Smi()
    kinds = "smi_kinds"

    def split(self, world: World) -> Split:
        sides = SIDES if self.backends_ is CANARY else OWN_SIDES
        found: dict[str, dict[str, Fraction]] = {}
        splits: list[Json] = [obj for kind in TRAFFIC_SPLITS for obj in world.read().get(kind, ())]
        for obj in splits:
            weights = {it["service"]: amount(it["weight"]) for it in obj["spec"]["backends"]}
            of = shares(weights, sides)
            if {"stable", "candidate"} & of.keys():
                found[obj["metadata"]["name"]] = of
        return found


class TestSmiWithoutTrafficSplit(InMemory, SmiSuite):
    manifests = (given.SERVICE,)


class TestSmiRoot(SmiSuite):
    manifests = (given.SERVICE, given.ROOT)


class TestSmiLeaf(InMemory, SmiSuite):
    """The owner's splits of other roots name the Service; its own root has none, and gets one."""

    manifests = (given.SERVICE, given.LEAF)


class TestSmiQuantities(InMemory, SmiSuite):
    manifests = (given.SERVICE, given.QUANTITIES)


class TestSmiTwoServices(InMemory, SmiSuite):
    backends_ = TWO
    pinned = "home"
    manifests = (given.SERVICE, given.VERSIONS, given.OWN_TWO)


class GatewaySuite(ServiceSuite):
    router_: ServiceRouter = GatewayMesh()
    kinds = "gateway_kinds"
    of: tuple[Kind, ...] = (HTTP_ROUTE, GRPC_ROUTE)

    def split(self, world: World) -> Split:
        sides = SIDES if self.backends_ is CANARY else OWN_SIDES
        found: dict[str, dict[str, Fraction]] = {}
        routes: list[Json] = [obj for kind in self.of for obj in world.read().get(kind, ())]
        for obj in routes:
            home = obj["metadata"]["namespace"]
            for index, rule in enumerate(obj["spec"]["rules"]):
                weights = {self.called(it, home): amount(it.get("weight", 1)) for it in rule["backendRefs"]}
                of = shares(weights, sides)
                if {"stable", "candidate"} & of.keys():
                    found[f"{obj['kind']} {home}/{obj['metadata']['name']} {index}"] = of
        return found

    @staticmethod
    def called(entry: Json, home: str) -> str:
        """The name of a Service in the shop; anything else in full."""
        namespace = entry.get("namespace", home)
        plain = entry.get("kind", "Service") == "Service" and namespace == "shop"
        return str(entry["name"]) if plain else f"{entry.get('kind')} {namespace}/{entry['name']}"


class TestGatewayFromOutside(InMemory, GatewaySuite):
    router_ = Gateway()
    manifests = (given.SERVICE, given.OUTSIDE)


class TestMeshRoutesAreMade(InMemory, GatewaySuite):
    manifests = (given.SERVICE,)


class TestMeshRoutesOfTheOwner(InMemory, GatewaySuite):
    manifests = (given.SERVICE, given.OUTSIDE, given.PRODUCER, given.GRPC)


class TestMeshRoutesForOnePort(GatewaySuite):
    """The owner has one for gRPC; the other port gets ours."""

    manifests = (given.SERVICE, given.GRPC)


class TestMeshRoutesOfCallers(InMemory, GatewaySuite):
    manifests = (given.HTTP_ONLY, given.CONSUMER)


class TestRoutesBetweenTwoServices(InMemory, GatewaySuite):
    backends_ = TWO
    pinned = "home"
    manifests = (given.SERVICE, given.VERSIONS, given.OWN_TWO_ROUTE)


class LinkerdSuite(GatewaySuite):
    router_: ServiceRouter = Linkerd()
    kinds = "linkerd_kinds"
    of = POLICY_ROUTES


class TestLinkerdRoutesAreMade(InMemory, LinkerdSuite):
    manifests = (given.SERVICE,)


class TestLinkerdRoutesOfTheOwner(LinkerdSuite):
    """The owner has one for a port; the other port gets ours."""

    manifests = (given.SERVICE, given.POLICY)


class ConsulSuite(ServiceSuite):
    router_ = Consul()
    kinds = "consul_kinds"
    sides: ClassVar[dict[str, str]] = {"web-7-stable": "stable", "web-7-canary": "candidate", "": "stable"}

    def split(self, world: World) -> Split:
        found: dict[str, dict[str, Fraction]] = {}
        splitters: list[Json] = list(world.read().get(SERVICE_SPLITTER, ()))
        for obj in splitters:
            if obj["metadata"]["name"] != "web":
                continue
            entries = obj["spec"]["splits"]
            weights = {it.get("serviceSubset", ""): Fraction(str(it["weight"])) for it in entries}
            assert sum(weights.values()) == 100
            found["web"] = shares(weights, self.sides)
        return found


class TestConsulObjectsAreMade(ConsulSuite):
    manifests = (given.HTTP_ONLY, given.HTTP_DEFAULTS)


class TestConsulObjectsOfTheOwner(ConsulSuite):
    """His resolver gets two subsets more, his splitter's one destination is split, his router is left alone."""

    manifests = (given.HTTP_ONLY, given.HTTP_DEFAULTS, given.RESOLVER, given.SPLITTER, given.SERVICE_ROUTER)


class TestConsulResolverOfTheOwner(InMemory, ConsulSuite):
    """It has no subsets; ours are the only ones, and leave nothing behind."""

    manifests = (given.HTTP_ONLY, given.RESOLVER_PLAIN)


class TestConsulTwoSubsets(InMemory, ConsulSuite):
    backends_ = TWO_SUBSETS
    pinned = "home"
    sides: ClassVar[dict[str, str]] = {"v1": "stable", "v2": "candidate"}
    manifests = (given.HTTP_ONLY, given.RESOLVER, given.SPLIT_SUBSETS)
