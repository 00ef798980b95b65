"""The controller tells people: each event once and in order, whoever dies when; and no run waits for a channel."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.notify.happenings import happenings
from rollout.notify.post import GRACE
from rollout.plan.base import Json
from rollout.plan.kinds import NOTIFICATION_CHANNEL, PLAN_RUN, SECRET
from rollout.plan.run import Phase
from rollout.ports.channel import Answer, Request
from tests.kit.controlled import Controlled, shop
from tests.kit.sim import BAD, GOOD, plan
from tests.kit.vendors import MemoryHttp, Receiver, SlackApi, Vendor

pytestmark = pytest.mark.timeout(300)
SHORT = plan(steps=[{"weight": 50, "hold": "2s"}])
BASE = "https://vendor.example"


def wire(world: Controlled, vendor: Vendor) -> None:
    """The channel of a team, from Git."""
    vendor.now = world.sim.memory.clock.now
    data = {key: base64.b64encode(value.encode()).decode() for key, value in vendor.secret(BASE).items()}
    meta = {"name": "hook", "namespace": "shop"}
    world.sim.memory.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})
    head = {"apiVersion": NOTIFICATION_CHANNEL.api_version, "kind": "NotificationChannel"}
    world.sim.memory.apply(head | {"metadata": {"name": "team", "namespace": "shop"}, "spec": vendor.spec(BASE)})
    world.sim.kinds |= {SECRET, NOTIFICATION_CHANNEL}  # of the team, which keeps them


def happened(world: Controlled) -> list[str]:
    """What the run says that happened, without what goes as planned."""
    run = world.sim.latest()
    assert run is not None
    return [it.text for it in happenings(run) if it.severity != "detail"]


def told(world: Controlled, vendor: Vendor) -> list[str]:
    """The same as people were told."""
    events = happened(world)
    return [max((it for it in events if it in text), key=len, default=text) for text in vendor.told]


@pytest.mark.parametrize(("kind", "image", "first"), [(Receiver, GOOD, 1), (SlackApi, BAD, 2)], ids=["webhook", "bot"])
async def test_killed_at_any_write_each_event_is_told_once(
    kind: Callable[[Callable[[], float]], Vendor], image: str, first: int
) -> None:
    """At every third write of a whole run; the suite of channels kills at each that has to do with telling."""
    fault, number, met = Fault.CRASH_AFTER, first - 3, True
    while met:
        number += 3
        vendor = kind(lambda: 0.0)
        async with shop(FaultPlan(at_write={number: fault}), image=image, plan=SHORT, http=MemoryHttp(vendor)) as world:
            process = world.processes[0]
            wire(world, vendor)
            world.release(image)
            await world.until(world.ended(Phase.SUCCEEDED if image == GOOD else Phase.ROLLED_BACK))
            await world.passed(GRACE + 15)
            assert told(world, vendor) == happened(world), f"{fault} at write {number}"
            assert (vendor.broken, world.wrong(promoted=image == GOOD)) == ([], [])
            if isinstance(vendor, SlackApi):
                assert len(vendor.parents) == 1, "one message for the run"
            met = bool(process.faulty.met)
    assert number > 20


@dataclass
class Silent:
    """Takes a request, and never answers."""

    requests: int = 0
    forever: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, request: Request) -> Answer:
        self.requests += 1
        await self.forever.wait()
        raise AssertionError("it never comes")


async def course(http: MemoryHttp | Silent | None) -> tuple[Json, list[str], float]:
    """A whole run: its record, all that the controller wrote but the channel's status, and how long it took."""
    async with shop(plan=SHORT, http=http) as world:
        began = world.sim.memory.clock.now()
        if http is not None:
            wire(world, Receiver(world.sim.memory.clock.now))
        else:
            world.sim.memory.apply(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "shop"}}
            )
            world.sim.memory.apply(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b", "namespace": "shop"}}
            )
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        sent = [str(it) for it in world.processes[0].link.sent if it.ref.kind != NOTIFICATION_CHANNEL]
        if isinstance(http, Silent):
            assert http.requests == 1, "one message is on its way for ever, and no other one is begun"
        run = world.sim.latest()
        assert run is not None
        state = run["status"]["state"]
        return {key: state[key] for key in ("notes", "stepTimes")}, sent, world.sim.memory.clock.now() - began


async def test_no_run_waits_for_a_channel_that_never_answers() -> None:
    alone, dead = await course(None), await course(Silent())
    assert dead == alone, "the same story at the same seconds, by the same writes"


async def test_a_channel_that_refuses_is_tried_less_and_less_often() -> None:
    vendor = Receiver(lambda: 0.0)
    async with shop(plan=SHORT, http=MemoryHttp(vendor)) as world:
        wire(world, vendor)
        vendor.closed = True
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        await world.passed(1800)
        assert vendor.requests < 15
        vendor.closed = False
        await world.passed(400)
        assert told(world, vendor) == happened(world)


async def test_at_rest_nothing_is_sent_asked_or_written() -> None:
    vendor = Receiver(lambda: 0.0)
    async with shop(plan=SHORT, http=MemoryHttp(vendor)) as world:
        wire(world, vendor)
        world.release(GOOD)
        await world.until(world.ended(Phase.SUCCEEDED))
        await world.passed(60)
        link, requests = world.processes[0].link, vendor.requests
        writes = link.writes
        await world.passed(600)
        assert (link.writes, vendor.requests) == (writes, requests)


async def test_a_controller_that_ends_in_order_leaves_nothing_in_doubt() -> None:
    vendor = Receiver(lambda: 0.0)
    async with shop(plan=SHORT, http=MemoryHttp(vendor)) as world:
        wire(world, vendor)
        world.release(GOOD)
        await world.until(lambda: len(vendor.told) == 1)
        await world.processes[0].stop()
        await world.until(world.ended(Phase.SUCCEEDED))
        await world.passed(5)
        assert told(world, vendor) == happened(world)
        runs = [ref for ref, _ in world.sim.memory.objects if ref.kind == PLAN_RUN]
        assert len(runs) == 1
