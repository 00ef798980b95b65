"""The whole lab as a fixture: a real cluster with real Istio sidecars."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip the test, with the reason in the summary; in CI fail, so that nothing is left untested unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def up(name: str, profile: str) -> Any:
    """The running lab of that name, started if need be."""
    try:
        from lab import Lab
        from lab.errors import LabError
    except ImportError as error:
        missing(f"the lab cannot be imported: {error}")
    try:
        lab = Lab(name=name)
        lab.up(profile)
    except LabError as error:
        missing(f"the lab profile {profile} does not come up: {error.explain()}")
    return lab


@pytest.fixture(scope="session")
def lab() -> Any:
    """The lab with the profile istio. It stays up for the next run of the tests."""
    return up(os.environ.get("ROLLOUT_LAB_NAME", "default"), "istio")
