"""`make bench`: what one canary costs, in counts: API requests and queries by step, CPU per turn, writes per step.

Counts are exact and repeatable; CPU is this machine's, and worth comparing only with itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref
from rollout.ports.cluster import Cluster, Guard
from tests.kit.sim import Sim


class Counted:
    """The port `Cluster` around another one, counting requests by verb and kind."""

    def __init__(self, inner: Cluster) -> None:
        self.inner = inner
        self.requests: Counter[str] = Counter()

    async def get(self, ref: Ref) -> Json | None:
        """Counted as `get`."""
        self.requests[f"get {ref.kind.plural}"] += 1
        return await self.inner.get(ref)

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        """Counted as `list`."""
        self.requests[f"list {kind.plural}"] += 1
        return await self.inner.list(kind, namespace, labels, about=about)

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """Counted as `create`."""
        self.requests[f"create {obj['kind']}"] += 1
        return await self.inner.create(obj, dry_run=dry_run)

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """Counted as `patch`."""
        self.requests[f"patch {ref.kind.plural}"] += 1
        return await self.inner.patch(ref, ops, guard, dry_run=dry_run)

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """Counted as `status`."""
        self.requests[f"status {ref.kind.plural}"] += 1
        return await self.inner.put_status(ref, status, guard)

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """Counted as `delete`."""
        self.requests[f"delete {ref.kind.plural}"] += 1
        await self.inner.delete(ref, guard, foreground=foreground)

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Counted as `review`."""
        self.requests["review"] += 1
        return await self.inner.allowed(verb, kind, namespace)

    async def serves(self, kind: Kind) -> bool:
        """Counted as `discover`."""
        self.requests["discover"] += 1
        return await self.inner.serves(kind)

    async def version(self) -> str:
        """Counted as `version`."""
        self.requests["version"] += 1
        return await self.inner.version()


async def measure() -> Json:
    """One canary of two weights in the simulated cluster."""
    sim = Sim(own_routes=True)
    cluster = Counted(sim.memory.cluster)
    engine = sim.engine(cluster)
    started = await engine.start(sim.plan, images={"app": sim.image}, by="bench")
    before, cluster.requests = cluster.requests, Counter()
    asked, cpu, began = sim.memory.metrics.asked, time.process_time(), sim.memory.clock.now()
    turns = 0

    def count(_: object) -> None:
        nonlocal turns
        turns += 1

    view = await engine.drive("shop", started.name, count)
    cpu = time.process_time() - cpu
    writes = sum(n for what, n in cluster.requests.items() if what.split()[0] not in ("get", "list", "review"))
    return {
        "outcome": str(view.state.phase),
        "virtual_seconds": round(sim.memory.clock.now() - began),
        "turns": turns,
        "requests_to_start": before.total(),
        "requests": cluster.requests.total(),
        "requests_per_turn": round(cluster.requests.total() / turns, 2),
        "writes": writes,
        "writes_per_step": round(writes / len(view.spec.program.steps), 2),
        "queries": sim.memory.metrics.asked - asked,
        "cpu_ms_per_turn_with_simulation": round(1000 * cpu / turns, 3),
        "by_kind": dict(cluster.requests.most_common()),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=2))
