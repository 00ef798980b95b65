"""The gates of a plan on a past in which nothing was wrong: who would have been rejected all the same."""

from __future__ import annotations

from random import Random

from bench import history
from bench.history import END, WEEK
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.decide.backtest import backtest, length, past, summed
from rollout.decide.backtest import starts as possible
from rollout.decide.evidence.burst import Track
from rollout.decide.simulate import tried_gates
from rollout.observe.rates import pasts
from rollout.plan.gate import Provider
from rollout.plan.program import CountGate
from rollout.plan.sequential import CompareGate
from tests.kit.prometheus import FakePod, FakePrometheus
from tests.kit.shell import Shell
from tests.unit.test_simulate import program

COMPARE = CompareGate("success", "success", every=15.0, tolerance=0.01, planned=40, alpha=0.01)
LIMIT = CountGate("limit", "success", every=60.0, min=0.99, min_requests=20, failures=2, over=5)


def week(share: float, *, pods: int = 4, hours: int = 4, incident: float = 0.0, size: int = 30) -> dict[str, Track]:
    """Counters of some pods every 15 s, `size` requests at a time; an incident of 15 minutes hits all alike."""
    chance = Random(5)
    tracks: dict[str, Track] = {}
    for pod in range(pods):
        total = bad = 0.0
        track: list[tuple[float, float, float]] = []
        for number in range(hours * 240):
            at = 15.0 * number
            hit = incident if 7200 <= at < 8100 else share
            total, bad = total + size, bad + sum(chance.random() < hit for _ in range(size))
            track.append((at, total, bad))
        tracks[f"web-{pod}"] = tuple(track)
    return tracks


def starts(hours: int = 4) -> list[float]:
    return [1800.0 + 900.0 * number for number in range(hours * 4 - 4)]


def test_evidence_lets_sound_versions_pass_even_in_an_incident() -> None:
    plan = program(COMPARE, hold=300.0)
    found = backtest(plan, {"success": past(week(0.004, incident=0.2, size=200), 15.0)}, tried_gates(plan), starts())
    assert summed(found)["finish"] >= len(starts()) - 1
    assert summed(found)["rejected"] == 0


def test_a_limit_would_have_rejected_them_there_and_says_when_and_why() -> None:
    plan = program(LIMIT, hold=300.0)
    found = backtest(plan, {"limit": past(week(0.001, incident=0.2), 15.0)}, tried_gates(plan), starts())
    rejected = [start for start in found if start.end == "rejected"]
    assert rejected
    assert all(7200 - length(plan) <= start.at <= 8100 for start in rejected)
    assert "limit was " in rejected[0].text
    assert summed(found)["finish"] > len(rejected)


def test_one_pod_cannot_play_two_versions_and_a_quiet_one_tells_too_little() -> None:
    plan = program(COMPARE, hold=300.0)
    alone = backtest(plan, {"success": past(week(0.004, pods=1), 15.0)}, tried_gates(plan), starts())
    assert summed(alone) == {"no-data": len(starts())}
    quiet = {name: tuple((at, total / 30, 0.0) for at, total, _ in track) for name, track in week(0.0).items()}
    assert summed(backtest(plan, {"success": past(quiet, 15.0)}, tried_gates(plan), starts())) == {
        "wait": len(starts())
    }


async def test_a_week_in_steps_of_15_seconds_is_a_handful_of_queries(fake_prometheus: FakePrometheus) -> None:
    """Of Prometheus' own kind, at most 11,000 points each; `make bench` measures how long it takes."""
    fake_prometheus.past = history.week(pods=2)
    fake_prometheus.pods = {name: FakePod(1000, slower={"500": 10, "1000": 1}) for name in fake_prometheus.past}
    metrics, plan = Prometheus(default=Provider(address=fake_prometheus.address, timeout="30s")), history.plan()
    known, lacking = await pasts(metrics, plan, "shop", tried_gates(plan), END - WEEK, END)
    await metrics.close()
    assert (set(known), lacking) == ({"success", "slow"}, "")
    assert [len(track) for past in known.values() for track in past.tracks.values()] == [int(WEEK / 15) + 1] * 4
    asked = [query for query in fake_prometheus.queries if "by (pod" in query]
    assert len(asked) == 4
    moments = possible(plan, known, END - WEEK, END, 24 * 3600.0)
    assert len(moments) == 7
    assert summed(backtest(plan, known, tried_gates(plan), moments)) == {"finish": 7}


def test_the_command_asks_for_the_past_and_says_how_many_would_finish(shell: Shell) -> None:
    shell.simulation.run(900)
    body = shell.json("simulate", shell.file(), "--history", "15m", "--step", "1m")
    assert sum(body["outcomes"].values()) == len(body["starts"]) > 3
    done = shell.run("simulate", shell.file(), "--history", "15m", "--step", "1m")
    assert "start times, nothing new in any of them" in done.stdout, done.output
    assert shell.run("simulate", shell.file(), "--history", "1h", "--rps", "1").exit_code == 2
