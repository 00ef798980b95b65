"""A bad version is rolled back under real traffic: at once, by itself, and with the reason said."""

from __future__ import annotations

import json

import pytest

from tests.kit.owned import own_rules
from tests.kit.shop import SLOW, SUCCESS, OpenShops, Shop, canary, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def rolled_back(shop: Shop, image: str, what: str, *, rate: int) -> tuple[str, float]:
    """Start the image, assert that it is taken back and nothing is left; the reason, and how long it took."""
    shop.traffic(rate)
    engine = shop.start(canary(shop.ns, gates=(SUCCESS, SLOW)), image)
    code = engine.wait()
    report = shop.account(what)
    assert code == 3, engine.text()
    candidates = {one.version for one in report.counts if one.code != 200}
    assert candidates <= {image}, f"{what}: not only the candidate's requests failed:\n{report}"
    shop.at_rest(image, paused=True)
    state = shop.run["state"]
    seconds = state["failed"]["at"] - state["started"]
    print(f"[{what}] taken back after {seconds:.1f} s: {state['failed']['reason']}: {state['failed']['message']}")
    return state["failed"]["reason"], seconds


def errors(shop: Shop, what: str = "5 % errors") -> None:
    reason, _ = rolled_back(shop, "1.2-errors", what, rate=100)
    assert reason == "GateFailed"
    failed = json.loads(shop.rollout("status", "web", "-o", "json").out)["failed"]
    assert failed["gate"] == "success"
    why = shop.rollout("why", "web")
    assert why.code == 0, why.err
    value = failed["message"].partition(" %, limit ≥ 99.00 %")[0].rpartition(" ")[2]
    assert 80 < float(value) < 99, failed["message"]
    for said in ("success", f"{value} %", "≥ 99.00 %"):
        assert said in why.out, f"why does not say {said!r}:\n{why.out}"


def slow(shop: Shop) -> None:
    reason, _ = rolled_back(shop, "1.2-slow", "a fifth is slow", rate=60)
    assert reason == "GateFailed"
    assert shop.run["state"]["failed"]["message"].startswith("latency was ")


def crash(shop: Shop) -> None:
    reason, seconds = rolled_back(shop, "1.2-crash", "ends at its start", rate=60)
    assert reason == "CandidateBroken"
    assert seconds < 60, "a crash loop is not waited for: readyWithin is 90 s"
    assert shop.note("WeightSet") is None, "it never had traffic"
    report = shop.load.report()
    assert report.failed == 0, str(report)


def test_a_bad_version_is_rolled_back_and_only_its_own_requests_failed(open_shops: OpenShops) -> None:
    with_errors, careful, with_delay, broken = open_shops(4)
    careful.apply(*own_rules())
    careful.remember()
    together(
        lambda: errors(with_errors),
        lambda: errors(careful, "5 % errors, own DestinationRule and VirtualService"),
        lambda: slow(with_delay),
        lambda: crash(broken),
    )
