"""Orders, edits and bad news before every single write of a run, exhaustively: the end is clean, whatever came when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.kinds import CANARY_PLAN, PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.scenes import STABLE, running, web
from tests.kit.sim import GOOD, Sim, plan

NEWER = "shop/web:1.3"


def order(sim: Sim) -> None:
    run = sim.latest()
    if run is not None:
        meta = run["metadata"]
        spec = {"plan": "web", "run": meta["name"], "runUid": meta["uid"], "verb": "abort", "by": "ana"}
        head = {"apiVersion": PLAN_RUN.api_version, "kind": "PlanDecision"}
        sim.memory.apply(head | {"metadata": {"name": "stop", "namespace": "shop"}, "spec": spec})


def turn_bad(sim: Sim) -> None:
    sim.memory.behaviour(GOOD, Behaviour(error_rate=0.5))


def revert(sim: Sim) -> None:
    sim.memory.set_image("web", STABLE)


def newer(sim: Sim) -> None:
    sim.memory.set_image("web", NEWER)


async def ordered(sim: Sim, view: RunView) -> RunView:
    """A person ends what waits for a person."""
    engine = sim.engine(identity="engine-2")
    return await engine.go_home("shop", view.name, lambda _: None)


EVENTS: dict[str, Callable[[Sim], Any]] = {
    "abort": order,
    "plan deleted": lambda sim: sim.memory.delete(CANARY_PLAN, "web"),
    "template reverted": revert,
    "newer version": newer,
    "gates fail": turn_bad,
}


def short(mode: str, number: int = 0) -> Sim:
    """A shop with a short plan; every other one has routes of its own."""
    steps, promotion = [{"weight": 50, "hold": "2s"}], {"mode": mode, "deadline": "60s"}
    return Sim(own_routes=number % 2 == 0, plan=plan(steps=steps, promotion=promotion))


async def writes_until_the_full_step() -> int:
    """So many writes both modes have in common."""
    sim = short("native")
    cluster = FaultyCluster(sim.memory.cluster, FaultPlan())
    engine = sim.engine(cluster)
    view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
    await engine.drive("shop", view.name, lambda _: None, until=lambda v: v.state.step == 1)
    return cluster.writes


async def happen(what: str, number: int, mode: str) -> tuple[list[str], bool]:
    """One whole run in which something happens before the n-th write; what was wrong, and whether there was one."""
    sim = short(mode, number)
    met: list[bool] = []

    def foreign() -> None:
        met.append(True)
        EVENTS[what](sim)

    try:
        view = await sim.survive(FaultPlan(at_write={number: Fault.FOREIGN}), foreign)
    except StartRefused:
        return ([] if sim.latest() is None else ["refused although there is a run"]), True
    if view.state.phase is Phase.HELD:
        assert view.state.reason == Reason.ROLL_STUCK
        view = await ordered(sim, view)
    sim.image = str(web(sim)["spec"]["template"]["spec"]["containers"][0]["image"])
    alive = running(sim)
    wrong = sim.at_rest()
    if len(alive) != 1 or not alive <= {STABLE, GOOD, NEWER}:
        wrong.append(f"running are {alive}")
    if not view.state.phase.ended:
        wrong.append(f"is {view.state.phase}")
    return wrong, bool(met)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["shift", "native"])
@pytest.mark.parametrize("what", EVENTS)
async def test_whatever_happens_at_whichever_write_leaves_nothing_behind(what: str, mode: str) -> None:
    first = await writes_until_the_full_step() if mode == "native" else 0
    number, more, found = first, True, []
    while more:
        number += 1
        wrong, more = await happen(what, number, mode)
        found += [(number, it) for it in wrong]
    assert number > first + 10
    assert found == []
