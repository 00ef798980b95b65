"""The whole lab as a fixture: a real cluster with real Istio sidecars."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from lab import Lab, LabError


def missing(reason: str) -> NoReturn:
    """Skip the test, with the reason in the summary; in CI fail, so that nothing is left untested unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def up(name: str, profile: str) -> Lab:
    """The running lab of that name, started if need be."""
    lab = Lab(name)
    try:
        lab.up(profile)
    except LabError as error:
        missing(f"the lab profile {profile} does not come up: {error.explain()}")
    return lab


@pytest.fixture(scope="session")
def lab() -> Lab:
    """The lab with the profile istio, `default` or $ROLLOUT_LAB_NAME. It stays up for the next run of the tests."""
    return up(os.environ.get("ROLLOUT_LAB_NAME", "default"), "istio")
