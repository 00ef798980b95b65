"""Random stories: a seed decides the version, the routes, the faults, who else writes, and who orders what and when.

The same seed tells the same story, so a seed that fails is a reproducer: `python -m bench.soak --seed N`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.adapters.memory.metrics import Fault as Metrics
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, VIRTUAL_SERVICE, Ref
from rollout.plan.run import Phase
from tests.kit.shapes import LOAD, SHAPES, rest_paused, shaped, traffic_only
from tests.kit.sim import BAD, CRASHING, GOOD, VS, Sim

ENDS = {GOOD: Phase.SUCCEEDED, BAD: Phase.ROLLED_BACK, CRASHING: Phase.ROLLED_BACK}


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed stands for."""

    seed: int
    image: str
    own_routes: bool
    hold_policy: bool
    mode: str
    rate: float
    kinds: tuple[Fault, ...]
    meddler: str
    abort_after: int | None
    """An order to abort arrives with this turn."""
    orders: tuple[tuple[int, str], ...] = ()
    """Other orders, each with the turn at which it arrives."""
    shape: str = "plain"
    """Of the plan; `traffic-only` moves a route of the owner's."""
    paused: bool = False
    """The Deployment rests paused."""
    trouble: tuple[int, int, Metrics | None] = (0, 0, None)
    """From one turn to another the metrics fail in this way."""

    @property
    def end(self) -> frozenset[Phase]:
        """The ends that are right."""
        wanted, verbs = {ENDS[self.image]}, {verb for _, verb in self.orders}
        if self.abort_after is not None or "undo" in verbs:
            wanted.add(Phase.ABORTED)
        if self.image == BAD and verbs & {"skip", "promote", "full"}:
            wanted.add(Phase.SUCCEEDED)  # a person wanted it without the evidence
        return frozenset(wanted)


def story(seed: int) -> Story:
    """The story of a seed."""
    rng = random.Random(seed)
    own_routes = rng.random() < 0.6
    told = Story(
        seed=seed,
        image=rng.choice([GOOD, GOOD, BAD, CRASHING]),
        own_routes=own_routes,
        hold_policy=rng.random() < 0.5,
        mode=rng.choice(["shift", "shift", "native"]),
        rate=rng.choice([0.005, 0.02, 0.05]),
        kinds=tuple(rng.sample(list(Fault), rng.randint(2, len(Fault)))),
        meddler=rng.choice(["nobody", "re-applies", "edits", "scales"] if own_routes else ["nobody", "scales"]),
        abort_after=rng.randint(1, 60) if rng.random() < 0.3 else None,
        orders=_orders(rng) if rng.random() < 0.5 else (),
    )
    return _varied(told, rng)


def _varied(told: Story, rng: random.Random) -> Story:
    """Another plan than the plain one, and metrics that fail for a while."""
    shape, first = rng.choice(["plain", "plain", *SHAPES, "traffic-only"]), rng.randint(1, 30)
    fault: Metrics | None = rng.choice(["outage", "no-data", "stale", "many"])
    told = replace(
        told,
        shape=shape,
        paused=not told.hold_policy and rng.random() < 0.5,
        trouble=(first, first + rng.randint(3, 15), fault if rng.random() < 0.3 else None),
    )
    if shape != "traffic-only":
        return told
    return replace(told, image=told.image if told.image == BAD else GOOD, meddler="nobody", paused=False)


def _orders(rng: random.Random) -> tuple[tuple[int, str], ...]:
    """Up to six orders at random moments, sensible or not; a pause is the most frequent."""
    verbs = ["pause", "pause", "resume", "retry", "skip", "promote", "full", "undo"]
    turns = sorted(rng.sample(range(1, 80), rng.randint(1, 6)))
    return tuple((turn, rng.choice(verbs)) for turn in turns)


def sim_of(told: Story) -> Sim:
    """The world at the beginning of a story."""
    if told.shape == "traffic-only":
        sim = traffic_only(told.image, told.seed)
    else:
        wanted = shaped(told.shape, promotion={"mode": told.mode})
        sim = Sim(told.seed, told.own_routes, told.hold_policy, told.image, wanted)
    if told.paused:
        rest_paused(sim)
    sim.trouble = told.trouble
    sim.memory.metrics.set_scalar(LOAD, lambda: math.nan if sim.turns % 7 == 0 else 1.0)
    sim.may_leak = told.meddler == "re-applies"
    return sim


async def tell(told: Story, sim: Sim | None = None) -> tuple[Sim, list[str]]:
    """Play a story to its end; return the world and what was wrong in it."""
    sim = sim or sim_of(told)
    faults = FaultPlan(rate=told.rate, seed=told.seed, kinds=told.kinds)
    sim.orders = dict(told.orders) | ({} if told.abort_after is None else {told.abort_after: "abort"})
    view = await sim.survive(faults, meddle(sim, told.meddler), later=faults)
    if view.state.undo:
        sim.image = ""  # the Deployment asks for the stable version again
    wrong = sim.at_rest(promoted=view.state.phase is Phase.SUCCEEDED)
    if view.state.undo and not told.paused and sim.memory.get(DEPLOYMENT, "web")["spec"].get("paused"):
        wrong.append("the Deployment is paused after an undo")
    if view.state.phase not in told.end:
        wrong.append(f"ended {view.state.phase} ({view.state.reason}): {view.state.message}")
    return sim, wrong


def meddle(sim: Sim, who: str) -> Callable[[], None]:
    """What somebody else does now and then."""
    rng = random.Random(sim.seed + 1)
    match who:
        case "re-applies":
            return lambda: _apply(sim, VS)
        case "edits":
            return lambda: _edit(sim, f"{rng.randint(1, 30)}s")
        case "scales":
            return lambda: _scale_up(sim)
        case _:
            return lambda: None


def _apply(sim: Sim, obj: Json) -> None:
    sim.memory.replace(obj)


def _edit(sim: Sim, timeout: str) -> None:
    """The owner changes another field of a route that we split, as kubectl edit would."""
    ref = Ref(VIRTUAL_SERVICE, "shop", "web")
    obj = sim.memory.get(ref.kind, ref.name)
    obj["spec"]["http"][0]["timeout"] = timeout
    sim.before[str(ref)]["http"][0]["timeout"] = timeout
    sim.memory.replace(obj)


def _scale_up(sim: Sim) -> None:
    """An autoscaler adds a pod, up to eight. (Taking one away would be its doing that a stable pod goes.)"""
    replicas = min(8, sim.memory.get(DEPLOYMENT, "web")["spec"]["replicas"] + 1)
    sim.memory.scale("web", replicas)
    sim.before[str(Ref(DEPLOYMENT, "shop", "web"))]["replicas"] = replicas
