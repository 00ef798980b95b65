"""What blue/green plans compile into."""

from __future__ import annotations

from typing import Any

from rollout.plan.lint import lint
from rollout.plan.located import Located
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import parse
from rollout.plan.program import Approve, Conclude, CountGate, Prepare, Program, Release, Route
from rollout.plan.strategy import Facts
from strategies.blue_green import BlueGreen
from tests.kit.plans import BLUE_GREEN, SPLIT, SUCCESS, TESTERS, TRAFFIC, text


def located(spec: dict[str, Any]) -> Located:
    (found,) = parse(text(spec))
    return found


def compiled(spec: dict[str, Any]) -> Program:
    plan = located(spec).document
    assert isinstance(plan, CanaryPlan)
    return BlueGreen().compile(plan, Facts(run="web-1", stable_hash="abc"))


def test_it_is_tried_at_full_size_then_switched_in_one_step_and_rolls_last() -> None:
    program = compiled(BLUE_GREEN | {"blueGreen": {"preview": "5m", "keepStable": "10m"}})
    assert [step.name for step in program.steps] == ["preview", "switch", "release", "conclude"]
    assert [step.instructions for step in program.steps] == [
        (Prepare(100),),
        (Prepare(100), Route(100)),
        (Release("shift"),),
        (Conclude(),),
    ]
    preview, switch = program.steps[:2]
    assert (preview.hold, preview.gates, switch.hold) == (300, (), 600)
    assert [gate.name for gate in switch.gates] == ["success"]


def test_the_time_that_stable_is_kept_comes_on_top_of_the_deadline_and_is_never_cut_short() -> None:
    spec = BLUE_GREEN | {"blueGreen": {"keepStable": "2h"}, "analysis": {"gates": [SUCCESS], "early": True}}
    switch = compiled(spec).steps[1]
    assert (switch.hold, switch.deadline, switch.early) == (7200, 7200 + 3600, False)
    assert lint([located(spec)]) == ()


def test_a_person_is_waited_for_between_trial_and_switch_while_the_trial_is_watched() -> None:
    smoke = {"name": "smoke", "query": "smoke_failed", "max": 0}
    program = compiled(BLUE_GREEN | {"blueGreen": {"previewGates": [smoke], "approve": {"within": "2h"}}})
    assert [step.name for step in program.steps][:3] == ["preview", "approve", "switch"]
    asked = program.steps[1]
    assert asked.instructions == (Approve(7200, "rollback"),)
    assert [gate.name for gate in asked.gates] == ["smoke"]
    assert [gate.name for gate in program.steps[2].gates] == ["success"]


def test_without_gates_it_is_judged_by_what_needs_no_other_version() -> None:
    switch = compiled({"target": {"name": "web"}} | {"strategy": "blue-green", "blueGreen": {}}).steps[1]
    (gate,) = switch.gates
    assert isinstance(gate, CountGate)
    assert (gate.metric, gate.min) == ("success", 0.99)


def test_nothing_is_asked_about_a_split_that_there_is_not() -> None:
    switch = compiled(BLUE_GREEN | {"analysis": {"gates": [SUCCESS, SPLIT]}}).steps[1]
    assert [gate.name for gate in switch.gates] == ["success"]


def test_chosen_requests_are_a_way_to_the_trial_too() -> None:
    preview, switch = compiled(BLUE_GREEN | {"match": TESTERS}).steps[:2]
    assert preview.instructions == (Prepare(100), Route(0, matched=True))
    assert switch.instructions == (Prepare(100), Route(100, matched=True))


def test_traffic_only_switches_the_owners_route_and_leaves_it_there() -> None:
    spec = {key: value for key, value in TRAFFIC.items() if key != "steps"}
    program = compiled(spec | {"strategy": "blue-green", "blueGreen": {}})
    assert [step.instructions for step in program.steps] == [(), (Route(100),), (Conclude(keep_route=True),)]
