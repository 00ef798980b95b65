"""A program is stored and read back unchanged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rollout.plan.program import (
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
    weight_of,
)
from rollout.plan.run import RUN_SPEC, RunSpec, dump_spec
from rollout.plan.stored import PROGRAM, dump

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
    assert stored["gates"][0]["slowerThan"] == 0.5
    assert stored["steps"][0]["onFailure"] == "hold"
    assert stored["settings"]["readyWithin"] == 600


ONE = CountGate("success", "success", 10, 2, 5, min=0.99, min_requests=7)
OTHER = QueryGate("cpu", "sum(cpu)", 10, 2, 5, max=1)


def test_a_gate_of_many_steps_is_stored_once_and_is_one_object_in_memory() -> None:
    steps = (Step("a", (Route(5),), (ONE, OTHER)), Step("b", (Route(10),), (OTHER,)), Step("c", (), (ONE,)))
    stored = dump(Program("canary", "web", BACKENDS, steps))
    assert [gate["name"] for gate in stored["gates"]] == ["success", "cpu"]
    assert [step["gates"] for step in stored["steps"]] == [[0, 1], [1], [0]]
    first, second, third = PROGRAM.validate_python(stored).steps
    assert first.gates[1] is second.gates[0]
    assert first.gates[0] is third.gates[0]


def test_a_program_of_the_first_format_is_read_with_the_gates_in_its_steps() -> None:
    program = Program("canary", "web", BACKENDS, (Step("a", (Route(5),), (ONE, OTHER)),))
    stored = dump(program)
    table = stored.pop("gates")
    stored["steps"][0]["gates"] = table
    assert PROGRAM.validate_python(stored) == program


@pytest.mark.parametrize("place", [1, -1, "0", None, [], {}])
def test_a_step_that_names_a_gate_that_is_not_there_is_refused_in_words(place: object) -> None:
    stored = dump(Program("canary", "web", BACKENDS, (Step("a", (Route(5),), (ONE,)),)))
    stored["steps"][0]["gates"] = [place]
    with pytest.raises(ValidationError, match="the steps do not fit the table of gates"):
        PROGRAM.validate_python(stored)


@pytest.mark.parametrize(
    ("instructions", "weight"), [((Prepare(10), Route(5)), 5.0), ((Prepare(10),), None), ((), None)]
)
def test_the_weight_of_a_step_is_that_of_its_route(instructions: tuple[Instruction, ...], weight: float | None) -> None:
    assert weight_of(Step("x", instructions)) == weight
