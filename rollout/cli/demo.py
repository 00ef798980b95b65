"""demo: a good version is promoted, a bad one rolled back.

Engine, checks and views are those of `start`; only the world is simulated, and its time runs faster.  A stage is all
that a demo needs to know of its world, so the same two acts can be played in a real cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from rollout import registry
from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.world import World as Simulation
from rollout.cli.drive import Drive
from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import plan as render_plan
from rollout.cli.render import run as render
from rollout.cli.render import why as render_why
from rollout.cli.session import Session
from rollout.controller.foreground import Foreground
from rollout.plan.base import API_VERSION, Json
from rollout.plan.run import Phase
from rollout.ports.world import World

PACE: Final = 12.0
"""Simulated seconds in a real one."""
PLAN: Final[Json] = {
    "apiVersion": API_VERSION,
    "kind": "CanaryPlan",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "target": {"name": "web"},
        "steps": [{"weight": 10}, {"weight": 30}, {"weight": 50}],
        "analysis": {
            "interval": "3s",
            "hold": "12s",
            "deadline": "5m",
            "gates": [
                {"name": "success", "metric": "success", "min": "99%"},
                {"name": "latency", "metric": "slow", "slowerThan": "500ms", "max": "5%"},
            ],
        },
        "promotion": {"deadline": "5m"},
    },
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What a demo is played on."""

    session: Session
    where: str
    """The world in words."""
    plan: Json
    good: str
    """An image that deserves promotion."""
    bad: str
    """One that does not, in words of `flaw`."""
    flaw: str
    told: Callable[[], str]
    """What became of the requests since the last time it was asked."""
    next: str
    """Where to go from here: a line, and three commands."""


def demo(common: Common) -> int:
    """Play both acts in the simulated cluster."""
    return asyncio.run(play(simulated(), Printer(common)))


async def play(stage: Stage, printer: Printer) -> int:
    """Both acts, and what to try next; fails when an act ends otherwise than it should."""
    printer.say(Text(f"rollout demo: {stage.where}", "bold"))
    first = await _act(stage, printer, "1 of 2: a good version", stage.good, Phase.SUCCEEDED)
    second = await _act(stage, printer, f"2 of 2: {stage.flaw}", stage.bad, Phase.ROLLED_BACK)
    printer.result(f"\nnext, {stage.next}")
    return Code.GOOD if first and second else Code.ERROR


async def _act(stage: Stage, printer: Printer, title: str, image: str, ending: Phase) -> bool:
    session = stage.session
    printer.say(Text(f"\n{title}: {image}", "bold"))
    view = await session.engine.start(stage.plan, images={"app": image}, by="rollout demo")
    if ending is Phase.SUCCEEDED:
        revision = view.spec.revision
        preview = render_plan.Preview(view.owner, view.spec.program, revision.stable_images, revision.images)
        printer.say(render_plan.table(preview))
    stage.told()
    view = await Drive(session, printer).to_the_end(view)
    as_expected = view.state.phase is ending
    printer.result(render.status(view) if as_expected else render_why.story(view))
    printer.result(f"  {'traffic':<9}{stage.told()}")
    return as_expected


def simulated(pace: float = PACE) -> Stage:
    """A cluster in memory with a shop, and traffic of 100 requests a second."""
    simulation = Simulation(pace=pace)
    simulation.behaviour("shop/web:2.0", Behaviour(error_rate=0.05))
    simulation.deploy_shop(replicas=3, image="shop/web:1.0", rate=100)
    world = World(
        cluster=simulation.cluster,
        metrics=simulation.metrics,
        clock=simulation.clock,
        routers=registry.routers(),
        strategies=registry.strategies(),
        identity="demo",
    )
    return Stage(
        session=Session(world, "shop", Foreground(world)),
        where=f"a simulated cluster with a mesh and 100 requests/s, {pace:g} times as fast",
        plan=PLAN,
        good="shop/web:1.1",
        bad="shop/web:2.0",
        flaw="a version that fails 5 % of its requests",
        told=_Tally(simulation).told,
        next="with your own cluster:\n"
        "  rollout check                                        what is there, and what is missing\n"
        "  rollout crds apply --with-hold                       install the kinds\n"
        "  rollout start canary.yaml --image CONTAINER=IMAGE    a canary of your own",
    )


class _Tally:
    """Counts the requests of one act."""

    def __init__(self, simulation: Simulation) -> None:
        self._ledger = simulation.traffic.ledger
        self._before = (0, 0, 0)

    def told(self) -> str:
        """`12,000 requests, 120 failed, 0 dropped`; and starts anew."""
        now = (self._ledger.requests, self._ledger.failed, self._ledger.dropped)
        sent, failed, dropped = (n - before for n, before in zip(now, self._before, strict=True))
        self._before = now
        return f"{sent:,} requests, {failed - dropped:,} answered with an error by the candidate, {dropped:,} dropped"
