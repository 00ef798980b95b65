"""Fixtures that several simulated tests share."""

from __future__ import annotations

import pytest

from tests.kit.adopted import Adopted


@pytest.fixture
def scene() -> Adopted:
    """A namespace before it enters the mesh."""
    return Adopted()


@pytest.fixture
def meshed() -> Adopted:
    """The same with everybody enrolled, whose counters begin now."""
    scene = Adopted()
    scene.enrol_all()
    scene.memory.traffic.fresh_ledger()
    return scene
