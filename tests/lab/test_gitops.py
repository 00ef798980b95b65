"""Git keeps its word: somebody applies the owner's files again and again during a whole run, or replaces, or edits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import yaml

from rollout.plan.base import HOLD_LABEL, Json
from tests.kit.controllers import Install, Team
from tests.kit.processes import Engine
from tests.kit.shop import IMAGE, MANIFEST, OpenShops, Shop, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
EVERY = 5.0
"""Seconds between two reconciliations."""
ROUTES: Json = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "web"},
    "spec": {
        "hosts": ["web"],
        "http": [{"name": "main", "timeout": "5s", "route": [{"destination": {"host": "web"}}]}],
    },
}


def deployment(image: str, *, labelled: bool = True) -> Json:
    """The Deployment as it is in Git. Labelled, a new image is held from the write that brings it; a controller labels
    by itself.
    """
    found: Json = next(it for it in yaml.safe_load_all(MANIFEST.read_text()) if it["kind"] == "Deployment")
    if labelled:
        found["metadata"]["labels"][HOLD_LABEL] = "web"
    found["spec"]["replicas"] = 2
    found["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE + image
    return found


@contextmanager
def reconciling(shop: Shop, *files: Json) -> Iterator[list[int]]:
    """A commit comes, and is applied every few seconds by a field manager of its own; tells how often so far."""
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": files})
    over, times = threading.Event(), [0]

    def again() -> None:
        while not over.wait(EVERY):
            shop.kubectl(
                "apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-",
                stdin=stdin,
            )  # fmt: skip
            times[0] += 1

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


def wanted(shop: Shop, drift: str, hold: str) -> Json:
    """The plan, with this drift policy."""
    plan = canary(shop.ns, (20, 50), hold=hold, bake="3s")
    plan["spec"]["router"] = {"drift": drift, "settle": "1s"}
    return plan


def begin(shop: Shop, drift: str, hold: str) -> Engine:
    """Start the plan from a terminal for what the commit asks for; return when the first step has its weight."""
    shop.kubectl("wait", "deployment/web", "--for=jsonpath={.spec.paused}=true", "--timeout=30s")
    engine = shop.start(wanted(shop, drift, hold))
    shop.until(lambda run: run.get("weight") == 20, engine)
    return engine


def weights(shop: Shop) -> list[int]:
    """The weights that are in the VirtualService."""
    route: Sequence[Json] = shop.get("virtualservice/web")["spec"]["http"][0]["route"]
    return [one.get("weight", 100) for one in route]


def until_seen(shop: Shop) -> None:
    """Somebody turns the weights, and again if it was while the engine's own write was under way."""
    began = time.monotonic()
    while not drifts(shop) and time.monotonic() - began < 60:
        edit(shop)
        time.sleep(3)


def edit(shop: Shop) -> None:
    """Turn the weights, as people do."""
    values = [{"op": "replace", "path": f"/spec/http/0/route/{n}/weight", "value": v} for n, v in enumerate((60, 40))]
    shop.kubectl("patch", "virtualservice", "web", "--type=json", f"-p={json.dumps(values)}")


def drifts(shop: Shop) -> list[str]:
    """What the newest run tells about foreign writes."""
    return [note["message"] for note in shop.notes if note["reason"] == "Drift"]


def report(shop: Shop) -> None:
    """A terminal, and a tool that puts the owner's routes back every few seconds: told, and not fought."""
    shop.apply(deployment("1.0"), ROUTES)
    shop.remember()
    shop.traffic(20)
    with reconciling(shop, deployment("1.1"), ROUTES) as times:
        engine = begin(shop, "report", "6s")
        shop.until(lambda run: bool(drifts(shop)), engine)
        assert shop.run["phase"] == "Progressing", engine.text()
        assert engine.wait() == 0, engine.text()
    ended(shop, "report")
    assert not any("put back to" in text for text in drifts(shop)), shop.notes
    print(f"[report] {times[0]} re-applies, {len(drifts(shop))} told: {drifts(shop)[0]}")


def heal(shop: Shop, team: Team) -> None:
    """The controller, the same tool, and both objects replaced in mid-run without a mark of ours."""
    with reconciling(shop, deployment("1.1", labelled=False), ROUTES) as times:
        shop.until(lambda run: run.get("weight") == 20, team)
        shop.kubectl("replace", "-f", "-", stdin=json.dumps(deployment("1.1", labelled=False)))
        shop.kubectl("replace", "-f", "-", stdin=json.dumps(ROUTES))
        shop.until(lambda run: "endedAt" in run, team, 120)
        assert times[0] >= 4, "the run was shorter than the test needs"
    ended(shop, "heal")
    assert any("put back to" in text for text in drifts(shop)), shop.notes
    print(f"[heal] {times[0]} re-applies, {len(drifts(shop))} put back: {drifts(shop)[0]}")


def hold(shop: Shop, team: Team) -> None:
    """The controller, and somebody who turns the weights by hand."""
    with reconciling(shop, deployment("1.1", labelled=False)):
        shop.until(lambda run: run.get("weight") == 20, team)
        until_seen(shop)
        held = shop.until(lambda run: run.get("reason") == "Drift", team)
        assert held["phase"] == "Holding", team.text()
        assert weights(shop) == [60, 40], "what somebody wrote stays until a person decides"
        ordered = shop.rollout("promote", "web", "--reason", "put it back")
        assert ordered.code == 0, ordered.err
        shop.until(lambda run: "endedAt" in run, team, 120)
    ended(shop, "hold")
    print(f"[hold] {held['message']}")


def ended(shop: Shop, policy: str) -> None:
    """The run is over as if nobody had written, and what is there is the owner's."""
    assert (shop.run["phase"], shop.attempts) == ("Succeeded", 1), shop.run.get("message")
    shop.at_rest("1.1")
    assert "Drift" in {event["reason"] for event in shop.get("events")["items"]}, "people see it without our tools"
    lossless(shop, f"drift policy {policy}")


def controlled(shop: Shop, team: Team, drift: str, seconds: str) -> None:
    """The controller has seen the plan and the owner's objects, which are under load."""
    shop.apply(deployment("1.0", labelled=False), ROUTES)
    shop.remember()
    shop.apply(wanted(shop, drift, seconds))
    shop.kubectl("wait", "--for=condition=Ready", "cplan/web", "--timeout=60s")
    shop.traffic(20)


def test_a_run_ends_right_under_each_drift_policy_whoever_writes_meanwhile(
    open_shops: OpenShops, install: Install
) -> None:
    reported, healed, held = open_shops(3)
    team = install(healed, held)
    controlled(healed, team, "heal", "6s")
    controlled(held, team, "hold", "10s")
    together(lambda: report(reported), lambda: heal(healed, team), lambda: hold(held, team))
    team.healthy()
