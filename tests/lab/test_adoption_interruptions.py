"""An adoption whose engine is killed at every stage, whose STRICT cuts off a scrape, and that is given up at last."""

from __future__ import annotations

import shlex
import signal
from typing import Any, Final

import pytest

from rollout.adapters.systemclock import SystemClock
from rollout.cli.exit import Code
from rollout.plan.base import Json
from tests.kit.market import Market
from tests.kit.processes import Engine
from tests.lab.test_adoption import adoption, after, promote

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

STAGES: Final[Json] = {"enrol": {}, "permissive": {}, "shadowStrict": {"window": "6s"}, "strict": {}}
OWNED: Final = "deployments,statefulsets,services,peerauthentications,authorizationpolicies,destinationrules"


def small(market: Market) -> None:
    """Two servers and a caller are left, and one of the servers is scraped by a rule that no pod tells of."""
    market.lab.kubectl("delete", "namespace", market.stranger, "--wait=false")
    market.kubectl("delete", "deployment/greeter", "deployment/mail", "service/greeter", "service/mail")
    market.apply(*market.caller("front", market.ns, "-rate=20", "http://web/", "http://db/"))
    patch = '{"spec":{"template":{"metadata":{"labels":{"metrics":"app"}}}}}'
    market.kubectl(*shlex.split(f"patch deployment web --type merge -p '{patch}'"))
    for name in ("deployment/web", "deployment/front"):
        market.kubectl("rollout", "status", name, "--timeout=90s")


def written(market: Market) -> dict[str, Any]:
    """What the owners wrote, by kind and name: spec and labels."""
    found = {f"{it['kind']}/{it['metadata']['name']}": it for it in market.get(OWNED)["items"]}
    space = market.lab.kubectl("get", "namespace", market.ns, "-o=jsonpath={.metadata.labels}")
    return {"labels": space} | {
        name: (it["spec"], it["metadata"].get("labels"), _notes(it)) for name, it in sorted(found.items())
    }


def _notes(obj: Json) -> Json:
    own = "deployment.kubernetes.io/revision"
    return {key: it for key, it in (obj["metadata"].get("annotations") or {}).items() if key != own}


BEFORE: Final = {"enrol": "", "permissive": "label-namespace", "shadow strict": "permissive"}
"""The last step before each stage."""


def killed(market: Market, engine: Engine, plan: Json, stage: str) -> Engine:
    """Kill it, and start another one."""
    print(f"[kill -9 at {stage}] {market.run['state']['message']}")
    engine.send(signal.SIGKILL)
    engine.wait()
    return market.start(plan)


def overruled(market: Market, engine: Engine, last: str) -> None:
    """The scrape is a caller without a name, and is waited for in the step after `last`; a person lets it down."""
    market.until(after(last, "Deployment/web: callers"), engine, 90)
    promote(market, "it is only Prometheus")


def test_killed_at_every_stage_cut_off_from_a_scrape_and_given_up(market: Market) -> None:
    small(market)
    clock = SystemClock()
    began, before = clock.now(), written(market)
    plan = adoption(market.ns, STAGES, waves=[[{"kind": "StatefulSet", "name": "db"}]])
    engine = market.start(plan)
    for stage, last in BEFORE.items():
        market.until(after(last), engine, 120)
        engine = killed(market, engine, plan, stage)
    overruled(market, engine, "permissive")
    overruled(market, engine, "shadow-strict")
    market.until(after("recount-statefulset-db"), engine, 90)
    engine = killed(market, engine, plan, "strict")
    overruled(market, engine, "strict-statefulset-db")
    market.until(after("recount-deployment-web"), engine, 90)
    locked = clock.now()
    assert engine.wait(90) == Code.HELD, engine.text()
    state = market.run["state"]
    assert "scrapes was" in state["message"], state["message"]
    print(f"[scrape] taken back {clock.now() - locked:.0f} s after STRICT began: {state['message']}")
    refused = market.refused("web", "db")
    assert (refused["web"], bool(refused["db"])) == ("", True), "only its own step went back"
    done = market.rollout("abort", "market", "--reason", "enough", "--yes")
    assert done.code == 0, done
    # no engine is left: the command itself takes everything back
    market.until(lambda run: run.get("phase") == "Aborted", engine, 60)
    assert market.attempts == 1, "all engines drove the same run"
    assert written(market) == before
    front = market.account("front", began)
    print(f"[front] {front}, {clock.now() - began:.0f} s")
    assert not {text for text in front.errors if text.startswith(("http://web/", "http://db/"))}, front
