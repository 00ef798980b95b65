"""A namespace of plaintext workloads enters the mesh under load: nobody fails, everybody in the way is named."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from rollout.adapters.systemclock import SystemClock
from rollout.cli.exit import Code
from rollout.plan.base import Json
from tests.kit.market import SERVED, Market
from tests.kit.processes import Engine

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

QUICK: Final[Json] = {"interval": "2s", "observe": "4s", "deadline": "3m"}


def adoption(ns: str, stages: Json, **spec: Any) -> Json:
    """A plan with times of seconds."""
    meta = {"name": "market", "namespace": ns}
    body = {"analysis": QUICK, "stages": stages, **spec}
    return {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "MeshAdoptionPlan", "metadata": meta, "spec": body}


def allows(name: str, *callers: str) -> Json:
    """A policy that admits these service accounts (`namespace/name`) to a workload, and nobody else."""
    principals = [
        f"cluster.local/ns/{space}/sa/{account}" for space, _, account in (it.partition("/") for it in callers)
    ]
    rules = [{"from": [{"source": {"principals": principals}}]}]
    spec = {"selector": {"matchLabels": {"app": name}}, "action": "ALLOW", "rules": rules}
    meta = {"name": name}
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta, "spec": spec}


def holds(run: Json, *said: str) -> bool:
    """It is held up, and says all this."""
    state = run.get("state", {})
    return state.get("phase") == "Holding" and all(it in state["message"] for it in said)


def passed(run: Json, step: str) -> bool:
    """It has begun, and a step is over."""
    state = run.get("state", {})
    told = [note["message"] for note in state.get("notes", ())]
    return state.get("started", 0) > 0 and (not step or any(it.endswith(f" passed: {step}") for it in told))


def after(step: str, *said: str) -> Callable[[Json], bool]:
    """Until a step is over, and, if anything is to be said, the next one is held up and says all this."""
    return lambda run: passed(run, step) and (not said or holds(run, *said))


def fixes(message: str) -> list[str]:
    """The commands that a message offers."""
    return list(dict.fromkeys(re.findall(r"\(fix: (kubectl .*?'\{.*?\}')\)", message)))


def test_the_whole_journey_names_who_is_in_the_way_and_loses_nobody(market: Market) -> None:
    clock, front = SystemClock(), f"{market.ns}/front"
    friends = front, *(f"{market.stranger}/{name}" for name in ("legacy", "late")), f"{market.ns}/report"
    policies = [allows("web", *friends), *(allows(it, front) for it in ("greeter", "mail", "db"))]
    stages = {
        "enrol": {},
        "permissive": {},
        "shadowStrict": {"window": "10s"},
        "strict": {"approve": {}},
        "authorize": {"window": "6s", "policies": policies, "denyByDefault": True},
    }
    began, plan = clock.now(), adoption(market.ns, stages)
    engine = market.start(plan)

    # when the proxies are there, somebody brings a CronJob of the kind that wants none
    market.until(lambda run: len(run.get("state", {}).get("journal", ())) >= 6, engine, 150)
    market.apply(
        *market.cron_job("report", "-rate=5", "-for=5s", "http://web/", labels={"sidecar.istio.io/inject": "false"})
    )

    outsider, job = f"Deployment/legacy in {market.stranger}", "CronJob/report (next run 20"
    held = market.until(lambda run: holds(run, outsider, job), engine, 60)
    commands = fixes(held["state"]["message"])
    assert any(it.startswith(f"kubectl patch deployment legacy -n {market.stranger} ") for it in commands), held
    assert any(it.startswith(f"kubectl patch cronjob report -n {market.ns} ") for it in commands), held
    assert set(market.refused().values()) == {""}, "plaintext is served as long as somebody needs it"
    for command in commands:
        market.lab.kubectl(*shlex.split(command)[1:])
    enrolled = clock.now()

    market.until(lambda run: run.get("state", {}).get("phase") == "AwaitingApproval", engine, 90)
    taken_back(market, engine)
    assert market.rollout("retry", "market").code == 0
    engine = market.start(plan)
    assert engine.wait(240) == 0, engine.text()
    ended = clock.now()
    print(f"[journey] {ended - began:.0f} s, {enrolled - began:.0f} s of them until everybody was named")
    refused = market.refused()
    assert all(refused.values()), f"plaintext is still served: {refused}"
    nobody_is_admitted_who_is_not_named(market)
    for name in ("front", "legacy", "late", "report"):
        account = market.account(name)
        print(f"[journey] {name}: {account}")
        assert name == "late" or not account.errors, f"{name}: {account}"
    assert set(market.account("front", ended - 10, ended).good) == {
        "http://web/",
        "http://db/",
        "grpc://greeter:9000",
        "greeting://mail:25",
    }
    assert sum(market.account("report", enrolled).good.values()) > 10
    assert sum(market.account("legacy", enrolled).good.values()) > 100


def taken_back(market: Market, engine: Engine) -> None:
    """Somebody comes in plaintext after all were counted. He is named before STRICT, and let down by a person.

    STRICT of one pod refuses him, and is taken back.
    """
    market.everywhere(*market.caller("late", market.stranger, "-rate=60", "-fresh", f"http://web.{market.ns}/"))
    while sum(market.account("late").good.values()) < 60 * 30:  # volume is compared with half a minute ago
        time.sleep(1)
    promote(market, "everybody was counted")
    late = f"Deployment/late in {market.stranger}"
    for last in (
        "approve-strict",
        "strict-deployment-mail",
    ):  # he is counted again before the first, and before his own
        market.until(after(last, late), engine, 90)
        assert not market.refused("web")["web"], "he is served until he was counted again"
        promote(market, "it is nobody")
    assert engine.wait(90) == Code.HELD, engine.text()
    state = market.run["state"]
    assert "volume was" in state["message"], state["message"]
    assert not market.refused()["web"], "plaintext is accepted again"
    refused = market.failing("late")
    print(f"[late] refused for {max(refused) - min(refused) + 1:.0f} s: {state['message']}")
    assert max(refused) - min(refused) < 30
    # his owner lets him in; what he sends from now on is the traffic that was there before
    market.lab.kubectl(*shlex.split(joining("late", market.stranger)))
    market.lab.kubectl("rollout", "status", "-n", market.stranger, "deployment/late", "--timeout=60s")


def promote(market: Market, reason: str) -> None:
    """A person lets the run go on."""
    done = market.rollout("promote", "market", "--reason", reason)
    assert done.code == 0, done


def joining(name: str, namespace: str) -> str:
    """What brings a Deployment into the mesh."""
    patch = '{"spec":{"template":{"metadata":{"labels":{"sidecar.istio.io/inject":"true"}}}}}'
    return f"patch deployment {name} -n {namespace} --type merge -p '{patch}'"


def nobody_is_admitted_who_is_not_named(market: Market) -> None:
    """Who is in the mesh, but in no policy, gets nothing."""
    targets = ["http://web/", "http://db/", "grpc://greeter:9000", "greeting://mail:25"]
    market.job("nosy", "-rate=5", "-for=2s", *targets)
    nosy = market.account("nosy")
    assert sum(nosy.good.values()) == 0, nosy
    assert len({text.partition(": ")[0] for text in nosy.errors}) == len(targets) == len(SERVED), nosy
