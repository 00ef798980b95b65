"""One service behind the Istio router: steer it, edit what it wrote as its owner would, and bring it home."""

from __future__ import annotations

from copy import deepcopy

from rollout.adapters.routers.istio import Istio
from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends, Side
from rollout.plan.run import Entry
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import OWNER, World, play

CANARY = Backends(
    "shop",
    "web",
    "web-7",
    Side("web", labels={"pod-template-hash": "aaa"}),
    Side("web-canary", labels={"pod-template-hash": "bbb"}),
)
"""Stable and candidate of a run, told apart by subsets of ours."""
SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
"""Two subsets of the owner's."""
WEB = Ref(VIRTUAL_SERVICE, "shop", "web")
RULE = Ref(DESTINATION_RULE, "shop", "web-7")
MADE = Ref(VIRTUAL_SERVICE, "shop", "web-7")
"""`WEB` is the owner's route; `RULE` and `MADE` are what the run makes."""
ISTIO = Istio()


def world(*texts: str) -> World:
    """The objects of these manifests."""
    return World(given.objects(*texts))


def steer(
    shop: World, weight: float, journal: tuple[Entry, ...] = (), backends: Backends = CANARY
) -> tuple[Entry, ...]:
    """Give the candidate a weight, in per cent; return the journal."""
    return play(shop, ISTIO.steer(backends, shop.read(), weight, journal, OWNER), journal)


def restore(shop: World, journal: tuple[Entry, ...], backends: Backends = CANARY) -> None:
    """Bring everything home that the journal names."""
    play(shop, ISTIO.restore(backends, shop.read(), journal))


def edited(shop: World, ref: Ref, **spec: object) -> None:
    """The owner writes some fields anew."""
    obj = deepcopy(shop.objects[ref])
    obj["spec"].update(spec)
    shop.put(obj)


def routes(shop: World, ref: Ref, section: str = "http") -> list[list[Json]]:
    """The destinations of each route."""
    return [route.get("route", []) for route in shop.objects[ref]["spec"][section]]
