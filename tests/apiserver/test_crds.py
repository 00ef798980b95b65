"""What a real API server makes of the CRDs."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.controller.status import plan_status, run_status
from rollout.plan.base import Json
from rollout.plan.channel import ChannelSpec
from rollout.plan.evidence import Bets, Evidence
from rollout.plan.freeze import FreezeSpec
from rollout.plan.lint import rules
from rollout.plan.mistakes import READING
from rollout.plan.parse import from_object, parse
from rollout.plan.program import Approve, Conclude, CountGate, Prepare, Program, QueryGate, Release, Route, Step
from rollout.plan.run import (
    RUN_SPEC,
    STATE,
    Entry,
    GateState,
    Holding,
    HookState,
    Look,
    Note,
    Pause,
    Phase,
    Revision,
    Row,
    RunSpec,
    Segment,
    State,
    dump_spec,
    dump_state,
)
from rollout.plan.strategy import Facts
from strategies.canary import Canary
from tests.kit import adoptions, frosts, wired
from tests.kit.apiserver import ApiServer
from tests.kit.plans import BROKEN, CLEAN, TRAFFIC, Broken, text

pytestmark = pytest.mark.apiserver

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((*ROOT.glob("examples/*/*.yaml"), *ROOT.glob("examples/mesh-adoption/*/*.yaml")))
CEL = {
    rule.code: (rule.text, rule.text.partition(", and ")[0])
    for rule in rules()
    if rule.check is None and rule.code not in READING
}
"""What the API server says of rules that models share, in the words of one of them."""
LIST_MAPS = {"RO135", "RO284"}
"""Lint rules that the API server enforces by itself: names of gates and hooks are the keys of their lists."""


def create(apiserver: ApiServer, source: str, *options: str) -> str:
    return apiserver.kubectl("create", "--validate=strict", *options, "-f", "-", stdin=source)


def refusal(apiserver: ApiServer, source: str) -> str:
    """Why the API server does not take it."""
    with pytest.raises(AssertionError) as caught:
        create(apiserver, source, "--dry-run=server")
    return str(caught.value)


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A namespace of these tests' own; it stays, like the API server."""
    name = "crd-tests"
    if f"namespace/{name}" not in apiserver.kubectl("get", "namespaces", "-o", "name").split():
        apiserver.kubectl("create", "namespace", name)
    return name


@pytest.mark.parametrize("spec", [CLEAN, TRAFFIC], ids=["workload", "traffic"])
def test_a_sound_plan_is_taken(apiserver: ApiServer, namespace: str, spec: dict[str, Any]) -> None:
    assert "created" in create(apiserver, text(spec, namespace=namespace), "--dry-run=server")


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.code)
def test_the_server_refuses_what_reading_refuses_and_takes_the_rest(
    apiserver: ApiServer, namespace: str, broken: Broken
) -> None:
    source = text(broken.spec, broken.name, namespace)
    if broken.code in CEL:
        assert any(said in refusal(apiserver, source) for said in CEL[broken.code])
    elif broken.code in READING or broken.code in LIST_MAPS:
        assert broken.path.rpartition(".")[2] in refusal(apiserver, source)
    else:
        assert "created" in create(apiserver, source, "--dry-run=server")


@pytest.mark.parametrize("spec", [adoptions.CLASSIC, {}, adoptions.JOURNEY], ids=["classic", "empty", "journey"])
def test_a_sound_adoption_is_taken(apiserver: ApiServer, namespace: str, spec: dict[str, Any]) -> None:
    assert "created" in create(apiserver, adoptions.adoption(spec, namespace=namespace), "--dry-run=server")


@pytest.mark.parametrize("broken", adoptions.BROKEN, ids=lambda broken: broken.code)
def test_the_server_refuses_adoptions_that_reading_refuses(
    apiserver: ApiServer, namespace: str, broken: Broken
) -> None:
    source = adoptions.adoption(broken.spec, broken.name, namespace)
    if broken.code in CEL:
        assert any(said in refusal(apiserver, source) for said in CEL[broken.code])
    elif broken.code in READING or broken.code in LIST_MAPS:
        assert broken.path.rpartition(".")[2].partition("[")[0] in refusal(apiserver, source)
    else:
        assert "created" in create(apiserver, source, "--dry-run=server")


def test_an_adoption_comes_back_and_means_the_same(apiserver: ApiServer, namespace: str) -> None:
    source = adoptions.adoption(adoptions.JOURNEY, namespace=namespace)
    stored = json.loads(create(apiserver, source, "--dry-run=server", "-o", "json"))
    (written,) = parse(source)
    assert from_object(stored).spec == written.document.spec


@pytest.mark.parametrize("broken", wired.BROKEN, ids=lambda broken: broken.code)
def test_the_server_refuses_channels_that_reading_refuses(apiserver: ApiServer, namespace: str, broken: Broken) -> None:
    source = wired.text(broken.spec, namespace=namespace)
    if broken.code in CEL:
        assert any(said in refusal(apiserver, source) for said in CEL[broken.code])
    else:
        assert "created" in create(apiserver, source, "--dry-run=server")


@pytest.mark.parametrize("broken", frosts.BROKEN, ids=lambda broken: broken.code)
def test_the_server_refuses_freezes_that_reading_refuses(apiserver: ApiServer, broken: Broken) -> None:
    source = frosts.text(broken.spec)
    if broken.code in CEL:
        assert any(said in refusal(apiserver, source) for said in CEL[broken.code])
    else:
        assert "created" in create(apiserver, source, "--dry-run=server")


def test_a_freeze_comes_back_and_means_the_same(apiserver: ApiServer) -> None:
    stored = json.loads(create(apiserver, frosts.text(frosts.CLEAN), "--dry-run=server", "-o", "json"))
    assert from_object(stored).spec == FreezeSpec.model_validate(frosts.CLEAN)


def test_a_channel_comes_back_and_means_the_same(apiserver: ApiServer, namespace: str) -> None:
    for spec in (wired.CLEAN, {"type": "webhook", "address": "https://example.com/hooks.slack.com/x"}):
        stored = json.loads(create(apiserver, wired.text(spec, namespace=namespace), "--dry-run=server", "-o", "json"))
        assert from_object(stored).spec == ChannelSpec.model_validate(spec)


@pytest.mark.parametrize("limit", [[1], {"a": 1}, "99", "abc"])
def test_a_limit_is_a_number_or_a_percent(apiserver: ApiServer, namespace: str, limit: Any) -> None:
    gates = [{"name": "a", "metric": "success", "min": limit}]
    assert "min" in refusal(apiserver, text(CLEAN | {"analysis": {"gates": gates}}, namespace=namespace))


def test_unknown_fields_are_refused(apiserver: ApiServer, namespace: str) -> None:
    assert 'unknown field "spec.hisory"' in refusal(apiserver, text(CLEAN | {"hisory": 3}, namespace=namespace))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_is_taken(apiserver: ApiServer, namespace: str, path: Path) -> None:
    ours = [it for it in yaml.safe_load_all(path.read_text()) if it["apiVersion"].startswith("meshrollout.dev/")]
    for document in ours:
        document["metadata"]["namespace"] = namespace
        assert "created" in create(apiserver, json.dumps(document), "--dry-run=server")


def test_a_plan_comes_back_with_its_defaults_and_means_the_same(apiserver: ApiServer, namespace: str) -> None:
    source = text(CLEAN, namespace=namespace)
    stored = json.loads(create(apiserver, source, "--dry-run=server", "-o", "json"))
    assert stored["spec"]["analysis"]["interval"] == "15s"
    (written,) = parse(source)
    assert from_object(stored).spec == written.document.spec


def run_object(namespace: str) -> dict[str, Any]:
    """A run with every instruction and every gate there is."""
    plan = from_object(yaml.safe_load(text(CLEAN, namespace=namespace)))
    assert plan.kind == "CanaryPlan"
    program = Canary().compile(plan, Facts())
    gates = (
        CountGate("slow", "slow", 15, 2, 5, max=0.05, slower_than=0.5),
        QueryGate("own", "up", 15, 2, 5, min=1, unit="ms"),
    )
    every = Step("all", (Prepare(1), Route(1), Approve(60, "rollback"), Release("native"), Conclude(True)), gates)
    program = Program(program.strategy, "web", program.split, (*program.steps, every), program.settings)
    spec = RunSpec("web", "plan-uid", 1, 1, program, Revision("uid", "abc", images={"c": "a:2"}), "me")
    return {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "PlanRun",
        "metadata": {"name": "web-crd-test", "namespace": namespace},
        "spec": dump_spec(spec),
    }


def full_state() -> State:
    """A state with something in every field, so that none is forgotten in the schema."""
    note = Note(3.5, "WeightSet", "10 %", warning=True)
    undo = {"spec": {"http": [{"route": None}]}, "count": 3}
    looks = (Look(1.0, "no-data", None, "nothing"),)
    gate = GateState(looks, 2.0, {"pod": (1.0, 0.5)}, 3.0, 1.0, 4.0, "up", anew=True, evidence=full_evidence())
    return State(
        phase=Phase.HOLDING,
        step=2,
        since=1.5,
        started=1.0,
        ended=9.0,
        paused=Pause(2.5, Phase.AWAITING_APPROVAL, "paused by ana"),
        waited=2.0,
        held_since=3.0,
        hold_waited=1.0,
        settled=4.0,
        drained=5.0,
        weight=10.5,
        matched=True,
        mirrored=5.0,
        routed=10.0,
        prepared=1,
        floor=3,
        committed=True,
        outcome=Phase.ROLLED_BACK,
        reason="GateFailed",
        message="slow",
        holding=Holding("NoData", "nothing", 2.0),
        suspicion=("PlanDeleted",),
        approved=True,
        full=True,
        undo=True,
        gates={"slow": gate},
        journal=(Entry("route", "networking.istio.io/v1", "VirtualService", "shop", "web", "pin", "uid", undo),),
        forgotten=2,
        approvals=("ana",),
        hooks={"load": HookState(2, 1, 1.5, 2.5, verdict="passed", text="it answered 200", at=3.5, answered=True)},
        notes=(note,),
        decisions=("uid",),
        step_times=(1.0, 2.0),
        failed=note,
        undone=("weights",),
        undo_to="0123456789ab",
        sized=4.0,
        heals=(2.0, 4.0),
        standing=2.5,
        releases=(1.0, 2.0),
        back="enrol-deployment-web",
        matrix=(Segment({"success": GateState(total=4.0)}, (Row(1.0, 2, "success", True, 10.0, 4.0, False, "[]"),)),),
    )


def full_evidence() -> Evidence:
    """The same of what a gate judges by."""
    bets = Bets((0.5, 1.5), 0.25, 3)
    return Evidence(
        begun=True,
        worse=bets,
        better=bets,
        proof=0.5,
        both=(10.0, 1.0),
        base=(5.0, 1.0),
        common=True,
        edge=0.25,
        counts=(4.0, 1.0, 6.0, 0.0),
        recent=((1.0, 4.0, 1.0, 6.0, 0.0),),
        looks=2,
        exceeded=1,
        blocks=((1.0, 2.0, 3.0),),
        power=(0.5, 0.25),
        weight=10.0,
        alarm=True,
        peers={"web-1": (6.0, 0.0)},
    )


def test_a_run_is_stored_whole_and_its_spec_never_changes(apiserver: ApiServer, namespace: str) -> None:
    raw = run_object(namespace)
    state = full_state()
    assert len(dump_state(state)) == len(fields(State)), "a field of State has its default: give it a value above"
    apiserver.kubectl("delete", "prun", "-n", namespace, "web-crd-test", "--ignore-not-found")
    stored = json.loads(create(apiserver, json.dumps(raw), "-o", "json"))
    assert RUN_SPEC.validate_python(stored["spec"]) == RUN_SPEC.validate_python(raw["spec"])

    stored["status"] = run_status(stored, RUN_SPEC.validate_python(raw["spec"]), state, 4.0)
    replace = ("replace", "--subresource=status", "--validate=strict", "-o", "json", "-f", "-")
    written = json.loads(apiserver.kubectl(*replace, stdin=json.dumps(stored)))
    assert STATE.validate_python(written["status"]["state"]) == state
    row = ["web-crd-test", "web", "Holding", "3/6", "10.5"]
    table = apiserver.kubectl("get", "prun", "-n", namespace, "web-crd-test")
    assert table.split()[:12] == ["NAME", "PLAN", "PHASE", "STEP", "WEIGHT", "OUTCOME", "AGE", *row]

    swapped: Json = {"settings": None, "more": {}}
    programs: tuple[Json, ...] = ({"steps": []}, {"more": 1}, {"format": None}, swapped)
    for change in ({"attempt": 2}, *({"program": it} for it in programs)):
        patch = ("patch", "prun", "-n", namespace, "web-crd-test", "--type=merge", "-p", json.dumps({"spec": change}))
        with pytest.raises(AssertionError, match="spec is immutable"):
            apiserver.kubectl(*patch)
    apiserver.kubectl("delete", "prun", "-n", namespace, "web-crd-test")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verb": "abort", "full": True}, "RO170"),
        ({"verb": "undo", "step": 1}, "RO171"),
        ({"verb": "promote", "toRevision": 1}, "RO172"),
        ({"verb": "undo", "toRevision": 0}, "toRevision"),
        ({"plan": None}, "plan"),
    ],
)
def test_a_decision_that_contradicts_itself_is_refused(
    apiserver: ApiServer, namespace: str, changes: dict[str, Any], said: str
) -> None:
    spec = {"plan": "web", "run": "web-1", "runUid": "uid", "verb": "promote"} | changes
    head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "PlanDecision"}
    raw = head | {
        "metadata": {"name": "crd-test-contradiction", "namespace": namespace},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }
    assert CEL.get(said, (said,))[0] in refusal(apiserver, json.dumps(raw))


def test_a_decision_never_changes(apiserver: ApiServer, namespace: str) -> None:
    spec = {"plan": "web", "run": "web-1", "runUid": "uid", "verb": "promote"}
    head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "PlanDecision"}
    raw = head | {"metadata": {"name": "crd-test", "namespace": namespace}, "spec": spec}
    apiserver.kubectl("delete", "pdec", "-n", namespace, "crd-test", "--ignore-not-found")
    create(apiserver, json.dumps(raw))
    with pytest.raises(AssertionError, match="spec is immutable"):
        apiserver.kubectl(
            "patch", "pdec", "-n", namespace, "crd-test", "--type=merge", "-p", '{"spec":{"verb":"abort"}}'
        )
    apiserver.kubectl("delete", "pdec", "-n", namespace, "crd-test")


def test_kubectl_shows_and_waits_for_a_plan(apiserver: ApiServer, namespace: str) -> None:
    apiserver.kubectl("delete", "cplan", "-n", namespace, "crd-test", "--ignore-not-found")
    stored = json.loads(create(apiserver, text(CLEAN, "crd-test", namespace), "-o", "json"))
    spec = RUN_SPEC.validate_python(run_object(namespace)["spec"])
    state = State(phase=Phase.SUCCEEDED, step=5, weight=0, reason="Promoted", message="done")
    stored["status"] = plan_status(stored, "crd-test-1", spec, state, 4.0)
    apiserver.kubectl("replace", "--subresource=status", "--validate=strict", "-f", "-", stdin=json.dumps(stored))
    apiserver.kubectl("wait", "--for=condition=Ready", "--timeout=5s", "cplan/crd-test", "-n", namespace)
    wide = apiserver.kubectl("get", "cplan", "-n", namespace, "crd-test", "-o", "wide").split("\n")
    columns = ["STRATEGY", "PHASE", "STEP", "WEIGHT", "READY", "AGE", "REASON", "RUN"]
    assert wide[0].split() == ["NAME", *columns]
    assert wide[1].split()[:6] == ["crd-test", "canary", "Succeeded", "6/6", "0", "True"]
    assert "canaryplan.meshrollout.dev/crd-test" in apiserver.kubectl("get", "rollout-mesh", "-n", namespace)
    apiserver.kubectl("delete", "cplan", "-n", namespace, "crd-test")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("cplan", "How a new version of a workload gets its traffic"),
        ("cplan.spec.steps.weight", "Percent of the requests that the candidate gets"),
        ("cplan.spec.analysis.gates.min", "Fail below this value"),
        ("mplan.spec.stages.shadowStrict", "Count what mTLS only would refuse"),
        ("mplan.spec.exceptions.until", "The last day it holds"),
        ("prun.status.state", "The engine's memory"),
        ("mtpl.spec.query", "PromQL that yields one number"),
        ("pdec.spec.runUid", "The run's UID"),
    ],
)
def test_kubectl_explains(apiserver: ApiServer, field: str, said: str) -> None:
    explained = " ".join(apiserver.kubectl("explain", field).split())
    assert said in explained
