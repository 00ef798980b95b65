"""Random stories under one or two controllers, each reproducible by its seed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.kit.controlled_stories import story, tell

RUNS = int(os.environ.get("ROLLOUT_CONTROLLER_SEEDS", "40"))
FIRST = int(os.environ.get("ROLLOUT_FIRST_SEED", "0"))
CHUNK = 10


def play(seeds: Iterable[int]) -> list[str]:
    """Tell the stories; what was wrong, each with its seed."""
    logging.disable(logging.CRITICAL)  # in a process of its own: a controller that is cut off says so again and again
    wrong = []
    for seed in seeds:
        try:
            found = asyncio.run(tell(story(seed)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be printed
            found = [f"{type(error).__name__}: {error}"]
        wrong += [f"seed {seed}: {what} (again: python -m bench.soak --controller --seed {seed})" for what in found]
    return wrong


@pytest.mark.timeout(900)
def test_random_stories_under_controllers_keep_the_invariants() -> None:
    chunks = [range(first, min(first + CHUNK, FIRST + RUNS)) for first in range(FIRST, FIRST + RUNS, CHUNK)]
    with ProcessPoolExecutor() as pool:
        wrong = [line for found in pool.map(play, chunks) for line in found]
    assert wrong == []
