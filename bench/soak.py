"""`make soak`: random stories with faults in the simulated cluster; prints each seed that broke an invariant.

`python -m bench.soak --seed N` tells one story again, line by line.  With `--controller` the stories are those of
controllers that find the plan in Git; without, those of the foreground engine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable

from rollout.plan.kinds import Ref
from tests.kit import controlled_stories
from tests.kit.seeds import told
from tests.kit.sim import Sim
from tests.kit.stories import Story, sim_of, story, tell
from tests.sim import test_controller_seeds
from tests.sim.test_controller_seeds import SOAK
from tests.sim.test_seeds import CHUNK, one


def main(argv: list[str] | None = None) -> int:
    """Exit code 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--controller", action="store_true", help="stories under controllers")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=100_000, help="the first seed; CI takes 0 to 1999")
    parser.add_argument("--seed", type=int, help="tell only this story, line by line")
    args = parser.parse_args(argv)
    if args.seed is None:
        if args.controller:
            return _many(told(test_controller_seeds.one, args.first, args.runs, CHUNK, SOAK), args.first, args.runs)
        return _many(told(one, args.first, args.runs, CHUNK), args.first, args.runs)
    return _judged(_controlled(args.seed) if args.controller else _one(args.seed))


def _one(seed: int) -> list[str]:
    one_story = story(seed)
    print(one_story)
    sim = sim_of(one_story)
    sim.memory.objects.watchers.append(lambda ref: _print_write(sim, ref))
    return asyncio.run(_tell(one_story, sim))


def _controlled(seed: int) -> list[str]:
    one_story = controlled_stories.story(seed)
    print(one_story)
    world = controlled_stories.world_of(one_story)
    world.sim.memory.objects.watchers.append(lambda ref: _print_write(world.sim, ref))
    try:
        return asyncio.run(controlled_stories.tell(one_story, world))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the seed does
        return [f"{type(error).__name__}: {error}"]


def _judged(wrong: list[str]) -> int:
    print("\n".join(wrong) or "every invariant holds")
    return 1 if wrong else 0


async def _tell(one_story: Story, sim: Sim) -> list[str]:
    try:
        _, wrong = await tell(one_story, sim)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the seed does
        return [f"{type(error).__name__}: {error}"]
    return wrong


def _print_write(sim: Sim, ref: Ref) -> None:
    obj = sim.memory.objects.get(ref)
    status = (obj or {}).get("status") or {}
    what = " ".join(str(status[k]) for k in ("phase", "step", "weight", "message") if k in status)
    print(f"{sim.memory.clock.now() % 10_000:8.1f}  {ref}  {what if obj else 'gone'}")


def _many(chunks: Iterable[list[str]], first: int, runs: int) -> int:
    broken = 0
    for done, found in enumerate(chunks, start=1):
        broken += len(found)
        for line in found:
            print(line)
        print(f"{min(done * CHUNK, runs)} of {runs} stories, {broken} broken", file=sys.stderr)
    print(f"{runs} stories from seed {first}: {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
