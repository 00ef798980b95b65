"""Whether who drives a run is alive: judged by whether its lease changes, not by what is written in it."""

from __future__ import annotations

import pytest

from rollout.adapters.memory.clock import VirtualClock
from rollout.controller.lease import DURATION, Vigil
from rollout.plan.base import Json


def lease(version: int, renewed: str = "2020-01-01T00:00:00.000000Z") -> Json:
    meta = {"name": "web-1", "namespace": "shop", "uid": "u", "resourceVersion": str(version)}
    spec = {"holderIdentity": "ana", "leaseDurationSeconds": DURATION, "renewTime": renewed}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def test_a_holder_whose_clock_is_years_behind_lives_as_long_as_it_renews() -> None:
    clock = VirtualClock()
    vigil = Vigil(clock)
    for version in range(10):
        assert vigil.left(lease(version)) == DURATION
        clock.run(10)
        assert vigil.left(lease(version)) == DURATION - 10


@pytest.mark.parametrize("renewed", ["2020-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])
def test_a_holder_that_does_not_renew_is_dead_after_its_time_whatever_it_wrote(renewed: str) -> None:
    clock = VirtualClock()
    vigil = Vigil(clock)
    assert vigil.left(lease(1, renewed)) == DURATION
    clock.run(DURATION)
    assert vigil.left(lease(1, renewed)) == 0.0
    vigil.forget(next(iter(vigil._seen)))
    assert vigil.left(lease(1, renewed)) == DURATION, "who has just begun to look knows nothing yet"
