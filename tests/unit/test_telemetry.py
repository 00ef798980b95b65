"""The controller's own metrics: names and labels as promised, and no series of what is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from rollout.controller.reach import Reach
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.controller.view import RunView
from rollout.errors import Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, MESH_ADOPTION_PLAN, POD, Ref
from rollout.plan.run import GateState, Look, Note, Phase, State
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope
from tests.kit.builders import progressing, run

PLANS = Scope(CANARY_PLAN)


def a_plan(name: str, phase: str = "Idle", version: int = 1, **status: Any) -> Json:
    return {
        "apiVersion": CANARY_PLAN.api_version,
        "kind": "CanaryPlan",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": str(version)},
        "spec": {},
        "status": {"phase": phase, **status},
    }


def told(*scopes: Scope) -> tuple[Telemetry, Stores]:
    telemetry, stores = Telemetry(), Stores(scopes or (PLANS,), {})
    telemetry.watch(stores, Reach(stores))
    return telemetry, stores


def series(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name, by the values of their labels sorted by label."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_a_plan_has_its_phase_and_weights_and_a_deleted_one_has_none() -> None:
    telemetry, stores = told()
    stores.take(PLANS, Listed((a_plan("web", "Progressing", weight=25), a_plan("api")), version="1"))
    registry = telemetry.registry
    assert series(registry, "meshrollout_phase") == {
        ("CanaryPlan", "shop", "Progressing", "web"): 1,
        ("CanaryPlan", "shop", "Idle", "api"): 1,
    }
    assert series(registry, "meshrollout_weight_ratio") == {
        ("candidate", "shop", "web"): 0.25,
        ("stable", "shop", "web"): 0.75,
        ("candidate", "shop", "api"): 0,
        ("stable", "shop", "api"): 1,
    }
    stores.take(PLANS, Put(a_plan("web", "Succeeded", 5)))
    assert ("CanaryPlan", "shop", "Progressing", "web") not in series(registry, "meshrollout_phase")
    stores.take(PLANS, Gone(Ref(CANARY_PLAN, "shop", "web"), "web", "6"))
    assert series(registry, "meshrollout_phase") == {("CanaryPlan", "shop", "Idle", "api"): 1}
    assert b'plan="web"' not in generate_latest(registry)


def test_an_adoption_of_the_same_name_has_a_phase_of_its_own_and_no_weight() -> None:
    adoptions = Scope(MESH_ADOPTION_PLAN)
    telemetry, stores = told(PLANS, adoptions)
    stores.take(PLANS, Listed((a_plan("web"),), version="1"))
    adoption = {**a_plan("web", "Holding"), "kind": "MeshAdoptionPlan"}
    stores.take(adoptions, Listed((adoption,), version="1"))
    assert series(telemetry.registry, "meshrollout_phase") == {
        ("CanaryPlan", "shop", "Idle", "web"): 1,
        ("MeshAdoptionPlan", "shop", "Holding", "web"): 1,
    }
    assert len(series(telemetry.registry, "meshrollout_weight_ratio")) == 2


def test_memory_and_blind_watches_are_told() -> None:
    telemetry, stores = told(PLANS, Scope(POD))
    stores.take(PLANS, Listed((a_plan("web"),), version="1"))
    assert series(telemetry.registry, "meshrollout_objects") == {("CanaryPlan",): 1, ("Pod",): 0}
    assert series(telemetry.registry, "meshrollout_watches_blind") == {(): 0}
    stores.take(PLANS, Blind(Unavailable("broke")))
    assert series(telemetry.registry, "meshrollout_watches_blind") == {(): 1}


def test_nothing_is_told_of_plans_before_they_have_been_seen() -> None:
    telemetry, _ = told()
    assert series(telemetry.registry, "meshrollout_phase") == {}


def view(state: State) -> RunView:
    return RunView("shop", "web-bbbbb-1", "uid", run(), state, 200.0)


def turn(telemetry: Telemetry, before: State, **changes: Any) -> State:
    after = replace(before, **changes)
    telemetry.turned(view(after), before)
    return after


def test_a_run_is_counted_once_when_it_ends() -> None:
    telemetry = Telemetry()
    state = turn(telemetry, progressing(), phase=Phase.ROLLED_BACK, reason="GateFailed", ended=390.0)
    turn(telemetry, state)
    assert series(telemetry.registry, "meshrollout_runs_total") == {("RolledBack", "GateFailed", "canary"): 1}
    assert series(telemetry.registry, "meshrollout_run_duration_seconds_sum") == {("RolledBack", "canary"): 300}
    buckets = series(telemetry.registry, "meshrollout_run_duration_seconds_bucket")
    edges = {float(le) for le, _, _ in buckets}
    assert (min(edges), sorted(edges)[-2]) == (60, 86_400), "a minute to a day"
    assert series(telemetry.registry, "meshrollout_turns_total") == {(): 2}


def test_a_run_that_never_began_has_no_duration() -> None:
    telemetry = Telemetry()
    turn(telemetry, State(), phase=Phase.ABORTED, reason="AbortOrdered", ended=5.0)
    assert series(telemetry.registry, "meshrollout_runs_total") == {("Aborted", "AbortOrdered", "canary"): 1}
    assert series(telemetry.registry, "meshrollout_run_duration_seconds_count") == {}


def test_each_look_and_each_note_is_counted_once() -> None:
    telemetry = Telemetry()
    note, fail = Note(1.0, "WeightSet", "10 %"), Look(2.0, "fail", 0.9)
    state = turn(telemetry, progressing(), notes=(note,), gates={"success": GateState()})
    state = turn(telemetry, state, gates={"success": GateState((fail,))})
    state = turn(telemetry, state, gates={"success": GateState((fail, replace(fail, at=3.0, verdict="pass")))})
    turn(telemetry, state)
    assert series(telemetry.registry, "meshrollout_events_total") == {("WeightSet",): 1}
    assert series(telemetry.registry, "meshrollout_gate_verdicts_total") == {("fail",): 1, ("pass",): 1}


def test_a_gate_shows_its_value_while_its_run_is_under_way() -> None:
    telemetry = Telemetry()
    state = turn(telemetry, progressing(), gates={"success": GateState()})
    state = turn(telemetry, state, gates={"success": GateState((Look(2.0, "pass", 0.995),))})
    assert list(series(telemetry.registry, "meshrollout_gate_value").values()) == [0.995]
    turn(telemetry, state, phase=Phase.SUCCEEDED, ended=9.0)
    assert series(telemetry.registry, "meshrollout_gate_value") == {}


def test_errors_and_leading_are_told() -> None:
    telemetry = Telemetry()
    telemetry.failed("Conflict")
    telemetry.leads(1)
    assert series(telemetry.registry, "meshrollout_reconcile_errors_total") == {("Conflict",): 1}
    assert series(telemetry.registry, "meshrollout_leading") == {(): 1}


def test_names_and_labels_are_the_promised_ones_and_a_run_is_never_a_label() -> None:
    telemetry, stores = told()
    stores.take(PLANS, Listed((a_plan("web"),), version="1"))
    state = turn(
        telemetry, progressing(), notes=(Note(1.0, "WeightSet", ""),), gates={"g": GateState((Look(1, "pass"),))}
    )
    turn(telemetry, state, phase=Phase.SUCCEEDED, reason="Promoted", ended=390.0)
    turn(telemetry, progressing(), gates={"g": GateState((Look(1, "pass", 1.0),))})
    telemetry.failed("Conflict")
    found: dict[str, set[str]] = {}
    for metric in telemetry.registry.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(metric.name, set()).update(set(sample.labels) - {"le"})
    assert found == {
        "meshrollout_phase": {"kind", "namespace", "plan", "phase"},
        "meshrollout_weight_ratio": {"namespace", "plan", "backend"},
        "meshrollout_objects": {"kind"},
        "meshrollout_watches_blind": set(),
        "meshrollout_namespace_readable": {"namespace"},
        "meshrollout_runs": {"strategy", "outcome", "reason"},
        "meshrollout_run_duration_seconds": {"strategy", "outcome"},
        "meshrollout_gate_value": {"kind", "namespace", "plan", "gate"},
        "meshrollout_gate_verdicts": {"verdict"},
        "meshrollout_events": {"reason"},
        "meshrollout_reconcile_errors": {"error"},
        "meshrollout_turns": set(),
        "meshrollout_leading": set(),
    }
    assert "web-bbbbb-1" not in generate_latest(telemetry.registry).decode()
