"""The controller and plans of adoption in Git: one run for each generation, and at rest it asks for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.adapters.memory.faults import FaultPlan, FaultyCluster
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.controller.cached import CachedCluster
from rollout.controller.leader import Leader
from rollout.controller.loop import Controller
from rollout.controller.plans import Plans
from rollout.controller.process import TICK, concerns, scopes
from rollout.controller.stores import Stores
from rollout.controller.telemetry import Telemetry
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, MESH_ADOPTION_PLAN, PLAN_DECISION, PLAN_RUN
from rollout.plan.run import dump_spec
from tests.kit.adopted import SHOP, Adopted
from tests.kit.builders import run as canary_run

QUICK: Json = {"interval": "2s", "observe": "4s", "deadline": "10m"}
SLOW: Json = {**QUICK, "observe": "20s"}
"""Each step lasts long enough to be news."""
ENROL: Json = {"enrol": {}, "permissive": {}}


def plan(name: str = "shop", stages: Mapping[str, Any] | None = None, **spec: Any) -> Json:
    head: Json = {"apiVersion": MESH_ADOPTION_PLAN.api_version, "kind": MESH_ADOPTION_PLAN.name}
    body = {"stages": ENROL if stages is None else stages, "analysis": QUICK, **spec}
    return {**head, "metadata": {"name": name, "namespace": SHOP}, "spec": body}


@dataclass
class Space:
    """The namespace with one controller, which follows its watches."""

    scene: Adopted = field(default_factory=Adopted)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = self.scene.memory
        self.asked = FaultyCluster(self.memory.cluster, FaultPlan())
        clock, given = self.memory.clock, self.scene.world()
        leader = Leader(self.memory.cluster, clock, "controller-1")
        about = concerns(given.routers)
        stores = Stores(scopes(given.routers, ()), about)
        world = replace(given, cluster=CachedCluster(self.asked, stores, clock, leader.fence), identity="controller-1")
        watcher = MemoryWatcher(self.memory.cluster, clock)
        self.controller = Controller(clock, watcher, stores, about, Plans(world), leader, Telemetry())
        self.next_campaign = 0.0

    async def until(self, done: Callable[[], bool], limit: float = 900.0) -> None:
        end = self.memory.clock.now() + limit
        while not done():
            assert self.memory.clock.now() < end, f"not within {limit:g} s: {self.status()}"
            await self._step()
            await self.memory.clock.sleep(TICK)

    async def passed(self, seconds: float) -> None:
        end = self.memory.clock.now() + seconds
        await self.until(lambda: self.memory.clock.now() >= end, seconds + 1)

    async def _step(self) -> None:
        now = self.controller.clock.monotonic()
        if now >= self.next_campaign:
            self.next_campaign = now + await self.controller.leader.campaign()
        await _breathe()
        self.controller.tick()
        await self.controller.settled()
        await _breathe()

    def status(self, name: str = "shop") -> Json:
        found: Json = self.memory.get(MESH_ADOPTION_PLAN, name).get("status") or {}
        return found

    def phase(self, name: str = "shop") -> str:
        return str(self.status(name).get("phase", ""))

    def ready(self, name: str = "shop") -> str:
        return next((c["status"] for c in self.status(name).get("conditions", ()) if c["type"] == "Ready"), "")

    def runs(self) -> list[str]:
        return [obj["metadata"]["name"] for obj in self.memory.objects.of(PLAN_RUN)]

    def order(self, verb: str, **more: Any) -> None:
        run = self.memory.get(PLAN_RUN, self.runs()[-1])
        spec = {"kind": "MeshAdoptionPlan", "plan": "shop", "run": run["metadata"]["name"], "by": "ana", "verb": verb}
        meta = {"name": f"{verb}-{self.memory.objects.births}", "namespace": SHOP}
        head = {"apiVersion": PLAN_DECISION.api_version, "kind": PLAN_DECISION.name, "metadata": meta}
        self.memory.apply({**head, "spec": {**spec, "runUid": run["metadata"]["uid"], **more}})

    def notes(self) -> str:
        state = self.memory.get(PLAN_RUN, self.runs()[-1])["status"]["state"]
        return "\n".join(f"{note['reason']}: {note['message']}" for note in state.get("notes", ()))


async def _breathe() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


@asynccontextmanager
async def space(**given: Any) -> AsyncIterator[Space]:
    found = Space(**given)
    found.tasks = [asyncio.create_task(found.controller.follow(it)) for it in found.controller.stores.scopes]
    try:
        yield found
    finally:
        for task in found.tasks:
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)


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
