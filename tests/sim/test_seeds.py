"""Two thousand random stories with faults, each reproducible by its seed; the invariants after every write."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.kit.seeds import told
from tests.kit.stories import story, tell

RUNS = int(os.environ.get("ROLLOUT_SEEDS", "2000"))
FIRST = int(os.environ.get("ROLLOUT_FIRST_SEED", "0"))
CHUNK = 50


def one(seed: int) -> list[str]:
    """What was wrong in the story of a seed."""
    return asyncio.run(tell(story(seed)))[1]


@pytest.mark.timeout(900)
def test_random_stories_keep_the_invariants() -> None:
    wrong = [line for found in told(one, FIRST, RUNS, CHUNK) for line in found]
    assert wrong == []
