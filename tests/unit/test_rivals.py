"""Who acts on a target, of several plans and their runs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollout.checks.rivals import Ahead, Aim, ahead, ahead_of_adoption, aim_of, at_work_on
from rollout.plan.adoption import AdoptionSpec
from rollout.plan.base import Json, ObjectMeta
from rollout.plan.kinds import MESH_ADOPTION_PLAN
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.program import Adoption, Conclude, Enrol, Program, SetMode, Shadow, Step, UnitName
from rollout.plan.run import Phase, RunSpec, State, dump_spec, dump_state

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


def adoption(name: str = "shop", **spec: object) -> MeshAdoptionPlan:
    """A plan of adoption."""
    return MeshAdoptionPlan(metadata=ObjectMeta(name=name, namespace="shop"), spec=AdoptionSpec.model_validate(spec))


def adopting(phase: Phase = Phase.PROGRESSING, step: int = 0, *, ended: bool = False) -> Json:
    """A stored run of an adoption of `web` and `api`: enrolled, counted, one pod made strict."""
    web, api = UnitName("Deployment", "web"), UnitName("Deployment", "api")
    steps = (
        Step("enrol-web", (Enrol(web),)),
        Step("enrol-api", (Enrol(api),)),
        Step("count", (Shadow(),)),
        Step("strict-web", (SetMode("STRICT", web, pods=1),)),
        Step("conclude", (Conclude(),)),
    )
    program = Program("mesh-adoption", "", None, steps, adoption=Adoption("shop", "r"))
    spec = dump_spec(RunSpec("shop", "uid", 1, 1, program, plan_kind="MeshAdoptionPlan"))
    status: Json = {"state": dump_state(State(phase, step))} | ({"endedAt": "2026-01-01T00:01:00Z"} if ended else {})
    return {"metadata": {"name": "shop-g1-1", "namespace": "shop"}, "spec": spec, "status": status}


def test_an_adoption_begins_when_no_canary_is_under_way_but_of_who_stays_outside() -> None:
    plans = [plan("shop")]
    assert ahead_of_adoption(adoption(), plans, [run("web", ended=True)]) is None
    first = ahead_of_adoption(adoption(), plans, [run("web")])
    assert str(first) == "run web-1 of plan web is under way on Deployment/web; it ends first"
    shifting = ahead_of_adoption(adoption(), plans, [run("shift", SHIFT)])
    assert "on the traffic of web" in str(shifting)
    outside = {"workload": {"name": "web"}, "reason": "later", "until": "2027-01-01"}
    assert ahead_of_adoption(adoption(exceptions=[outside]), plans, [run("web")]) is None
    port = [{**outside, "ports": [8080]}]
    assert ahead_of_adoption(adoption(exceptions=port), plans, [run("web")]) is not None, "it comes in all the same"


def test_of_two_adoptions_the_oldest_acts_and_a_run_under_way_ends_first() -> None:
    plans = [plan("shop", 1), plan("first", 0)]
    assert ahead_of_adoption(adoption(), plans, []) == Ahead("first", kind=MESH_ADOPTION_PLAN)
    assert ahead_of_adoption(adoption("first"), plans, []) is None
    left = ahead_of_adoption(adoption("first"), plans, [adopting()])
    assert str(left).startswith("run shop-g1-1 of MeshAdoptionPlan shop is under way")
    assert ahead_of_adoption(adoption("first"), plans, [adopting(ended=True)]) is None


def test_a_canary_is_no_rival_of_an_adoption_but_of_what_it_is_at_work_on() -> None:
    assert ahead("shop", WEB, [plan("shop")], [adopting()]) is None, "that is looked at by `at_work_on`"
    assert at_work_on(adopting(step=0)) == {"web"}
    assert at_work_on(adopting(step=1)) == {"api"}
    assert at_work_on(adopting(Phase.HOLDING, 2)) == frozenset(), "who waits for weeks is in nobody's way"
    assert at_work_on(adopting(step=3)) == {"web"}
    assert at_work_on(adopting(Phase.ROLLING_BACK, 3)) == {"web", "api"}
    assert at_work_on(run("web")) == frozenset(), "it cannot be read"


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
