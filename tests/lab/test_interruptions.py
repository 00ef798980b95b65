"""Whatever interrupts a run at whichever step: traffic ends on stable or on the promoted version, nothing is lost."""

from __future__ import annotations

import signal

import pytest

from rollout.plan.base import Json
from tests.kit.processes import Engine
from tests.kit.shop import SUCCESS, OpenShops, Shop, at, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
STEPS = ("weight-20", "weight-50", "full", "release", "conclude")
"""The steps of the short plan, as its program names them."""


def ended(shop: Shop, engine: Engine, code: int, phase: str) -> None:
    assert engine.wait() == code, engine.text()
    assert shop.run["phase"] == phase, engine.text()


def aborted(shop: Shop) -> None:
    """Abort from a second terminal at each step before the commit point; after it, the order is refused."""
    shop.traffic(20)
    for step in (0, 1, 2):
        engine = shop.start(canary(shop.ns, hold="60s", bake="60s"), "1.1")
        if step:
            skip(shop, engine, step)
        shop.until(at(step), engine)
        done = shop.rollout("abort", "web", "--reason", "wrong prices", "--yes")
        assert done.code == 0, done.err
        ended(shop, engine, 3, "Aborted")
        assert shop.run["reason"] == "AbortOrdered"
        shop.at_rest("1.1", paused=True)
        print(f"[abort at {STEPS[step]}] {shop.run['message']}")
    engine = shop.start(canary(shop.ns, hold="2s", bake="2s"), "1.1")
    shop.until(at(3, holding=False), engine)
    shop.until(lambda run: run["state"].get("committed", False), engine)
    done = shop.rollout("abort", "web", "--reason", "too late", "--yes")
    assert done.code == 4, f"past the commit point an abort is refused: {done}"
    ended(shop, engine, 0, "Succeeded")
    shop.at_rest("1.1")
    lossless(shop, "abort at every step")


def skip(shop: Shop, engine: Engine, step: int) -> None:
    """Have the steps before this one approved by a person, so that their hold need not be sat out."""
    for before in range(step):
        shop.until(at(before), engine)
        done = shop.rollout("promote", "web", "--reason", "seen before", "--yes", "--step", str(before + 1))
        assert done.code == 0, done.err


def failed(shop: Shop) -> None:
    """A gate turns bad at each step that has gates."""
    bad: Json = {"name": "basket", "query": "vector(0.2)", "min": 0.9, "failures": 2, "over": 3}
    shop.traffic(20)
    for step in (0, 1, 2):
        plan = canary(shop.ns, hold="3s", bake="6s")
        good: list[Json] = [SUCCESS]
        for index, one in enumerate(plan["spec"]["steps"]):
            one["gates"] = [*good, bad] if index == step else good
        plan["spec"]["analysis"]["gates"] = [SUCCESS, bad] if step == 2 else good
        engine = shop.start(plan, "1.1")
        ended(shop, engine, 3, "RolledBack")
        state = shop.run["state"]
        assert (state["failed"]["reason"], state.get("step", 0)) == ("GateFailed", step), state["failed"]
        assert "basket was 0.2, limit ≥ 0.9" in state["failed"]["message"]
        shop.at_rest("1.1", paused=True)
        print(f"[failure at {STEPS[step]}] {state['failed']['message']}")
    lossless(shop, "failure at every step")


def killed(shop: Shop, steps: tuple[int, ...]) -> None:
    """`kill -9` at each step; a second `start` goes on where the first one was."""
    shop.traffic(20)
    images = ("1.1", "1.0")
    for number, step in enumerate(steps):
        image = images[number % 2]
        plan = canary(shop.ns, hold="2s", bake="2s")
        engine = shop.start(plan, image)
        shop.until(at(step, holding=step < 3), engine)
        engine.send(signal.SIGKILL)
        engine.wait()
        run, attempts = shop.run, shop.attempts
        second = shop.start(plan, image)
        ended(shop, second, 0, "Succeeded")
        assert shop.attempts == attempts, "it went on with the same run"
        shop.at_rest(image)
        print(f"[kill -9 at {STEPS[step]}] was {run['phase']} at {run.get('weight', 0)} %, then {shop.run['phase']}")
    lossless(shop, f"kill -9 at {', '.join(STEPS[step] for step in steps)}, then start")


def _weights(shop: Shop) -> list[int]:
    """What the route that was made for the run gives each side."""
    made = shop.get("virtualservices")["items"]
    return [to.get("weight", 100) for one in made for to in one["spec"]["http"][0]["route"]]


def interrupted(shop: Shop) -> None:
    """Ctrl-C takes the traffic home; with --leave it stays, and a second start goes on."""
    shop.traffic(20)
    engine = shop.start(canary(shop.ns, hold="30s"), "1.1")
    shop.until(at(0), engine)
    engine.send(signal.SIGINT)
    ended(shop, engine, 130, "Aborted")
    shop.at_rest("1.1", paused=True)

    plan = canary(shop.ns, hold="4s")
    engine = shop.start(plan, "1.1", "--leave")
    # what a run asks for is stored before it is done
    shop.until(lambda _: _weights(shop) == [80, 20], engine)
    engine.send(signal.SIGINT)
    assert engine.wait() == 130, engine.text()
    run = shop.run
    assert (run["phase"], run["weight"]) == ("Progressing", 20)
    assert _weights(shop) == [80, 20], "--leave leaves the traffic where it is"
    second = shop.start(plan, "1.1")
    ended(shop, second, 0, "Succeeded")
    shop.at_rest("1.1")
    lossless(shop, "Ctrl-C, then --leave and start again")


def test_an_abort_a_failure_and_a_kill_at_every_step_lose_nothing(open_shops: OpenShops) -> None:
    one, two, three, four = open_shops(4, replicas=1)  # two cores start no more pods in time
    together(
        lambda: aborted(one),
        lambda: failed(two),
        lambda: killed(three, (0, 2, 4)),
        lambda: killed(four, (1, 3)),
    )


def test_ctrl_c_takes_the_traffic_home_and_leave_leaves_it(open_shops: OpenShops) -> None:
    (shop,) = open_shops(1, replicas=1)
    interrupted(shop)
