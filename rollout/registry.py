"""Finds plug-ins by entry point: strategies, compilers of adoptions, routers and meshes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from rollout.plan.strategy import AdoptionStrategy, Strategy
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
    """Every installed router by name."""
    return _load("rollout.routers")


def meshes() -> Mapping[str, Mesh]:
    """Every installed mesh driver by name."""
    return _load("rollout.meshes")
