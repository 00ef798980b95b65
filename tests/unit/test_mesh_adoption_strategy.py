"""What plans of adoption compile into: stages, steps, and what becomes of a step that fails."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan.program import Adoption, Apply, Approve, Conclude, Enrol, Label, SetMode, Shadow, UnitName, Withdraw
from rollout.plan.stored import PROGRAM, dump
from rollout.plan.strategy import MeshFacts, UnitFact
from strategies.mesh_adoption import MeshAdoption
from tests.kit.adoptions import DRILL, JOURNEY, RULE, WHOLE, policy
from tests.kit.compiled import SHOP, WEB, compiled, gates, names, plan, step, unit


def test_the_classic_stages_are_done_when_none_is_named() -> None:
    assert names(compiled()) == [
        "enrol-deployment-gateway",
        "enrol-deployment-web",
        "enrol-statefulset-db",
        "enrol-cronjob-report",
        "label-namespace",
        "permissive",
        "shadow-strict",
        "recount-strict",
        "recount-deployment-web",
        "strict-pods-deployment-web",
        "strict-deployment-web",
        "recount-statefulset-db",
        "strict-statefulset-db",
        "strict-namespace",
        "withdraw-narrow",
        "conclude",
    ]


def test_an_adoption_has_no_split() -> None:
    program = compiled(mesh={"driver": "osm", "namespace": "mesh", "revision": "stable"}, drift="hold")
    assert (program.strategy, program.workload, program.backends) == ("mesh-adoption", "", None)
    assert program.adoption == Adoption("shop", "shop-1", "osm", "mesh", "stable")
    assert program.settings.drift == "hold"
    assert program.steps[-1].instructions == (Conclude(keep_route=False),)


def test_what_every_step_does() -> None:
    program = compiled()
    assert step(program, "enrol-deployment-web").instructions == (Enrol(WEB),)
    assert step(program, "label-namespace").instructions == (Label(),)
    assert step(program, "permissive").instructions == (SetMode("PERMISSIVE"),)
    assert step(program, "shadow-strict").instructions == (Shadow(),)
    assert step(program, "strict-pods-deployment-web").instructions == (SetMode("STRICT", WEB, pods=1),)
    whole = (SetMode("STRICT", WEB), Withdraw("strict-pods-deployment-web"))
    assert step(program, "strict-deployment-web").instructions == whole
    assert step(program, "strict-namespace").instructions == (SetMode("STRICT"),)
    withdrawn = [it.step for it in step(program, "withdraw-narrow").instructions if isinstance(it, Withdraw)]
    assert withdrawn == ["strict-deployment-web", "strict-statefulset-db", "shadow-strict"]


def test_without_a_cluster_a_plan_shows_what_it_does_to_the_namespace() -> None:
    program = MeshAdoption().compile(plan(waves=[[{"name": "web"}]], exceptions=[WHOLE]), MeshFacts())
    assert names(program) == [
        "label-namespace",
        "permissive",
        "shadow-strict",
        "strict-namespace",
        "withdraw-narrow",
        "conclude",
    ]
    assert [gate.name for it in program.steps for gate in it.gates] == ["ready"]


def test_a_count_without_strict_ends_with_its_stage() -> None:
    program = compiled(stages={"shadowStrict": {}})
    assert names(program) == ["shadow-strict", "withdraw-shadow-strict", "conclude"]
    assert step(program, "withdraw-shadow-strict").instructions == (Withdraw("shadow-strict"),)


def test_strict_brings_both_modes_before_it() -> None:
    program = compiled(tuple(unit(it.unit, meshed=True) for it in SHOP), stages={"strict": {}})
    assert names(program)[0] == "permissive"
    assert names(program)[-3:] == ["strict-namespace", "withdraw-narrow", "conclude"]


def test_a_person_is_asked_before_a_stage() -> None:
    approve = {"within": "2d", "otherwise": "promote"}
    stages = {"enrol": {"approve": {}}, "shadowStrict": {"approve": {"otherwise": "rollback"}}}
    program = compiled(stages=stages | {"strict": {"approve": approve}})
    first = program.steps[0]
    assert (first.name, first.instructions, first.on_failure) == (
        "approve-enrol",
        (Approve(7 * 86400, "rollback"),),
        "hold",
    )
    assert first.deadline > 7 * 86400
    shadow = step(program, "approve-shadow-strict")
    assert (shadow.instructions, shadow.on_failure) == ((Approve(7 * 86400, "rollback"),), "rollback")
    assert step(program, "approve-strict").instructions == (Approve(2 * 86400, "promote"),)
    place = names(program).index("approve-strict")
    assert names(program)[place - 1 : place + 2] == ["shadow-strict", "approve-strict", "recount-strict"]


@pytest.mark.parametrize(
    ("policy", "name", "failure", "back_to"),
    [
        ("step", "enrol-statefulset-db", "return", ""),
        ("step", "strict-deployment-web", "return", "recount-deployment-web"),
        ("step", "withdraw-narrow", "return", "strict-namespace"),
        ("stage", "enrol-statefulset-db", "return", "enrol-deployment-gateway"),
        ("stage", "strict-namespace", "return", "recount-strict"),
        ("all", "strict-namespace", "return", "approve-enrol"),
        ("hold", "strict-namespace", "hold", ""),
        ("hold", "strict-deployment-web", "hold", ""),
    ],
)
def test_what_a_failure_undoes(policy: str, name: str, failure: str, back_to: str) -> None:
    program = compiled(stages={"enrol": {"approve": {}}, "shadowStrict": {}, "strict": {}}, onFailure=policy)
    found = step(program, name)
    assert (found.on_failure, found.back_to) == (failure, back_to)


def test_a_stage_overrides_what_a_failure_undoes() -> None:
    program = compiled(stages={"enrol": {"onFailure": "hold"}, "strict": {}}, onFailure="stage")
    assert step(program, "enrol-deployment-web").on_failure == "hold"
    assert step(program, "strict-namespace").back_to == "strict-pods-deployment-web"


def test_times_come_from_the_stage_or_the_plan() -> None:
    stages = {"enrol": {"observe": "10s", "deadline": "20m"}, "strict": {}}
    program = compiled(stages=stages, analysis={"observe": "2m", "warmup": "30s", "deadline": "2h", "interval": "5s"})
    first, last = step(program, "enrol-deployment-web"), step(program, "strict-namespace")
    assert (first.hold, first.warmup, first.deadline) == (10, 10, 1200)
    assert (last.hold, last.warmup, last.deadline) == (120, 30, 7200)


def test_traffic_is_changed_one_manifest_at_a_time_and_a_drill_is_withdrawn() -> None:
    program = compiled(stages={"traffic": {"apply": [RULE, DRILL]}})
    assert names(program) == [
        "apply-1-destinationrule-web",
        "apply-2-virtualservice-web",
        "withdraw-apply-2-virtualservice-web",
        "conclude",
    ]
    assert program.steps[0].instructions == (Apply(RULE),)
    assert program.steps[2].instructions == (Withdraw("apply-2-virtualservice-web"),)
    assert gates(program, "apply-1-destinationrule-web") == ["success", "latency"]


def test_a_program_is_stored_and_read_again() -> None:
    spec = JOURNEY | {"waves": []}
    program = compiled(**spec)
    assert PROGRAM.validate_python(dump(program)) == program


STAGES: dict[str, dict[str, Any]] = {
    "enrol": {},
    "permissive": {},
    "traffic": {"apply": [RULE, DRILL]},
    "shadowStrict": {},
    "strict": {},
    "authorize": {"policies": [policy("web", "web")], "denyByDefault": True},
}
NAMES = [UnitName(kind, name) for kind in ("Deployment", "StatefulSet", "CronJob") for name in ("a", "b", "a-b")]


@st.composite
def namespaces(draw: st.DrawFn) -> tuple[UnitFact, ...]:
    return tuple(
        unit(
            name,
            meshed=draw(st.booleans()),
            serves=draw(st.booleans()),
            bare=draw(st.booleans()),
            pods=draw(st.integers(0, 4)),
            callers=tuple(draw(st.sets(st.sampled_from(NAMES), max_size=3))),
            requests=draw(st.floats(0, 1000)),
        )
        for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=7))
    )


@given(
    st.sets(st.sampled_from(sorted(STAGES))),
    namespaces(),
    st.sampled_from(["step", "stage", "all", "hold"]),
    st.sampled_from(["DISABLE", "PERMISSIVE"]),
    st.sets(st.sampled_from(sorted(STAGES))),
)
def test_any_subset_of_stages_makes_a_sound_program(
    chosen: set[str], units: tuple[UnitFact, ...], policy: str, mode: str, approved: set[str]
) -> None:
    if "authorize" in chosen and "strict" not in chosen:
        return
    stages = {name: STAGES[name] | ({"approve": {}} if name in approved else {}) for name in chosen}
    program = compiled(units, {"mode": mode}, stages=stages, onFailure=policy)
    places = {it.name: index for index, it in enumerate(program.steps)}
    assert len(places) == len(program.steps), "names are unique"
    modes: list[str] = []
    for index, it in enumerate(program.steps):
        assert len({gate.name for gate in it.gates}) == len(it.gates), "gates are told apart"
        assert not it.back_to or places[it.back_to] <= index
        for one in it.instructions:
            if isinstance(one, Withdraw):
                assert places[one.step] < index
            if isinstance(one, SetMode):
                modes.append(one.mode)
                assert one.mode == "PERMISSIVE" or "volume" in {gate.name for gate in it.gates}
                assert one.unit is None or one.pods < max(1, next(u.pods for u in units if u.unit == one.unit))
    assert "STRICT" not in modes or modes[0] == "PERMISSIVE"
    assert modes.count("PERMISSIVE") <= 1
    made = {it.name for it in program.steps for one in it.instructions if isinstance(one, Shadow)}
    withdrawn = {one.step for it in program.steps for one in it.instructions if isinstance(one, Withdraw)}
    some = {name for name in places if name.startswith("strict-pods-")}
    if "shadowStrict" in chosen:
        locked = [index for index, it in enumerate(program.steps) if it.name.startswith("strict-pods-")]
        assert all(program.steps[index - 1].name.startswith("recount-") for index in locked), "counted again"
    assert made | some <= withdrawn, "what is for the time of the run goes with it"
