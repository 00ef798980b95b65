"""The owner's VirtualService for one Service, and the Istio router that steers it and gives it back."""

from __future__ import annotations

from typing import Any

from rollout.adapters.routers.istio import Istio
from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from tests.conformance.router_suite import OWNER, World, play

ROUTER = Istio()
NAME = Ref(VIRTUAL_SERVICE, "shop", "web")


def service(*routes: Json, **spec: Any) -> Json:
    """With these HTTP routes."""
    meta = {"name": NAME.name, "namespace": NAME.namespace}
    body = {"hosts": ["web"], "http": list(routes), **spec}
    return {"apiVersion": VIRTUAL_SERVICE.api_version, "kind": VIRTUAL_SERVICE.name, "metadata": meta, "spec": body}


def steered(found: World, backends: Backends, weight: float, journal: tuple[Entry, ...] = ()) -> tuple[Entry, ...]:
    """Until nothing is left to do."""
    for _ in range(3):
        changes = ROUTER.steer(backends, found.read(), weight, journal, OWNER)
        if not changes:
            return journal
        journal = play(found, changes, journal)
    raise AssertionError("it never comes to rest")


def http(found: World) -> list[Json]:
    """The routes as they are now."""
    routes: list[Json] = found.objects[NAME]["spec"]["http"]
    return routes


def home(found: World, backends: Backends, journal: tuple[Entry, ...]) -> None:
    """All routes are their owner's again."""
    play(found, ROUTER.restore(backends, found.read(), journal))
    play(found, ROUTER.sweep(backends, found.read()))
