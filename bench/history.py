"""`make bench`: what `rollout simulate --history 7d` costs: queries, bytes, and seconds of asking and of judging.

A week of one service at 15 s: four pods, errors and slow requests, from a local server of Prometheus' query API in a
process of its own.  What a real one needs to find the numbers is not in it.  Times are this machine's.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from multiprocessing.queues import Queue
from random import Random
from typing import Final

from rollout.adapters.metrics.prometheus import Prometheus
from rollout.decide.backtest import backtest, starts, summed
from rollout.decide.simulate import Tried, tried_gates
from rollout.observe.questions import STEP
from rollout.observe.rates import pasts
from rollout.plan.base import Json
from rollout.plan.gate import Provider
from rollout.plan.program import Program, Route, Step
from rollout.plan.sequential import CompareGate
from tests.kit.builders import run
from tests.kit.prometheus import FakePod, serving

END: Final = 1_700_000_100.0
WEEK: Final = 7 * 86_400.0
PODS: Final = 4
WEIGHTS: Final = (10.0, 30.0, 50.0)
HOLD: Final = 300.0
HOUR: Final = 3600.0


def week(pods: int = PODS, *, seconds: float = WEEK) -> dict[tuple[str, str, str], dict[float, list[int]]]:
    """Counters of the stable workload of `shop/web`: 10 requests/s to each pod, 0.2 % bad and 0.4 % slow."""
    chance, found = Random(5), {}  # noqa: S311 - chance, no secret
    workload = plan().split.stable.workload
    for pod in range(pods):
        total = bad = slow = 0
        moments: dict[float, list[int]] = {}
        for number in range(int(seconds / STEP), -1, -1):
            total, bad, slow = total + 150, bad + (chance.random() < 0.3), slow + (chance.random() < 0.6)
            moments[END - STEP * number] = [total, bad, slow]
        found["shop", workload, f"web-{pod}"] = moments
    return found


def plan() -> Program:
    """Three weights of five minutes, judged by errors and by latency."""
    gates: tuple[Tried, ...] = (
        CompareGate("success", "success", every=STEP, tolerance=0.01, planned=60, alpha=0.01),
        CompareGate("slow", "slow", slower_than=0.5, every=STEP, tolerance=0.02, planned=60, alpha=0.01),
    )
    spec = run(10.0).program
    steps = tuple(Step(f"weight-{weight:g}", (Route(weight),), gates, hold=HOLD) for weight in WEIGHTS)
    return Program(spec.strategy, spec.workload, spec.backends, steps, spec.settings)


async def measure(address: str) -> Json:
    """Ask and judge as the command does, a start every hour."""
    metrics, program = Prometheus(default=Provider(address=address, timeout="60s")), plan()
    gates, asked = tried_gates(program), time.perf_counter()
    known, lacking = await pasts(metrics, program, "shop", gates, END - WEEK, END)
    judged = time.perf_counter()
    moments = starts(program, known, END - WEEK, END, HOUR)
    found = backtest(program, known, gates, moments)
    done = time.perf_counter()
    await metrics.close()
    return {
        "points": sum(len(track) for past in known.values() for track in past.tracks.values()),
        "starts": len(moments),
        "outcomes": dict(summed(found)),
        "lacking": lacking,
        "seconds_asking": round(judged - asked, 2),
        "seconds_judging": round(done - judged, 2),
        "seconds": round(done - asked, 2),
    }


def serve(said: Queue[str], stop: Queue[str]) -> None:
    """The server, until it is told to stop; it says its address first, and last what it was asked."""

    async def go() -> None:
        async with serving() as fake:
            fake.past = week()
            fake.pods = {name: FakePod(1000, slower={"500": 10, "1000": 1}) for name in fake.past}
            said.put(fake.address)
            await asyncio.to_thread(stop.get)
            said.put(json.dumps(fake.queries))

    asyncio.run(go())


def main() -> None:
    """Print the figures."""
    context = multiprocessing.get_context("spawn")
    said: Queue[str] = context.Queue()
    stop: Queue[str] = context.Queue()
    server = context.Process(target=serve, args=(said, stop), daemon=True)
    server.start()
    found = asyncio.run(measure(said.get(timeout=60)))
    stop.put("")
    queries = json.loads(said.get(timeout=60))
    server.join()
    ranges = [query for query in queries if "by (pod" in query]
    print(json.dumps({"queries": len(queries), "range_queries": len(ranges), **found}, indent=2))


if __name__ == "__main__":
    main()
