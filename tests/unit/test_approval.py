"""Approvals: by whom, by how many, and what when they do not come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.seen import Order
from rollout.plan.program import Approve
from rollout.plan.run import Phase, RunSpec, State
from tests.kit.builders import RUN, steered
from tests.kit.orders import approving, waiting

ANA, BEN = ("ana", ()), ("ben", ("sre", "system:authenticated"))
Person = tuple[str, tuple[str, ...]]


def asking(**wanted: Any) -> RunSpec:
    """A run that waits for these people."""
    run = approving()
    first, step, *rest = run.program.steps
    step = replace(step, instructions=(replace(Approve(60.0, "rollback"), **wanted),))
    return replace(run, program=replace(run.program, steps=(first, step, *rest)))


def promoted(run: RunSpec, state: State, *people: Person, at: float = 120.0) -> State:
    """The state after each of them has promoted."""
    for number, (name, groups) in enumerate(people):
        order = Order(f"uid-{number}-{name}", "promote", name, "looks well", groups=groups, content=f"{number}{name}")
        state = decide(run, state, steered(10.0, orders=(order,)), at).state
    return state


@pytest.mark.parametrize(
    ("wanted", "people", "passes"),
    [
        ({}, [ANA], True),
        ({"users": ("ana",)}, [ANA], True),
        ({"users": ("ana",)}, [BEN], False),
        ({"groups": ("sre",)}, [BEN], True),
        ({"groups": ("sre",)}, [ANA], False),
        ({"users": ("ana",), "groups": ("sre",)}, [ANA], True),
        ({"count": 2}, [ANA], False),
        ({"count": 2}, [ANA, ANA], False),
        ({"count": 2}, [ANA, BEN], True),
        ({"count": 2, "groups": ("sre",)}, [ANA, BEN], False),
        ({"count": 2, "groups": ("sre",)}, [BEN, ("eve", ("sre",))], True),
        ({"users": ("",)}, [("", ())], False),
    ],
)
def test_who_may_and_how_many(wanted: dict[str, Any], people: list[Person], passes: bool) -> None:
    state = promoted(asking(**wanted), waiting(), *people)
    assert (state.approved, state.phase) == (passes, Phase.PROGRESSING if passes else Phase.AWAITING_APPROVAL)


def test_who_may_not_is_told_who_may() -> None:
    state = promoted(asking(users=("cora",), groups=("sre", "leads")), waiting(), ANA)
    assert state.notes[-1].reason == Reason.DECISION_REFUSED
    assert state.notes[-1].message == (
        "promote by ana was refused: ana is not among those who may approve this step: users cora and groups sre, leads"
    )


def test_each_counts_once_and_the_status_says_how_many_are_missing() -> None:
    run = asking(count=2)
    state = promoted(run, waiting(), ANA)
    said = "waits for approval: rollout promote web -n shop; 1 of 2 have approved (ana)"
    assert (state.message, state.notes[-1].message) == (said, "approved by ana: looks well; 1 of 2 have approved (ana)")
    assert "ana has approved already" in promoted(run, waiting(), ANA, ANA).notes[-1].message


@pytest.mark.parametrize(
    ("otherwise", "phase"), [("rollback", Phase.ROLLING_BACK), ("promote", Phase.PROGRESSING), ("hold", Phase.HELD)]
)
def test_when_too_few_come(otherwise: str, phase: Phase) -> None:
    run = asking(count=2, otherwise=otherwise)
    state = promoted(run, waiting(), ANA)
    after = decide(run, state, steered(10.0), 161.0).state
    assert (after.phase, after.reason) == (phase, Reason.APPROVAL_EXPIRED)
    assert after.message.startswith("1 of 2 approved within 60 s")


def test_a_run_that_is_held_for_want_of_people_goes_on_when_they_come() -> None:
    run = asking(count=2, otherwise="hold")
    held = decide(run, promoted(run, waiting(), ANA), steered(10.0), 161.0).state
    assert promoted(run, held, ANA, at=170.0).phase is Phase.HELD
    assert promoted(run, held, BEN, at=170.0).phase is Phase.PROGRESSING


def test_the_next_approval_asks_anew() -> None:
    run = asking(count=2)
    state = promoted(run, waiting(), ANA, BEN)
    while state.step == 1:
        state = decide(run, state, steered(10.0), 121.0).state
    assert (state.approvals, state.approved) == ((), False)


def test_a_run_that_asks_nobody_in_particular_is_asked_for_in_few_words() -> None:
    first, *rest = approving().program.steps
    run = replace(RUN, program=replace(RUN.program, steps=(first, *rest)))
    state = decide(run, replace(waiting(), phase=Phase.PROGRESSING), steered(10.0), 120.0).state
    assert state.message == "waits for approval: rollout promote web -n shop"
