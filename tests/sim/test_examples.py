"""The examples, driven in the simulated shop to the ending that their README tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.hooks import YES
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.decide.seen import HookAnswer
from rollout.plan.base import Json
from rollout.plan.kinds import JOB, METRIC_TEMPLATE, Ref
from rollout.plan.query import fill
from rollout.plan.run import Phase
from tests.kit.scenes import once, play, reasons
from tests.kit.sim import BAD, GOOD, Sim

EXAMPLES = Path(__file__).parents[2] / "examples"
ENDS = [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)]


def example(story: str, image: str = GOOD) -> Sim:
    """The example's plan in the simulated shop."""
    return Sim(plan=read(story, "canary"), image=image)


def read(story: str, name: str) -> Any:
    return yaml.safe_load((EXAMPLES / story / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("story", ["first-canary", "linear", "blue-green", "mirror"])
@pytest.mark.parametrize(("image", "end"), ENDS)
async def test_a_good_version_is_promoted_and_a_bad_one_goes_back(story: str, image: str, end: Phase) -> None:
    sim = example(story, image)
    view = await play(sim)
    assert view.state.phase is end
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


@pytest.mark.parametrize(
    ("verb", "end"), [("promote", Phase.SUCCEEDED), ("abort", Phase.ABORTED), ("", Phase.ROLLED_BACK)]
)
async def test_a_person_decides(verb: str, end: Phase) -> None:
    """Or nobody does, and it goes back when the time is over (not the eight hours: they are long to simulate)."""
    sim = example("approval")
    sim.plan["spec"]["steps"][1]["approve"]["within"] = "20m"

    def answer(view: RunView) -> None:
        if verb and view.state.phase is Phase.AWAITING_APPROVAL:
            sim.order(view, verb)

    view = await play(sim, answer)
    assert view.state.phase is end
    assert (Reason.APPROVAL_EXPIRED in reasons(view)) is (verb == "")
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_version_that_turns_bad_while_a_person_is_waited_for_goes_back() -> None:
    sim = example("approval")
    turn_bad = once(
        lambda view: view.state.phase is Phase.AWAITING_APPROVAL,
        lambda: sim.memory.behaviour(GOOD, Behaviour(error_rate=0.3)),
    )
    view = await play(sim, turn_bad)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.GATE_FAILED)


def shop_that_sells(conversion: float | None) -> Sim:
    """Own metrics: the template stored, and what Prometheus says of the candidate's carts."""
    sim = example("own-metrics")
    template: Json = read("own-metrics", "template")
    sim.memory.apply(template)
    sim.kinds |= {METRIC_TEMPLATE}
    filled = {"namespace": "shop", "candidate": "web-canary", "window": "5m", "channel": "web"}
    sim.memory.metrics.set_scalar(fill(template["spec"]["query"], filled), conversion)
    sim.memory.metrics.set_scalar('max(shop_queue_depth{namespace="shop"})', 9000.0)
    return sim


@pytest.mark.parametrize(("conversion", "end"), [(0.05, Phase.SUCCEEDED), (0.01, Phase.ROLLED_BACK)])
async def test_a_number_of_the_shops_own_decides_and_one_that_only_looks_does_not(
    conversion: float, end: Phase
) -> None:
    sim = shop_that_sells(conversion)
    view = await play(sim)
    assert view.state.phase is end, view.state.message
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []


async def test_a_shop_where_nobody_has_filled_a_cart_waits_and_says_so() -> None:
    sim = shop_that_sells(None)
    engine = sim.engine()
    view = await engine.start(sim.plan, images={"app": GOOD}, by="ana")
    view = await engine.drive("shop", view.name, lambda _: None, until=lambda it: it.state.phase is Phase.HOLDING)
    assert view.state.reason == Reason.NO_DATA
    assert "conversion" in view.state.message


@pytest.mark.parametrize("said", [200, 503])
async def test_hooks_are_asked_in_their_places(said: int) -> None:
    """The load test is a Job; who is asked before each weight says yes, or the smoke test goes on saying no."""
    sim = example("hooks")
    no = HookAnswer("failed", f"it answered {said}")
    sim.outside.replies = lambda call: no if (call.hook.name, said) == ("smoke", 503) else YES

    def run_job(ref: Ref) -> None:
        job = sim.memory.objects.get(ref)
        if ref.kind == JOB and job is not None and not job.get("status"):
            sim.memory.objects.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})

    sim.memory.objects.watchers.append(run_job)
    view = await play(sim)
    good = said == 200
    assert view.state.phase is (Phase.SUCCEEDED if good else Phase.ROLLED_BACK)
    assert sim.outside.calls[-1].body["phase"] == ("Succeeded" if good else "Failed")
    assert sum(call.hook.name == "change-board" for call in sim.outside.calls) == (3 if good else 1)
    assert sim.at_rest(promoted=good) == []


@pytest.mark.parametrize(("groups", "end"), [(["sre"], Phase.SUCCEEDED), ([], Phase.HELD)])
async def test_two_people_decide(groups: list[str], end: Phase) -> None:
    """By `kubectl create`, each in his own name; without one of the group it is held when the time is over."""
    sim = Sim(plan=read("approval", "two-people"))

    def both(view: RunView) -> None:
        for name, of in (("ana", []), ("ben", groups)):
            spec = {"plan": "web", "run": view.name, "runUid": view.uid, "verb": "promote", "by": name, "groups": of}
            head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "PlanDecision"}
            meta = {"name": f"{name}-agrees", "namespace": "shop"}
            sim.memory.apply({**head, "metadata": meta, "spec": spec | {"step": view.state.step}})

    done: list[RunView] = []

    def each(view: RunView) -> None:
        if view.state.phase is Phase.AWAITING_APPROVAL and not done:
            done.append(view)
            both(view)

    view = await play(sim, each)
    assert view.state.phase is end
    said = [note.message for note in view.state.notes if note.reason == Reason.DECISION_REFUSED]
    assert bool(said) is (end is Phase.HELD)
