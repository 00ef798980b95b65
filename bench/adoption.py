"""What an adoption of 100 workloads costs a controller: requests, queries, CPU, bytes of its run.

At rest it asks for nothing, which is a test (`tests/sim/test_controller_adoption.py`). Counts are exact and the same
each time; CPU is this machine's, without the simulation's, and worth comparing only with itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from rollout.adapters.memory.clock import VirtualClock
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, PLAN_RUN
from rollout.plan.stored import PROGRAM
from tests.kit.adopted import PROXIED, SHOP, Adopted, service, template, workload
from tests.kit.journey import plan
from tests.kit.space import Space, space

USUAL = {"interval": "15s", "observe": "1m"}
STRICT: Json = {"permissive": {}, "shadowStrict": {"window": "1m"}, "strict": {"approve": {}}}
STEPS = 20
"""So many steps of the strict stage are measured."""


@dataclass
class Apart:
    """A clock that knows how much CPU the simulation used up while others slept."""

    inner: VirtualClock
    cpu: float = 0.0

    def now(self) -> float:
        """See `ports.clock.Clock`."""
        return self.inner.now()

    def monotonic(self) -> float:
        """See `ports.clock.Clock`."""
        return self.inner.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `ports.clock.Clock`."""
        began = time.process_time()
        await self.inner.sleep(seconds)
        self.cpu += time.process_time() - began


def scene(count: int) -> Adopted:
    """So many workloads in the mesh, each called by the same one."""
    made = Adopted(only=frozenset({"front"}), scrape=15.0)
    memory = made.memory
    for name in (f"team-service-{number:03d}" for number in range(count - 1)):
        pods = template(name)
        pods["metadata"]["labels"] |= PROXIED
        memory.apply(workload(DEPLOYMENT, name, pods, replicas=2))
        memory.apply(service(name, 80, "http", 8080))
        memory.traffic.add_workload("front", name, SHOP, 1.0, client_namespace=SHOP)
    made.enrol(DEPLOYMENT, "front")
    memory.run(180)
    return made


async def measure(count: int) -> Json:
    """The first steps of the strict stage, and ten minutes of waiting for a person before and in it."""
    made = scene(count)
    clock = Apart(made.memory.clock)
    async with space(scene=made, clock=clock) as here:
        here.memory.apply(plan(STRICT, analysis=USUAL))
        await here.until(lambda: here.phase() == "AwaitingApproval", 1800)
        end = clock.now() + 600
        asked = await _spent(here, clock, lambda: clock.now() >= end)
        here.order("promote")
        await here.until(lambda: _at(here) is not None, 1800)
        first = _at(here) or 0
        strict = await _spent(here, clock, lambda: (_at(here) or first) >= first + STEPS)
        run = made.memory.objects.of(PLAN_RUN, SHOP)[0]
        here.order("pause")
        await here.passed(60)
        rest = clock.now() + 600
        paused = await _spent(here, clock, lambda: clock.now() >= rest)
    program = PROGRAM.validate_python(run["spec"]["program"])
    return {
        "workloads": count,
        "steps": len(program.steps),
        "awaiting_approval": asked,
        "strict": strict,
        "paused": paused,
        "bytes_of_the_run": len(orjson.dumps(run)),
        "bytes_of_its_program": len(orjson.dumps(run["spec"]["program"])),
        "bytes_of_its_journal": len(orjson.dumps(run["status"]["state"].get("journal", []))),
        "lines_of_its_journal": len(run["status"]["state"].get("journal", [])),
    }


def _at(here: Space) -> int | None:
    """The step of the run, if it is one of the strict stage."""
    runs = here.memory.objects.of(PLAN_RUN, SHOP)
    state = ((runs[0].get("status") or {}).get("state") or {}) if runs else {}
    step = int(state.get("step", 0))
    first = 3  # permissive, shadow strict and the approval come before
    return step if step >= first else None


async def _spent(here: Space, clock: Apart, done: Callable[[], bool]) -> Json:
    """What is asked and used up per minute until something is so."""
    metrics, cluster = here.memory.metrics, here.asked
    reads, writes, asked, moment = cluster.reads, cluster.writes, metrics.asked, clock.now()
    clock.cpu, cpu = 0.0, time.process_time()
    await here.until(done, 7200.0)
    cpu, minutes = time.process_time() - cpu - clock.cpu, (clock.now() - moment) / 60
    return {
        "minutes": round(minutes, 1),
        "reads_per_minute": round((cluster.reads - reads) / minutes, 1),
        "writes_per_minute": round((cluster.writes - writes) / minutes, 1),
        "queries_per_minute": round((metrics.asked - asked) / minutes, 1),
        "cpu_ms_per_minute": round(1000 * cpu / minutes),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100)), indent=2))
