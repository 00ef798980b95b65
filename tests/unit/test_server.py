"""Health, readiness and metrics of a controller, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.faults import FaultPlan, FaultyCluster
from rollout.controller.loop import Controller
from rollout.controller.server import STUCK, serving
from rollout.errors import Forbidden, Unavailable
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, ref_of
from rollout.ports.watch import Blind, Gone, Listed
from tests.kit.controlled import Process
from tests.kit.sim import Sim


@pytest.fixture
def process() -> Process:
    sim = Sim()
    return Process(sim, "me", FaultyCluster(sim.memory.cluster, FaultPlan()))


@pytest.fixture
def controller(process: Process) -> Controller:
    return process.controller


@pytest.fixture
async def http(controller: Controller) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(controller, 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def answer(http: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with http.get(path) as response:
        return response.status, await response.text()


def see_all(controller: Controller) -> None:
    for scope in controller.stores.scopes:
        controller.take(scope, Listed((), version="1"))


async def test_a_process_that_has_just_begun_is_alive_and_not_ready(http: aiohttp.ClientSession) -> None:
    assert await answer(http, "/healthz") == (200, "ok\n")
    status, text = await answer(http, "/readyz")
    assert status == 503
    assert "CanaryPlan" in text
    assert "Deployment" in text


async def test_it_is_ready_when_the_cluster_has_been_seen_and_stays_so_when_a_watch_breaks(
    controller: Controller, http: aiohttp.ClientSession
) -> None:
    for scope in controller.stores.scopes:
        if scope.kind != DEPLOYMENT:
            controller.take(scope, Listed((), version="1"))
    assert await answer(http, "/readyz") == (503, "not seen yet: Deployment\n")
    see_all(controller)
    assert await answer(http, "/readyz") == (200, "ok\n")
    for scope in controller.stores.scopes:
        controller.take(scope, Blind(Unavailable("broke")))
    assert await answer(http, "/readyz") == (200, "ok\n"), "a restart would know even less"


async def test_it_says_what_it_may_not_read_and_is_not_ready_when_that_is_everything(
    controller: Controller, http: aiohttp.ClientSession
) -> None:
    for scope in controller.stores.scopes:
        controller.take(scope, Blind(Forbidden("cannot list")))
    status, text = await answer(http, "/readyz")
    assert (status, text.splitlines()[1:]) == (503, ["cannot read the cluster: cannot list"])
    assert 'meshrollout_namespace_readable{namespace="*"} 0.0' in (await answer(http, "/metrics"))[1]
    see_all(controller)
    assert await answer(http, "/readyz") == (200, "ok\n")


async def test_a_loop_that_does_not_tick_is_unhealthy_and_says_for_how_long(
    controller: Controller, http: aiohttp.ClientSession
) -> None:
    clock = controller.clock
    assert isinstance(clock, VirtualClock)
    controller.tick()
    clock.run(STUCK)
    assert (await answer(http, "/healthz"))[0] == 200
    clock.run(5)
    assert await answer(http, "/healthz") == (503, "the loop has not ticked for 25 s\n")
    controller.tick()
    assert (await answer(http, "/healthz"))[0] == 200


async def test_metrics_are_scraped_and_a_deleted_plan_has_no_series(
    process: Process, controller: Controller, http: aiohttp.ClientSession
) -> None:
    see_all(controller)
    plan = process.sim.plan
    plan = {**plan, "metadata": {**plan["metadata"], "uid": "u", "resourceVersion": "5"}, "status": {"phase": "Idle"}}
    scope = next(scope for scope in controller.stores.scopes if scope.kind == CANARY_PLAN)
    controller.take(scope, Listed((plan,), version="5"))
    async with http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    assert 'meshrollout_phase{kind="CanaryPlan",namespace="shop",phase="Idle",plan="web"} 1.0' in text
    controller.take(scope, Gone(ref_of(plan), "u", "6"))
    assert 'plan="web"' not in (await answer(http, "/metrics"))[1]


async def test_nothing_else_is_served(http: aiohttp.ClientSession) -> None:
    assert (await answer(http, "/"))[0] == 404
    async with http.post("/metrics") as response:
        assert response.status == 405
