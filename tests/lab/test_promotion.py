"""A good version is promoted under real traffic: nothing dropped, nothing left, the shares as asked."""

from __future__ import annotations

import math

import pytest
import yaml

from rollout.plan.base import Json
from rollout.plan.stored import PROGRAM
from tests.kit.owned import own_rules
from tests.kit.shop import IMAGE, MANIFEST, ROOT, SLOW, SUCCESS, OpenShops, Shop, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
HOLD = 10
"""Seconds of the steps whose shares are counted."""


def observed(shop: Shop, weights: tuple[float, ...]) -> None:
    """Assert that each step's share, counted over its hold, is within four standard deviations of its weight."""
    passed = [note for note in shop.notes if note["reason"] == "StepPassed"]
    assert len(passed) >= len(weights), shop.notes
    for weight, note in zip(weights, passed, strict=False):
        end = int(note["at"] * 1e9)
        report = shop.load.report(end - HOLD * 10**9, end)
        got = report.versions.get("1.1", 0)
        share, asked = got / report.total, weight / 100
        off = 4 * math.sqrt(asked * (1 - asked) / report.total)
        text = f"asked {weight:g} %, observed {100 * share:.2f} % of {report.total} requests, allowed ± {100 * off:.2f}"
        print(f"[share, {shop.ns}] {text}")
        assert abs(share - asked) <= off, text


def promoted(shop: Shop, what: str) -> None:
    stable = {uid for uid, pod in shop.pods().items() if pod["status"]["phase"] == "Running"}
    weights = (10.0, 30.0, 50.0)
    shop.traffic(100)
    engine = shop.start(canary(shop.ns, weights, hold=f"{HOLD}s", gates=(SUCCESS, SLOW)), "1.1")
    code = engine.wait(200)
    report = shop.account(what)
    assert code == 0, engine.text()
    assert report.failed == 0, f"{what}:\n{report}"
    assert report.total >= 100 * 60, f"{what}: too few requests to mean anything: {report}"
    observed(shop, weights)
    released = shop.note("Released")
    assert released is not None
    gone = shop.deletions(stable)
    assert set(gone) == stable, "the roll replaces every stable pod"
    early = {uid: released["at"] - at for uid, at in gone.items() if at < math.floor(released["at"])}
    assert not early, f"{what}: stable pods were told to go before the commit point: {early}"
    shop.at_rest("1.1")


def test_a_good_version_is_promoted_and_drops_no_request(open_shops: OpenShops) -> None:
    plain, careful = open_shops(2)
    careful.apply(*own_rules())
    careful.remember()
    together(
        lambda: promoted(plain, "promotion, Service only"),
        lambda: promoted(careful, "promotion, own DestinationRule and VirtualService"),
    )


def mode_paused(shop: Shop) -> None:
    """The Deployment rests paused by its owner's own hand; the label of the policy is not needed."""
    shop.kubectl("patch", "deployment", "web", "--type=merge", '-p={"spec":{"paused":true}}')
    plan = canary(shop.ns)
    plan["spec"]["hold"] = {"mode": "paused"}
    shop.traffic()
    engine = shop.start(plan, "1.1")
    assert engine.wait() == 0, engine.text()
    assert "meshrollout.dev/hold" not in (shop.get("deployment/web")["metadata"].get("labels") or {})
    shop.at_rest("1.1", paused=True)
    lossless(shop, "hold mode paused")


def mode_native(shop: Shop) -> None:
    plan = canary(shop.ns)
    plan["spec"]["promotion"] = {"mode": "native", "deadline": "3m"}
    shop.traffic()
    engine = shop.start(plan, "1.1")
    assert engine.wait() == 0, engine.text()
    program = PROGRAM.validate_python(shop.get("planruns")["items"][0]["spec"]["program"])
    assert "full" not in [step.name for step in program.steps]
    shop.at_rest("1.1")
    lossless(shop, "native promotion")


def with_hash(shop: Shop) -> None:
    """A Prometheus whose series carry pod_template_hash serves as well."""
    shop.traffic()
    engine = shop.start(canary(shop.ns), "1.1", prometheus=shop.lab.prometheus_hash)
    assert engine.wait() == 0, engine.text()
    shop.at_rest("1.1")
    lossless(shop, "Prometheus with pod_template_hash")


def traffic_only(shop: Shop) -> None:
    """The example: two Deployments that the team runs, and the weights of its own route."""
    kinds: dict[str, Json] = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST.read_text())}
    for version, image in (("v1", "1.0"), ("v2", "1.1")):
        one: Json = yaml.safe_load(yaml.safe_dump(kinds["Deployment"]))
        labels = {"app": "web", "version": version}
        one["metadata"] = {"name": f"web-{version}"}
        one["spec"] |= {"replicas": 1, "selector": {"matchLabels": labels}}
        one["spec"]["template"]["metadata"] = {"labels": labels}
        one["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE + image
        shop.apply(one)
    folder = ROOT / "examples/traffic-only"
    for route in yaml.safe_load_all((folder / "routes.yaml").read_text()):
        shop.apply({**route, "metadata": {"name": route["metadata"]["name"]}})
    for name in ("web-v1", "web-v2"):
        shop.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")
    shop.kubectl("delete", "deployment", "web", "--wait=false")
    shop.remember()
    plan: Json = yaml.safe_load((folder / "canary.yaml").read_text())
    plan["metadata"]["namespace"] = shop.ns
    plan["spec"]["analysis"] |= {"interval": "2s", "hold": "4s"}
    plan["spec"]["promotion"] = {"bake": "4s"}
    shop.traffic()
    engine = shop.start(plan)
    assert engine.wait() == 0, engine.text()
    routes = shop.get("virtualservice/web")["spec"]["http"]
    assert [(to["destination"]["subset"], to.get("weight", 0)) for to in routes[0]["route"]] == [("v1", 0), ("v2", 100)]
    shop.specs["VirtualService/web"]["http"] = routes
    shop.at_rest("")
    lossless(shop, "traffic-only, v1 to v2")


def test_every_other_way_to_promote_drops_no_request(open_shops: OpenShops) -> None:
    stories = (mode_paused, mode_native, with_hash, traffic_only)
    shops = open_shops(len(stories))
    together(*(lambda s=shop, t=story: t(s) for shop, story in zip(shops, stories, strict=True)))
