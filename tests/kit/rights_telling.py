"""How a story is told with some rights: it ends early where one is missing and somebody was told so."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.adapters.memory.faults import FaultyCluster
from rollout.adapters.memory.world import World as Memory
from rollout.errors import Conflict, Forbidden
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, Kind, Ref
from rollout.ports.cluster import Guard
from tests.kit.controlled import Controlled
from tests.kit.rights import Bound, Right
from tests.kit.sim import Sim
from tests.kit.vendors import MemoryHttp

PATIENCE: Final = 60.0
"""Virtual seconds that somebody gets to be told of a missing right."""
NEVER: Final = frozenset({Right("shop", "", "pods", "create")})
"""What is asked about, and not granted on purpose: RBAC cannot tell a rehearsal from the making of pods."""


class Refused(Exception):
    """A right is missing, and the story cannot go on as it is written."""


@dataclass
class Telling:
    """One story, as it is told with these rights."""

    granted: frozenset[Right]
    bound: Bound = field(init=False)
    memory: Memory = field(init=False)
    heard: list[str] = field(default_factory=list)
    """What the controller logged."""
    finished: bool = False
    """It was told to its end."""

    def bind(self, memory: Memory) -> None:
        """From now on the engine has these rights in this world."""
        self.memory = memory
        self.bound = memory.cluster = Bound(memory.cluster.server, self.granted)

    @property
    def missed(self) -> frozenset[Right]:
        """What is missing, as it turned out so far."""
        return frozenset(self.bound.lacked | self.bound.denied) - NEVER

    def told(self) -> bool:
        """Whether people can read of a right that is missing: in the log, or in what our objects say."""
        said = [str(obj.get("status")) for ref, obj in self.memory.objects if ref.kind.group == CANARY_PLAN.group]
        text = "\n".join([*self.heard, *said])
        return any(re.search(pattern(it), text) for it in self.missed)

    def patient(self, done: Callable[[], bool]) -> Callable[[], bool]:
        """Whether something is true, or somebody was told of a missing right, or has had the time to be told."""
        limit = [math.inf]

        def over() -> bool:
            if self.missed and limit[0] == math.inf:
                limit[0] = self.memory.clock.now() + PATIENCE
            return done() or self.memory.clock.now() >= limit[0] or (bool(self.missed) and self.told())

        return over


def pattern(right: Right) -> str:
    """How a refusal names what it refuses: the API server's own, and that of the checks."""
    resource = right.resource.partition("/")[0]
    return rf'cannot \w+ resource "{resource}" in API group "{right.group}"|you may not [a-z, ]+ {resource}\b'


Story = Callable[[Telling], Awaitable[None]]


class Heard(logging.Handler):
    """Keeps what is logged, with the error that comes with it."""

    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.INFO)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self._into.append(f"{record.getMessage()} {getattr(record, 'error', '')}")


def thing(kind: Kind, name: str, spec: Json | None = None, **meta: object) -> Json:
    """An object of the shop."""
    named: Json = {"name": name, "namespace": "shop", **meta}
    found: Json = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": named}
    return found if spec is None else {**found, "spec": spec}


def contested(cluster: FaultyCluster) -> None:
    """Somebody else writes first, once at every object: what stood in the way is read anew."""
    seen: set[tuple[Ref, str]] = set()
    patch, put_status = cluster.patch, cluster.put_status

    def first(ref: Ref, what: str) -> None:
        if (ref, what) not in seen:
            seen.add((ref, what))
            raise Conflict(f"{ref}: somebody else wrote first")

    async def patched(ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        if not dry_run:
            first(ref, "")
        return await patch(ref, ops, guard, dry_run=dry_run)

    async def put(ref: Ref, status: Json, guard: Guard) -> Json:
        first(ref, "status")
        return await put_status(ref, status, guard)

    cluster.patch, cluster.put_status = patched, put  # type: ignore[method-assign]


async def opened(telling: Telling, http: MemoryHttp | None = None, **given: object) -> Controlled:
    """A shop with a plan that its controller has seen, among many hands; `given` are fields of `Sim`."""
    world = Controlled(Sim(**given), http=http)  # type: ignore[arg-type]
    telling.bind(world.sim.memory)
    world.commit()
    contested(world.spawn().faulty)
    await until(telling, world, lambda: world.phase() == "Idle")
    return world


async def until(telling: Telling, world: Controlled, done: Callable[[], bool]) -> None:
    """Let time pass until it is true, or until somebody had the time to be told of a missing right."""
    await world.until(telling.patient(done))
    if not done():
        await world.close()
        raise Refused


async def tell(story: Story, granted: Iterable[Right]) -> Telling:
    """Tell it with these rights."""
    telling = Telling(frozenset(granted))
    ear, log = Heard(telling.heard), logging.getLogger("rollout")
    level = log.level
    log.addHandler(ear)
    log.setLevel(logging.INFO)
    try:
        await story(telling)
        telling.finished = True
    except Refused:
        pass
    except Forbidden as error:
        telling.heard.append(str(error))  # the election's, which the process logs
    finally:
        log.removeHandler(ear)
        log.setLevel(level)
    return telling
