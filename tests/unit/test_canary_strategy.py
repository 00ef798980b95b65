"""What canary plans compile into."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import InvalidInput
from rollout.plan.base import RUN_LABEL
from rollout.plan.canary import Linear
from rollout.plan.gate import TemplateSpec
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import from_object
from rollout.plan.program import (
    Approve,
    Conclude,
    CountGate,
    Prepare,
    Program,
    QueryGate,
    Release,
    Route,
    Side,
    Text,
    weight_of,
)
from rollout.plan.sequential import CompareGate, SloGate, TrafficGate
from rollout.plan.steps import linear_weights
from rollout.plan.strategy import Facts
from strategies.canary import Canary

SUCCESS = {"name": "success", "metric": "success", "min": "99%"}
SLOW = {"name": "slow", "metric": "slow", "slowerThan": "500ms", "max": 0.05}
TRAFFIC: dict[str, Any] = {
    "service": "web",
    "traffic": {"stable": {"subset": "v1"}, "candidate": {"host": "web-next"}, "workloads": ["web-v1", "web-v2"]},
}


def plan(**spec: Any) -> CanaryPlan:
    target = {} if "traffic" in spec else {"target": {"name": "web"}}
    raw = {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "CanaryPlan",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": target | spec,
    }
    document = from_object(raw)
    assert isinstance(document, CanaryPlan)
    return document


def compiled(facts: Facts | None = None, **spec: Any) -> Program:
    return Canary().compile(plan(**spec), facts or Facts(run="web-1", stable_hash="abc"))


def test_a_weight_has_its_candidate_ready_before_it_is_routed() -> None:
    step = compiled(steps=[{"weight": 10}]).steps[0]
    assert (step.name, step.instructions) == ("weight-10", (Prepare(10), Route(10)))


def test_a_shift_takes_all_traffic_then_releases_then_leaves_no_trace() -> None:
    program = compiled(
        steps=[{"weight": 50}], promotion={"bake": "2m", "deadline": "20m"}, analysis={"gates": [SUCCESS]}
    )
    full, release, conclude = program.steps[1:]
    assert (full.name, full.instructions, full.hold) == ("full", (Prepare(100), Route(100)), 120)
    assert [gate.name for gate in full.gates] == ["success"]
    assert (release.instructions, release.deadline, release.on_failure) == ((Release("shift"),), 1200, "hold")
    assert (conclude.instructions, conclude.on_failure) == ((Conclude(),), "hold")


def test_without_a_bake_nothing_is_judged_at_full_weight() -> None:
    assert compiled(steps=[{"weight": 50}], analysis={"gates": [SUCCESS]}).steps[1].gates == ()


def test_a_native_promotion_releases_after_the_last_weight() -> None:
    program = compiled(steps=[{"weight": 50}], promotion={"mode": "native"})
    assert [step.instructions for step in program.steps[1:]] == [(Release("native"),), (Conclude(),)]


def test_a_last_weight_of_100_is_not_routed_twice() -> None:
    last = {"weight": 100, "hold": "3m", "gates": [SLOW]}
    program = compiled(steps=[{"weight": 50}, last], promotion={"bake": "9m"}, analysis={"gates": [SUCCESS]})
    assert [step.name for step in program.steps] == ["weight-50", "weight-100", "release", "conclude"]
    assert program.steps[1].hold == 180
    assert [gate.name for gate in program.steps[1].gates] == ["slow"]


def test_traffic_only_moves_the_route_and_leaves_it_there() -> None:
    program = compiled(**TRAFFIC, steps=[{"weight": 10}], promotion={"bake": "1m"})
    assert program.workload == ""
    assert [step.instructions for step in program.steps] == [(Route(10),), (Route(100),), (Conclude(keep_route=True),)]
    assert program.steps[1].hold == 60
    assert program.split.stable == Side("web-v1", host="web", subset="v1")
    assert program.split.candidate == Side("web-v2", host="web-next")


def test_the_sides_of_a_split_are_told_apart_by_hash_and_run() -> None:
    backends = compiled(steps=[{"weight": 1}], router={"virtualServices": ["web", "web-gateway"]}).split
    assert (backends.namespace, backends.service, backends.run) == ("shop", "web", "web-1")
    assert backends.stable == Side("web", labels={"pod-template-hash": "abc"})
    assert backends.candidate == Side("web-canary", labels={RUN_LABEL: "web-1"})
    assert backends.virtual_services == ("web", "web-gateway")
    assert compiled(steps=[{"weight": 1}], service="front").split.service == "front"


def test_gates_keep_looking_while_a_person_is_waited_for() -> None:
    steps = [{"weight": 10, "gates": [SLOW]}, {"approve": {"within": "2h", "otherwise": "promote"}}, {"weight": 50}]
    approve = compiled(steps=steps, analysis={"gates": [SUCCESS]}).steps[1]
    assert approve.instructions == (Approve(7200, "promote"),)
    assert [gate.name for gate in approve.gates] == ["slow"]
    assert approve.hold == 0
    assert approve.deadline > 7200


def test_an_approval_before_any_weight_has_nothing_to_look_at() -> None:
    assert compiled(steps=[{"approve": {}}, {"weight": 5}], analysis={"gates": [SUCCESS]}).steps[0].gates == ()


def test_a_step_overrides_what_all_steps_have() -> None:
    own = {"weight": 20, "name": "wide", "hold": "7m", "gates": [], "deadline": "8m", "onFailure": "hold"}
    analysis = {"hold": "1m", "warmup": "10s", "deadline": "30m", "onFailure": "rollback", "gates": [SUCCESS]}
    first, second = compiled(steps=[{"weight": 10}, own], analysis=analysis).steps[:2]
    assert (first.hold, first.warmup, first.deadline, first.on_failure) == (60, 10, 1800, "rollback")
    assert (second.name, second.hold, second.deadline, second.on_failure) == ("wide", 420, 480, "hold")
    assert second.gates == ()


def test_steps_that_nobody_named_have_unique_names() -> None:
    steps = [{"weight": 5}, {"approve": {}}, {"weight": 5}, {"approve": {}}, {"name": "weight-5-2", "weight": 7}]
    names = [step.name for step in compiled(steps=steps).steps]
    assert names[:5] == ["weight-5", "approve", "weight-5-3", "approve-2", "weight-5-2"]


def test_chosen_requests_go_to_the_candidate_from_the_first_weight_to_the_last() -> None:
    match = [{"headers": {"x-tester": {"prefix": "y"}}}, {"cookies": {"group": "b.c"}, "query": {"a": {"regex": ".+"}}}]
    program = compiled(match=match, steps=[{"weight": 0}, {"weight": 10}])
    routes = [i for step in program.steps for i in step.instructions if isinstance(i, Route)]
    assert routes == [Route(0, matched=True), Route(10, matched=True), Route(100, matched=True)]
    first, second = program.split.matches
    assert first.headers == {"x-tester": Text("prefix", "y")}
    assert second.query == {"a": Text("regex", ".+")}
    said = re.compile(second.headers["cookie"].value)
    texts = ("group=b.c", "a=1; group=b.c; z=2", "group=bxc", "xgroup=b.c", "group=b.cd")
    assert [said.fullmatch(text) is not None for text in texts] == [True, True, False, False, False]


def test_where_only_testers_come_only_gates_written_for_them_look_and_none_at_the_split() -> None:
    match = [{"headers": {"x-tester": {"exact": "yes"}}}]
    first, second = compiled(match=match, steps=[{"weight": 0}, {"weight": 10}]).steps[:2]
    assert [gate.name for gate in first.gates] == []
    assert [gate.name for gate in second.gates] == ["success", "latency"]
    own = compiled(match=match, steps=[{"weight": 0, "gates": [SUCCESS]}, {"weight": 10}]).steps[0]
    assert [gate.name for gate in own.gates] == ["success"]


@given(st.floats(0.1, 100), st.floats(0.1, 100))
def test_a_preset_rises_in_equal_steps_to_exactly_its_end(step: float, to: float) -> None:
    if to > step * 50:
        return
    weights = linear_weights(Linear(step=step, every="1m", to=to))
    assert weights[-1] == to
    assert list(weights) == sorted(set(weights))
    assert len(weights) <= 51
    assert all(weight == pytest.approx(step * (index + 1), abs=1e-5) for index, weight in enumerate(weights[:-1]))


def test_a_preset_compiles_to_its_steps() -> None:
    program = compiled(linear={"step": 10, "every": "90s", "to": 35})
    assert [weight_of(step) for step in program.steps[:4]] == [10, 20, 30, 35]
    assert {step.hold for step in program.steps[:4]} == {90}


def test_built_in_metrics_are_counted_as_shares() -> None:
    gates = compiled(steps=[{"weight": 5}], analysis={"gates": [SUCCESS, SLOW], "interval": "20s"}).steps[0].gates
    assert gates == (
        CountGate("success", "success", every=20, failures=2, over=5, min=0.99),
        CountGate("slow", "slow", every=20, failures=2, over=5, max=0.05, slower_than=0.5),
    )


def test_gates_that_judge_by_evidence_share_the_budget_of_the_plan() -> None:
    gates = [
        {"name": "errors", "type": "compare", "tolerance": "0.5pp", "minRequests": 10},
        {"name": "slo", "type": "slo", "objective": "50%", "burn": 0.5, "metric": "slow", "slowerThan": "1s"},
        {"name": "split", "type": "traffic", "every": "30s", "observeOnly": True},
    ]
    analysis = {"gates": gates, "interval": "10s", "hold": "5m", "falseRollback": "4%"}
    step = compiled(steps=[{"weight": 5}, {"weight": 50}], analysis=analysis).steps[0]
    assert step.gates == (
        CompareGate("errors", "success", 10, 0.005, 60, 0.02, min_requests=10),
        SloGate("slo", "slow", 10, 0.25, 60, 0.02, slower_than=1),
        TrafficGate("split", 30, 0.25, 20, observe_only=True),
    )


def test_a_plan_without_gates_compares_both_versions_and_watches_the_split() -> None:
    program = compiled(steps=[{"weight": 5}], promotion={"bake": "1m"})
    assert [(gate.name, gate.kind) for gate in program.steps[0].gates] == [
        ("success", "compare"),
        ("latency", "compare"),
        ("traffic", "traffic"),
    ]
    assert [gate.name for gate in program.steps[1].gates] == ["success", "latency"], "all traffic is on one side"
    alphas = {gate.alpha for gate in program.steps[0].gates if isinstance(gate, CompareGate)}
    assert alphas == {0.01}


def test_a_plan_with_an_empty_list_of_gates_has_none() -> None:
    assert compiled(steps=[{"weight": 5}], analysis={"gates": []}).steps[0].gates == ()


def query_gate(gate: dict[str, Any], facts: Facts | None = None, **spec: Any) -> QueryGate:
    (found,) = (
        compiled(facts, steps=[{"weight": 5}], analysis={"gates": [{"name": "own", "min": 1} | gate]}, **spec)
        .steps[0]
        .gates
    )
    assert isinstance(found, QueryGate)
    return found


def test_variables_of_a_query_are_filled_in() -> None:
    query = 'x{n="${namespace}",w="${workload}",c="${candidate}",s="${service}",z="${zone}"}[${window}]'
    gate = query_gate({"query": query, "window": "1.5m", "variables": {"zone": "eu"}}, service="front")
    assert gate.query == 'x{n="shop",w="web",c="web-canary",s="front",z="eu"}[1m30s]'


@pytest.mark.parametrize("value", ['a"} or vector(1) #', "a'b", "a`b", "a\\", "a\nb"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_no_value_ends_the_string_that_it_is_in(value: str, quote: str) -> None:
    filled = query_gate({"query": f"x{{l={quote}${{v}}{quote}}}", "variables": {"v": value}}).query
    inside = filled.removeprefix(f"x{{l={quote}").removesuffix(f"{quote}}}")
    assert not set(inside) & {'"', "'", "`", "\n"}
    assert inside.encode().decode("unicode_escape") == value


def test_references_of_label_replace_are_no_variables() -> None:
    query = 'label_replace(up, "a", "${1}", "b", "(.*)")'
    assert query_gate({"query": query}).query == query


def test_an_unknown_variable_is_named_with_its_gate() -> None:
    with pytest.raises(InvalidInput, match=r"CanaryPlan/web: gate own: the variable \$\{zone\} is unknown") as caught:
        query_gate({"query": 'x{z="${zone}"}'})
    assert "variables" in caught.value.hint


def test_a_workload_that_the_plan_does_not_name_is_missed() -> None:
    traffic: dict[str, Any] = {"service": "web", "traffic": {"stable": {"subset": "a"}, "candidate": {"subset": "b"}}}
    with pytest.raises(InvalidInput, match=r"\$\{candidate\} has no value") as caught:
        query_gate({"query": "x{w='${candidate}'}"}, **traffic)
    assert caught.value.hint == "give spec.traffic.workloads"


def test_a_template_gives_query_unit_and_provider() -> None:
    template = TemplateSpec.model_validate(
        {"query": "up{a='${candidate}'}", "unit": "ms", "provider": {"address": "http://prom:9090"}}
    )
    gate = query_gate({"template": "t"}, Facts(templates={"t": template}))
    assert (gate.query, gate.unit, gate.provider) == ("up{a='web-canary'}", "ms", template.provider)


def test_an_unknown_template_is_named_with_those_that_exist() -> None:
    with pytest.raises(InvalidInput, match="no MetricTemplate other") as caught:
        query_gate({"template": "other"}, Facts(templates={"t": TemplateSpec(query="up")}))
    assert "known are: t" in caught.value.hint


def test_a_percent_is_a_share_for_queries_too() -> None:
    assert query_gate({"query": "x", "min": "99%"}).min == 0.99


def test_settings_come_from_the_plan_and_the_hold_mode_from_the_cluster() -> None:
    spec = {
        "router": {"type": "other", "drift": "hold", "settle": "1s"},
        "candidate": {"replicas": 3, "drain": "9s", "readyWithin": "1m"},
    }
    settings = compiled(Facts(hold_mode="policy"), steps=[{"weight": 5}], **spec).settings
    assert (settings.router, settings.drift, settings.settle) == ("other", "hold", 1)
    assert (settings.replicas, settings.drain, settings.ready_within, settings.hold_mode) == (3, 9, 60, "policy")
    asked = compiled(Facts(hold_mode="policy"), steps=[{"weight": 5}], hold={"mode": "paused"}).settings
    assert asked.hold_mode == "paused"
