"""Orders: whose they are, for which step, how often they count, and that none in any world pins requests to nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.action import Action, Steer, Unroute
from rollout.decide.engine import decide
from rollout.decide.orders import MOST
from rollout.decide.seen import Route, Seen
from rollout.observe.orders import parse as parse_orders
from rollout.plan.base import Json
from rollout.plan.lint import rules
from rollout.plan.objects import DecisionSpec
from rollout.plan.parse import InvalidDocument, parse
from rollout.plan.run import Phase, RunSpec, State
from tests.kit.builders import FULL, RUN, STABLE, candidate, holding, seen, steered, workload
from tests.kit.orders import (
    DOWN,
    NEWER,
    approving,
    blocked,
    committed,
    full,
    give,
    held,
    native,
    order,
    paused,
    refusal,
    waiting,
)

# -- whose order, which step, how often


def decision(name: str = "go", **spec: Any) -> Json:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "5"}
    return {"metadata": meta, "spec": {"plan": "web", "run": "web-1", "runUid": "u", "verb": "pause"} | spec}


def test_orders_of_other_plans_and_runs_are_left_out() -> None:
    mine = decision()
    others = [decision(plan="api"), decision(run="web-2"), decision(runUid="v"), decision()]
    del others[-1]["spec"]["plan"]
    assert [o.name for o in parse_orders([*others, mine], "web", "web-1", "u")] == ["go"]


def test_orders_of_one_second_come_in_the_order_they_were_stored() -> None:
    first, second = decision("z"), decision("a", verb="resume")
    second["metadata"]["resourceVersion"] = "10"
    found = parse_orders([second, first], "web", "web-1", "u")
    assert [(o.name, o.verb) for o in found] == [("z", "pause"), ("a", "resume")]


def test_a_decision_that_is_created_again_is_the_same_order() -> None:
    again = decision()
    again["metadata"] |= {"uid": "another", "creationTimestamp": "2026-01-01T01:00:00Z"}
    orders = parse_orders([decision(), again, decision(reason="more"), decision("other")], "web", "web-1", "u")
    assert len({o.uid for o in orders}) == 3
    assert len({o.content for o in orders}) == 3
    (first, second) = (o for o in orders if o.name == "go" and not o.reason)
    state = decide(RUN, holding(), steered(10.0, orders=(first,)), 115.0).state
    state = give(state, "resume", 116.0)
    assert state.phase is Phase.PROGRESSING
    state = decide(RUN, state, steered(10.0, orders=(second,)), 117.0).state
    assert state.phase is Phase.PROGRESSING
    assert "heard before; a new order has another name" in refusal(state)
    third = replace(second, uid="a third")
    quiet = decide(RUN, state, steered(10.0, orders=(third,)), 118.0).state
    assert (quiet.decisions, len(quiet.notes)) == (state.decisions, len(state.notes)), "said once"


def test_no_order_is_ever_forgotten_and_past_the_bound_only_an_abort_is_heard() -> None:
    state, count = holding(), 0
    while len(state.decisions) < MOST:
        count += 1
        state = give(state, "resume", uid=f"u{count}", content=f"c{count}")
    assert "u1" in state.decisions
    assert give(state, "pause", uid="last", content="last").phase is Phase.PROGRESSING
    assert give(state, "abort", uid="last", content="last").phase is Phase.ROLLING_BACK


@pytest.mark.parametrize("verb", ["promote", "skip", "retry"])
def test_an_order_to_go_on_without_a_step_is_for_the_step_at_which_it_was_given(verb: str) -> None:
    state = blocked()
    assert "was given before step 1 began" in refusal(give(state, verb, created=90.0))
    assert give(state, verb, created=99.0).phase is Phase.PROGRESSING, "clocks are told in whole seconds"
    assert give(state, verb, created=90.0, step=0).phase is Phase.PROGRESSING
    assert "was given for step 2" in refusal(give(state, verb, created=114.0, step=1))


def test_orders_that_do_not_let_it_go_on_are_for_the_run() -> None:
    assert give(holding(), "pause", created=90.0).phase is Phase.PAUSED
    assert give(holding(), "abort", created=90.0).phase is Phase.ROLLING_BACK
    assert give(holding(), "promote", created=90.0, full=True).step == FULL


@pytest.mark.parametrize("verb", ["promote", "abort", "pause", "resume", "retry", "skip", "undo"])
def test_an_expired_order_does_nothing(verb: str) -> None:
    for state in (holding(), paused(), held()):
        after = give(state, verb, expires=114.0)
        assert after.phase is state.phase
        assert refusal(after).endswith("it has expired")


STATES = (State(), holding(), waiting(), blocked(), held(), paused(), full(), committed(), committed(Phase.HELD))
WORLDS = (
    seen(),
    seen(workload=DOWN, candidate=candidate(), route=Route("home", leftovers=True)),
    *(steered(weight, workload=work) for weight in (0.0, 10.0, 100.0) for work in (workload(), DOWN)),
    steered(10.0, workload=workload(digest=NEWER)),
    steered(10.0, candidate=candidate(ready=0)),
    steered(10.0, workload=DOWN, candidate=candidate(ready=0)),
    steered(10.0, plan_exists=False),
    seen(workload=workload(digest=STABLE, held=False, paused=False)),
)
VERBS = ("", "promote", "full", "abort", "pause", "resume", "retry", "skip", "undo")


@given(
    st.sampled_from(STATES),
    st.sampled_from([RUN, approving(), native()]),
    st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from(WORLDS), st.floats(0.1, 200.0)), max_size=15),
)
def test_no_order_in_no_world_is_illegal_or_pins_requests_to_nobody(
    state: State, spec: RunSpec, story: list[tuple[str, Seen, float]]
) -> None:
    now = 115.0
    for number, (verb, world, seconds) in enumerate(story):
        now += seconds
        given_order = order("promote", full=True) if verb == "full" else order(verb)
        orders = (replace(given_order, uid=str(number)),) if verb else ()
        turn = decide(spec, state, replace(world, orders=orders), now)
        if world.workload is DOWN and not state.committed:
            assert not any(isinstance(action, Steer) and action.weight < 100 for action in turn.actions)
        if state.phase is turn.state.phase is Phase.PAUSED:
            assert (turn.state.step, turn.state.weight) == (state.step, state.weight)
        assert turn.state.committed or not state.committed
        assert len(turn.actions) <= 1
        state = turn.state


def test_routes_that_come_back_after_the_pin_was_lost_are_given_back_and_pinned_to_nobody() -> None:
    """The look that struck them out showed the past."""
    state, actions = holding(), list[Action]()
    for now, world in ((116.0, WORLDS[3]), (117.0, WORLDS[0]), (118.0, WORLDS[5])):
        turn = decide(RUN, state, world, now)
        state, actions = turn.state, [*actions, *turn.actions]
    assert state.phase is Phase.ROLLING_BACK
    assert actions == [Unroute()]


# -- what a decision may say


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"verb": "abort", "full": True}, "RO170"),
        ({"verb": "undo", "step": 1}, "RO171"),
        ({"verb": "promote", "toRevision": 3}, "RO172"),
        ({"verb": "undo", "toRevision": 0}, "RO114"),
        ({"verb": "dance"}, "RO114"),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(spec: dict[str, Any], code: str) -> None:
    lines = "".join(f"  {key}: {value}\n".replace("True", "true") for key, value in spec.items())
    text = "apiVersion: meshrollout.dev/v1alpha1\nkind: PlanDecision\nmetadata: {name: go, namespace: shop}\nspec:\n"
    with pytest.raises(InvalidDocument) as caught:
        parse(f"{text}  plan: web\n  run: web-1\n  runUid: u\n{lines}")
    assert [finding.code for finding in caught.value.findings] == [code]


def test_the_rules_of_decisions_are_listed() -> None:
    assert {rule.code for rule in DecisionSpec.rules} < {rule.code for rule in rules()}
