"""What a channel remembers: each event once, whatever was forgotten, and no longer than it is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.adapters.memory.clock import VirtualClock
from rollout.notify import ledger as books
from rollout.notify.happenings import Happening
from rollout.notify.office import Office
from rollout.plan.channel import Ledger, Sending, Told
from rollout.plan.kinds import PLAN_RUN
from rollout.plan.run import Phase
from rollout.ports.cluster import guard_of
from tests.kit.told import Told as Teller
from tests.kit.vendors import MemoryHttp, Receiver

NOW = 10_000.0


def test_without_a_line_everything_up_to_a_moment_is_done_with() -> None:
    events = [Happening(5, 90.0, "Started", "", False), Happening(6, 110.0, "Promoted", "", False)]
    assert books.position(Ledger(100.0), "u", events) == 5
    assert books.position(Ledger(100.0, (Told("u", 6),)), "u", events) == 6


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledger = Ledger(5.0, (Told("a", 3, Sending(4, "engine", 7.0), "C1:1.2"), Told("b")))
    assert books.read({"ledger": books.dump(ledger)}, 0.0) == ledger
    assert books.read({"ledger": {"runs": "broken"}}, 9.0) == Ledger(9.0)
    assert books.read({}, 9.0) == Ledger(9.0)


def test_lines_go_when_their_run_is_over_and_nothing_waits() -> None:
    ledger = Ledger(0.0, (Told("over", 3), Told("late", 3), Told("going", 1), Told("gone", 1)))
    ends = {"over": NOW - 1000, "late": NOW - 10, "going": float("inf")}
    tidied = books.tidied(ledger, NOW, (), ends)
    assert ([it.uid for it in tidied.runs], tidied.through) == (["late", "going"], NOW - books.MARGIN)


def test_what_waits_keeps_the_moment_back() -> None:
    tidied = books.tidied(Ledger(0.0, (Told("over", 3),)), NOW, (NOW - 5000,), {"over": NOW - 1000})
    assert tidied.through < NOW - 5000
    assert tidied.runs, "its events are later than that moment"


async def test_a_channel_tells_nothing_of_what_was_before_it() -> None:
    told, vendor = between()
    await told.happen(told.run(), ("Started", "before"))
    told.memory.run(5)
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    await told.happen(told.run("web-2"), ("Started", "after"))
    await told.tell(channel)
    assert vendor.told == ["after"]


async def test_the_ledger_is_as_long_as_there_are_runs_under_way() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    courier = told.courier()
    for number in range(30):
        run = told.run(f"web-{number}")
        await told.happen(run, ("Started", f"a{number}"), ("Promoted", f"b{number}"), phase=Phase.SUCCEEDED)
        await told.tell(channel, courier)
        told.memory.run(400)
    assert len(vendor.told) == 60
    assert len(told.status(channel)["ledger"]["runs"]) <= 2
    told.memory.run(86_400)
    await told.tell(channel)
    assert len(vendor.told) == 60, "nothing is told again after a day and a restart"


async def test_a_story_that_is_longer_than_what_is_kept_of_it() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    run = told.run()
    await told.happen(run, ("Started", "one"), ("Retried", "two"), ("Retried", "three"))
    await told.tell(channel)
    await told.happen(run, ("Retried", "four"), ("Retried", "five"), forgotten=4)
    await told.tell(channel)
    assert vendor.told == ["one", "two", "three", "five"], "what was forgotten before it was told is lost"
    assert told.status(channel)["missed"] == 1


async def test_what_was_looked_at_and_is_of_no_interest_is_not_missed() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    run = told.run()
    await told.happen(run, ("Started", "one"))
    await told.tell(channel)
    await told.happen(run, *[("StepPassed", f"step {number}") for number in range(60)])
    await told.tell(channel)
    await told.happen(run, ("Retried", "two"), forgotten=40)
    await told.tell(channel)
    assert (vendor.told, told.status(channel).get("missed")) == (["one", "two"], 0)


async def test_a_channel_that_gave_up_is_tried_with_the_next_event_and_counts_what_was_lost() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    office, run = Office(told.courier()), told.run()
    vendor.closed = True
    await told.happen(run, ("Started", "one"), ("Retried", "two"))

    async def pass_time(seconds: float) -> None:
        for ref in (channel, run):
            office.notice(told.memory.get(ref.kind, ref.name))
        for _ in range(int(seconds / 10)):
            office.tick()
            await office.settled()
            told.memory.run(10)

    await pass_time(4500)
    assert (told.status(channel)["missed"], told.ready(channel)) == (2, ("False", "Refused"))
    vendor.closed = False
    await told.happen(run, ("Retried", "three"))
    await pass_time(20)
    assert (vendor.told, told.ready(channel)) == (["three"], ("True", "Sent"))
    assert told.status(channel)["missed"] == 2


async def test_two_engines_tell_it_once() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    await told.happen(told.run(), ("Started", "one"))
    first, second = told.courier(), told.courier()
    found = await told.memory.cluster.get(channel)
    assert found is not None
    await told.tell(channel, first)
    assert isinstance(told.memory.clock, VirtualClock)
    await told.tell(channel, second)
    assert (vendor.told, vendor.requests) == (["one"], 1)


async def test_a_run_that_is_deleted_takes_its_line_along() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    await told.happen(told.run("web-1"), ("Started", "one"))
    await told.tell(channel)
    told.memory.delete(PLAN_RUN, "web-1")
    await told.happen(told.run("web-2"), ("Started", "two"))
    await told.tell(channel)
    assert [it["uid"] for it in told.status(channel)["ledger"]["runs"]] == [
        told.memory.get(PLAN_RUN, "web-2")["metadata"]["uid"]
    ]


async def test_a_broken_channel_says_so_and_sends_nothing() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example") | {"events": {"namespaces": ["*"]}}, {})
    await told.happen(told.run(), ("Started", "one"))
    await told.tell(channel)
    assert (told.ready(channel), vendor.requests) == (("False", "Invalid"), 0)


async def test_a_secret_that_is_missing_is_told_and_waited_for() -> None:
    told, vendor = between()
    channel = told.channel(vendor.spec("https://x.example"), {"other": "x"})
    await told.happen(told.run(), ("Started", "one"))
    await told.tell(channel, limit=200)
    assert told.ready(channel) == ("False", "SecretMissing")
    told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    await told.tell(channel)
    assert vendor.told == ["one"]


async def test_a_channel_in_the_controllers_namespace_tells_of_all() -> None:
    told, vendor = between()
    wanted = vendor.spec("https://x.example") | {"events": {"namespaces": ["*"]}}
    channel = told.channel(wanted, vendor.secret("https://x.example"), "rollout-system")
    await told.happen(told.run("web-1", namespace="shop"), ("Started", "one"))
    await told.happen(told.run("web-1", namespace="bank"), ("Started", "two"))
    await told.tell(channel)
    assert vendor.told == ["one", "two"]


async def test_a_namespace_that_cannot_be_read_keeps_no_other_silent_and_is_not_told_twice() -> None:
    told, vendor = between()
    told.served = ("shop", "bank")
    wanted = vendor.spec("https://x.example") | {"events": {"namespaces": ["*"]}}
    channel = told.channel(wanted, vendor.secret("https://x.example"), "rollout-system")
    await told.happen(told.run("web-1", namespace="bank"), ("Started", "one"))
    await told.tell(channel)
    told.memory.cluster.deny("list", PLAN_RUN, "bank")
    await told.happen(told.run("web-1", namespace="shop"), ("Started", "two"))
    await told.tell(channel)
    assert vendor.told == ["one", "two"]
    told.memory.cluster.permit("list", PLAN_RUN, "bank")
    await told.tell(channel)
    assert (vendor.told, vendor.requests) == (["one", "two"], 2)


async def test_a_run_that_nobody_can_read_silences_no_other(caplog: pytest.LogCaptureFixture) -> None:
    told, vendor = between()
    office = Office(told.courier())
    channel = told.channel(vendor.spec("https://x.example"), vendor.secret("https://x.example"))
    broken, sound = told.run("web-1"), told.run("web-2")
    await told.happen(broken, ("Started", "broken"))
    stored = told.memory.get(PLAN_RUN, "web-1")
    stored["status"]["state"]["notes"] = 7
    await told.memory.cluster.put_status(broken, stored["status"], guard_of(stored))
    await told.happen(sound, ("Started", "sound"))
    for ref in (channel, broken, sound):
        office.notice(told.memory.get(ref.kind, ref.name))
    assert "could not be noticed" in caplog.text
    office.tick()
    await office.settled()
    assert vendor.told == ["sound"]


def between() -> tuple[Teller, Receiver]:
    vendor = Receiver(lambda: 0.0)
    told = Teller(MemoryHttp(vendor))
    vendor.now = told.memory.clock.now
    return told, vendor


def test_a_line_replaces_the_one_before() -> None:
    ledger = books.with_line(Ledger(0.0, (Told("a", 1), Told("b", 1))), replace(Told("a", 1), seq=2))
    assert [(it.uid, it.seq) for it in ledger.runs] == [("b", 1), ("a", 2)]
