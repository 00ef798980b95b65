"""The examples for GitOps tools do what they say, run by the languages they are written in: Lua 5.1, CEL and jq."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cel
import jq
import pytest
import typer
import yaml
from lupa import lua51

from rollout.act.release import release_ops
from rollout.cli.app import app
from rollout.controller.status import plan_status, run_status
from rollout.decide.orders import obey
from rollout.decide.reason import Reason
from rollout.decide.seen import Order
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, PLAN_RUN, VIRTUAL_SERVICE
from rollout.plan.objects import PlanDecision
from rollout.plan.parse import from_object
from rollout.plan.run import ENDED, Holding, Pause, Phase, State
from tests.kit import builders
from tests.kit.kstatus import compute, version
from tests.kit.scenes import at_weight, once, play
from tests.kit.sim import Sim

EXAMPLES = Path(__file__).parents[2] / "examples/gitops"
NOW = 1_767_225_600.0
HEALTH = {
    Phase.PENDING: "Progressing",
    Phase.PROGRESSING: "Progressing",
    Phase.AWAITING_APPROVAL: "Suspended",
    Phase.PAUSED: "Suspended",
    Phase.HOLDING: "Progressing",
    Phase.PROMOTING: "Progressing",
    Phase.ROLLING_BACK: "Progressing",
    Phase.SUCCEEDED: "Healthy",
    Phase.ROLLED_BACK: "Degraded",
    Phase.ABORTED: "Degraded",
    Phase.HELD: "Degraded",
    Phase.SUPERSEDED: "Healthy",
}
SPEAKING = {"Progressing": "InProgress", "Suspended": "InProgress", "Healthy": "Current", "Degraded": "Failed"}
"""What Argo CD and kstatus call the same thing."""


def document(path: str) -> Any:
    return yaml.safe_load((EXAMPLES / path).read_text())


# --- objects as they really are


def in_phase(kind: str, phase: Phase, reason: str = "") -> Json:
    state = State(
        phase=phase, step=1, started=NOW, reason=reason, message="because", ended=NOW if phase in ENDED else None
    )
    meta = {"name": "web-1", "namespace": "shop", "uid": "the-run", "generation": 3}
    spec = builders.run()
    obj: Json = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": {"plan": "web"}}
    status = run_status(obj, spec, state, NOW) if kind == "PlanRun" else plan_status(obj, "web-1", spec, state, NOW)
    return obj | {"status": status}


# --- Lua, with what Argo CD lets a script use


SANDBOX = """
local safe = { time = os.time, date = os.date }
io, os, string, math, debug, python, dofile, loadfile = nil
require = function(name)
  assert(name == "os", "Argo CD has no module " .. name)
  return safe
end
"""


def run_lua(script: str, obj: Json) -> Any:
    """Run a script as Argo CD does: the object is `obj`; there are the basics, table, and two functions of os."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.execute(SANDBOX)
    lua.globals().obj = _to_lua(lua, obj)
    return _from_lua(lua.execute(script))


def _to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: _to_lua(lua, item) for key, item in value.items() if item is not None})
    if isinstance(value, list | tuple):
        return lua.table_from([_to_lua(lua, item) for item in value])
    return value


def _from_lua(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    items = dict(value.items())
    if items and set(items) == set(range(1, len(items) + 1)):
        return [_from_lua(items[n]) for n in sorted(items)]
    return {key: _from_lua(item) for key, item in items.items()}


ARGOCD = document("argocd/argocd-cm.yaml")["data"]
ACTIONS = yaml.safe_load(ARGOCD["resource.customizations.actions.meshrollout.dev_PlanRun"])
SCRIPTS = {one["name"]: one["action.lua"] for one in ACTIONS["definitions"]}


def health(obj: Json) -> Json:
    found: Json = run_lua(ARGOCD[f"resource.customizations.health.meshrollout.dev_{obj['kind']}"], obj)
    return found


@pytest.mark.parametrize("kind", ["CanaryPlan", "MeshAdoptionPlan", "PlanRun"])
@pytest.mark.parametrize("phase", Phase)
def test_argo_cd_shows_the_health_of_the_phase(kind: str, phase: Phase) -> None:
    obj = in_phase(kind, phase)
    assert health(obj) == {"status": HEALTH[phase], "message": "because"}
    assert SPEAKING[HEALTH[phase]] == compute(version(obj)), "Argo CD and Flux say the same"


@pytest.mark.parametrize("kind", ["CanaryPlan", "MeshAdoptionPlan", "PlanRun"])
def test_argo_cd_waits_for_what_nobody_read_yet(kind: str) -> None:
    obj = in_phase(kind, Phase.SUCCEEDED)
    assert health({**obj, "status": None})["status"] == "Progressing"
    obj["metadata"]["generation"] = 4
    assert health(obj)["status"] == "Progressing"


def test_argo_cd_goes_on_waiting_while_a_plan_changes_to_a_newer_revision() -> None:
    assert health(in_phase("CanaryPlan", Phase.SUPERSEDED, Reason.NEW_REVISION))["status"] == "Progressing"
    assert health(in_phase("CanaryPlan", Phase.SUPERSEDED, Reason.REVERTED))["status"] == "Healthy"


def offered(phase: Phase) -> set[str]:
    return offered_to(in_phase("PlanRun", phase))


def offered_to(run: Json) -> set[str]:
    found: Json = run_lua(ACTIONS["discovery.lua"], run)
    assert set(found) == set(SCRIPTS)
    return {name for name, how in found.items() if not how["disabled"]}


def takes(phase: Phase, action: str) -> bool:
    """Whether a run in the middle of its steps, or at its end, obeys the order behind a button."""
    (made,) = run_lua(SCRIPTS[action], in_phase("PlanRun", phase))
    given = made["resource"]["spec"]
    if phase in ENDED:
        return given["verb"] == "undo" or (given["verb"] == "retry" and phase is not Phase.SUCCEEDED)
    order = Order("the-order", given["verb"], "ana", "", step=given.get("step"), full=given.get("full", False))
    paused = Pause(NOW, Phase.PROGRESSING, "paused") if phase is Phase.PAUSED else None
    state = builders.progressing(1, phase=phase, paused=paused)
    if phase is Phase.HOLDING:
        state = replace(state, holding=Holding(Reason.NO_DATA, "no data", NOW))
    decision = obey(builders.run(), state, builders.steered(50, orders=(order,)), NOW)
    assert decision is not None
    return decision.state.notes[-1].reason != Reason.DECISION_REFUSED


@pytest.mark.parametrize("phase", Phase)
def test_argo_cd_offers_no_button_that_would_be_refused(phase: Phase) -> None:
    assert {action for action in offered(phase) if not takes(phase, action)} == set()


def test_argo_cd_offers_every_order_somewhere() -> None:
    assert set().union(*(offered(phase) for phase in Phase)) == set(SCRIPTS)
    assert all("abort" in offered(phase) for phase in Phase if takes(phase, "abort") and phase is not Phase.PROMOTING)
    assert offered(Phase.ROLLING_BACK) == offered(Phase.PROMOTING) == set()


def test_argo_cd_offers_nothing_but_the_first_orders_before_there_is_a_status() -> None:
    run = in_phase("PlanRun", Phase.PENDING)
    assert run_lua(ACTIONS["discovery.lua"], {**run, "status": None}) == run_lua(ACTIONS["discovery.lua"], run)


@pytest.mark.parametrize("action", SCRIPTS)
def test_an_action_creates_a_decision_for_this_run_and_step_only(action: str) -> None:
    run = in_phase("PlanRun", Phase.AWAITING_APPROVAL)
    (made,) = run_lua(SCRIPTS[action], run)
    assert made["operation"] == "create"
    decision = from_object(made["resource"])
    assert isinstance(decision, PlanDecision)
    spec, verb = decision.spec, action.partition("-")[0]
    assert (spec.verb, spec.run, spec.run_uid) == (verb, "web-1", "the-run")
    assert spec.full == (action == "promote-full")
    assert spec.step == (1 if action in ("promote", "skip", "retry") else None)
    assert spec.expires is not None
    owner = made["resource"]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("PlanRun", "the-run"), "it shows below its run, and is not out of sync"


def test_an_action_of_an_adoption_is_an_order_to_its_plan() -> None:
    run = in_phase("PlanRun", Phase.HOLDING)
    run["spec"]["planKind"] = "MeshAdoptionPlan"
    (made,) = run_lua(SCRIPTS["skip"], run)
    decision = from_object(made["resource"])
    assert isinstance(decision, PlanDecision)
    assert decision.spec.kind == "MeshAdoptionPlan"
    found: Json = run_lua(ACTIONS["discovery.lua"], run)
    assert {name for name, how in found.items() if not how["disabled"]} == {
        "promote",
        "abort",
        "pause",
        "skip",
        "retry",
    }


def test_the_actions_differ_in_nothing_but_the_order() -> None:
    tails = {"\n".join(line for line in text.splitlines() if "local order" not in line) for text in SCRIPTS.values()}
    assert len(tails) == 1


# --- CEL, as Flux evaluates it

FLUX = document("flux/kustomization.yaml")["spec"]


def flux(obj: Json) -> str:
    """In the order of its documentation; an expression that cannot be evaluated makes it wait."""
    (exprs,) = (it for it in FLUX["healthCheckExprs"] if it["kind"] == obj["kind"])
    for key, result in (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")):
        try:
            if cel.evaluate(exprs[key], {name: value for name, value in obj.items() if value is not None}):
                return result
        except RuntimeError:
            return "InProgress"
    return "Unknown"


@pytest.mark.parametrize("kind", ["CanaryPlan", "MeshAdoptionPlan"])
@pytest.mark.parametrize("reason", [Reason.GATE_FAILED, Reason.NEW_REVISION])
@pytest.mark.parametrize("phase", Phase)
def test_the_expressions_for_flux_agree_with_kstatus_in_every_phase(kind: str, phase: Phase, reason: Reason) -> None:
    obj = in_phase(kind, phase, reason)
    assert flux(obj) == compute(version(obj))


def test_flux_waits_for_what_nobody_read_yet() -> None:
    obj = in_phase("CanaryPlan", Phase.SUCCEEDED)
    assert flux(obj) == "Current"
    assert flux({**obj, "status": None}) == "InProgress"
    assert flux({**obj, "status": {"phase": "Pending"}}) == "InProgress"
    assert flux({**obj, "metadata": {**obj["metadata"], "generation": 4}}) == "InProgress"


# --- ignore rules, on what a run really does to the owner's objects


class Seen:
    """A run with the owner's routes, looked at when the candidate has half of the traffic."""

    def __init__(self) -> None:
        self.before: dict[str, Json] = {}
        self.during: dict[str, Json] = {}
        self.candidate: Json = {}


@pytest.fixture(scope="module")
def seen() -> Seen:
    sim, found = Sim(own_routes=True), Seen()
    kinds = (DEPLOYMENT, VIRTUAL_SERVICE)
    mark(sim)
    found.before = {kind.name: sim.memory.get(kind, "web") for kind in kinds}

    def look() -> None:
        found.during = {kind.name: sim.memory.get(kind, "web") for kind in kinds}
        found.candidate = sim.memory.get(DEPLOYMENT, "web-canary")

    asyncio.run(play(sim, once(at_weight(50), look)))
    assert found.candidate
    return found


def mark(sim: Sim) -> None:
    """Argo CD and Flux put their marks on the Deployment, as their inventories need them."""
    deployment = sim.memory.get(DEPLOYMENT, "web")
    meta = deployment["metadata"]
    marks = {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}
    labels = {"app.kubernetes.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "shop"}
    meta = {**meta, "annotations": {**meta.get("annotations", {}), **marks}, "labels": {**meta["labels"], **labels}}
    sim.memory.apply({**deployment, "metadata": meta})


def without(obj: Json, expressions: list[str]) -> Any:
    """What is left of an object for Argo CD's comparison: it deletes what each expression finds."""
    for expression in expressions:
        obj = jq.compile(f"del({expression})").input_value(obj).first()
    return obj


def test_argo_cd_sees_no_difference_in_the_routes_of_a_run(seen: Seen) -> None:
    (rule,) = document("argocd/application.yaml")["spec"]["ignoreDifferences"]
    before, during = seen.before["VirtualService"], seen.during["VirtualService"]
    assert before["spec"] != during["spec"], "the run changed the routes"
    assert without(before, rule["jqPathExpressions"])["spec"] == without(during, rule["jqPathExpressions"])["spec"]


def test_argo_cd_still_sees_any_other_difference_in_the_virtual_service(seen: Seen) -> None:
    (rule,) = document("argocd/application.yaml")["spec"]["ignoreDifferences"]
    during = json.loads(json.dumps(seen.during["VirtualService"]))
    during["spec"]["http"][0]["timeout"] = "1m"
    left = without(during, rule["jqPathExpressions"])
    assert left["spec"] != without(seen.before["VirtualService"], rule["jqPathExpressions"])["spec"]


def drop(obj: Json, pointers: list[str]) -> Json:
    """The object without what the JSON pointers name; one that names nothing is no error."""
    obj = json.loads(json.dumps(obj))
    for pointer in pointers:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
        at: Any = obj
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at.get(part) or {}
        at.pop(last, None)
    return obj


def test_flux_ignores_just_the_routes_of_a_run(seen: Seen) -> None:
    (rule,) = FLUX["ignore"]
    assert rule["target"]["kind"] == "VirtualService"
    before, during = (drop(obj["VirtualService"], rule["paths"]) for obj in (seen.before, seen.during))
    assert before["spec"] == during["spec"]


def test_a_held_deployment_differs_from_git_in_the_ignored_fields_only(seen: Seen) -> None:
    rule = yaml.safe_load(ARGOCD["resource.customizations.ignoreDifferences.apps_Deployment"])
    during = seen.during["Deployment"]
    assert during["spec"]["paused"] is True
    before = seen.before["Deployment"]
    git = {**before, "spec": {**before["spec"], "template": during["spec"]["template"]}}
    assert git["spec"] != during["spec"], "it is paused"
    ours, theirs = (parts(drop(obj, rule["jsonPointers"])) for obj in (during, git))
    assert ours == theirs


def parts(deployment: Json) -> list[Json]:
    """Spec, labels and annotations, without what the Deployment controller itself writes."""
    meta = deployment["metadata"]
    notes = {k: v for k, v in meta.get("annotations", {}).items() if not k.startswith("deployment.kubernetes.io/")}
    return [deployment["spec"], meta.get("labels", {}), notes]


def test_the_ignored_fields_of_a_deployment_are_those_that_we_write() -> None:
    rule = yaml.safe_load(ARGOCD["resource.customizations.ignoreDifferences.apps_Deployment"])
    meta = {"labels": {HOLD_LABEL: "web"}, "annotations": {HELD: "true", RELEASE: "1"}}
    held: Json = {"metadata": meta, "spec": {"paused": True}}
    assert drop(held, rule["jsonPointers"]) == {"metadata": {"labels": {}, "annotations": {}}, "spec": {}}
    assert {op["path"] for op in release_ops(held, "2")} <= set(rule["jsonPointers"])


def test_no_gitops_tool_takes_the_candidate_for_its_own(seen: Seen) -> None:
    meta = seen.candidate["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    assert not [key for key in marks if "argocd" in key or "fluxcd" in key or key == "app.kubernetes.io/instance"]


# --- k9s

PLUGINS = document("k9s/plugin.yaml")["plugins"]


@pytest.mark.parametrize("name", PLUGINS)
def test_a_key_of_k9s_calls_a_verb_with_options_that_it_has(name: str) -> None:
    words = " ".join(PLUGINS[name]["args"]).replace("rollout ", "").split()
    words = words[1:] if PLUGINS[name]["command"] == "sh" else words
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group, always
    verb = verbs[words[0]]
    known = {option for parameter in verb.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert set(PLUGINS[name]["scopes"]) == {CANARY_PLAN.plural, PLAN_RUN.plural}
    assert {"shortCut", "description", "scopes", "command"} <= set(PLUGINS[name])


def test_the_keys_of_k9s_are_all_different() -> None:
    assert len({plugin["shortCut"] for plugin in PLUGINS.values()}) == len(PLUGINS)
