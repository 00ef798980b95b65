"""Strategies under real traffic, counted by what the servers say: blue/green, chosen requests, copies of requests."""

from __future__ import annotations

import time

import pytest
from prometheus_api_client import PrometheusConnect

from lab import Load
from lab.wait import wait_for
from rollout.plan.base import Json
from tests.kit.owned import own_rules
from tests.kit.processes import Engine
from tests.kit.shop import SUCCESS, OpenShops, Shop, at, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
SCRAPE = 2.0
"""Seconds between two scrapes of the lab's Prometheus, at most."""
PREVIEW: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web-preview"},
    "spec": {
        "selector": {"app": "web", "meshrollout.dev/role": "canary"},
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    },
}


def seen(load: Load, url: str, requests: int) -> dict[str, int]:
    """Which version answers so many requests, all of which are answered."""
    begun = load.start(rate=100, url=url)
    time.sleep(1 + requests / 100)
    wait_for(lambda: load.report(begun).total >= requests, 60, 1)  # a busy machine takes longer
    report = load.report(begun, load.stop())
    assert report.failed == 0, str(report)
    assert report.total >= requests, str(report)
    return dict(report.versions)


def asked(run: Json) -> bool:
    """The run waits for a person."""
    return bool(run.get("phase") == "AwaitingApproval")


def on_trial(shop: Shop, plan: Json) -> tuple[Load, Engine]:
    """The run under load when it asks a person, and somebody who calls on his own account; he stays after the run."""
    caller = Load(shop.lab, shop.ns, "tester")
    caller.prepare()
    shop.remember()
    shop.traffic(30)
    engine = shop.start(plan, "1.1")
    shop.until(asked, engine)
    return caller, engine


def promote(shop: Shop) -> None:
    """The person says yes."""
    done = shop.rollout("promote", "web", "--reason", "tried")
    assert done.code == 0, done


def blue_green(shop: Shop, *, back: bool) -> None:
    """Tried through its own Service, switched, and (back) taken back at once."""
    plan = canary(shop.ns, gates=(SUCCESS,))
    del plan["spec"]["steps"], plan["spec"]["promotion"]["bake"]
    plan["spec"] |= {
        "strategy": "blue-green",
        "blueGreen": {"preview": "4s", "approve": {}, "keepStable": "25s" if back else "6s"},
    }
    caller, engine = on_trial(shop, plan)
    assert seen(caller, "http://web-preview/", 1000).keys() == {"1.1"}
    assert seen(caller, "http://web/", 1000).keys() == {"1.0"}
    promote(shop)
    shop.until(at(2), engine)
    if back:
        assert shop.rollout("abort", "web", "--reason", "not liked", "--yes").code == 0
    code = engine.wait(200)
    lossless(shop, "blue/green, taken back" if back else "blue/green")
    assert code == (3 if back else 0), engine.text()
    shop.at_rest("1.1", paused=back)


def chosen(shop: Shop) -> None:
    """Over a thousand requests of each side at weight 0, and not one of them at the wrong version."""
    plan = canary(shop.ns, (0, 50), hold="10s")
    plan["spec"]["match"] = [{"query": {"group": {"exact": "b"}}}]
    plan["spec"]["steps"].insert(1, {"approve": {}})
    caller, engine = on_trial(shop, plan)
    assert seen(caller, "http://web/?group=b", 1000).keys() == {"1.1"}
    assert seen(caller, "http://web/?group=a", 1000).keys() == {"1.0"}
    promote(shop)
    shop.until(at(2), engine)
    assert seen(caller, "http://web/?group=b", 1000).keys() == {"1.1"}, "whatever the weight is"
    code = engine.wait(200)
    lossless(shop, "chosen requests")
    assert code == 0, engine.text()
    shop.at_rest("1.1")


def received(shop: Shop, workload: str) -> float:
    """Requests that a workload's own proxies have counted, once two more scrapes are over."""
    time.sleep(3 * SCRAPE)
    where = f'reporter="destination",destination_workload_namespace="{shop.ns}",destination_workload="{workload}"'
    found = PrometheusConnect(shop.lab.prometheus).custom_query(f"sum(istio_requests_total{{{where}}})")
    return float(found[0]["value"][1]) if found else 0.0


def copied(shop: Shop) -> None:
    """Callers meet the old version only, and the new one sees its share of copies, counted where they arrive."""
    plan = canary(shop.ns, (0, 50), hold="10s")
    plan["spec"]["steps"][0]["mirror"] = 30
    plan["spec"]["steps"].insert(1, {"approve": {}})
    caller, engine = on_trial(shop, plan)
    before = {name: received(shop, name) for name in ("web", "web-canary")}
    assert seen(caller, "http://web/", 1000).keys() == {"1.0"}
    assert wait_for(lambda: received(shop, "web") - before["web"] >= 1000, 60), "not all requests were counted"
    grown = {name: received(shop, name) - count for name, count in before.items()}
    assert 0.2 < grown["web-canary"] / grown["web"] < 0.4, grown
    promote(shop)
    code = engine.wait(200)
    lossless(shop, "copies of requests")
    assert code == 0, engine.text()
    shop.at_rest("1.1")


def test_strategies_lead_each_request_where_they_say_and_drop_none(open_shops: OpenShops) -> None:
    forth, back, careful, copying = open_shops(4)
    careful.apply(*own_rules())
    for shop in (forth, back):
        shop.apply(PREVIEW)
    together(
        lambda: blue_green(forth, back=False),
        lambda: blue_green(back, back=True),
        lambda: chosen(careful),
        lambda: copied(copying),
    )
