"""Every text that people read, and its JSON twin, as files; UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from rollout.adapters.mesh.istio import Istio
from rollout.checks import Checker, Result
from rollout.cli import mesh as mesh_report
from rollout.cli import orders
from rollout.cli.out import to_ascii
from rollout.cli.render import check, events, findings, handoff, history, live, mesh, plan, plans, run, why
from rollout.controller.record import Unreadable
from rollout.controller.status import plan_status
from rollout.controller.view import RunView, StoredRun, UnreadRun
from rollout.decide.reason import Reason
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CANARY_PLAN, CRON_JOB, Ref
from rollout.plan.program import Approve, CountGate, Prepare, Program, QueryGate, Route, Step
from rollout.plan.run import GateState, Holding, Look, Note, Pause, Phase, State
from rollout.ports.clock import Timetable
from rollout.ports.mesh import Traffic
from tests.kit.builders import NEW, SUCCESS, candidate, journal, progressing, workload
from tests.kit.builders import run as a_run
from tests.kit.builders import seen as seen_world
from tests.kit.meshed import NOW, journey, survey_of

HEAD = {"apiVersion": CANARY_PLAN.api_version, "kind": CANARY_PLAN.name}
GOLDEN = Path(__file__).parent.parent / "golden"
START = 1_763_906_400.0
"""14:00:00 UTC."""
LATENCY = CountGate("latency", "slow", every=5.0, failures=2, over=5, max=0.05, slower_than=0.5)
CART = QueryGate(
    "cart-ok", "sum(cart_ok)", every=15.0, failures=3, over=5, min=97, unit="orders/min", observe_only=True
)
QUERY = 'sum by (pod) (istio_requests_total{destination_workload="web-canary"})'


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def same(name: str, text: str) -> None:
    """Compare with the golden file."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def same_json(name: str, data: Any) -> None:
    same(name, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def program() -> Program:
    made = a_run(5.0, 50.0).program
    five, fifty, *rest = made.steps
    gates = (SUCCESS, LATENCY, CART)
    steps = (
        replace(five, name="weight-5", gates=gates, hold=300.0),
        Step("more", (Prepare(50), Route(50)), gates, hold=600.0, deadline=1800.0),
        Step("approve", (Approve(3600.0, "rollback"),), gates, deadline=7200.0),
        *rest,
    )
    assert fifty.name == "weight 50 %"
    return replace(made, steps=steps)


def looks(*values: float | None) -> tuple[Look, ...]:
    found = []
    for number, value in enumerate(values):
        at = START + 400 + 15 * number
        if value is None:
            found.append(Look(at, "no-data", None, "no requests reached the candidate"))
        elif value >= 0.99:
            found.append(Look(at, "pass", value, f"{100 * value:.2f} % ({1000 * value:.0f} good of 1000)"))
        else:
            found.append(
                Look(at, "fail", value, f"{100 * value:.2f} %, limit ≥ 99.00 % ({1000 * value:.0f} good of 1000)")
            )
    return tuple(found)


def view(state: State, *, pods: bool = True) -> RunView:
    spec = replace(a_run(), program=program())
    seen = seen_world(workload=workload(), candidate=candidate(2)) if pods else None
    return RunView("shop", "web-bbbbb-1", "uid-run", spec, state, START + 480, seen)


def middle(**changes: Any) -> State:
    """In the middle of step 2."""
    notes = (
        Note(START, Reason.STARTED, "the run begins"),
        Note(START + 8, Reason.WEIGHT_SET, "5 % of the requests to the candidate"),
        Note(START + 310, Reason.STEP_PASSED, "step 1 of 6 passed: weight-5"),
        Note(START + 318, Reason.WEIGHT_SET, "50 % of the requests to the candidate"),
    )
    gates = {
        "success": GateState(looks(1.0, 0.998, 0.999), query=QUERY, requests=3000),
        "latency": GateState((Look(START + 430, "pass", 0.01, "1.00 % (990 good of 1000)"),)),
        "cart-ok": GateState((Look(START + 430, "no-data", None, "no data"),)),
    }
    base = progressing(
        1, since=START + 312, started=START, weight=50.0, routed=50.0, held_since=START + 325, gates=gates
    )
    return replace(base, step_times=(312.0,), notes=notes, message="watching", journal=journal("route"), **changes)


def rolled_back() -> State:
    why_ = "success was 97.00 %, limit ≥ 99.00 % (970 good of 1000), in 2 of the last 3 looks"
    failed = Note(START + 440, Reason.GATE_FAILED, why_, warning=True)
    state = middle(reason=Reason.GATE_FAILED, failed=failed, ended=START + 452, weight=0.0)
    gates = {**state.gates, "success": GateState(looks(0.998, 0.96, 0.97), query=QUERY, requests=3000)}
    end = Note(START + 452, Reason.GATE_FAILED, f"traffic is on stable, nothing of the run is left: {why_}")
    undone = ("VirtualService/web: 50 % to web-canary", "Deployment/web-canary created")
    return replace(
        state,
        phase=Phase.ROLLED_BACK,
        outcome=Phase.ROLLED_BACK,
        gates=gates,
        journal=(),
        undone=undone,
        notes=(*state.notes, failed, end),
        message=end.message,
    )


def scenes() -> Mapping[str, RunView]:
    text = "success: no requests reached the candidate"
    stuck = Note(START + 470, Reason.ROLL_STUCK, "the Deployment's roll does not finish: ProgressDeadlineExceeded")
    bad = Note(START + 470, Reason.CANDIDATE_BROKEN, "container app of pod web-canary-1: CrashLoopBackOff")
    done = replace(middle(), step=5, phase=Phase.SUCCEEDED, ended=START + 480, weight=100.0, routed=100.0)
    approval = replace(middle(), phase=Phase.AWAITING_APPROVAL, step=2, message="waits for approval")
    # twenty seconds of the step were a first pause; the second has lasted for 30
    paused = replace(middle(), phase=Phase.PAUSED, reason=Reason.PAUSED, message="paused by ana: lunch")
    paused = replace(paused, waited=20.0, hold_waited=20.0)
    paused = replace(paused, paused=Pause(START + 450, Phase.PROGRESSING, paused.message))
    undo = Note(START + 440, Reason.UNDO_ORDERED, "undone by ana: not today", warning=True)
    undone = replace(rolled_back(), phase=Phase.ABORTED, outcome=Phase.ABORTED, failed=undo, undo=True)
    undone = replace(undone, notes=(*undone.notes[:-2], undo), reason=undo.reason)
    holding = Holding(Reason.NO_DATA, text, START + 450)
    return {
        "pending": view(State(), pods=False),
        "progressing": view(middle()),
        "holding": view(replace(middle(), phase=Phase.HOLDING, reason=Reason.NO_DATA, holding=holding, message=text)),
        "approval": view(approval),
        "stopped": view(replace(middle(), phase=Phase.HELD, failed=bad, message=bad.message, reason=bad.reason)),
        "held": view(
            replace(
                middle(),
                phase=Phase.HELD,
                step=4,
                committed=True,
                reason=stuck.reason,
                failed=stuck,
                message=stuck.message,
            )
        ),
        "paused": view(paused),
        "resumed": view(replace(approval, waited=60.0)),
        "undone": view(undone, pods=False),
        "rolled back": view(rolled_back(), pods=False),
        "succeeded": view(replace(done, message="promoted; nothing of the run is left"), pods=False),
    }


def told(render: Callable[[RunView], Text]) -> str:
    return "\n".join(f"== {name}\n{render(seen).plain}\n" for name, seen in scenes().items())


def test_status() -> None:
    same("status.txt", told(run.status))
    same_json("status.json", {name: run.as_json(seen) for name, seen in scenes().items()})


def test_status_says_that_nobody_drives() -> None:
    assert "rollout start web -n shop" in run.status(view(middle()), driven=False).plain
    assert "rollout start" not in run.status(view(middle()), driven=True).plain


def test_live_view() -> None:
    same("live.txt", told(lambda seen: live.screen(seen, "Ctrl-C takes the traffic home")))


def test_why() -> None:
    same("why.txt", told(why.story))
    same_json("why.json", {name: why.why_json(seen) for name, seen in scenes().items()})


def test_why_of_one_step_tells_only_what_happened_in_it() -> None:
    text = why.story(view(rolled_back()), step=1).plain
    assert "WeightSet 5 %" in text
    assert "50 %" not in text.partition("next")[0]
    assert "because" not in text


def test_plan() -> None:
    preview = plan.Preview(
        Ref(CANARY_PLAN, "shop", "web"), program(), {"app": "shop/web:1.4.2"}, {"app": "shop/web:1.5.0"}
    )
    same("plan.txt", plan.table(preview).plain + "\n")
    same_json("plan.json", plan.as_json(preview))


def test_list_of_plans() -> None:
    rows = [
        ({**HEAD, "metadata": {"name": name.replace(" ", "-"), "namespace": "shop"}, "spec": {}}, seen)
        for name, seen in scenes().items()
    ]
    rows_and_idle: list[tuple[dict[str, Any], RunView | None]] = [*rows, (rows[0][0], None)]
    narrow = run.table(rows_and_idle, wide=False, namespaces=False).plain
    wide = run.table(rows_and_idle, wide=True, namespaces=True).plain
    same("list.txt", f"{narrow}\n\n{wide}\n")
    assert max(map(len, narrow.splitlines())) <= 80


def plan_rows() -> list[plans.Row]:
    """One plan for each scene, one at rest, one that is invalid, one whose status is old."""
    meta = {"namespace": "shop", "creationTimestamp": "2025-11-20T14:00:00Z", "generation": 2}
    spec: dict[str, Any] = {"strategy": "canary"}
    rows = []
    for name, seen in scenes().items():
        status = plan_status({"metadata": meta}, seen.name, seen.spec, seen.state, seen.now)
        body = {**HEAD, "metadata": {**meta, "name": name.replace(" ", "-")}, "spec": spec, "status": status}
        under_way = not seen.state.phase.ended and seen.state.phase is not Phase.HELD
        rows.append(plans.Row(body, seen.now, seen, under_way or None, served=True))
    now = rows[0].now
    old = {**rows[1].plan["status"], "observedGeneration": 1}
    invalid = {"phase": "Invalid", "reason": "PreflightFailed", "observedGeneration": 2}
    idle = {**HEAD, "metadata": {**meta, "name": "idle"}, "spec": spec}
    return [
        *rows,
        plans.Row(idle, now),
        plans.Row({**idle, "metadata": {**meta, "name": "invalid"}, "status": invalid}, now, served=True),
        plans.Row({**idle, "metadata": {**meta, "name": "old"}, "status": old}, now, driven=False),
    ]


def test_get() -> None:
    rows = plan_rows()
    narrow, wide = (plans.table(rows, wide=x, namespaces=x) for x in (False, True))
    said = [*(line.plain for line in narrow), "", *(line.plain for line in wide), "", *plans.remarks(rows)]
    same("get.txt", "\n".join(said) + "\n")
    same_json("get.json", [plans.as_json(row) for row in rows])
    assert max(len(line.plain) for line in narrow) <= 80


def test_history() -> None:
    status = {"phase": "RolledBack", "startedAt": "2025-11-23T13:00:00Z", "endedAt": "2025-11-23T13:10:00Z"}
    meta = {"name": "web-aaaaa-1", "namespace": "shop", "uid": "uid-old"}
    spec = {"plan": "web", "attempt": 1, "startedBy": "ana", "program": {"format": 99}}
    why_ = Unreadable("PlanRun/web-aaaaa-1 in shop cannot be read: its program has format 99", hint="upgrade rollout")
    unread = UnreadRun({"metadata": meta, "spec": spec, "status": status | {"step": "2/6"}}, why_)
    runs: list[StoredRun] = [unread, *[*scenes().values()][-2:]]
    narrow, wide = (history.table(runs, {NEW: 7}, wide=x).plain for x in (False, True))
    same("history.txt", f"{narrow}\n\n{wide}\n")
    same_json("history.json", [history.as_json(view, {NEW: 7}) for view in runs])


def test_events() -> None:
    lines = events.merged(events.of_run(scenes()["rolled back"]), [])
    same("events.txt", "\n".join(line.plain for line in events.table(lines)) + "\n")
    same_json("events.json", [events.as_json(line) for line in lines])


def test_handoff() -> None:
    old: dict[str, Any] = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "shop/web:1.4.2"}]},
    }
    new = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "shop/web:1.5.0"}]}}
    more = {**old, "spec": {**old["spec"], "serviceAccountName": "web"}}
    marks = {"labels": {"argocd.argoproj.io/instance": "shop"}}
    deployment = {"metadata": {"name": "web", "namespace": "shop", **marks}, "spec": {"template": new}}
    found = [handoff.Handoff("web", "shop", deployment, stable, {}) for stable in (new, old, more)]
    told_ = "\n".join(handoff.text(it) + "\n".join(handoff.commands(it)) + "\n" for it in found)
    same("handoff.txt", told_)
    same_json("handoff.json", [handoff.as_json(it) for it in found])


@pytest.mark.parametrize("outcome", list(orders.Outcome))
def test_orders(outcome: orders.Outcome) -> None:
    seen = scenes()["progressing"]
    said = {"refused": "pause by ana was refused: the run is Promoting", "obeyed": "paused by ana: lunch"}
    it = orders.Answer("web-bbbbb-1-pause-1", "u1", "pause", seen, seen, outcome, said.get(outcome, ""))
    same(f"order-{outcome}.txt", "\n".join([orders.text(it).plain, *orders.hints(it)]) + "\n")


FOUND = (
    Finding(
        "RO101",
        Level.ERROR,
        "20 is below the weight before it: 30",
        where="canary.yaml:31:7",
        fix="let weights rise",
        subject="CanaryPlan web.shop",
        path="spec.steps[2].weight",
    ),
    Finding(
        "RO315",
        Level.WARNING,
        "Argo CD manages VirtualService/web and may put the weights back",
        where="VirtualService/web",
    ),
)


def test_findings() -> None:
    same(
        "findings.txt", findings.findings(FOUND, "1 file").plain + "\n" + findings.findings((), "2 files").plain + "\n"
    )
    same_json("findings.json", findings.as_json(FOUND))


def test_check() -> None:
    async def nothing(_: Any) -> tuple[Finding, ...]:
        return ()

    api = Checker("cluster-api", "cluster", "Kubernetes API is reachable", nothing)
    rights = Checker("rights-routes", "permissions", "you may read and split the routes", nothing)
    routes = Checker("routing-routes", "routing", "nothing hides or breaks the routes", nothing)
    asked = Checker("metrics-answer", "metrics", "every gate's query is answered", nothing)
    later = Checker("metrics-later", "metrics", "something that builds on it", nothing)
    lack = Finding(
        "RO204", Level.ERROR, "you may not patch virtualservices.networking.istio.io in shop", fix="ask for it"
    )
    hint = Finding("RO211", Level.INFO, "mode policy: a new revision is paused in the write that brings it")
    results = [
        Result(api, (hint,)),
        Result(rights, (lack,)),
        Result(routes, FOUND[1:]),
        Result(asked, skipped="cannot list pods in shop; ask for the right to list pods"),
        Result(later, skipped="not looked at: rights-routes comes first", after="rights-routes"),
    ]
    texts = (check.table(results), check.table(results, short=True), check.table(results[:1]))
    same("check.txt", "\n\n".join(text.plain for text in texts) + "\n")
    same_json("check.json", check.as_json(results))
    assert check.failed(results)
    assert not check.failed(results[:1])


def test_mesh_report() -> None:
    driver, (objects, edges) = Istio(), journey()
    monthly = {Ref(CRON_JOB, "shop", "report"): Timetable(NOW + 86_400, 31 * 86_400.0)}
    known = survey_of(*objects, traffic=Traffic(86_400.0, edges), tables=monthly)
    blind = survey_of(*objects, traffic=Traffic(86_400.0, problem="no connection"), tables=monthly)
    rows = [mesh_report.rows(driver, it) for it in (known, blind)]
    texts = [
        mesh.table(driver, known, rows[0], wide=False),
        mesh.table(driver, replace(known, namespace=""), rows[0], wide=True),
        mesh.table(driver, blind, rows[1], wide=False),
    ]
    same("mesh.txt", "\n\n".join(text.plain for text in texts) + "\n")
    same_json("mesh.json", mesh.as_json(driver, known, rows[0]))


@pytest.mark.parametrize("name", ["status.txt", "live.txt", "why.txt", "plan.txt", "check.txt"])
def test_texts_are_readable_at_80_columns(name: str) -> None:
    lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines()
    # queries and story lines are for copying and searching: they are not broken
    wide = [x for x in lines if len(x) > 80 and not x.startswith(("  query", "  14:"))]
    assert wide == []


def test_every_sign_has_an_ascii_twin() -> None:
    for path in sorted(GOLDEN.glob("*.txt")):
        ascii_ = to_ascii(Text(path.read_text(encoding="utf-8"))).plain
        assert ascii_.isascii()
        assert "?" not in ascii_.replace("? ", "")


def test_failures_name_the_next_command() -> None:
    for name in ("holding", "stopped", "held", "rolled back"):
        assert "rollout " in run.status(scenes()[name]).plain.partition("next")[2]
