"""Small builders for pure tests: a run, what it sees, and its state, with everything well unless said otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout.decide.seen import CandidateView, ReplicaSetView, Route, Sample, Seen, Workload
from rollout.plan.program import (
    Backends,
    Conclude,
    CountGate,
    Prepare,
    Program,
    Release,
    Settings,
    Side,
    Step,
)
from rollout.plan.program import Route as RouteTo
from rollout.plan.run import Entry, GateState, Look, Revision, RunSpec, State

STABLE, NEW = "aaaaaaaaaa", "bbbbbbbbbb"
SUCCESS = CountGate("success", "success", every=5.0, failures=2, over=5, min=0.99, min_requests=10)


def run(*weights: float, gates: tuple[CountGate, ...] = (SUCCESS,), **settings: Any) -> RunSpec:
    """A run of the classic canary: weights, full traffic, release, conclude."""
    steps = [Step(f"weight {w:g} %", (Prepare(w), RouteTo(w)), gates, hold=10.0) for w in weights or (10.0, 50.0)]
    steps.append(Step("full", (Prepare(100), RouteTo(100))))
    steps.append(Step("release", (Release("shift"),), on_failure="hold"))
    steps.append(Step("conclude", (Conclude(),), on_failure="hold"))
    backends = Backends(
        "shop",
        "web",
        "web-bbbbb-1",
        Side("web", labels={"pod-template-hash": "h1"}),
        Side("web-canary", labels={"meshrollout.dev/run": "web-bbbbb-1"}),
    )
    program = Program("canary", "web", backends, tuple(steps), Settings(**settings))
    revision = Revision("uid-web", "h1", STABLE, NEW, stable_images={"app": "web:1"}, images={"app": "web:2"})
    return RunSpec("web", "uid-plan", 1, 1, program, revision, "ana")


def workload(**changes: Any) -> Workload:
    """Three ready stable pods, and a new revision that is held."""
    stable = ReplicaSetView("h1", STABLE, 3, 3, 1)
    return replace(Workload("uid-web", 3, NEW, True, True, (stable,)), **changes)


def candidate(replicas: int = 1, **changes: Any) -> CandidateView:
    """A ready candidate."""
    return replace(CandidateView("uid-canary", replicas, replicas, True), **changes)


def seen(**changes: Any) -> Seen:
    """Everything well, nothing of ours in place yet."""
    return replace(Seen(True, Route("home"), workload()), **changes)


def steered(weight: float, **changes: Any) -> Seen:
    """Routes split by us at a weight, candidate ready."""
    return seen(**{"route": Route("steered", weight, leftovers=True), "candidate": candidate(), **changes})


def counts(requests: float, bad: float = 0.0, pod: str = "web-canary-1") -> Sample:
    """Cumulative counters of one candidate pod."""
    return Sample("value", "sum(...)", pods={pod: (requests, bad)})


def journal(*kinds: str) -> tuple[Entry, ...]:
    """Journal lines of these kinds."""
    return tuple(Entry(kind, "v1", "X", "shop", kind, f"{kind} done") for kind in kinds)  # type: ignore[arg-type]  # kinds by name


def progressing(step: int = 0, **changes: Any) -> State:
    """A state in the middle of a step."""
    from rollout.plan.run import Phase

    base = State(Phase.PROGRESSING, step, since=100.0, started=90.0, floor=3)
    return replace(base, **changes)


RUN = run(10.0, 50.0)
"""The run of most pure tests; its last three steps are FULL, RELEASE and CONCLUDE."""
FULL, RELEASE, CONCLUDE = 2, 3, 4
GOOD = {"success": GateState(looks=(Look(112.0, "pass"),), next_look=115.0)}


def holding(**changes: Any) -> State:
    """At 10 %, everything done, the hold of 10 s has begun at 110."""
    base = progressing(weight=10.0, routed=10.0, prepared=1, settled=0.0, held_since=110.0, gates=GOOD)
    return replace(base, journal=journal("subsets", "route", "candidate", "weight"), **changes)
