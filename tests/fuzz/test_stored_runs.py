"""Fuzzing of what was stored: runs as a newer or an older version wrote them, or a hand damaged them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from rollout.adapters.memory.clock import VirtualClock
from rollout.controller.record import Unreadable, parse
from rollout.decide.engine import decide
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, EVENT, ref_of
from rollout.plan.program import FORMAT
from rollout.plan.run import GateState, Look, Pause, Phase, RunSpec, State, dump_spec, dump_state
from rollout.ports.cluster import Cluster, guard_of
from tests.kit.builders import journal, progressing
from tests.kit.controlled import Controlled
from tests.kit.moments import CANARY, RUNS, WELL, WORLDS
from tests.kit.mutations import VALUES, at, examples, mutated, paths
from tests.kit.sim import GOOD, Sim

pytestmark = pytest.mark.timeout(600)  # a hunt with ROLLOUT_FUZZ takes its time

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
