"""The port `Router`: the same suite on every router and every way of splitting, in memory and on a real API server."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest

from rollout.adapters.routers.istio import Istio
from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends, Side
from rollout.ports.router import Router
from tests.conformance.istio_manifests import (
    HOSTS,
    MIXED_PORTS,
    OTHER_ROOT,
    RICH,
    RULE,
    SERVICE,
    TUTORIAL,
    UNRELATED,
)
from tests.conformance.router_suite import RouterSuite, Split, World

CANARY = Backends(
    "shop",
    "web",
    "web-7",
    Side("web", labels={"pod-template-hash": "aaa"}),
    Side("web-canary", labels={"pod-template-hash": "bbb"}),
)
SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
TWO_HOSTS = Backends("shop", "web", "web-7", Side("", host="web-v1"), Side("", host="web-v2"))


def side_of(destination: Mapping[str, Json], namespace: str, backends: Backends) -> str:
    """`stable`, `candidate`, or the destination in words."""
    host = str(destination["host"])
    subset = str(destination.get("subset", ""))
    full = host if "." in host else f"{host}.{namespace}"
    short = ".".join(full.split(".")[:2])
    if backends is CANARY:
        if short == "web.shop":
            return "candidate" if subset.startswith("web-7-canary") else "stable"
    else:
        for word, side in (("stable", backends.stable), ("candidate", backends.candidate)):
            if short == f"{side.host or 'web'}.shop" and subset == side.subset:
                return word
    return f"{full}/{subset}"


def split(world: World, backends: Backends) -> Split:
    found: dict[str, dict[str, Fraction]] = {}
    for obj in world.read().get(VIRTUAL_SERVICE, ()):
        meta, spec = obj["metadata"], obj["spec"]
        for section in ("http", "tls", "tcp"):
            for index, route in enumerate(spec.get(section, ())):
                entries = route.get("route", ())
                total = sum(entry.get("weight", 0) for entry in entries)
                shares: dict[str, Fraction] = {}
                for entry in entries:
                    side = side_of(entry["destination"], meta["namespace"], backends)
                    part = Fraction(entry.get("weight", 0), total) if total else Fraction(1)
                    shares[side] = shares.get(side, Fraction(0)) + part
                if "stable" in shares:
                    found[f"{meta['namespace']}/{meta['name']} {section}[{index}]"] = shares
    return found


class IstioSuite(RouterSuite):
    backends_: Backends = CANARY
    kinds = "istio_kinds"

    @pytest.fixture
    def router(self) -> Router:
        return Istio()

    @pytest.fixture
    def backends(self) -> Backends:
        return self.backends_

    def split(self, world: World) -> Split:
        return split(world, self.backends_)

    def test_a_timeout_that_the_owner_adds_in_mid_run_stays(
        self, router: Router, backends: Backends, world: World
    ) -> None:
        wanted = world.specs()
        journal = self.steered(router, backends, world, 10)
        for ref, spec in wanted.items():
            if spec.get("http"):
                live = world.objects[ref]
                live["spec"]["http"][-1]["timeout"] = spec["http"][-1]["timeout"] = "7s"
                world.put(live)
        self.go_home(router, backends, world, journal)
        assert world.specs() == wanted


class TestIstioWithoutVirtualService(IstioSuite):
    manifests = (MIXED_PORTS, UNRELATED)


class TestIstioOtherRoot(IstioSuite):
    """The rule of the mesh's root namespace is carried along while the run lasts, wherever that namespace is."""

    manifests = (SERVICE, OTHER_ROOT)

    def test_its_policy_is_carried_along(self, router: Router, backends: Backends, world: World) -> None:
        self.steered(router, backends, world, 10)
        policy = {"connectionPool": {"http": {"http2MaxRequests": 7}}}
        assert world.objects[Ref(DESTINATION_RULE, "shop", "web-7")]["spec"]["trafficPolicy"] == policy
        findings = router.findings(backends, world.read())
        assert "RO302" not in [finding.code for finding in findings]


class TestIstioTutorial(IstioSuite):
    manifests = (SERVICE, RULE, TUTORIAL, UNRELATED)


class TestIstioManyVirtualServices(IstioSuite):
    manifests = (SERVICE, RULE, RICH, UNRELATED)


class TestIstioGatewayOnly(IstioSuite):
    """Callers in the mesh need a route that we make; the gateway's is patched."""

    manifests = (SERVICE, RICH.partition("---")[2])


class TestIstioTwoSubsets(IstioSuite):
    backends_ = SUBSETS
    pinned = "home"
    manifests = (SERVICE, RULE, TUTORIAL, UNRELATED)


class TestIstioTwoHosts(IstioSuite):
    backends_ = TWO_HOSTS
    pinned = "home"
    manifests = (SERVICE, HOSTS, UNRELATED)
