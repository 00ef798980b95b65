"""PlanDecisions that are meant for one run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rollout.decide.seen import Order
from rollout.plan.base import Json


def parse(decisions: Iterable[Json], run: str, run_uid: str) -> tuple[Order, ...]:
    """The orders for the run with this name and UID, oldest first."""
    mine = [d for d in decisions if d["spec"]["run"] == run and d["spec"]["runUid"] == run_uid]
    return tuple(_order(d) for d in sorted(mine, key=lambda d: str(d["metadata"].get("creationTimestamp", ""))))


def _order(decision: Json) -> Order:
    spec = decision["spec"]
    return Order(
        uid=decision["metadata"]["uid"],
        verb=spec["verb"],
        by=spec.get("by", ""),
        reason=spec.get("reason", ""),
        step=spec.get("step"),
        full=spec.get("full", False),
        expires=epoch(spec["expires"]) if spec.get("expires") else None,
    )


def epoch(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
