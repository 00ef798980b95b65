"""Fuzzing of what people order and of what was stored: orders, whole stories of a run, and records damaged by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from rollout.adapters.memory.clock import VirtualClock
from rollout.controller.record import Unreadable, parse
from rollout.decide.engine import decide
from rollout.decide.orders import MOST
from rollout.decide.seen import CandidateView, Order, ReplicaSetView, Route, Sample, Seen, Trouble, Workload
from rollout.observe import orders
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CANARY_PLAN, EVENT, ref_of
from rollout.plan.program import FORMAT, Approve, Conclude, Release, Step
from rollout.plan.run import STATE, GateState, Look, Pause, Phase, RunSpec, State, dump_spec, dump_state
from rollout.ports.cluster import Cluster, guard_of
from tests.kit.builders import NEW, STABLE, journal, progressing, run
from tests.kit.controlled import Controlled
from tests.kit.mutations import VALUES, at, examples, mutated, paths
from tests.kit.sim import GOOD, Sim

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


# -- the world, as it may look at any moment

SETS = st.sampled_from(
    [
        (ReplicaSetView("h1", STABLE, 3, 3, 1),),
        (ReplicaSetView("h1", STABLE, 3, 0, 1),),
        (ReplicaSetView("h1", STABLE, 0, 0, 1), ReplicaSetView("h2", NEW, 3, 3, 2)),
        (ReplicaSetView("h1", STABLE, 2, 2, 1), ReplicaSetView("h2", NEW, 1, 0, 2)),
        (),
    ]
)
WORKLOADS = st.none() | st.builds(
    Workload,
    st.sampled_from(["uid-web", "uid-web", "uid-new"]),
    st.integers(0, 4),
    st.sampled_from([NEW, NEW, NEW, STABLE, "cccccccccc"]),
    st.booleans(),
    st.sampled_from([True, True, False]),
    SETS,
    st.sampled_from(["", "", "deadline exceeded"]),
    st.booleans(),
)
TROUBLES = st.sampled_from([None, None, Trouble("broken", "CrashLoop", "x"), Trouble("blocked", "Unschedulable", "x")])
CANDIDATES = st.none() | st.builds(
    CandidateView,
    st.just("uid-canary"),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([True, True, False]),
    TROUBLES,
)
ROUTES = st.builds(
    Route,
    st.sampled_from(["home", "steered", "mixed"]),
    st.sampled_from([0.0, 10.0, 50.0, 100.0]),
    st.just(""),
    st.booleans(),
)
SAMPLES = st.sampled_from(
    [
        {},
        {"success": Sample("value", "q", pods={"p": (100.0, 0.0)})},
        {"success": Sample("value", "q", pods={"p": (200.0, 90.0)})},
        {"success": Sample("unknown", "q", detail="down")},
        {"success": Sample("no-data", "q")},
    ]
)
WORLDS = st.builds(
    Seen,
    st.sampled_from([True] * 9 + [False]),
    ROUTES,
    WORKLOADS,
    CANDIDATES,
    SAMPLES,
    st.just(()),
    st.sampled_from([(), (), (), (Finding("RO301", Level.ERROR, "hidden"),)]),
)
WELL = Seen(True, Route("home"), Workload("uid-web", 3, NEW, True, True, (ReplicaSetView("h1", STABLE, 3, 3, 1),)))
PACE = st.sampled_from([0.0, 1.0, 1.0, 5.0, 30.0, 4000.0, -5.0])
CANARY = run(10.0, 50.0)
APPROVING = replace(
    CANARY,
    program=replace(
        CANARY.program, steps=(Step("approve", (Approve(60.0, "promote"),), deadline=3660.0), *CANARY.program.steps)
    ),
)
NATIVE = replace(
    CANARY,
    program=replace(
        CANARY.program,
        steps=(*CANARY.program.steps[:2], Step("release", (Release("native"),)), Step("conclude", (Conclude(),))),
    ),
)
RUNS = st.sampled_from([CANARY, APPROVING, NATIVE])
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


# -- stored runs, as a newer or an older version wrote them, or a hand damaged them

LATE = progressing(
    1,
    weight=50.0,
    routed=50.0,
    prepared=2,
    settled=101.0,
    held_since=110.0,
    gates={
        "success": GateState((Look(115.0, "fail", 0.9, "90 %"),), 120.0, {"p": (100.0, 10.0)}, 5.0, 1.0, 100.0, "q")
    },
    journal=journal("subsets", "route", "candidate", "weight"),
    decisions=("uid-1", "abc"),
)
STATES = [
    State(),
    LATE,
    replace(LATE, phase=Phase.PAUSED, paused=Pause(112.0, Phase.PROGRESSING, "paused by ana")),
    replace(LATE, phase=Phase.ROLLING_BACK, outcome=Phase.ROLLED_BACK, reason="GateFailed"),
    replace(LATE, phase=Phase.PROMOTING, step=3, committed=True),
    replace(LATE, phase=Phase.ROLLED_BACK, ended=130.0),
]


def stored(spec: RunSpec, state: State) -> Json:
    """A PlanRun as it is in the cluster."""
    meta = {"name": "web-bbbbb-1", "namespace": "shop", "uid": "uid-run", "resourceVersion": "7"}
    status = {"state": dump_state(state), "phase": str(state.phase)}
    return {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "PlanRun",
        "metadata": meta,
        "spec": dump_spec(spec),
        "status": status,
    }


def readable(raw: Json) -> tuple[RunSpec, State] | None:
    """What a stored run says; None when it is refused in words."""
    try:
        record = parse(cast("Cluster", None), VirtualClock(), raw)
    except Unreadable as error:
        words = f"{error} {error.hint}"
    else:
        return record.spec, record.state
    assert "PlanRun/web-bbbbb-1 in shop" in words
    assert len(words) < 1000
    return None


@given(RUNS, st.sampled_from(STATES), st.data())
@examples(50)
def test_a_damaged_run_is_refused_in_words_or_decided_about(spec: RunSpec, state: State, data: st.DataObject) -> None:
    raw = stored(spec, state)
    part = data.draw(st.sampled_from(["spec", "state", "both"]))
    if part != "state":
        raw["spec"]["program"] = data.draw(mutated(raw["spec"]["program"], 1))
    if part != "spec":
        raw["status"]["state"] = data.draw(mutated(raw["status"]["state"], 1) | VALUES)
    found = readable(raw)
    event("read" if found else "refused")
    if found is None:
        return
    for number, world in enumerate((WELL, data.draw(WORLDS))):
        decision = decide(*found, world, 200.0 + number)
        assert decision.wake >= 0


@given(RUNS, st.sampled_from(STATES), st.data())
@examples(25)
def test_fields_of_a_newer_version_are_passed_over(spec: RunSpec, state: State, data: st.DataObject) -> None:
    raw = stored(spec, state)
    inside = [path for path in paths(raw["spec"]["program"]) if isinstance(at(raw["spec"]["program"], path), dict)]
    free = ("labels", "headers", "match")
    for path in data.draw(st.lists(st.sampled_from([p for p in inside if p[-1] not in free]), max_size=3)):
        at(raw["spec"]["program"], path)["newer"] = data.draw(VALUES)
    raw["status"]["state"] |= {"newer": data.draw(VALUES)}
    assert readable(raw) == (spec, state)


@given(RUNS, st.sampled_from(STATES), st.data())
@examples(25)
def test_fields_that_an_older_version_did_not_write_have_their_defaults(
    spec: RunSpec, state: State, data: st.DataObject
) -> None:
    raw = stored(spec, state)
    gone = data.draw(st.sets(st.sampled_from(sorted(set(raw["status"]["state"]) | {"none"}))))
    raw["status"]["state"] = {key: value for key, value in raw["status"]["state"].items() if key not in gone}
    found = readable(raw)
    assert found is not None
    assert found[0] == spec
    assert dump_state(found[1]) == raw["status"]["state"]


def test_a_program_of_a_newer_format_is_not_misread() -> None:
    raw = stored(CANARY, LATE)
    raw["spec"]["program"]["format"] = FORMAT + 1
    assert readable(raw) is None


# -- a controller that meets such a run


@pytest.mark.parametrize(
    "damage",
    [
        {"phase": "Dancing"},
        {"step": 99},
        {"journal": "gone"},
        {"gates": {"success": 5}},
    ],
)
async def test_a_run_that_cannot_be_read_is_left_alone_and_told(damage: Json) -> None:
    """Nobody acts on it, the controller goes on, and when it has been repaired, so does the run."""
    world = Controlled(Sim())
    world.commit()
    world.spawn()
    await world.until(lambda: world.phase() == "Idle")
    world.release(GOOD)
    await world.until(lambda: world.run_phase() == "Progressing" and world.plan()["status"].get("weight") == 10)
    good = await _edit(world, damage)
    await world.until(lambda: world.plan()["status"]["reason"] == "Unreadable")
    status, before = world.plan()["status"], world.sim.data_path()
    assert status["phase"] == "Invalid"
    assert "PlanRun/web-" in status["message"]
    assert "--subresource=status" in status["message"]
    await world.passed(60)
    assert world.sim.data_path() == before, "somebody acted on it"
    assert world.plan()["status"] == status
    await _edit(world, good)
    await world.until(world.ended(Phase.SUCCEEDED))
    await world.close()


async def test_an_unreadable_run_whose_plan_is_gone_has_an_event() -> None:
    world = Controlled(Sim())
    world.commit()
    world.spawn()
    await world.until(lambda: world.phase() == "Idle")
    world.release(GOOD)
    await world.until(lambda: world.run_phase() == "Progressing")
    good = await _edit(world, {"step": -1})
    world.sim.memory.delete(CANARY_PLAN, "web")
    await world.until(
        lambda: any(e["reason"] == "Unreadable" and e["regarding"]["kind"] == "PlanRun" for e in _events(world))
    )
    await world.passed(30)
    told = [e for e in _events(world) if e["reason"] == "Unreadable"]
    assert len(told) < 10, "it is told again and again"
    await _edit(world, good)
    await world.until(lambda: not any(run["metadata"].get("finalizers") for run in world.runs()))
    await world.close()


async def _edit(world: Controlled, changes: Json) -> Json:
    """`kubectl edit --subresource=status` of the newest run's state; what undoes it."""
    run = world.sim.latest()
    assert run is not None
    state = run["status"]["state"]
    edited = {key: value for key, value in (state | changes).items() if value is not None}
    await world.sim.memory.cluster.put_status(ref_of(run), run["status"] | {"state": edited}, guard_of(run))
    return {key: state.get(key) for key in changes}


def _events(world: Controlled) -> list[Json]:
    return [obj for ref, obj in world.sim.memory.objects if ref.kind == EVENT]
