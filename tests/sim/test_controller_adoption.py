"""The controller and plans of adoption in Git: one run for each generation, and at rest it asks for nothing."""

from __future__ import annotations

from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, MESH_ADOPTION_PLAN, PLAN_RUN
from rollout.plan.run import dump_spec
from tests.kit.adopted import SHOP
from tests.kit.builders import run as canary_run
from tests.kit.space import ENROL, SLOW, plan, space


async def test_a_generation_is_run_once_and_then_costs_nothing() -> None:
    async with space() as here:
        here.memory.apply(plan())
        await here.until(lambda: here.phase() == "Succeeded")
        assert here.ready() == "True"
        assert here.runs() == ["shop-g1-1"]
        assert "weight" not in here.status()
        await here.passed(5)
        before = here.asked.reads
        here.memory.scale("web", 4)
        await here.passed(600)
        assert here.asked.reads == before
        assert here.scene.failed("front") == 0


async def test_it_tells_how_far_it_is() -> None:
    async with space() as here:
        here.memory.apply(plan(analysis=SLOW))
        await here.until(lambda: here.status().get("units") == "2/6")
        assert (here.status()["stage"], here.ready()) == ("enrol", "False")
        assert here.status()["doing"].startswith("enrol-")


async def test_another_generation_is_another_run_of_what_is_left() -> None:
    async with space() as here:
        here.memory.apply(plan(stages={"enrol": {}}))
        await here.until(lambda: here.phase() == "Succeeded")
        pods = {pod["metadata"]["name"] for name in ("web", "front") for pod in here.scene.pods(name)}
        changed = here.memory.get(MESH_ADOPTION_PLAN, "shop")
        changed["spec"]["stages"] = ENROL
        here.memory.replace(changed)
        await here.until(lambda: here.runs() == ["shop-g1-1", "shop-g2-2"] and here.phase() == "Succeeded")
        assert {pod["metadata"]["name"] for name in ("web", "front") for pod in here.scene.pods(name)} == pods


async def test_orders_of_its_kind_are_obeyed_and_others_refused_in_words() -> None:
    async with space() as here:
        here.memory.apply(plan(analysis=SLOW))
        await here.until(lambda: here.status().get("units") == "1/6")
        here.order("abort", kind="CanaryPlan")
        await here.until(lambda: "it is for a CanaryPlan, and this run is of a MeshAdoptionPlan" in here.notes())
        here.order("abort")
        await here.until(lambda: here.phase() == "Aborted")
        assert here.scene.owned() == here.scene.before
        await here.passed(120)
        assert here.runs() == ["shop-g1-1"], "a generation is run once"
        here.order("undo")
        await here.until(lambda: "undo" in here.notes())
        here.order("retry")
        await here.until(lambda: here.phase() == "Succeeded")
        assert here.runs() == ["shop-g1-1", "shop-g1-2"]


async def test_what_the_checks_forbid_is_told_and_looked_at_again() -> None:
    async with space() as here:
        web = here.memory.get(DEPLOYMENT, "web")
        web["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"runAsUser": 1337}
        here.memory.replace(web)
        here.memory.apply(plan())
        await here.until(lambda: here.phase() == "Invalid")
        assert "RO508" in here.status()["message"]
        web = here.memory.get(DEPLOYMENT, "web")
        del web["spec"]["template"]["spec"]["containers"][0]["securityContext"]
        here.memory.replace(web)
        await here.until(lambda: here.phase() == "Succeeded")


async def test_what_lint_forbids_does_not_begin() -> None:
    async with space() as here:
        web = {"kind": "Deployment", "name": "web"}
        here.memory.apply(plan(waves=[[web], [web]]))
        await here.until(lambda: here.status().get("phase") == "Invalid")
        assert "RO257 spec.waves[1][0]: Deployment/web is named before (name it once)" in here.status()["message"]
        assert not here.runs()


async def test_the_oldest_plan_of_a_namespace_acts() -> None:
    async with space() as here:
        here.memory.apply(plan())
        await here.until(lambda: bool(here.runs()))
        here.memory.apply(plan("second"))
        await here.until(lambda: here.phase("second") == "Invalid")
        assert "MeshAdoptionPlan shop is older" in here.status("second")["message"]
        await here.until(lambda: here.phase() == "Succeeded")
        here.memory.delete(MESH_ADOPTION_PLAN, "shop")
        await here.until(lambda: here.phase("second") == "Succeeded")


async def test_it_waits_for_a_canary_that_is_under_way() -> None:
    async with space() as here:
        meta = {"name": "web-abc-1", "namespace": SHOP, "labels": {"meshrollout.dev/target": "web"}}
        head = {"apiVersion": PLAN_RUN.api_version, "kind": PLAN_RUN.name, "metadata": meta}
        here.memory.apply({**head, "spec": dump_spec(canary_run(10.0))})
        here.memory.apply(plan())
        await here.until(lambda: here.phase() == "Pending")
        assert "run web-abc-1 of plan web is under way on Deployment/web" in here.status()["message"]
        here.memory.delete(PLAN_RUN, "web-abc-1")
        await here.until(lambda: here.phase() == "Succeeded")
        assert not here.memory.exists(CANARY_PLAN, "web")


async def test_an_exception_that_is_over_takes_the_plan_out_of_ready() -> None:
    async with space() as here:
        today = "2026-01-01"  # when the simulation begins
        outside = {"workload": {"name": "greeter"}, "reason": "rewritten in spring", "until": today}
        here.memory.apply(plan(exceptions=[outside]))
        await here.until(lambda: here.phase() == "Succeeded")
        assert here.ready() == "True"
        here.memory.metrics.store.every = 3600.0  # a day without callers, of which nobody asks
        here.memory.traffic.clients.clear()
        here.memory.clock.run(86_400)
        await here.until(lambda: here.ready() == "False", 60)
        assert f"the exception of Deployment/greeter ended on {today} (rewritten in spring)" in here.status()["message"]


async def test_a_plan_that_is_deleted_leaves_what_was_there_before() -> None:
    async with space() as here:
        here.memory.apply(plan(analysis=SLOW))
        await here.until(lambda: here.status().get("units") == "3/6")
        here.memory.delete(MESH_ADOPTION_PLAN, "shop")
        await here.until(lambda: not here.runs())
        assert here.scene.owned() == here.scene.before


SHADOW: Json = {"enrol": {}, "permissive": {}, "shadowStrict": {"window": "30s"}, "strict": {}}


async def test_a_plan_that_changes_goes_on_where_its_run_stands() -> None:
    async with space() as here:
        here.memory.apply(plan(stages=SHADOW))
        await here.until(lambda: here.status().get("reason") == "Blockers")
        pods = {pod["metadata"]["name"] for pod in here.scene.pods("web")}
        changed = here.memory.get(MESH_ADOPTION_PLAN, "shop")
        excused = {"workload": {"name": "web"}, "ports": [8080], "reason": "legacy calls it", "until": "2027-03-31"}
        changed["spec"]["exceptions"] = [excused]
        here.memory.replace(changed)
        await here.until(lambda: "shop-g2-2" in here.runs())
        await here.until(lambda: here.status().get("run") == "shop-g2-2")
        first = here.memory.get(PLAN_RUN, "shop-g1-1")["status"]
        assert (first["phase"], first["state"].get("journal", [])) == ("Superseded", [])
        assert "goes on from run shop-g1-1" in here.notes()
        assert {pod["metadata"]["name"] for pod in here.scene.pods("web")} == pods, "no pod was made anew"
        here.order("abort")
        await here.until(lambda: here.phase() == "Aborted")
        assert here.scene.owned() == here.scene.before, "what both did is undone"


async def test_a_plan_that_is_made_anew_takes_nothing_over_from_the_one_that_was_deleted() -> None:
    async with space() as here:
        here.memory.apply(plan(stages=SHADOW))
        await here.until(lambda: here.status().get("reason") == "Blockers")
        here.memory.delete(MESH_ADOPTION_PLAN, "shop")
        here.memory.apply(plan(stages=SHADOW))
        changed = here.memory.get(MESH_ADOPTION_PLAN, "shop")
        changed["spec"]["stages"] = ENROL
        here.memory.replace(changed)
        await here.until(lambda: here.runs() == ["shop-g2-1"] and here.phase() == "Succeeded")
        assert "goes on from run" not in here.notes()


async def test_a_change_that_does_not_fit_is_told_and_the_run_goes_on() -> None:
    async with space() as here:
        here.memory.apply(plan(stages=SHADOW))
        await here.until(lambda: here.status().get("reason") == "Blockers")
        changed = here.memory.get(MESH_ADOPTION_PLAN, "shop")
        changed["spec"]["waves"] = [[{"name": "typo"}]]
        here.memory.replace(changed)
        await here.until(lambda: "generation 2 of the plan does not take over" in here.notes())
        await here.passed(120)
        assert here.runs() == ["shop-g1-1"]
        assert here.notes().count("does not take over") == 1


async def test_a_wait_for_approval_costs_nothing_and_hears_the_order() -> None:
    async with space() as here:
        here.memory.apply(plan(stages={"enrol": {"approve": {}}}))
        await here.until(lambda: here.phase() == "AwaitingApproval")
        await here.passed(10)
        reads, asked = here.asked.reads, here.memory.metrics.asked
        await here.passed(600)
        assert (here.asked.reads - reads, here.memory.metrics.asked - asked) == (0, 0)
        here.order("promote")
        await here.until(lambda: here.phase() == "Succeeded")
