"""Finds plug-ins by entry point: strategies, compilers of adoptions, routers, meshes and channels."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from rollout.plan.kinds import learn
from rollout.plan.program import Backends, Side
from rollout.plan.strategy import AdoptionStrategy, Strategy
from rollout.ports.channel import Channel
from rollout.ports.mesh import Mesh
from rollout.ports.router import Router


def _load(group: str) -> dict[str, Any]:
    return {point.name: point.load()() for point in entry_points(group=group)}


def strategies() -> Mapping[str, Strategy]:
    """Every installed strategy by name."""
    return _load("rollout.strategies")


def compilers() -> Mapping[str, AdoptionStrategy]:
    """Every installed strategy of mesh adoption by name."""
    return _load("rollout.adoption-strategies")


def routers() -> Mapping[str, Router]:
    """Every installed router by name. The kinds that it reads and writes are known from then on."""
    found: Mapping[str, Router] = _load("rollout.routers")
    nothing = Backends("", "", "", Side(""), Side(""))
    for router in found.values():
        learn(router.writes)
        learn(kind for read in router.reads(nothing) for kind in read.kinds)
    return found


def meshes() -> Mapping[str, Mesh]:
    """Every installed mesh driver by name."""
    return _load("rollout.meshes")


def channels() -> Mapping[str, Channel]:
    """Every installed kind of channel by name."""
    return _load("rollout.channels")
