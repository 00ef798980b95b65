"""`make demo`: both endings of a canary, in the lab, with real sidecars and real traffic.

The acts, the views and the engine are those of `rollout demo`; only the stage is real.  The lab stays up afterwards.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from lab.cluster import Lab
from lab.load import Load
from rollout.cli import crds
from rollout.cli.demo import PLAN, Stage, play
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.session import connected

NAMESPACE: Final = "shop"
RATE: Final = 100
NEXT: Final = """the lab is up and has traffic:
  eval "$(.venv/bin/python -m lab env)"
  .venv/bin/rollout why web -n shop                                                what was seen, judged and done
  .venv/bin/rollout start examples/first-canary/canary.yaml --image app=lab.local/app:1.2-slow
and when you are done: make lab-down"""


def demo(lab: Lab, say: Callable[[str], None]) -> int:
    """Bring up the lab and a fresh shop under load, then play both acts; the exit code is the command's."""
    lab.up("istio", say)
    lab.shop_claim(NAMESPACE)
    os.environ.update(lab.environment())
    say("a fresh shop: three pods of version 1.0, and a client that sends 100 requests a second through the mesh")
    lab.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=120)
    lab.shop_up(NAMESPACE)
    load = Load(lab, NAMESPACE)
    load.start(RATE)
    return asyncio.run(_play(lab, load))


async def _play(lab: Lab, load: Load) -> int:
    common = Common(namespace=NAMESPACE, prometheus=lab.prometheus)
    async with connected(common) as session:
        await crds.install(session.world, crds.documents(with_hold=True))
        stage = Stage(
            session=session,
            where=f"a real Kubernetes with Istio sidecars, {RATE} requests/s through the mesh",
            plan=PLAN,
            good="lab.local/app:1.1",
            bad="lab.local/app:1.2-errors",
            flaw="a version that fails 5 % of its requests",
            told=_Tally(load).told,
            next=NEXT,
        )
        return await play(stage, Printer(common))


class _Tally:
    """Counts the requests of one act, exactly: the client keeps every answer."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._since = load.report(until=0).now_ns

    def told(self) -> str:
        """`12,000 requests, 120 answered with an error, 0 without an answer`; and starts anew."""
        report = self._load.report(self._since)
        self._since = report.now_ns
        dropped = sum(c.count for c in report.counts if c.code == 0 or not c.version)
        bad = report.failed - dropped
        return (
            f"{report.total:,} requests, {bad:,} answered with an error by the candidate, {dropped:,} dropped; "
            f"p99 {report.p99_ms:.0f} ms"
        )
