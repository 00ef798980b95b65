"""Who acts on a target, of several plans and their runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.checks.rivals import Ahead, Aim, ahead, aim_of
from rollout.plan.base import Json

WEB, API, SHIFT = Aim("web"), Aim("api"), Aim("", "web")


def plan(name: str, second: int = 0, aim: Aim = WEB, *, leaving: bool = False) -> Json:
    """A stored plan that was made at this second."""
    meta: Json = {"name": name, "creationTimestamp": f"2026-01-01T00:00:{second:02d}Z"}
    if leaving:
        meta["deletionTimestamp"] = "2026-01-01T00:01:00Z"
    spec: Json = {"target": {"name": aim.workload}} if aim.workload else {"service": aim.service}
    return {"metadata": meta, "spec": spec}


def run(of: str, aim: Aim = WEB, *, ended: bool = False) -> Json:
    """A stored run of a plan."""
    program: Json = {"workload": aim.workload, "backends": {"service": aim.workload or aim.service}}
    status: Json = {"endedAt": "2026-01-01T00:01:00Z"} if ended else {}
    return {"metadata": {"name": f"{of}-1"}, "spec": {"plan": of, "program": program}, "status": status}


def test_alone_a_plan_acts() -> None:
    assert ahead("web", WEB, [plan("web")], [run("web")]) is None
    assert ahead("web", WEB, [plan("web"), plan("api", 0, API), plan("shift", 0, SHIFT)], [run("api", API)]) is None


def test_a_plan_that_is_not_stored_yet_is_the_youngest() -> None:
    assert ahead("new", WEB, [plan("web", 9)], []) == Ahead("web")
    assert ahead("new", WEB, [plan("web", 9, leaving=True)], []) is None


def test_of_two_made_in_the_same_second_the_first_name_acts() -> None:
    plans = [plan("b", 1), plan("a", 1)]
    assert (ahead("a", WEB, plans, []), ahead("b", WEB, plans, [])) == (None, Ahead("a"))


def test_a_run_that_is_under_way_comes_home_first() -> None:
    assert ahead("web", WEB, [plan("web")], [run("gone")]) == Ahead("gone", "gone-1")
    assert ahead("web", WEB, [plan("web"), plan("moved", 0, API)], [run("moved")]) == Ahead("moved", "moved-1")
    assert ahead("web", WEB, [plan("web")], [run("gone", ended=True), run("moved", API)]) is None


def test_a_traffic_only_plan_and_one_with_a_target_of_that_name_are_no_rivals() -> None:
    assert ahead("shift", SHIFT, [plan("shift", 1, SHIFT), plan("web", 0)], [run("web")]) is None
    assert ahead("shift", SHIFT, [plan("shift", 1, SHIFT), plan("first", 0, SHIFT)], []) == Ahead("first")


NAMES = st.sampled_from(["a", "b", "c"])
AIMS = st.sampled_from([WEB, API, SHIFT])
PLANS = st.lists(
    st.builds(plan, NAMES, st.integers(0, 3), AIMS, leaving=st.booleans()),
    max_size=3,
    unique_by=lambda it: it["metadata"]["name"],
)


@given(PLANS, st.lists(st.builds(run, NAMES, AIMS, ended=st.booleans()), max_size=2))
def test_at_most_one_plan_acts_on_a_target_and_never_beside_a_run_of_another(
    plans: list[Json], runs: list[Json]
) -> None:
    staying = [it for it in plans if "deletionTimestamp" not in it["metadata"]]
    for aim in (WEB, API, SHIFT):
        names = [it["metadata"]["name"] for it in staying if aim_of(it) == aim]
        acting = [name for name in names if ahead(name, aim, plans, runs) is None]
        going = {it["spec"]["plan"] for it in runs if not it["status"] and _about(it, aim)}
        assert len(acting) <= 1
        assert len(acting) == 1 or not names or going, "somebody acts, or is waited for"
        assert not acting or going <= set(acting), "no run of another is under way"


def _about(it: Json, aim: Aim) -> bool:
    program = it["spec"]["program"]
    return bool(program["workload"] == aim.workload and (aim.workload or program["backends"]["service"] == aim.service))
