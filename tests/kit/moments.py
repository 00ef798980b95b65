"""Worlds as they may look at any moment, for property tests, and the runs that meet them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from rollout.decide.seen import CandidateView, ReplicaSetView, Route, Sample, Seen, Trouble, Workload
from rollout.plan.finding import Finding, Level
from rollout.plan.program import Approve, Conclude, Release, Step
from tests.kit.builders import NEW, STABLE, run

SETS = st.sampled_from(
    [
        (ReplicaSetView("h1", STABLE, 3, 3, 1),),
        (ReplicaSetView("h1", STABLE, 3, 0, 1),),
        (ReplicaSetView("h1", STABLE, 0, 0, 1), ReplicaSetView("h2", NEW, 3, 3, 2)),
        (ReplicaSetView("h1", STABLE, 2, 2, 1), ReplicaSetView("h2", NEW, 1, 0, 2)),
        (),
    ]
)
WORKLOADS = st.none() | st.builds(
    Workload,
    st.sampled_from(["uid-web", "uid-web", "uid-new"]),
    st.integers(0, 4),
    st.sampled_from([NEW, NEW, NEW, STABLE, "cccccccccc"]),
    st.booleans(),
    st.sampled_from([True, True, False]),
    SETS,
    st.sampled_from(["", "", "deadline exceeded"]),
    st.booleans(),
)
TROUBLES = st.sampled_from([None, None, Trouble("broken", "CrashLoop", "x"), Trouble("blocked", "Unschedulable", "x")])
CANDIDATES = st.none() | st.builds(
    CandidateView,
    st.just("uid-canary"),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([True, True, False]),
    TROUBLES,
)
ROUTES = st.builds(
    Route,
    st.sampled_from(["home", "steered", "mixed"]),
    st.sampled_from([0.0, 10.0, 50.0, 100.0]),
    st.just(""),
    st.booleans(),
)
SAMPLES = st.sampled_from(
    [
        {},
        {"success": Sample("value", "q", pods={"p": (100.0, 0.0)})},
        {"success": Sample("value", "q", pods={"p": (200.0, 90.0)})},
        {"success": Sample("unknown", "q", detail="down")},
        {"success": Sample("no-data", "q")},
    ]
)
WORLDS = st.builds(
    Seen,
    st.sampled_from([True] * 9 + [False]),
    ROUTES,
    WORKLOADS,
    CANDIDATES,
    SAMPLES,
    st.just(()),
    st.sampled_from([(), (), (), (Finding("RO301", Level.ERROR, "hidden"),)]),
)
"""What a turn may see; orders are for a test to add."""
WELL = Seen(True, Route("home"), Workload("uid-web", 3, NEW, True, True, (ReplicaSetView("h1", STABLE, 3, 3, 1),)))
"""A new revision that is held, with all of stable ready."""
CANARY = run(10.0, 50.0)
APPROVING = replace(
    CANARY,
    program=replace(
        CANARY.program, steps=(Step("approve", (Approve(60.0, "promote"),), deadline=3660.0), *CANARY.program.steps)
    ),
)
NATIVE = replace(
    CANARY,
    program=replace(
        CANARY.program,
        steps=(*CANARY.program.steps[:2], Step("release", (Release("native"),)), Step("conclude", (Conclude(),))),
    ),
)
RUNS = st.sampled_from([CANARY, APPROVING, NATIVE])
"""A classic canary, one that begins with an approval, and one with a native release."""
