"""What production runs: plans from Git, a controller that is killed, frozen and cut off, people, and real traffic."""

from __future__ import annotations

import json
import random
import secrets
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.wait import wait_for
from rollout.plan.base import HOLD_LABEL, Json
from tests.kit.controllers import WRITES, Controller, Install, Team
from tests.kit.processes import Done
from tests.kit.shop import IMAGE, OpenShops, Shop, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
RATE = 20
"""Requests per second: several shops share two cores with the cluster."""


def planned(shop: Shop, plan: Json) -> None:
    """The plan comes from Git; from Ready on, new revisions are held."""
    shop.apply(plan)
    shop.kubectl("wait", "--for=condition=Ready", "cplan/web", "--timeout=60s")
    assert shop.kubectl("get", "deployment/web", f"-o=jsonpath={{.metadata.labels.{dotted(HOLD_LABEL)}}}") == "web"


def dotted(label: str) -> str:
    """A label's name in a JSON path."""
    return label.replace(".", "\\.")


def weighs(weight: float) -> Callable[[Json], bool]:
    """The run has given the candidate this share."""
    return lambda run: run.get("weight") == weight and not over(run)


def over(run: Json) -> bool:
    """The run has ended."""
    return "endedAt" in run


def name_of(shop: Shop, attempt: int) -> tuple[str, str]:
    """Name and UID of a run."""
    found = next(run for run in shop.get("planruns")["items"] if run["spec"]["attempt"] == attempt)
    return found["metadata"]["name"], found["metadata"]["uid"]


def told(done: Done) -> Any:
    """What `rollout ... -o json` said."""
    assert done.code == 0, done
    return json.loads(done.out)


def until(moment: float) -> None:
    """Sit out the time until then."""
    while time.monotonic() < moment:
        time.sleep(0.2)


# --- Git only, and people


def promoted(shop: Shop, team: Team) -> None:
    planned(shop, canary(shop.ns, hold="8s"))
    assert told(shop.rollout("get", "web", "-o", "json"))["phase"] == "Idle"
    shop.push("1.1")
    pushed = time.monotonic()
    shop.until(lambda run: shop.attempts == 1, team)
    begun = time.monotonic()
    shop.until(weighs(20), team)
    print(f"[Git] from push to run {begun - pushed:.1f} s, to first traffic {time.monotonic() - pushed:.1f} s")
    name, _ = name_of(shop, 1)
    done = shop.rollout("status", "web", "--run", name, "--wait-for", "done", "--timeout", "110s")
    assert done.code == 0, done
    shop.kubectl("wait", "--for=condition=Ready", "cplan/web", "--timeout=30s")
    plan = told(shop.rollout("get", "web", "-o", "json"))
    assert (plan["phase"], plan["run"]) == ("Succeeded", name), plan
    (only,) = told(shop.rollout("history", "web", "-o", "json"))
    assert (only["run"], only["outcome"]) == (name, "Succeeded"), only
    events = {one["reason"] for one in told(shop.rollout("events", "web", "-o", "json"))}
    assert {note["reason"] for note in shop.notes} <= events
    shop.at_rest("1.1")
    lossless(shop, "promoted by the controller")


def taken_back(shop: Shop, team: Team) -> None:
    planned(shop, canary(shop.ns, hold="30s"))
    shop.push("1.2-errors")
    done = shop.rollout("status", "web", "--image", f"app={IMAGE}1.2-errors", "--wait-for", "done", "--timeout", "110s")
    assert done.code == 3, done
    seen = json.loads(shop.rollout("status", "web", "-o", "json").out)
    assert (seen["phase"], seen["failed"]["gate"]) == ("RolledBack", "success"), team.text()
    state = shop.run["state"]
    print(f"[Git] taken back after {state['failed']['at'] - state['started']:.1f} s: {state['failed']['message']}")
    assert told(shop.rollout("get", "web", "-o", "json"))["phase"] == "RolledBack"
    shop.at_rest("1.2-errors", paused=True)
    report = shop.account("taken back by the controller")
    assert {one.version for one in report.counts if one.code != 200} <= {"1.2-errors"}, str(report)


def ordered(shop: Shop, team: Team) -> None:
    """Every order that a person can give, answered by the controller."""
    planned(shop, canary(shop.ns, hold="50s", bake="2s"))
    shop.push("1.1")
    shop.until(weighs(20), team)
    obeyed(shop.rollout("pause", "web", "--reason", "lunch", "-o", "json"))
    shop.until(lambda run: run["phase"] == "Paused", team)
    obeyed(shop.rollout("resume", "web", "-o", "json"))
    shop.until(lambda run: run["phase"] == "Progressing", team)
    name, uid = name_of(shop, 1)
    decision = {"plan": "web", "run": name, "runUid": uid, "verb": "promote", "step": 0, "reason": "seen in staging"}
    shop.kubectl("create", "-f", "-", stdin=json.dumps(order("by-hand", decision)))
    shop.until(weighs(50), team)
    aborted = told(shop.rollout("abort", "web", "--reason", "wrong prices", "--yes", "-o", "json"))
    assert (aborted["run"], aborted["phase"]) == (name, "Aborted"), aborted
    late = shop.rollout("promote", "web", "--reason", "too late", "--yes")
    assert late.code == 4, late
    shop.at_rest("1.1", paused=True)

    obeyed(shop.rollout("retry", "web", "--reason", "the prices were right", "-o", "json"))
    shop.until(lambda run: shop.attempts == 2 and weighs(20)(run), team)
    obeyed(shop.rollout("promote", "web", "--full", "--reason", "no more waiting", "--yes", "-o", "json"))
    shop.until(over, team)
    assert shop.run["phase"] == "Succeeded", team.text()
    shop.at_rest("1.1")

    obeyed(shop.rollout("undo", "web", "--reason", "prices again", "--yes", "-o", "json"))
    shop.until(lambda run: shop.attempts == 3 and over(run), team)
    assert shop.run["phase"] == "Succeeded", team.text()
    assert shop.note("WeightSet") is None, "what ran before needs no steps"
    shop.at_rest("1.0")
    lossless(shop, "orders")


def order(name: str, spec: Json) -> Json:
    """A decision as people write it by hand."""
    return {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "PlanDecision", "metadata": {"name": name}, "spec": spec}


def obeyed(done: Done) -> None:
    """Assert that an order was taken; on a busy machine the answer may come after the terminal has gone."""
    said = told(done)
    assert said["outcome"] in ("obeyed", "pending"), done


def test_a_push_to_git_is_all_it_takes_and_people_are_heard(open_shops: OpenShops, install: Install) -> None:
    shops = open_shops(3, replicas=1)
    team = install(*shops)
    stories = (promoted, taken_back, ordered)
    for shop in shops:
        shop.traffic(RATE)
    together(*(lambda s=shop, do=story: do(s, team) for shop, story in zip(shops, stories, strict=True)))
    team.healthy()


# --- killed


def killed(shop: Shop, team: Team, kills: int, chance: random.Random) -> None:
    """The controller dies at random moments of one run after the other, and is started again at once."""
    (controller,) = team.members
    plan = canary(shop.ns, (30, 60), hold="3s", bake="2s")
    plan["spec"]["analysis"]["deadline"] = "20m"  # after each death nobody leads for as long as a lease lasts
    planned(shop, plan)
    shop.traffic(RATE)
    deaths: list[str] = []
    images = ("1.1", "1.0")
    while len(deaths) < kills:
        image, attempt = images[shop.attempts % 2], shop.attempts + 1
        shop.push(image)
        while len(deaths) < kills and not (shop.attempts == attempt and over(shop.run)):
            team.led()
            time.sleep(chance.uniform(0, 5))
            controller.kill()
            deaths.append(f"{shop.run.get('phase', '-')} {shop.run.get('weight', 0)} %")
            controller.start()
        shop.until(lambda run, n=attempt: shop.attempts == n and over(run), team, 120)  # type: ignore[misc]
        assert shop.run["phase"] == "Succeeded", team.text()
        shop.at_rest(image)
    print(f"[kill -9, {shop.ns}] {len(deaths)} times in {shop.attempts} runs: {', '.join(deaths)}")
    lossless(shop, f"{len(deaths)} times kill -9")
    team.healthy()


def test_a_controller_that_is_killed_at_random_moments_ends_every_run_right(
    open_shops: OpenShops, install: Install
) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    shops = open_shops(3, replicas=1)
    teams = [install(shop) for shop in shops]
    chances = [random.Random(f"{seed}-{number}") for number in range(len(shops))]
    together(*(lambda s=s, t=t, c=c: killed(s, t, 7, c) for s, t, c in zip(shops, teams, chances, strict=True)))


# --- frozen, and cut off


def replaced(shop: Shop, team: Team) -> None:
    """The leader stops in the middle of a write, another goes on, and then the first one wakes."""
    first = team.led()
    planned(shop, canary(shop.ns, hold="9s", bake="8s"))
    shop.traffic(RATE)
    shop.push("1.1")
    shop.until(weighs(20), team)
    since = time.monotonic()
    until(since + 7)
    first.cluster.freeze()  # the write that ends the step is on its way, and stays there
    until(since + 12)
    first.send(signal.SIGSTOP)
    stopped = time.monotonic()
    second = team.led(but=first)
    print(f"[SIGSTOP] another leads after {time.monotonic() - stopped:.1f} s")
    shop.until(weighs(50), team)
    until(stopped + 25)
    before, place = shop.run, team.moment()
    first.send(signal.SIGCONT)
    first.cluster.thaw()
    shop.until(over, team)
    assert (shop.run["phase"], shop.attempts) == ("Succeeded", 1), team.text()
    assert team.leader is second, team.text()
    assert len([note for note in shop.notes if note["reason"] == "WeightSet"]) == len({20, 50, 100}), shop.notes
    late(team, first, place)
    print(f"[SIGSTOP] it woke while the run was {before['phase']} at {before['weight']} %")
    shop.at_rest("1.1")
    lossless(shop, "the leader frozen beyond its lease, and woken")
    team.healthy()


def late(team: Team, first: Controller, place: int) -> None:
    """Assert that nothing came of what the first one wrote after it woke."""
    asked = team.asked(place)
    if asked is None:
        return
    writes = [one for one in asked if one.user == first.account and one.verb in WRITES and one.resource != "leases"]
    print(f"[SIGSTOP] late writes: {[(one.verb, one.resource, one.code) for one in writes]}")
    assert all(one.code >= 400 for one in writes), writes


def without_api_server(shop: Shop, team: Team) -> None:
    (controller,) = team.members
    planned(shop, canary(shop.ns, hold="8s"))
    shop.traffic(RATE)
    shop.push("1.1")
    shop.until(weighs(20), team)
    began = time.monotonic()
    controller.cluster.freeze()
    until(began + 30)
    controller.cluster.refuse()
    controller.cluster.thaw()
    assert controller.ask("/healthz")[0] == 200, "to be started anew would not help it"
    until(began + 60)
    assert shop.run["state"].get("step", 0) == 0
    controller.cluster.admit()
    back = time.monotonic()
    shop.until(weighs(50), team)
    print(f"[no API server] goes on {time.monotonic() - back:.1f} s after it is back")
    shop.until(over, team)
    assert (shop.run["phase"], shop.attempts) == ("Succeeded", 1), team.text()
    shop.at_rest("1.1")
    lossless(shop, "a minute without API server")
    team.healthy()


def without_prometheus(shop: Shop, team: Team) -> None:
    (controller,) = team.members
    planned(shop, canary(shop.ns, hold="8s"))
    shop.traffic(RATE)
    shop.push("1.1")
    shop.until(weighs(20), team)
    controller.metrics.refuse()
    began = time.monotonic()
    held = shop.until(lambda run: run.get("reason") == "MetricsUnavailable", team)
    print(f"[no Prometheus] held after {time.monotonic() - began:.1f} s: {held['message']}")
    until(began + 75)
    assert (shop.run["phase"], shop.run["reason"]) == ("Holding", "MetricsUnavailable"), team.text()
    controller.metrics.admit()
    shop.until(over, team)
    assert (shop.run["phase"], shop.attempts) == ("Succeeded", 1), team.text()
    shop.at_rest("1.1")
    lossless(shop, "75 s without Prometheus")
    team.healthy()


def test_nothing_is_lost_when_the_leader_the_api_server_or_prometheus_is_away(
    open_shops: OpenShops, install: Install
) -> None:
    shops = open_shops(3, replicas=1)
    one, two, three = install(shops[0], copies=2), install(shops[1]), install(shops[2])
    together(
        lambda: replaced(shops[0], one),
        lambda: without_api_server(shops[1], two),
        lambda: without_prometheus(shops[2], three),
    )


# --- deleted


def plan_deleted(shop: Shop, team: Team) -> None:
    shop.kubectl("delete", "canaryplan", "web", "--wait=false")
    shop.until(over, team)
    assert (shop.run["phase"], shop.run["reason"]) == ("Aborted", "PlanDeleted"), team.text()

    def gone() -> bool:
        left = shop.kubectl("get", "canaryplans,planruns", "-o=name", "--ignore-not-found")
        return left == "" and HOLD_LABEL not in shop.get("deployment/web")["metadata"].get("labels", {})

    assert wait_for(gone, 60, 0.5), team.text()
    shop.at_rest("1.1", paused=True)
    lossless(shop, "plan deleted")


def candidate_deleted(shop: Shop, team: Team) -> None:
    shop.kubectl("delete", "deployment", "web-canary", "--wait=false")
    shop.until(over, team)
    assert (shop.run["phase"], shop.run["reason"]) == ("RolledBack", "CandidateGone"), team.text()
    shop.at_rest("1.1", paused=True)
    report = shop.account("candidate deleted")
    assert report.failed <= 10 * RATE * 0.2, f"no more than ten seconds of its share:\n{report}"


def namespace_deleted(shop: Shop, team: Team) -> None:
    began = time.monotonic()
    shop.lab.kubectl("delete", "namespace", shop.ns, "--wait=false")

    def gone() -> bool:
        return shop.lab.kubectl("get", "namespace", shop.ns, "--ignore-not-found", "-o=name") == ""

    assert wait_for(gone, 60, 0.5), f"{shop.get('planruns')}\n{team.text()}"
    print(f"[namespace deleted] gone after {time.monotonic() - began:.1f} s")


def test_whatever_is_deleted_in_mid_run_production_stays_and_the_controller_too(
    open_shops: OpenShops, install: Install
) -> None:
    shops = open_shops(3, replicas=1)
    # rights in the namespace only would be gone with it before its run is home
    team = install(*shops, everywhere=True)
    stories: tuple[Callable[[Shop, Team], None], ...] = (plan_deleted, candidate_deleted, namespace_deleted)

    def story(shop: Shop, deleted: Callable[[Shop, Team], None]) -> None:
        planned(shop, canary(shop.ns, hold="25s"))
        shop.traffic(RATE)
        shop.push("1.1")
        shop.until(weighs(20), team)
        deleted(shop, team)

    together(*(lambda s=shop, do=do: story(s, do) for shop, do in zip(shops, stories, strict=True)))
    team.healthy()
