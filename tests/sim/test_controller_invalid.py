"""A plan that is wrong says so, and where, before a revision needs it; a run under way goes on with its own program."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.decide.reason import Reason
from rollout.plan.base import HOLD_LABEL, Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, METRIC_TEMPLATE, Ref
from rollout.plan.run import Phase
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import GOOD, plan
from tests.sim.test_controller_deletions import versions

SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
LONG = plan(steps=[{"weight": 50, "hold": "30s"}])
NEXT, OLD = "shop/web:1.3", "shop/web:1.0"
TEMPLATED = {"interval": "2s", "hold": "6s", "gates": [{"name": "errors", "template": "none", "max": 1}]}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "template": ({"analysis": TEMPLATED}, "gate errors: there is no MetricTemplate none"),
    "strategy": ({"strategy": "canari"}, "strategy canari is not installed; use one of blue-green, canary"),
    "router": ({"router": {"type": "isto"}}, "router isto is not installed; use one of consul, gateway"),
    "lint": (
        {"steps": [{"weight": 50}, {"weight": 20}]},
        "RO101 spec.steps[1].weight: 20 is less than the 50 of the step before (sort the steps)",
    ),
    "field": ({"stepz": [{"weight": 1}]}, "spec.stepz"),
    "value": ({"steps": [{"weight": 120}]}, "spec.steps[0].weight"),
}
"""What is wrong, and what the status must say. The last two come past the API server: an older schema knew them."""


def push(world: Controlled, spec: dict[str, Any]) -> None:
    """Git brings another plan; as stored by an API server that does not know our rules."""
    objects, ref = world.sim.memory.objects, Ref(CANARY_PLAN, "shop", "web")
    found = objects.get(ref)
    assert found is not None
    meta = found["metadata"] | {"generation": found["metadata"]["generation"] + 1}
    objects.put({**found, "metadata": meta, "spec": spec})


def stalled(world: Controlled) -> str:
    """What the plan is stalled with; empty when it is not."""
    status, generation = world.plan().get("status") or {}, world.plan()["metadata"]["generation"]
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    if status.get("phase") != "Invalid" or status["observedGeneration"] != generation:
        return ""
    assert (conditions["Ready"]["status"], conditions["Stalled"]["status"]) == ("False", "True")
    assert conditions["Stalled"]["reason"] == status["reason"] == Reason.INVALID
    assert conditions["Stalled"]["message"] == status["message"]
    return str(status["message"])


@pytest.mark.parametrize("what", list(WRONG))
async def test_a_plan_that_turns_wrong_at_rest_is_stalled_at_once_and_holds_until_it_is_mended(what: str) -> None:
    wrong, said = WRONG[what]
    async with shop(plan=SHORT) as world:
        push(world, SHORT["spec"] | wrong)
        await world.until(lambda: bool(stalled(world)), limit=10)
        assert said in stalled(world)
        world.release(GOOD)
        await world.passed(40)
        assert said in stalled(world)
        assert (versions(world), len(world.runs())) == ({OLD}, 0), "what nobody can try is held"
        push(world, SHORT["spec"])
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []


@pytest.mark.parametrize("what", ["template", "strategy", "router", "lint"])
async def test_a_plan_that_is_wrong_from_the_beginning_holds_what_comes(what: str) -> None:
    wrong, said = WRONG[what]
    async with shop(plan=SHORT) as world:
        world.sim.memory.delete(CANARY_PLAN, "web")
        await world.passed(5)
        world.commit(SHORT | {"spec": SHORT["spec"] | wrong})
        await world.until(lambda: bool(stalled(world)), limit=10)
        assert said in stalled(world)
        assert world.sim.memory.get(DEPLOYMENT, "web")["metadata"]["labels"][HOLD_LABEL] == "web"
        world.release(GOOD)
        await world.passed(20)
        assert (versions(world), len(world.runs())) == ({OLD}, 0)
        world.commit()
        push(world, SHORT["spec"])
        await world.until(world.ended(Phase.SUCCEEDED))
        assert world.wrong(promoted=True) == []


async def test_a_template_that_comes_mends_the_plans_that_name_it() -> None:
    async with shop(plan=SHORT) as world:
        push(world, SHORT["spec"] | {"analysis": TEMPLATED})
        await world.until(lambda: bool(stalled(world)))
        template: Json = {"apiVersion": METRIC_TEMPLATE.api_version, "kind": METRIC_TEMPLATE.name}
        template |= {"metadata": {"name": "none", "namespace": "shop"}, "spec": {"query": "up"}}
        world.sim.memory.apply(template)
        await world.until(lambda: world.phase() == "Idle", limit=10)
        world.sim.memory.delete(METRIC_TEMPLATE, "none")
        await world.until(lambda: bool(stalled(world)), limit=10)


@pytest.mark.parametrize("what", list(WRONG))
async def test_a_run_goes_on_with_its_own_program_when_its_plan_turns_wrong(what: str) -> None:
    wrong, said = WRONG[what]
    async with shop(plan=LONG) as world:
        world.release(GOOD)
        await world.until(lambda: any("50 %" in line for line in world.notes()))
        push(world, LONG["spec"] | wrong)
        await world.passed(10)
        assert (world.phase(), world.plan()["status"]["observedGeneration"]) == (Phase.PROGRESSING, 2)
        await world.until(lambda: bool(stalled(world)), limit=120)
        assert said in stalled(world)
        assert (world.runs()[0]["status"]["phase"], versions(world)) == (Phase.SUCCEEDED, {GOOD})
        assert world.wrong(promoted=True) == []
        world.sim.image = NEXT
        push(world, SHORT["spec"])
        await world.until(world.ended(Phase.SUCCEEDED))
        world.release(NEXT)
        await world.until(lambda: versions(world) == {NEXT} and world.ended(Phase.SUCCEEDED)())
        assert world.wrong(promoted=True) == []


def refusals(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Plan, reason and text of the starts that were refused, as the log has them."""
    found = [vars(record) for record in caplog.records if record.message == "start refused"]
    return [(f"{it['namespace']}/{it['plan']}", it["reason"], it["error"]) for it in found]


async def test_a_start_that_is_refused_is_logged_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    async with shop(plan=SHORT) as world:
        world.sim.memory.metrics.fault = "outage"
        world.release(GOOD)
        await world.until(lambda: world.phase() == "Invalid")
        await world.passed(130)
        ((plan_, reason, text),) = refusals(caplog)
        assert (plan_, reason) == ("shop/web", Reason.PREFLIGHT_FAILED)
        assert text == world.plan()["status"]["message"]
        assert text.startswith("RO401")
        await world.processes[0].stop()
        await world.passed(60)
        assert len(refusals(caplog)) == 1, "the next controller has nothing new to say"
        world.sim.memory.metrics.fault = None
        world.commit(SHORT | {"spec": SHORT["spec"] | {"hold": {"mode": "policy"}}})
        await world.until(world.ended(Phase.SUCCEEDED))
        assert len(refusals(caplog)) == 1
