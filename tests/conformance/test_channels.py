"""The port `Channel`: the same suite for each vendor, and for a channel that comes as a package of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from rollout.adapters.channels.base import Plain, post
from rollout.adapters.channels.http import AioHttp
from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.plan.base import Json
from rollout.plan.run import Phase
from rollout.ports.channel import Answer, Letter, Request
from rollout.registry import channels
from tests.conformance.channels_suite import MARKS, STORY, Bench, ChannelSuite
from tests.kit.packages import installed
from tests.kit.told import CHANNELS, Told
from tests.kit.vendors import VENDORS, Alerts, MemoryHttp, Receiver, SlackApi, Vendor, served, texts


class Toy(Plain):
    """A channel of somebody else's package."""

    certain = True

    def requests(self, letter: Letter) -> Sequence[Request]:
        body = {"id": letter.message.id, "said": letter.message.text[:100]}
        return (post(letter.address, body, {"X-Room": letter.spec.options["room"]}),)


class ToyRoom(Vendor):
    """Its vendor."""

    type = "toy"

    def spec(self, base: str) -> Json:
        return super().spec(base) | {"options": {"room": "kitchen"}}

    def take(self, request: Request, body: Json) -> Answer:
        assert request.headers["X-Room"] == "kitchen"
        known: set[str] = self.__dict__.setdefault("ids", set())
        if body["id"] not in known:
            known.add(body["id"])
            self.told.append(body["said"])
        return Answer(200)


class TestInMemory(ChannelSuite):
    vendors: ClassVar = (*VENDORS, ToyRoom)

    @pytest.fixture(params=vendors, ids=lambda it: it.type)
    def bench(self, request: pytest.FixtureRequest) -> Bench:
        vendor: Vendor = request.param(lambda: 0.0)
        told = Told(MemoryHttp(vendor), channels={**CHANNELS, "toy": Toy()})
        vendor.now = told.memory.clock.now
        return Bench(told, vendor, "https://vendor.example")

    def lead_to(self, bench: Bench, fresh: Bench) -> None:
        assert isinstance(bench.told.http, MemoryHttp)
        bench.told.http.vendor = fresh.vendor


V = TypeVar("V", bound=Vendor)


def between(kind: Callable[[Callable[[], float]], V]) -> tuple[Bench, V]:
    """A channel to a vendor of this kind."""
    vendor = kind(lambda: 0.0)
    told = Told(MemoryHttp(vendor))
    vendor.now = told.memory.clock.now
    return Bench(told, vendor, "https://vendor.example"), vendor


@pytest.fixture
async def http() -> AsyncIterator[AioHttp]:
    """Real requests, with little patience."""
    http = AioHttp(timeout=0.3)
    yield http
    await http.close()


@pytest.mark.parametrize("kind", VENDORS, ids=lambda it: it.type)
async def test_over_a_real_socket(http: AioHttp, kind: type[Vendor]) -> None:
    told = Told(http)
    vendor = kind(told.memory.clock.now)
    vendor.faults = ["refused", 429, "dropped", 500, 302]
    async with served(vendor) as base:
        bench = Bench(told, vendor, base)
        channel = bench.open()
        await bench.story()
        await told.tell(channel)
    assert (bench.seen, vendor.broken) == (list(MARKS), [])
    assert vendor.requests >= len(MARKS) + 5


async def test_nobody_at_the_other_end(http: AioHttp) -> None:
    told = Told(http)
    vendor = Receiver(told.memory.clock.now)
    async with served(vendor) as base:
        pass
    bench = Bench(told, vendor, base)
    channel = bench.open()
    await bench.story()
    await told.tell(channel, limit=10)
    assert told.ready(channel) == ("False", "Unreachable")


async def test_slack_has_one_message_for_a_run_kept_up_to_date_and_the_rest_below_it() -> None:
    bench, vendor = between(SlackApi)
    told = bench.told
    channel = bench.open(events={"severity": "detail"})
    run = told.run()
    await told.happen(run, ("Started", "event-1"), ("WeightSet", "event-2"))
    await told.tell(channel)
    await told.happen(run, ("GateFailed", "event-3"), ("RolledBack", "event-4"), phase=Phase.ROLLED_BACK, warning=True)
    await told.tell(channel)
    (parent,) = vendor.parents
    assert "RolledBack" in parent["text"]
    below = [it for it in vendor.sent if it.get("thread_ts")]
    assert {it["thread_ts"] for it in below} == {parent["ts"]}
    assert texts([it["blocks"][0]["text"]["text"] for it in below], MARKS) == list(MARKS)
    assert [it["reply_broadcast"] for it in below] == [False, False, True, True], "failures appear in the channel, too"


async def test_a_slack_bot_that_may_not_read_marks_what_may_be_a_repetition() -> None:
    bench, vendor = between(SlackApi)
    told, vendor.may_read = bench.told, False
    channel = bench.open()
    await told.happen(told.run(), STORY[0])
    await told.survive(channel, FaultPlan(at_write={4: Fault.CRASH_BEFORE}))
    assert bench.seen == ["event-1", "event-1"]
    assert "Perhaps told before" in vendor.told[1]


async def test_an_alert_is_resolved_when_the_run_goes_on() -> None:
    bench, vendor = between(Alerts)
    told = bench.told
    channel = bench.open()
    run = told.run()
    await told.happen(run, ("Started", "begins"))
    await told.happen(run, ("NoData", "event-1"), warning=True)
    await told.tell(channel)
    assert vendor.firing == {"RolloutNoData": "firing"}
    await told.happen(run, ("Cleared", "goes on"))
    await told.happen(run, ("ApprovalNeeded", "event-2"))
    await told.tell(channel)
    assert vendor.firing == {"RolloutNoData": "over", "RolloutApprovalNeeded": "firing"}


def test_a_channel_of_a_package_of_its_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "class Toy:\n    needs = ()\n"
    with installed(tmp_path, monkeypatch, "toy_channel", text, "rollout.channels", toy="Toy"):
        assert type(channels()["toy"]).__name__ == "Toy"
        assert channels().keys() > {"slack", "webhook"}
