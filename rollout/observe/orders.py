"""PlanDecisions that are meant for one run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import orjson

from rollout.decide.seen import Order
from rollout.plan.base import Json


def parse(decisions: Iterable[Json], plan: str, run: str, run_uid: str) -> tuple[Order, ...]:
    """The orders for the run with this name and UID, oldest first.

    One that names another plan is left out: the right to give it was checked on that plan.
    """
    bound = {"plan": plan, "run": run, "runUid": run_uid}
    mine = [d for d in decisions if all(d["spec"].get(key) == value for key, value in bound.items())]
    return tuple(_order(d) for d in sorted(mine, key=_age))


def _age(decision: Json) -> tuple[float, int]:
    """Creation is told in whole seconds; among those of one second the version says which was first."""
    version = str(decision["metadata"].get("resourceVersion", ""))
    return _created(decision) or 0.0, int(version) if version.isdigit() else 0


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
        to_revision=spec.get("toRevision"),
        name=decision["metadata"]["name"],
        content=_content(decision),
        created=_created(decision),
    )


def _content(decision: Json) -> str:
    """What makes a decision that is deleted and created again the same order: its name, and all that it says."""
    said = orjson.dumps([decision["metadata"]["name"], decision["spec"]], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()[:12]


def _created(decision: Json) -> float | None:
    stamp = decision["metadata"].get("creationTimestamp")
    return epoch(stamp) if stamp else None


def epoch(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
