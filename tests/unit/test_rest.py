"""A plan without a run under way: does one begin, and if not, why?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.reason import Reason
from rollout.decide.rest import Act, Last, Rest, rest_of_routes, rest_of_workload
from rollout.decide.seen import ReplicaSetView, Workload
from rollout.plan.program import Backends, Side
from rollout.plan.run import ENDED, Phase, Revision, State
from tests.kit.builders import NEW, STABLE, run, workload

OTHER = "cccccccccc"


def last(
    phase: Phase = Phase.ROLLED_BACK, digest: str = NEW, stable: str = STABLE, undoes: str = "", **state: Any
) -> Last:
    spec = run()
    revision = replace(spec.revision, digest=digest, stable_digest=stable, undoes=undoes)
    return Last(replace(spec, revision=revision), State(phase, reason="GateFailed", message="too many errors", **state))


def runs(digest: str = STABLE, pods: int = 3, number: int = 1) -> ReplicaSetView:
    return ReplicaSetView(f"h{number}", digest, pods, pods, number)


def idle(**changes: Any) -> Workload:
    """Nothing is held: what is asked for runs."""
    return workload(digest=STABLE, held=False, **changes)


IDLE = "Deployment/web runs what it asks for; its next revision is tried step by step"
HOLDS = "Deployment/web holds a new revision"
UNDONE = "Deployment/web asks for the revision that was undone; make Git agree: rollout handoff web"
CASES: list[tuple[str, Workload | None, Last | None, Act, Reason, str]] = [
    ("no Deployment", None, None, "wait", Reason.TARGET_GONE, "Deployment/web does not exist"),
    (
        "no ReplicaSet yet",
        workload(replica_sets=()),
        None,
        "wait",
        Reason.NOT_HELD,
        "Deployment/web is being set up by its controller",
    ),
    (
        "a spec that its controller has not seen",
        workload(settled=False),
        None,
        "wait",
        Reason.NOT_HELD,
        "Deployment/web is being set up by its controller",
    ),
    (
        "scaled to none, something held",
        workload(desired=0, replica_sets=(runs(pods=0),)),
        None,
        "let go",
        Reason.RELEASED,
        "Deployment/web has no pods, so there is nothing to try a new version beside",
    ),
    (
        "scaled to none",
        idle(desired=0, replica_sets=(runs(pods=0),)),
        None,
        "rest",
        Reason.IDLE,
        "Deployment/web has no pods",
    ),
    (
        "it rolls by itself",
        workload(held=False, replica_sets=(runs(NEW, 1, 2), runs())),
        None,
        "wait",
        Reason.BYPASSED,
        "Deployment/web rolls by itself: this revision was not held",
    ),
    (
        "it is about to roll by itself",
        workload(held=False),
        None,
        "wait",
        Reason.BYPASSED,
        "Deployment/web rolls by itself: this revision was not held",
    ),
    ("nothing new", idle(), None, "rest", Reason.IDLE, IDLE),
    ("nothing new since the last was rolled back", idle(), last(), "rest", Reason.IDLE, IDLE),
    (
        "the last was promoted",
        idle(),
        last(Phase.SUCCEEDED, digest=STABLE),
        "stay",
        Reason.PROMOTED,
        "too many errors",
    ),
    ("another than the last runs", idle(), last(Phase.SUCCEEDED, digest=OTHER), "rest", Reason.IDLE, IDLE),
    (
        "the last shall be undone",
        idle(),
        last(Phase.SUCCEEDED, digest=STABLE, undo_to=OTHER),
        "undo",
        Reason.UNDO_ORDERED,
        "Deployment/web goes back to an earlier revision",
    ),
    ("the first revision", workload(), None, "start", Reason.STARTED, HOLDS),
    ("rolled back", workload(), last(), "stay", Reason.GATE_FAILED, "too many errors"),
    ("aborted", workload(), last(Phase.ABORTED), "stay", Reason.GATE_FAILED, "too many errors"),
    ("gave way to this one", workload(), last(Phase.SUPERSEDED), "start", Reason.STARTED, HOLDS),
    ("rolled back on another stable", workload(), last(stable=OTHER), "start", Reason.STARTED, HOLDS),
    ("another revision failed", workload(), last(digest=OTHER), "start", Reason.STARTED, HOLDS),
    ("the order was to go back to it", workload(), last(undo_to=NEW), "start", Reason.STARTED, HOLDS),
    (
        "Git asks for what was undone",
        workload(),
        last(Phase.SUCCEEDED, digest=STABLE, undoes=NEW),
        "stay",
        Reason.UNDO_ORDERED,
        UNDONE,
    ),
    (
        "undone after a failure",
        workload(),
        last(Phase.ABORTED, undo_to=STABLE),
        "undo",
        Reason.UNDO_ORDERED,
        "Deployment/web asks again for what runs",
    ),
]


@pytest.mark.parametrize(("name", "work", "before", "act", "reason", "message"), CASES, ids=[case[0] for case in CASES])
def test_a_plan_at_rest(
    name: str, work: Workload | None, before: Last | None, act: Act, reason: Reason, message: str
) -> None:
    assert rest_of_workload("web", work, before, again=False) == Rest(act, reason, message)


def test_a_retry_that_was_ordered_begins() -> None:
    assert rest_of_workload("web", workload(), last(), again=True).act == "start"
    assert rest_of_workload("web", workload(), last(undoes=NEW), again=True).act == "start"
    assert rest_of_workload("web", idle(), last(), again=True).act == "rest", "there is nothing to try"


def forgone(work: Workload | None, before: Last | None = None) -> str:
    return rest_of_workload("web", work, before or last(), again=True).forgone


def test_a_retry_is_for_the_version_of_its_run_and_for_now() -> None:
    assert forgone(workload()) == "", "it is held: it begins"
    assert forgone(workload(settled=False)) == forgone(workload(held=False)) == "", "that may still come"
    assert "does not ask for the version of this run any more" in forgone(idle())
    assert "does not ask for the version of this run any more" in forgone(workload(), last(digest=OTHER))
    assert forgone(None) == "Deployment/web does not exist"
    assert "has no pods" in forgone(workload(desired=0, replica_sets=(runs(pods=0),)))
    assert "runs what it asks for" in forgone(idle(), last(digest=STABLE))
    assert rest_of_workload("web", idle(), last(), again=False).forgone == "", "none was ordered"


digests = st.sampled_from([STABLE, NEW, OTHER])
works = st.builds(
    Workload,
    uid=st.just("uid-web"),
    desired=st.integers(0, 3),
    digest=digests,
    paused=st.booleans(),
    held=st.booleans(),
    replica_sets=st.lists(
        st.builds(ReplicaSetView, st.just("h"), digests, st.integers(0, 3), st.integers(0, 3)), max_size=3
    ).map(tuple),
    settled=st.booleans(),
)
lasts = st.builds(
    last,
    st.sampled_from(sorted(ENDED)),
    digests,
    digests,
    undoes=st.sampled_from(["", STABLE, NEW, OTHER]),
    undo_to=st.sampled_from(["", STABLE, NEW, OTHER]),
)


@given(works, st.none() | lasts, st.booleans())
def test_a_run_begins_only_beside_pods_of_another_revision_and_with_something_held(
    work: Workload, before: Last | None, again: bool
) -> None:
    rest = rest_of_workload("web", work, before, again=again)
    if rest.act == "start":
        with_pods = [rs for rs in work.replica_sets if rs.replicas]
        assert work.held
        assert work.settled
        assert len(with_pods) == 1
        assert with_pods[0].digest != work.digest
    assert rest.message


@given(works, lasts)
def test_what_failed_is_not_tried_again_unless_it_is_ordered_or_stable_changed(work: Workload, before: Last) -> None:
    rest = rest_of_workload("web", work, before, again=False)
    if rest.act == "start" and before.spec.revision.digest == work.digest:
        stable = next(rs.digest for rs in work.replica_sets if rs.replicas)
        failed = before.state.phase in (Phase.ROLLED_BACK, Phase.ABORTED)
        ordered = before.state.undo_to == work.digest
        assert not failed or ordered or stable != before.spec.revision.stable_digest


@given(works, lasts)
def test_what_was_undone_is_not_tried_again_when_somebody_re_applies_it(work: Workload, before: Last) -> None:
    revision = replace(before.spec.revision, undoes=work.digest)
    before = Last(replace(before.spec, revision=revision), replace(before.state, undo_to=""))
    assert rest_of_workload("web", work, before, again=False).act != "start"


@given(works, st.none() | lasts)
def test_the_same_is_decided_twice(work: Workload, before: Last | None) -> None:
    first = rest_of_workload("web", work, before, again=False)
    assert rest_of_workload("web", work, before, again=False) == first


# -- traffic-only plans

SHIFT = Backends("shop", "web", "run", Side("v1", host="web", subset="v1"), Side("v2", host="web", subset="v2"))
TO_V3 = replace(SHIFT, candidate=Side("v3", host="web", subset="v3"))


def shifted(phase: Phase, backends: Backends = SHIFT, generation: int = 1) -> Last:
    spec = run()
    program = replace(spec.program, workload="", backends=replace(backends, run="run-1"))
    spec = replace(spec, program=program, revision=Revision(), plan_generation=generation)
    return Last(spec, State(phase, reason="GateFailed", message="too many errors"))


@pytest.mark.parametrize(
    ("before", "generation", "again", "act"),
    [
        (None, 1, False, "start"),
        (shifted(Phase.SUCCEEDED), 1, False, "stay"),
        (shifted(Phase.SUCCEEDED), 2, False, "stay"),
        (shifted(Phase.ROLLED_BACK), 1, False, "stay"),
        (shifted(Phase.ABORTED), 1, False, "stay"),
        (shifted(Phase.ROLLED_BACK), 2, False, "start"),
        (shifted(Phase.ROLLED_BACK), 1, True, "start"),
        (shifted(Phase.SUCCEEDED, TO_V3), 2, False, "start"),
    ],
)
def test_a_traffic_only_plan_is_shifted_once(before: Last | None, generation: int, again: bool, act: Act) -> None:
    rest = rest_of_routes(SHIFT, generation, before, again=again)
    assert rest.act == act
    if act == "start":
        assert (rest.reason, rest.message) == (Reason.STARTED, "the traffic of web is to be shifted")
    else:
        assert (rest.reason, rest.message) == (Reason.GATE_FAILED, "too many errors")
