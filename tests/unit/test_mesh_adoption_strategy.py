"""What plans of adoption compile into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import InvalidInput
from rollout.plan.gate import TemplateSpec
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.plan.program import (
    PROGRAM,
    Adoption,
    Apply,
    Approve,
    Conclude,
    Enrol,
    Gate,
    Label,
    Program,
    QueryGate,
    ReadyGate,
    SetMode,
    Shadow,
    Step,
    UnitName,
    Withdraw,
    dump,
)
from rollout.plan.strategy import MeshFacts, UnitFact
from strategies.adoption.order import Order
from strategies.mesh_adoption import MeshAdoption
from tests.kit.adoptions import DRILL, JOURNEY, OWN, PORT, QUEUE, RULE, WHOLE, manifest, policy

WEB, DB, GATEWAY, REPORT, FTP = (
    UnitName("Deployment", "web"),
    UnitName("StatefulSet", "db"),
    UnitName("Deployment", "gateway"),
    UnitName("CronJob", "report"),
    UnitName("Deployment", "ftp"),
)


@dataclass(frozen=True)
class Recorded:
    """Guards whose gates tell what they were asked for."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def _gates(self, *names: str, about: tuple[Any, ...]) -> tuple[Gate, ...]:
        self.asked.append(about)
        return tuple(QueryGate(name, f"{about}", 15, 2, 5, min=1) for name in names)

    def always(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        return self._gates("success", "latency", about=("always", unit, every))

    def locked(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        return self._gates("volume", "refused", about=("locked", unit, every))

    def shadow(self, unit: UnitName | None, window: float, every: float) -> tuple[Gate, ...]:
        return self._gates("shadow", about=("shadow", unit, window, every))

    def shadow_policies(self, unit: UnitName, window: float, every: float) -> tuple[Gate, ...]:
        return self._gates("denied", about=("policies", unit, window, every))

    def cost(
        self,
        unit: UnitName,
        cores: float | None,
        bytes: float | None,  # noqa: A002
        every: float,
    ) -> tuple[Gate, ...]:
        return self._gates("cpu", "memory", about=("cost", unit, cores, bytes, every))


def unit(name: UnitName, **facts: Any) -> UnitFact:
    return UnitFact(name, labels={"app": name.name}, **facts)


SHOP = (
    unit(GATEWAY, serves=False),
    unit(REPORT, serves=False, longest_pause=600.0),
    unit(DB, callers=(WEB,), requests=50.0),
    unit(WEB, pods=3, callers=(GATEWAY, REPORT), requests=100.0),
)


def plan(**spec: Any) -> MeshAdoptionPlan:
    raw = {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "MeshAdoptionPlan",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": spec,
    }
    document = from_object(raw)
    assert isinstance(document, MeshAdoptionPlan)
    return document


def compiled(units: tuple[UnitFact, ...] = SHOP, facts: dict[str, Any] | None = None, **spec: Any) -> Program:
    known: dict[str, Any] = {"run": "shop-1", "guards": Recorded()} | (facts or {})
    return MeshAdoption().compile(plan(**spec), MeshFacts(units=units, **known))


def names(program: Program) -> list[str]:
    return [step.name for step in program.steps]


def step(program: Program, name: str) -> Step:
    return next(it for it in program.steps if it.name == name)


def gates(program: Program, name: str) -> list[str]:
    return [gate.name for gate in step(program, name).gates]


def test_the_classic_stages_are_done_when_none_is_named() -> None:
    assert names(compiled()) == [
        "enrol-deployment-gateway",
        "enrol-deployment-web",
        "enrol-statefulset-db",
        "enrol-cronjob-report",
        "label-namespace",
        "permissive",
        "shadow-strict",
        "strict-pods-deployment-web",
        "strict-deployment-web",
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


def test_gates_are_the_drivers_then_the_plans() -> None:
    program = compiled(analysis={"gates": [QUEUE, OWN]}, budget={"cpu": 0.1})
    assert gates(program, "enrol-deployment-web") == ["success", "latency", "cpu", "memory", "queue", "own"]
    assert gates(program, "permissive") == ["success", "latency", "queue"], "own is about a workload"
    assert gates(program, "shadow-strict") == ["ready", "shadow", "success", "latency", "queue"]
    assert gates(program, "strict-deployment-web") == ["volume", "refused", "success", "latency", "queue", "own"]
    (own,) = (it for it in step(program, "enrol-statefulset-db").gates if it.name == "own")
    assert isinstance(own, QueryGate)
    assert own.query == 'errors{ns="shop",w="db"}'


def test_a_stage_may_have_gates_of_its_own_or_none() -> None:
    stages = {"enrol": {"gates": []}, "permissive": {"gates": [OWN | {"name": "success", "query": "up"}]}}
    program = compiled(stages=stages, analysis={"gates": [QUEUE]})
    assert gates(program, "enrol-deployment-web") == ["success", "latency"]
    assert gates(program, "permissive") == ["success", "latency", "success-2"], "names are unique in a step"


def test_a_template_about_a_workload_is_left_out_of_a_namespaces_step() -> None:
    template = TemplateSpec(query="x{w='${workload}'}")
    program = compiled(
        facts={"templates": {"t": template}}, analysis={"gates": [{"name": "own", "template": "t", "max": 0}]}
    )
    assert gates(program, "permissive") == ["success", "latency"]
    assert gates(program, "enrol-deployment-web") == ["success", "latency", "own"]


def test_a_caller_that_serves_nobody_is_watched_in_its_namespace() -> None:
    guards = Recorded()
    compiled(facts={"guards": guards}, stages={"enrol": {}})
    watched = [unit for kind, unit, *_ in guards.asked]
    assert watched == [None, WEB, DB, None, None], "gateway, web, db, report, label"


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


def test_readiness_is_asked_of_all_servers_over_the_longest_pause_of_a_cron_job() -> None:
    stages = {"enrol": {"labelNamespace": False}, "shadowStrict": {"window": "5m"}}
    guards = Recorded()
    program = compiled((*SHOP, unit(FTP)), {"guards": guards}, stages=stages, exceptions=[WHOLE])
    (ready,) = (gate for gate in step(program, "shadow-strict").gates if isinstance(gate, ReadyGate))
    assert (set(ready.units), ready.window, ready.excused) == ({WEB, DB}, 600.0, (FTP,))
    assert step(program, "shadow-strict").deadline == 3600 + 600
    assert not any(asked[0] == "shadow" for asked in guards.asked), "who is excepted would be waited for in vain"
    compiled(facts={"guards": guards}, stages=stages)
    assert ("shadow", None, 600.0, 15.0) in guards.asked
    own = compiled(stages={"shadowStrict": {"window": "1h", "deadline": "5d"}})
    assert step(own, "shadow-strict").deadline == 5 * 86400


def test_a_count_without_strict_ends_with_its_stage() -> None:
    program = compiled(stages={"shadowStrict": {}})
    assert names(program) == ["shadow-strict", "withdraw-shadow-strict", "conclude"]
    assert step(program, "withdraw-shadow-strict").instructions == (Withdraw("shadow-strict"),)


def test_strict_brings_both_modes_before_it() -> None:
    program = compiled(tuple(unit(it.unit, meshed=True) for it in SHOP), stages={"strict": {}})
    assert names(program)[0] == "permissive"
    assert names(program)[-3:] == ["strict-namespace", "withdraw-narrow", "conclude"]


def test_who_is_not_in_the_mesh_has_no_mode() -> None:
    units = (unit(WEB, meshed=True), unit(DB), unit(UnitName("Pod", "old"), bare=True))
    assert names(compiled(units, stages={"strict": {}})) == [
        "permissive",
        "strict-deployment-web",
        "strict-namespace",
        "withdraw-narrow",
        "conclude",
    ]
    assert not any("pod-old" in name for name in names(compiled(units)))


def test_who_is_in_the_mesh_is_not_enrolled_again() -> None:
    program = compiled((unit(WEB, meshed=True), unit(DB)), {"namespace_enrolled": True}, stages={"enrol": {}})
    assert names(program) == ["enrol-statefulset-db", "conclude"]


def test_an_excepted_port_stays_open_and_its_policy_stays() -> None:
    program = compiled(exceptions=[PORT, PORT | {"ports": [8080]}])
    assert step(program, "strict-pods-deployment-web").instructions == (
        SetMode("STRICT", WEB, pods=1, plaintext=(8080, 9090)),
    )
    whole = SetMode("STRICT", WEB, plaintext=(8080, 9090))
    assert step(program, "strict-deployment-web").instructions[0] == whole
    withdrawn = [it.step for it in step(program, "withdraw-narrow").instructions if isinstance(it, Withdraw)]
    assert withdrawn == ["strict-statefulset-db", "shadow-strict"]


def test_an_owners_own_policy_for_a_workload_is_not_given_its_old_mode_back() -> None:
    program = compiled((unit(GATEWAY, serves=False), unit(DB, narrow=True), unit(WEB)))
    withdrawn = [it.step for it in step(program, "withdraw-narrow").instructions if isinstance(it, Withdraw)]
    assert withdrawn == ["strict-deployment-web", "shadow-strict"]


def test_an_excepted_workload_is_left_alone() -> None:
    program = compiled((*SHOP, unit(FTP)), exceptions=[WHOLE])
    assert not any("ftp" in name for name in names(program))


def test_pods_first_as_many_as_the_plan_says_but_never_all() -> None:
    program = compiled(stages={"enrol": {}, "strict": {"pods": 9}})
    assert step(program, "strict-pods-deployment-web").instructions == (SetMode("STRICT", WEB, pods=2),)
    none = compiled(stages={"enrol": {}, "strict": {"pods": 0}})
    assert "strict-pods-deployment-web" not in names(none)
    assert step(none, "strict-deployment-web").instructions == (SetMode("STRICT", WEB),)


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
    assert names(program)[place - 1 : place + 2] == ["shadow-strict", "approve-strict", "strict-pods-deployment-web"]


@pytest.mark.parametrize(
    ("policy", "name", "failure", "back_to"),
    [
        ("step", "enrol-statefulset-db", "return", ""),
        ("step", "strict-deployment-web", "return", "strict-pods-deployment-web"),
        ("step", "withdraw-narrow", "return", "strict-namespace"),
        ("stage", "enrol-statefulset-db", "return", "enrol-deployment-gateway"),
        ("stage", "strict-namespace", "return", "strict-pods-deployment-web"),
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


def test_policies_are_counted_together_and_enforced_one_by_one() -> None:
    guards = Recorded()
    authorize = {"policies": [policy("web", "web"), policy("db", "db")], "window": "2h", "denyByDefault": True}
    program = compiled(facts={"guards": guards}, stages={"enrol": {}, "strict": {}, "authorize": authorize})
    assert names(program)[-7:] == [
        "policy-dry-run-1-web",
        "policy-dry-run-2-db",
        "deny-by-default-dry-run",
        "policy-1-web",
        "policy-2-db",
        "deny-by-default",
        "conclude",
    ]
    assert gates(program, "policy-dry-run-2-db") == ["success", "latency"], "alone it would refuse what others allow"
    counted = ["deployment-web-denied", "statefulset-db-denied", "success", "latency"]
    assert gates(program, "deny-by-default-dry-run") == counted
    assert ("policies", WEB, 7200.0, 15.0) in guards.asked
    assert step(program, "deny-by-default-dry-run").back_to == "policy-dry-run-1-web"
    assert gates(program, "policy-1-web") == ["volume", "refused", "success", "latency"]
    assert ("locked", DB, 15.0) in guards.asked
    (tried,) = step(program, "policy-dry-run-1-web").instructions
    (enforced,) = step(program, "policy-1-web").instructions
    assert isinstance(tried, Apply)
    assert isinstance(enforced, Apply)
    assert tried.manifest["metadata"] == {"name": "web", "annotations": {"istio.io/dry-run": "true"}}
    assert enforced.manifest["metadata"] == {"name": "web", "annotations": {"istio.io/dry-run": "false"}}
    assert tried.manifest["spec"] == enforced.manifest["spec"] == policy("web", "web")["spec"]
    (last,) = step(program, "deny-by-default").instructions
    assert isinstance(last, Apply)
    assert (last.manifest["metadata"]["name"], last.manifest["spec"]) == ("allow-nothing", {})


def test_a_policy_about_everybody_is_watched_at_everybody() -> None:
    authorize = {"policies": [policy("all")]}
    program = compiled(stages={"enrol": {}, "strict": {}, "authorize": authorize})
    both = [f"{it}-{gate}" for it in ("deployment-web", "statefulset-db") for gate in ("volume", "refused")]
    assert [name for name in gates(program, "policy-1-all") if "volume" in name or "refused" in name] == both
    many = tuple(unit(UnitName("Deployment", f"a{n}")) for n in range(20))
    program = compiled(many, stages={"enrol": {}, "strict": {}, "authorize": authorize})
    assert gates(program, "policy-1-all") == ["volume", "refused", "success", "latency"]


def refused(**given: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        compiled(**given)
    assert caught.value.where == "MeshAdoptionPlan/shop"
    assert caught.value.hint
    return caught.value


def test_a_stricter_mode_is_never_lowered() -> None:
    said = str(refused(facts={"mode": "STRICT"}))
    assert "would refuse plaintext as soon as it has a proxy" in said
    meshed = tuple(unit(it.unit, meshed=True, serves=it.serves) for it in SHOP)
    said = str(refused(units=meshed, facts={"mode": "STRICT"}, stages={"permissive": {}}))
    assert "would be lowered" in said


def test_a_namespace_that_has_arrived_goes_on_from_there() -> None:
    meshed = tuple(unit(it.unit, meshed=True, serves=it.serves) for it in SHOP)
    program = compiled(meshed, {"mode": "STRICT", "namespace_enrolled": True})
    assert "permissive" not in names(program)
    assert names(program)[-2] == "withdraw-narrow"
    late = (*meshed, unit(UnitName("CronJob", "late"), serves=False))
    assert names(compiled(late, {"mode": "STRICT"}))[0] == "enrol-cronjob-late", "a caller refuses nothing"


@pytest.mark.parametrize("spec", [{"waves": [[{"name": "wep"}]]}, {"exceptions": [WHOLE]}])
def test_a_workload_that_is_not_there_is_a_typo(spec: dict[str, Any]) -> None:
    error = refused(**spec)
    assert "there is no Deployment/" in str(error)
    assert "Deployment/web" in error.hint


def test_who_is_in_the_mesh_cannot_stay_outside() -> None:
    assert "is in the mesh already" in str(refused(units=(unit(FTP, meshed=True),), exceptions=[WHOLE]))


def test_a_manifest_of_another_namespace_is_refused() -> None:
    other = manifest("DestinationRule", "web", {"host": "web"}, namespace="other")
    assert "is in namespace other" in str(refused(stages={"traffic": {"apply": [other]}}))
    there = policy("web", "web", namespace="other")
    said = str(refused(stages={"strict": {}, "enrol": {}, "authorize": {"policies": [there]}}))
    assert "spec.stages.authorize" in said


def test_the_name_of_the_last_policy_is_taken() -> None:
    authorize = {"policies": [policy("allow-nothing", "web")], "denyByDefault": True}
    said = str(refused(stages={"strict": {}, "enrol": {}, "authorize": authorize}))
    assert "is what denyByDefault makes" in said


def test_waves_come_first_then_a_pair_then_the_least_called() -> None:
    lone, busy = UnitName("Deployment", "lone"), UnitName("Deployment", "busy")
    units = (
        *SHOP,
        unit(lone, requests=1.0),
        unit(busy, callers=(WEB, GATEWAY), requests=900.0),
        unit(UnitName("DaemonSet", "agent")),
    )
    order = [it.unit.name for it in Order(((DB,), (busy,))).enrolled(units)]
    assert order == ["db", "busy", "gateway", "web", "lone", "agent", "report"]


def test_plaintext_is_locked_out_first_where_all_callers_are_in() -> None:
    units = (unit(WEB, callers=(FTP,)), unit(DB, callers=(WEB,), requests=9.0))
    assert [it.unit for it in Order().locked(units, {WEB, DB})] == [DB, WEB]
    assert [it.unit for it in Order().locked(units, {WEB, DB, FTP})] == [WEB, DB]


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
    assert made | some <= withdrawn, "what is for the time of the run goes with it"
