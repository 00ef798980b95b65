"""A program is stored and read back unchanged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan.program import (
    PROGRAM,
    Approve,
    Backends,
    Conclude,
    CountGate,
    Gate,
    Instruction,
    Prepare,
    Program,
    QueryGate,
    Release,
    Route,
    Side,
    Step,
    dump,
    weight_of,
)
from rollout.plan.run import RUN_SPEC, RunSpec, dump_spec

PERCENT = st.floats(0, 100)
INSTRUCTIONS: st.SearchStrategy[Instruction] = st.one_of(
    st.builds(Prepare, PERCENT, kind=st.just("prepare")),
    st.builds(Route, PERCENT, kind=st.just("route")),
    st.builds(Approve, PERCENT, st.sampled_from(["rollback", "promote"]), kind=st.just("approve")),
    st.builds(Release, st.sampled_from(["shift", "native"]), kind=st.just("release")),
    st.builds(Conclude, st.booleans(), kind=st.just("conclude")),
)
GATES: st.SearchStrategy[Gate] = st.one_of(
    st.builds(CountGate, st.text(), st.just("success"), PERCENT, st.just(2), st.just(5), min=st.none() | PERCENT),
    st.builds(QueryGate, st.text(), st.text(), PERCENT, st.just(2), st.just(5), max=st.none() | PERCENT),
)
STEPS = st.builds(
    Step, st.text(), st.lists(INSTRUCTIONS, max_size=2).map(tuple), st.lists(GATES, max_size=2).map(tuple), hold=PERCENT
)
BACKENDS = Backends("shop", "web", "web-1", Side("web", labels={"a": "b"}), Side("web-canary"))
PROGRAMS = st.builds(
    Program, st.just("canary"), st.just("web"), st.just(BACKENDS), st.lists(STEPS, max_size=3).map(tuple)
)


@given(PROGRAMS)
def test_a_program_survives_being_stored(program: Program) -> None:
    assert PROGRAM.validate_json(json.dumps(dump(program))) == program


@given(PROGRAMS)
def test_a_run_carries_its_program(program: Program) -> None:
    spec = RunSpec("web", "uid", 3, 1, program)
    assert RUN_SPEC.validate_python(dump_spec(spec)) == spec


def test_a_stored_program_speaks_the_words_of_kubernetes() -> None:
    gate = CountGate("slow", "slow", 10, 2, 5, max=0.05, slower_than=0.5)
    stored = dump(Program("canary", "web", BACKENDS, (Step("a", (Route(5),), (gate,), on_failure="hold"),)))
    assert stored["steps"][0]["gates"][0]["slowerThan"] == 0.5
    assert stored["steps"][0]["onFailure"] == "hold"
    assert stored["settings"]["readyWithin"] == 600


@pytest.mark.parametrize(
    ("instructions", "weight"), [((Prepare(10), Route(5)), 5.0), ((Prepare(10),), None), ((), None)]
)
def test_the_weight_of_a_step_is_that_of_its_route(instructions: tuple[Instruction, ...], weight: float | None) -> None:
    assert weight_of(Step("x", instructions)) == weight
