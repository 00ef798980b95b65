"""Fuzzing of what people order: orders as they may be stored, and whole stories of a run that meets them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from rollout.decide.engine import decide
from rollout.decide.orders import MOST
from rollout.decide.seen import Order, Seen
from rollout.observe import orders
from rollout.plan.base import Json
from rollout.plan.run import STATE, RunSpec, State, dump_state
from tests.kit.moments import CANARY, RUNS, WELL, WORLDS
from tests.kit.mutations import examples

pytestmark = pytest.mark.timeout(600)  # a hunt with ROLLOUT_FUZZ takes its time

# -- orders, as the API server may have stored them

MINE = {"plan": "web", "run": "web-bbbbb-1", "runUid": "uid-run"}
TIMES = st.sampled_from(
    [
        *("2026-01-01T00:00:00Z", "1970-01-01T00:01:40Z", "1970-01-01T00:01:40+00:00", "9999-12-31T23:59:59-14:00"),
        *(
            "0001-01-01T00:00:00+14:00",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "tomorrow",
            "in 5m",
            "",
            "2026-13-45T99:99:99Z",
        ),
        *("0001-01-01T00:00:00", "²", "1700000000", "2026-01-01T00:00:00.123456789Z", "2016-12-31T23:59:60Z"),
    ]
) | st.text(max_size=40)
STAMPS = st.sampled_from(["1970-01-01T00:01:30Z", "1970-01-01T00:02:00Z", "2026-01-01T00:00:00Z"])


def _spec(draw: st.DrawFn) -> Json:
    spec: Json = dict(MINE)
    if draw(st.integers(0, 4)) == 0:
        spec[draw(st.sampled_from(sorted(MINE)))] = draw(st.sampled_from(["other", "web", "uid-other", ""]))
    spec["verb"] = draw(st.sampled_from(["promote", "abort", "pause", "resume", "retry", "skip", "undo", "rewind"]))
    optional = {
        "full": st.booleans(),
        "step": st.integers(0, 200) | st.integers(0, 3),
        "toRevision": st.integers(1, 10**9) | st.just(1),
        "by": st.text(max_size=20),
        "reason": st.text(max_size=20) | st.just("x" * 1024),
        "expires": TIMES,
        "newField": st.booleans(),
    }
    for key in draw(st.sets(st.sampled_from(sorted(optional)), max_size=4)):
        spec[key] = draw(optional[key])
    return spec


@st.composite
def decisions(draw: st.DrawFn) -> list[Json]:
    """PlanDecisions of a namespace; some again under the same name, some told twice."""
    found: list[Json] = []
    for number in range(draw(st.integers(0, 5))):
        meta = {"name": f"d{number}", "namespace": "shop", "uid": f"uid-{number}", "creationTimestamp": draw(STAMPS)}
        meta["resourceVersion"] = draw(st.sampled_from(["1", "2", "10", ""]))
        one: Json = {"kind": "PlanDecision", "metadata": meta, "spec": _spec(draw)}
        found.append(one)
        match draw(st.integers(0, 5)):
            case 0:
                found.append(one)
            case 1:
                found.append(one | {"metadata": meta | {"uid": f"uid-{number}-again"}})
    return found


def _parsed(found: Sequence[Json]) -> tuple[Order, ...]:
    return orders.parse(found, MINE["plan"], MINE["run"], MINE["runUid"])


def _is_mine(decision: Json) -> bool:
    return all(decision["spec"].get(key) == value for key, value in MINE.items())


# -- stories of a run that meets them

PACE = st.sampled_from([0.0, 1.0, 1.0, 5.0, 30.0, 4000.0, -5.0])
TURNS = st.lists(st.tuples(WORLDS | st.just(WELL), PACE, st.booleans()), min_size=1, max_size=20)


def _check_turn(before: State, after: State, given: tuple[Order, ...]) -> None:
    """What one turn may do about orders: take at most one of those that were given, once."""
    taken = after.decisions[len(before.decisions) :]
    assert after.decisions[: len(before.decisions)] == before.decisions, "an order is forgotten"
    assert set(taken) <= {mark for order in given for mark in (order.uid, order.content)}
    assert len({order.uid for order in given} & set(taken)) <= 1
    assert len(set(after.decisions)) == len(after.decisions), "an order is taken twice"
    assert len(after.decisions) <= MOST + 2


@given(RUNS, TURNS, decisions())
@examples(50)
@example(
    CANARY,
    [(WELL, 1.0, True)],
    [{"metadata": {"name": "d", "uid": "u"}, "spec": MINE | {"verb": "pause", "expires": "tomorrow"}}],
)
@example(CANARY, [(WELL, 1.0, True)], [{"metadata": {"name": "d", "uid": "u"}, "spec": MINE | {"verb": "rewind"}}])
@example(
    CANARY,
    [(WELL, 1.0, True)],
    [{"metadata": {"name": "d", "uid": "u"}, "spec": MINE | {"verb": "abort", "expires": "0001-01-01T00:00:00"}}],
)
def test_no_order_at_any_moment_breaks_a_run(
    spec: RunSpec, turns: list[tuple[Seen, float, bool]], found: list[Json]
) -> None:
    """Whatever the world looks like and whatever is ordered when, deciding goes on, and each order counts once."""
    given, state, now = _parsed(found), State(), 100.0
    for world, pause, ordered in turns:
        now += pause
        seen = replace(world, orders=given if ordered else ())
        decision = decide(spec, state, seen, now)
        _check_turn(state, decision.state, seen.orders)
        assert decision.wake >= 0
        assert decision == decide(spec, state, seen, now), "the same again is decided the same"
        assert STATE.validate_json(json.dumps(dump_state(decision.state), allow_nan=False)) == decision.state
        assert 0 <= decision.state.step < len(spec.program.steps)
        state = decision.state
    event(f"ended {state.phase}")


@given(decisions())
@examples(50)
def test_only_orders_for_this_run_and_plan_are_passed_on(found: list[Json]) -> None:
    mine = {d["metadata"]["uid"] for d in found if _is_mine(d)}
    parsed = _parsed(found)
    assert {order.uid for order in parsed} <= mine
    ages = [order.created or 0.0 for order in parsed]
    assert ages == sorted(ages)
    for order in parsed:
        assert order.expires is None or math.isfinite(order.expires)


@given(RUNS, st.lists(WORLDS, min_size=1, max_size=5), decisions())
@examples(25)
def test_orders_for_others_change_nothing(spec: RunSpec, worlds: list[Seen], found: list[Json]) -> None:
    given, state = _parsed([d for d in found if not _is_mine(d)]), State()
    for number, world in enumerate(worlds):
        with_them = decide(spec, state, replace(world, orders=given), 100.0 + number)
        assert with_them == decide(spec, state, world, 100.0 + number)
        state = with_them.state


@given(RUNS, st.lists(st.tuples(WORLDS, st.booleans()), min_size=1, max_size=6), decisions())
@examples(25)
def test_what_cannot_be_understood_is_refused_in_words_and_not_obeyed(
    spec: RunSpec, turns: list[tuple[Seen, bool]], found: list[Json]
) -> None:
    flawed = tuple(replace(order, flaw="it is odd") for order in _parsed(found))
    state = State()
    for number, (world, ordered) in enumerate(turns):
        plain = decide(spec, state, world, 100.0 + number)
        if not ordered or not flawed:
            state = plain.state
            continue
        refused = decide(spec, state, replace(world, orders=flawed), 100.0 + number).state
        if refused.decisions != state.decisions:
            assert refused.phase == state.phase
            assert refused.notes[-1].reason == "DecisionRefused"
        state = refused
