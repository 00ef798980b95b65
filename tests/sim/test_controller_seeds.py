"""Random stories under one or two controllers, each reproducible by its seed."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

from tests.kit.controlled_stories import story, tell
from tests.kit.seeds import told

RUNS = int(os.environ.get("ROLLOUT_CONTROLLER_SEEDS", "40"))
FIRST = int(os.environ.get("ROLLOUT_FIRST_SEED", "0"))
CHUNK = 10
SOAK = "--controller --seed"


def one(seed: int) -> list[str]:
    """What was wrong in the story of a seed."""
    logging.disable(logging.CRITICAL)  # in a process of its own: a controller that is cut off says so again and again
    return asyncio.run(tell(story(seed)))


@pytest.mark.timeout(900)
def test_random_stories_under_controllers_keep_the_invariants() -> None:
    wrong = [line for found in told(one, FIRST, RUNS, CHUNK, SOAK) for line in found]
    assert wrong == []
