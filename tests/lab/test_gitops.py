"""Git keeps its word: somebody applies the owner's files again and again during a whole run, or replaces, or edits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import yaml

from rollout.plan.base import HOLD_LABEL, Json
from tests.kit.shop import IMAGE, MANIFEST, Engine, OpenShops, Shop, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
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


def deployment(image: str) -> Json:
    """The Deployment as it is in Git: labelled, so that a new image is held from the write that brings it."""
    found: Json = next(it for it in yaml.safe_load_all(MANIFEST.read_text()) if it["kind"] == "Deployment")
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


def begin(shop: Shop, drift: str, hold: str) -> Engine:
    """Start the plan with this drift policy for what the commit asks for; return when the first step has its weight."""
    shop.kubectl("wait", "deployment/web", "--for=jsonpath={.spec.paused}=true", "--timeout=30s")
    plan = canary(shop.ns, (20, 50), hold=hold, bake="3s")
    plan["spec"]["router"] = {"drift": drift, "settle": "1s"}
    engine = shop.start(plan)
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


def heal(shop: Shop) -> None:
    with reconciling(shop, deployment("1.1"), ROUTES) as times:
        engine = begin(shop, "heal", "6s")
        shop.kubectl("replace", "-f", "-", stdin=json.dumps(deployment("1.1")))
        shop.kubectl("replace", "-f", "-", stdin=json.dumps(ROUTES))
        assert engine.wait() == 0, engine.text()
        assert times[0] >= 4, "the run was shorter than the test needs"
    assert shop.run["phase"] == "Succeeded"
    assert any("put back to" in text for text in drifts(shop)), shop.notes
    print(f"[heal] {times[0]} re-applies, {len(drifts(shop))} put back: {drifts(shop)[0]}")


def hold(shop: Shop) -> None:
    with reconciling(shop, deployment("1.1")):
        engine = begin(shop, "hold", "10s")
        until_seen(shop)
        held = shop.until(lambda run: run.get("reason") == "Drift", engine)
        assert held["phase"] == "Holding", engine.text()
        assert weights(shop) == [60, 40], "what somebody wrote stays until a person decides"
        ordered = shop.rollout("promote", "web", "--reason", "put it back")
        assert ordered.code == 0, ordered.err
        assert engine.wait() == 0, engine.text()
    assert shop.run["phase"] == "Succeeded"
    print(f"[hold] {held['message']}")


def report(shop: Shop) -> None:
    with reconciling(shop, deployment("1.1"), ROUTES) as times:
        engine = begin(shop, "report", "6s")
        shop.until(lambda run: bool(drifts(shop)), engine)
        assert shop.run["phase"] == "Progressing", engine.text()
        assert engine.wait() == 0, engine.text()
    assert shop.run["phase"] == "Succeeded"
    assert not any("put back to" in text for text in drifts(shop)), shop.notes
    print(f"[report] {times[0]} re-applies, {len(drifts(shop))} told: {drifts(shop)[0]}")


def test_a_run_ends_right_under_each_drift_policy_whoever_writes_meanwhile(open_shops: OpenShops) -> None:
    stories: dict[str, Callable[[Shop], None]] = {"heal": heal, "hold": hold, "report": report}
    shops = open_shops(len(stories))

    def told(shop: Shop, policy: str) -> None:
        shop.apply(deployment("1.0"), ROUTES)
        shop.remember()
        shop.traffic(20)
        stories[policy](shop)
        shop.at_rest("1.1")
        assert "Drift" in {event["reason"] for event in shop.get("events")["items"]}, "people see it without our tools"
        lossless(shop, f"drift policy {policy}")

    together(*(lambda s=shop, p=policy: told(s, p) for shop, policy in zip(shops, stories, strict=True)))
