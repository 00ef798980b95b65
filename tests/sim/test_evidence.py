"""What was before a run is no evidence of it: a backend's past, and the series of an earlier candidate's pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.controller.view import RunView
from rollout.plan.base import Json
from rollout.plan.run import Phase
from rollout.ports.metrics import Ask, Metrics, Reading
from tests.kit.scenes import play
from tests.kit.sim import BAD, GOOD, VS, Sim, plan


def strict(**spec: object) -> Json:
    """The first failed look ends the run."""
    wanted = plan(**spec)
    wanted["spec"]["analysis"]["gates"][0]["failures"] = 1
    return wanted


def shift() -> Json:
    """From one Deployment of the owner's to another."""
    wanted = strict(
        traffic={"stable": {"host": "web"}, "candidate": {"host": "web2"}, "workloads": ["web", "web2"]},
        service="web",
        steps=[{"weight": 25}, {"weight": 50}],
    )
    del wanted["spec"]["target"]
    return wanted


def second_version(sim: Sim, error_rate: float) -> None:
    """It had callers of its own, and answered them badly; by now it may be mended."""
    sim.memory.deploy_shop(name="web2", image=GOOD, rate=0.0)
    sim.memory.apply({**VS, "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}})
    sim.memory.behaviour(GOOD, Behaviour(error_rate=0.5))
    caller = sim.memory.traffic.add_client("web2", "shop", 20.0)
    sim.memory.run(20)
    sim.memory.traffic.clients.remove(caller)
    sim.memory.behaviour(GOOD, Behaviour(error_rate=error_rate))
    sim.memory.run(60)


@pytest.mark.parametrize(("error_rate", "end"), [(0.0, Phase.SUCCEEDED), (0.5, Phase.ROLLED_BACK)])
async def test_what_a_backend_answered_before_the_run_is_not_judged(error_rate: float, end: Phase) -> None:
    sim = Sim(plan=shift(), image="")
    second_version(sim, error_rate)
    assert (await play(sim)).state.phase is end


async def test_pods_of_an_earlier_candidate_are_not_judged() -> None:
    """Prometheus answers with the series of a pod that is gone until it has missed it twice."""
    sim = Sim(plan=strict(), image=BAD)
    sim.memory.behaviour(BAD, Behaviour(error_rate=0.9))
    assert (await play(sim)).state.phase is Phase.ROLLED_BACK
    sim.image = GOOD
    looks: list[str] = []
    sim.memory.metrics.linger = 600.0

    def each(view: RunView) -> None:
        looks.extend(look.verdict for gate in view.state.gates.values() for look in gate.looks)

    assert (await play(sim, each)).state.phase is Phase.SUCCEEDED
    assert "fail" not in looks


class ByAddress:
    """Metrics whose series name targets, and not pods."""

    def __init__(self, inner: Metrics) -> None:
        self._inner = inner

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        """With other names."""
        answers = await self._inner.ask(asks)
        named = {ask: dict(zip(_ADDRESSES, it.pods.values(), strict=False)) for ask, it in answers.items()}
        return {ask: replace(it, pods=named[ask]) for ask, it in answers.items()}


_ADDRESSES = [f"10.0.0.{number}:15020" for number in range(20)]


async def test_counters_that_are_not_told_apart_by_pods_are_judged_all_the_same() -> None:
    sim = Sim(plan=strict(), image=BAD)
    engine = sim.engine()
    engine.world = replace(engine.world, metrics=ByAddress(sim.memory.metrics))
    engine.reconciler.world = engine.world
    assert (await play(sim, engine=engine)).state.phase is Phase.ROLLED_BACK
