"""Each rule of kstatus can fail, and none of them fails for what we really write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.controller.status import plan_status, run_status
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.run import ENDED, Phase, State
from tests.kit import builders, kstatus
from tests.kit.kstatus import TABLE, Conformance, broken, compute, version

NOW = 1_767_225_600.0
GOOD: Json = {
    "type": "Ready",
    "status": "False",
    "reason": "Started",
    "message": "",
    "observedGeneration": 2,
    "lastTransitionTime": "2026-01-01T00:00:10Z",
}
RECONCILING: Json = GOOD | {"type": "Reconciling", "status": "True"}
STALLED: Json = GOOD | {"type": "Stalled", "status": "True", "message": "latency was 0.9, limit 0.5"}


def obj(
    phase: str = "Progressing", *conditions: Json, kind: str = "PlanRun", generation: int = 2, **status: Any
) -> Json:
    found = list(conditions) or [GOOD, RECONCILING]
    body = {"observedGeneration": 2, "phase": phase, "conditions": found} | status
    return {"kind": "PlanRun", "metadata": {"name": "web", "uid": "u", "generation": generation}, "status": body}


def ended(phase: str, **status: Any) -> Json:
    ready = GOOD | {"status": "True"}
    return obj(phase, ready, **({"endedAt": "2026-01-01T00:00:10Z"} | status))


BROKEN: dict[str, tuple[Json | None, Json]] = {
    "K1 absent": (None, obj(observedGeneration=None)),
    "K1 above": (None, obj(observedGeneration=3)),
    "K1 back": (obj(observedGeneration=2), obj(observedGeneration=1)),
    "K2": (obj(), obj(generation=3, weight=10)),
    "K3 none": (None, obj("Progressing", RECONCILING)),
    "K3 twice": (None, obj("Progressing", GOOD, GOOD, RECONCILING)),
    "K3 word": (None, obj("Progressing", GOOD | {"status": "Maybe"}, RECONCILING)),
    "K4 ready": (None, obj("Progressing", GOOD | {"status": "True"}, RECONCILING)),
    "K4 why": (None, obj("Progressing", GOOD)),
    "K5": (None, obj("Succeeded", GOOD, RECONCILING | {"status": "False"}, endedAt="x")),
    "K6": (None, obj("Progressing", GOOD, RECONCILING, STALLED)),
    "K7 generation": (None, obj("Progressing", GOOD | {"observedGeneration": 1}, RECONCILING)),
    "K7 reason": (None, obj("Progressing", GOOD | {"reason": "not a word"}, RECONCILING)),
    "K7 message": (None, obj("Progressing", {k: v for k, v in GOOD.items() if k != "message"}, RECONCILING)),
    "K7 time": (None, obj("Progressing", GOOD | {"lastTransitionTime": "yesterday"}, RECONCILING)),
    "K8 moved": (obj(), obj("Progressing", GOOD | {"lastTransitionTime": "2026-01-01T00:00:11Z"}, RECONCILING)),
    "K8 back": (obj(), obj("Succeeded", GOOD | {"status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z"})),
    "K9 wrong": (None, obj("RolledBack")),
    "K9 unknown": (None, obj("Dreaming")),
    "K9 superseded": (None, ended("Superseded", reason="NewRevision") | {"kind": "CanaryPlan"}),
    "K10 again": (ended("Succeeded"), obj()),
    "K10 when": (None, ended("Succeeded", endedAt="")),
    "K11 absent": (None, obj("Paused")),
    "K11 left over": (None, obj("Progressing", GOOD, RECONCILING, RECONCILING | {"type": "AwaitingApproval"})),
    "K12": (None, obj("Held", GOOD, STALLED | {"message": ""})),
    "K13": (obj(), {**obj(), "status": None}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_rule_fails_when_it_is_broken(case: str) -> None:
    before, now = BROKEN[case]
    found = broken(version(before) if before else None, version(now))
    assert case.split()[0] in {line.split()[0] for line in found}, found


def test_every_rule_is_broken_by_a_case() -> None:
    assert {case.split()[0] for case in BROKEN} == {*kstatus.RULES, "K13"}
    assert all(f"| {code} |" in str(kstatus.__doc__) for code in [*kstatus.RULES, "K13"])


def test_a_sound_object_breaks_none() -> None:
    assert broken(None, version(obj())) == []
    assert broken(version(obj()), version(ended("Succeeded"))) == []
    assert broken(None, version({"kind": "CanaryPlan", "metadata": {"name": "new", "generation": 1}})) == []


def test_conformance_compares_with_the_version_before_and_looks_at_our_kinds_only() -> None:
    watcher = Conformance()
    other = {"kind": "Deployment", "metadata": {"name": "web", "uid": "d"}, "status": {"conditions": []}}
    assert watcher.see_all([obj(), other, ended("Succeeded")]) == []
    assert [line[:3] for line in watcher.see_all([obj()])] == ["K10"]


def test_kstatus_is_computed_as_its_documentation_says() -> None:
    assert compute(version({"kind": "PlanRun", "metadata": {"name": "a", "deletionTimestamp": "x"}})) == "Terminating"
    assert compute(version({"kind": "PlanRun", "metadata": {"name": "a", "generation": 1}})) == "Current"
    assert compute(version(ended("Succeeded") | {"metadata": {"name": "a", "generation": 3}})) == "InProgress"
    assert compute(version(obj("Held", GOOD, STALLED))) == "Failed"
    assert compute(version(obj("x", GOOD, STALLED, RECONCILING))) == "Failed"
    assert compute(version(obj("x", GOOD, RECONCILING, STALLED))) == "InProgress"


def test_the_table_has_every_phase() -> None:
    assert set(TABLE) == set(Phase)


def test_a_plan_at_rest_is_idle_and_current_or_invalid_and_failed() -> None:
    idle, invalid = ended("Idle"), obj("Invalid", GOOD, STALLED)
    for good in (idle, invalid):
        assert broken(None, version(good | {"kind": "CanaryPlan"})) == []
        assert [line[:2] for line in broken(None, version(good))] == ["K9"], "a run is neither"


@pytest.mark.parametrize("reason", [Reason.GATE_FAILED, Reason.NEW_REVISION, Reason.REVERTED])
@pytest.mark.parametrize("phase", Phase)
def test_what_we_write_in_a_phase_breaks_no_rule(phase: Phase, reason: Reason) -> None:
    spec, state = builders.run(), State(phase=phase, started=NOW, reason=reason, message="because")
    state = replace(state, ended=NOW if phase in ENDED else None)
    run: Json = {"kind": "PlanRun", "metadata": {"name": "web-1", "uid": "r", "generation": 1}}
    its: Json = {"kind": "CanaryPlan", "metadata": {"name": "web", "uid": "p", "generation": 4}}
    watcher = Conformance()
    for moment in (NOW, NOW + 60):
        run = run | {"status": run_status(run, spec, state, moment)}
        its = its | {"status": plan_status(its, "web-1", spec, state, moment)}
        assert watcher.see_all([run, its]) == []
