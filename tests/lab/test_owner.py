"""What the owner and the cluster do while a run is under way: the plan, the template, the pods, the metrics."""

from __future__ import annotations

import time

import pytest

from rollout.plan.base import ROLE_LABEL
from tests.kit.shop import IMAGE, OpenShops, Shop, at, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def plan_deleted(shop: Shop) -> None:
    engine = shop.start(canary(shop.ns, hold="40s"), "1.1")
    shop.until(at(0), engine)
    shop.kubectl("delete", "canaryplan", "web", "--wait=false")
    code = engine.wait()
    assert shop.run["reason"] == "PlanDeleted", engine.text()
    assert (code, shop.run["phase"]) == (3, "Aborted"), engine.text()
    shop.at_rest("1.1", paused=True)
    assert shop.kubectl("get", "canaryplans,planruns", "-o=name", "--ignore-not-found") == ""


def reverted(shop: Shop) -> None:
    engine = shop.start(canary(shop.ns, hold="40s"), "1.1")
    shop.until(at(0), engine)
    shop.kubectl("set", "image", "deployment/web", f"app={IMAGE}1.0")
    assert engine.wait() == 3, engine.text()
    assert (shop.run["phase"], shop.run["reason"]) == ("Superseded", "Reverted"), engine.text()
    shop.at_rest("1.0")


def superseded(shop: Shop) -> None:
    plan = canary(shop.ns, hold="40s")
    first = shop.start(plan, "1.1")
    shop.until(at(0), first)
    plan = canary(shop.ns, hold="3s", bake="2s")
    second = shop.start(plan, "1.2-slow")
    assert first.wait() == 3, first.text()
    assert second.wait() == 0, second.text()
    runs = {run["spec"]["attempt"]: run["status"] for run in shop.get("planruns")["items"]}
    assert (runs[1]["phase"], runs[1]["reason"]) == ("Superseded", "NewRevision"), first.text()
    assert runs[2]["phase"] == "Succeeded", second.text()
    shop.at_rest("1.2-slow")


def stable_pod_deleted(shop: Shop) -> None:
    before = shop.pods()
    engine = shop.start(canary(shop.ns, hold="15s", bake="2s"), "1.1")
    shop.until(at(0), engine)
    victim = next(iter(before.values()))
    began = time.monotonic()
    shop.kubectl("delete", "pod", victim["metadata"]["name"])
    shop.kubectl("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=60s")
    new = [pod for uid, pod in shop.pods().items() if uid not in before]
    born = [pod for pod in new if ROLE_LABEL not in pod["metadata"]["labels"]]
    assert [pod["spec"]["containers"][0]["image"] for pod in born] == [f"{IMAGE}1.0"], "it comes back as stable"
    print(f"[stable pod deleted] another one was ready after {time.monotonic() - began:.1f} s")
    assert engine.wait() == 0, engine.text()
    shop.at_rest("1.1")


def test_whatever_the_owner_does_in_mid_run_is_followed_and_loses_nothing(open_shops: OpenShops) -> None:
    stories = {
        "plan deleted": plan_deleted,
        "template reverted": reverted,
        "newer image": superseded,
        "stable pod deleted": stable_pod_deleted,
    }

    def told(shop: Shop, what: str) -> None:
        shop.traffic()
        stories[what](shop)
        lossless(shop, what)

    shops = open_shops(len(stories))
    together(*(lambda s=shop, w=what: told(s, w) for shop, what in zip(shops, stories, strict=True)))


def test_a_minute_without_prometheus_is_waited_for_and_explained(open_shops: OpenShops) -> None:
    (shop,) = open_shops(1)
    lab = shop.lab
    if lab.existing:
        pytest.skip("the Prometheus of an existing cluster is not ours to stop")
    shop.traffic()
    engine = shop.start(canary(shop.ns, hold="6s"), "1.1", prometheus=lab.prometheus_hash)
    shop.until(at(0), engine)
    lab.stop_prometheus("prometheus-hash")
    try:
        began = time.monotonic()
        held = shop.until(lambda run: run.get("reason") == "MetricsUnavailable", engine)
        status = shop.rollout("status", "web")
        assert held["phase"] == "Holding"
        assert f"success: {lab.prometheus_hash}: no connection" in status.out, status.out
        print(f"[no Prometheus] held after {time.monotonic() - began:.1f} s: {held['message']}")
        while time.monotonic() - began < 60:
            time.sleep(1)
            assert engine.process.poll() is None, engine.text()
    finally:
        lab.start_prometheus("prometheus-hash")
    assert (shop.run["phase"], shop.run["reason"]) == ("Holding", "MetricsUnavailable")
    assert engine.wait() == 0, engine.text()
    print(f"[no Prometheus] then: {[note['message'] for note in shop.notes if 'goes on' in note['message']]}")
    assert not [note for note in shop.notes if note["reason"] in ("GateFailed", "RolledBack")]
    shop.at_rest("1.1")
    lossless(shop, "a minute without Prometheus")
