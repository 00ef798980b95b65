"""The judgement on real traffic: bad versions are found in time, and nothing else is taken for one.

About ten requests a second reach each candidate, and each shop has one pod of it.  The gates are those that a plan has
when it names none, unless a story says otherwise.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from lab import Lab
from lab.prometheus import NAMES
from rollout.plan.base import Json
from tests.kit import ledger
from tests.kit.judged import (
    FIXED,
    RATE,
    Caught,
    bad,
    by_fixed_limit,
    caught,
    ended_well,
    good,
    holding,
    plan,
    replayed,
    verdicts,
    without_burst_factor,
)
from tests.kit.shop import OpenShops, Shop, at, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

SHOPS: Final = 5
"""Shops that release at the same time, and how often each does it: ten bad versions, twenty good ones."""
BAD_ROUNDS: Final = 2
GOOD_ROUNDS: Final = 4
IN_TIME: Final = 60.0
"""Seconds in which the traffic is home again, half of the time."""
BURSTS: Final = {"ERROR_RATE": "0.03", "ERROR_RUN": "5"}
"""Every version of such a shop fails three requests of a hundred, five in a row each time."""
UNDECIDED: Final[Json] = {
    "name": "success",
    "type": "compare",
    "onInconclusive": "pass",
    "maxHold": "1s",
}
"""One point, which is asked when no gate says otherwise, and which cannot be decided in so short a time: it may pass
undecided, so that what is left is whether it rejects."""
COMPARED: Final[Json] = {"name": "success", "type": "compare", "tolerance": "10pp", "minRequests": 20}
"""What can be decided in seconds: is the candidate ten points worse?"""
TRAFFIC: Final[Json] = {"name": "traffic", "type": "traffic"}
BOUND: Final[Json] = {"name": "latency", "metric": "slow", "slowerThan": "500ms"}
"""The latency bound; a fifth of the slow version's requests take longer."""
HASH: Final = "prometheus-hash"
"""The Prometheus that is broken; the other shops are judged by the other one."""


def test_five_points_more_errors_are_home_within_a_minute(open_shops: OpenShops) -> None:
    shops = open_shops(SHOPS)
    found: list[Caught] = []

    def release(shop: Shop) -> None:
        found.append(caught(shop, "1.2-errors", plan(shop.ns, "3m")))

    for _ in range(BAD_ROUNDS):
        together(*(partial(release, shop) for shop in shops))
    for shop in shops:
        shop.at_rest("1.2-errors", paused=True)
    seconds = sorted(one.seconds for one in found)
    median, late = statistics.median(seconds), statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    served = statistics.median(one.bad for one in found)
    print(
        f"[+5 points of errors] {len(seconds)} runs: home after a median of {median:.1f} s, p95 {late:.1f} s, "
        f"slowest {seconds[-1]:.1f} s; a median of {served:.0f} bad requests"
    )
    assert len(found) == SHOPS * BAD_ROUNDS
    assert {one.message.partition(": candidate ")[0] for one in found} == {"success"}
    assert median <= IN_TIME, seconds


def test_good_versions_with_errors_in_bursts_are_promoted(open_shops: OpenShops) -> None:
    """A fixed limit would not let them through."""
    shops = open_shops(SHOPS, env=BURSTS)
    found: Counter[str] = Counter()

    def release(shop: Shop, image: str) -> None:
        report = good(shop, image, plan(shop.ns, "16s", (UNDECIDED, FIXED)))
        found["errors"] += bad(report, image)
        found["naive"] += without_burst_factor(shop)
        found["fixed"] += by_fixed_limit(shop)

    for number in range(GOOD_ROUNDS):
        image = "1.0" if number % 2 else "1.1"
        together(*(partial(release, shop, image) for shop in shops))
        for shop in shops:
            shop.at_rest(image)
    print(
        f"[bursts] {SHOPS * GOOD_ROUNDS} good releases promoted, {found['errors']} requests to them failed in bursts; "
        f"without the burst factor {found['naive']} would have been taken back, by a limit of 99 % {found['fixed']}"
    )
    assert found["fixed"] > 0, "no limit was ever passed: there were no bursts to speak of"


def hit(shop: Shop) -> None:
    """Something that both versions depend on fails for a while: a fixed limit takes it for the new version's fault."""
    ledger.add(shop)
    shop.traffic(RATE)
    engine = shop.start(plan(shop.ns, "24s", (UNDECIDED, FIXED, TRAFFIC)), "1.1")
    shop.until(at(0), engine)
    time.sleep(5)  # what was before belongs to the story as well
    with ledger.incident(shop, 0.3):
        time.sleep(12)
    report = ended_well(shop, engine)
    both = {version: bad(report, version) for version in ("1.0", "1.1")}
    print(f"[{shop.ns}, incident] bad requests by version: {both}")
    assert min(both.values()) >= 10, "it did not hit both versions"
    assert by_fixed_limit(shop), "a fixed limit would have let it through, too"
    shop.at_rest("1.1")


def slow(shop: Shop, gate: Json) -> None:
    found = caught(shop, "1.2-slow", plan(shop.ns, "3m", (COMPARED, gate, TRAFFIC)))
    assert found.message.startswith("latency: ")
    assert "slower than 500ms" in found.message
    assert found.seconds <= IN_TIME
    shop.at_rest("1.2-slow", paused=True)


def without_traffic(shop: Shop) -> None:
    engine = shop.start(plan(shop.ns, "4s", (COMPARED, TRAFFIC)), "1.1")
    holding(shop, engine, "NoData", "success: no series istio_requests_total for workload web-canary", "no requests")
    shop.traffic(RATE)
    ended_well(shop, engine)
    assert "no-data" in verdicts(shop)
    shop.at_rest("1.1")


def blind(shop: Shop) -> None:
    """The metrics are away and come back, then are called otherwise and come back; then a person is satisfied."""
    lab, endless = shop.lab, {"minRequests": 1_000_000}
    bound: Json = {**BOUND, "type": "slo", "objective": "90%"}
    shop.traffic(RATE)
    wanted = plan(shop.ns, "2s", ({**COMPARED, **endless}, {**bound, **endless}, TRAFFIC))
    engine = shop.start(wanted, "1.1", prometheus=lab.prometheus_hash)
    shop.until(lambda run: run.get("reason") == "Inconclusive", engine)
    lab.faults.kill(HASH)
    holding(shop, engine, "MetricsUnavailable", "success: ", f"{lab.prometheus_hash}: no connection")
    lab.start_prometheus(HASH)
    shop.until(lambda run: run.get("reason") == "Inconclusive", engine)
    lab.faults.rename(HASH, "istio_requests_total", "mesh_requests_total")
    holding(shop, engine, "NoData", "istio_requests_total for workload web-canary", "it is kept under another name now")
    lab.faults.heal()
    shop.until(lambda run: run.get("reason") == "Inconclusive", engine)
    done = shop.rollout("promote", "web", "--reason", "seen enough")
    assert done.code == 0, done
    ended_well(shop, engine)
    assert {"unknown", "no-data", "inconclusive"} <= verdicts(shop)
    shop.at_rest("1.1")


@pytest.fixture
def forgetting(lab: Lab) -> Iterator[Lab]:
    """A lab whose two Prometheus work again after the test."""
    yield lab
    lab.faults.heal()


def test_only_the_slow_version_is_at_fault_and_all_is_told_again_without_metrics(
    open_shops: OpenShops, forgetting: Lab
) -> None:
    dependent: list[Shop] = []
    others: list[Shop] = []
    together(
        lambda: dependent.extend(open_shops(2, env=ledger.DEPENDENT)),
        lambda: others.extend(open_shops(4)),
    )
    slower, worse, quiet, unseen = others
    together(
        *(partial(hit, shop) for shop in dependent),
        partial(slow, slower, {**BOUND, "type": "compare"}),
        partial(slow, worse, {**BOUND, "type": "slo", "objective": "99%"}),
        partial(without_traffic, quiet),
        partial(blind, unseen),
    )
    for name in NAMES:
        forgetting.stop_prometheus(name, forget=True)
    for shop in (*dependent, *others):
        count = Counter(it["verdict"] for it in replayed(shop))
        print(f"[replay, {shop.ns}] {count.total()} verdicts came out again: {dict(count)}")
        assert count.total() > 5
