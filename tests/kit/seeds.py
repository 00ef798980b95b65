"""Many seeded stories on all cores; each that went wrong is told with the command that tells it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

Tell = Callable[[int], list[str]]
"""Plays the story of a seed; what was wrong in it. A function of a module: it is called in other processes."""


def play(tell: Tell, soak: str, seeds: Iterable[int]) -> list[str]:
    """Tell the stories; what was wrong, each with its seed. `soak`: the options of `python -m bench.soak`."""
    wrong = []
    for seed in seeds:
        try:
            found = tell(seed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be printed
            found = [f"{type(error).__name__}: {error}"]
        wrong += [f"seed {seed}: {what} (again: python -m bench.soak {soak} {seed})" for what in found]
    return wrong


def told(tell: Tell, first: int, runs: int, chunk: int, soak: str = "--seed") -> Iterator[list[str]]:
    """The stories of so many seeds, in parallel; what was wrong, as each chunk of them is done."""
    end = first + runs
    chunks = [range(start, min(start + chunk, end)) for start in range(first, end, chunk)]
    with ProcessPoolExecutor() as pool:
        yield from pool.map(partial(play, tell, soak), chunks)
