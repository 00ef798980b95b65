"""What every channel must do, whoever the vendor is; and a channel of a plug-in, too.

A test file subclasses `ChannelSuite` and provides the fixture `bench`: a channel that leads to a vendor.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan
from rollout.plan.kinds import Ref
from rollout.plan.run import Phase
from tests.kit.told import Told
from tests.kit.vendors import KEY, MENTION, SECRET, Vendor, texts

STORY = (
    ("ApprovalNeeded", "event-1 needs a person"),
    ("NoData", "event-2 has no data"),
    ("GateFailed", "event-3 is worse"),
    ("RolledBack", "event-4 is home"),
)
MARKS = ("event-1", "event-2", "event-3", "event-4")


@dataclass
class Bench:
    """A channel, and the vendor at its other end."""

    told: Told
    vendor: Vendor
    base: str

    def open(self, **spec: object) -> Ref:
        return self.told.channel(self.vendor.spec(self.base) | spec, self.vendor.secret(self.base))

    async def story(self) -> None:
        run = self.told.run()
        await self.told.happen(run, STORY[0])
        await self.told.happen(run, *STORY[1:], warning=True, phase=Phase.ROLLED_BACK)

    @property
    def seen(self) -> list[str]:
        return texts(self.vendor.told, MARKS)


class ChannelSuite(ABC):
    """The suite."""

    async def test_each_event_is_told_once_and_in_order(self, bench: Bench) -> None:
        channel = bench.open()
        await bench.story()
        await bench.told.tell(channel)
        assert (bench.seen, bench.vendor.broken) == (list(MARKS), [])
        assert bench.told.ready(channel) == ("True", "Sent")
        writes = bench.told.memory.objects.revision
        await bench.told.tell(channel)
        assert bench.told.memory.objects.revision == writes, "at rest nothing is written"

    async def test_it_waits_as_long_as_it_is_told_to(self, bench: Bench) -> None:
        channel = bench.open()
        await bench.story()
        bench.vendor.faults, bench.vendor.retry_after = [429, 503], "42"
        await bench.told.tell(channel)
        assert (bench.seen, bench.vendor.broken) == (list(MARKS), [])
        first, second, third, *_ = bench.vendor.at
        assert (second - first, third - second) == (42, 42)

    @pytest.mark.parametrize("fault", [500, "refused", "dropped", "lost"])
    async def test_what_goes_wrong_on_the_way_is_sent_again(self, bench: Bench, fault: int | str) -> None:
        channel = bench.open()
        await bench.story()
        bench.vendor.faults = [fault]  # type: ignore[list-item]
        await bench.told.tell(channel)
        again = [text for text in bench.vendor.told if "Perhaps told before" in text]
        if bench.vendor.exact or fault != "lost":
            assert bench.seen == list(MARKS)
        else:
            assert (bench.seen, len(again)) == ([MARKS[0], *MARKS], 1), "a second time, and with a mark"
        assert not (bench.vendor.exact and again), "who is exact is in no doubt"
        assert bench.told.ready(channel) == ("True", "Sent")

    async def test_a_text_that_is_too_long_is_cut_and_calls_nobody(self, bench: Bench) -> None:
        channel = bench.open(template={"title": "${plan} " + "x" * 240, "text": "${text} " + "y" * 2000})
        run = bench.told.run()
        long = f"event-1 {MENTION} " + "ü🔥" * 20_000
        await bench.told.happen(run, ("GateFailed", long), warning=True)
        await bench.told.tell(channel)
        assert (bench.seen, bench.vendor.broken) == (["event-1"], [])

    async def test_a_channel_that_is_closed_keeps_its_events_for_a_while(self, bench: Bench) -> None:
        channel = bench.open()
        await bench.story()
        bench.vendor.closed = True
        await bench.told.tell(channel, limit=1800)
        assert (bench.seen, bench.told.ready(channel)) == ([], ("False", "Refused"))
        bench.vendor.closed = False
        await bench.told.tell(channel)
        assert bench.seen == list(MARKS)

    async def test_what_comes_too_late_is_left_out_and_counted(self, bench: Bench) -> None:
        channel = bench.open()
        await bench.story()
        bench.vendor.closed = True
        await bench.told.tell(channel, limit=4000)
        bench.vendor.closed = False
        await bench.told.happen(bench.told.run("web-2"), ("ApprovalNeeded", "event-2 again"))
        await bench.told.tell(channel)
        assert (bench.seen, bench.told.status(channel)["sent"] > 0) == (["event-2"], True)

    async def test_a_redirect_is_not_followed(self, bench: Bench) -> None:
        channel = bench.open()
        await bench.story()
        bench.vendor.faults = [302]
        await bench.told.tell(channel, limit=30)
        assert (bench.vendor.requests, bench.told.ready(channel)[1]) == (1, "Refused")

    async def test_no_secret_is_in_any_status_or_log(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        channel = bench.open()
        await bench.story()
        bench.vendor.faults = [500, 404, 400, 429, "refused"]
        await bench.told.tell(channel)
        everything = json.dumps([obj for ref, obj in bench.told.memory.objects if ref.kind.name != "Secret"])
        said = [record.getMessage() + str(vars(record)) for record in caplog.records if record.name[:7] == "rollout"]
        for canary in (SECRET, KEY):
            assert canary not in everything
            assert canary not in "".join([*bench.vendor.told, *said])

    @pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_AFTER, Fault.CONFLICT])
    async def test_killed_at_every_write_each_event_is_told_once_and_in_order(self, bench: Bench, fault: Fault) -> None:
        number, met = 0, True
        while met:
            number += 1
            told = Told(bench.told.http, channels=bench.told.channels)
            fresh = Bench(told, type(bench.vendor)(told.memory.clock.now), bench.base)
            self.lead_to(bench, fresh)
            channel = fresh.open()
            await fresh.story()
            cluster = await told.survive(channel, FaultPlan(at_write={number: fault}))
            met = bool(cluster.met)
            again = [text for text in fresh.vendor.told if "Perhaps told before" in text]
            if fresh.vendor.exact:
                assert (fresh.seen, again) == (list(MARKS), []), f"{fault} at write {number}"
            else:
                once = texts([text for text in fresh.vendor.told if text not in again], MARKS)
                assert list(dict.fromkeys(fresh.seen)) == list(MARKS), f"{fault} at write {number}"
                assert len(once) == len(set(once)), "only what is marked may be a repetition"
                assert len(again) <= 1
        assert number > 8

    @abstractmethod
    def lead_to(self, bench: Bench, fresh: Bench) -> None:
        """The transport of `bench` leads to the vendor of `fresh` from now on."""
