"""PlanDecisions that are meant for one run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final, get_args

import orjson

from rollout.decide.seen import Order
from rollout.plan.base import Json, epoch
from rollout.plan.kinds import CANARY_PLAN
from rollout.plan.run import Verb

_VERBS: Final = frozenset(get_args(Verb))


def parse(
    decisions: Iterable[Json], plan: str, run: str, run_uid: str, kind: str = CANARY_PLAN.name
) -> tuple[Order, ...]:
    """The orders for the run with this name and UID, oldest first.

    One that names another plan is left out: the right to give it was checked on that plan.  One that names the plan
    with another kind is flawed for the same reason; who forgot the kind shall hear of it.  A verb of a newer version is
    left to the newer engine that is on its way.
    """
    bound = {"plan": plan, "run": run, "runUid": run_uid}
    mine = [d for d in decisions if all(d["spec"].get(key) == value for key, value in bound.items())]
    return tuple(_order(d, kind) for d in sorted(mine, key=_age) if d["spec"]["verb"] in _VERBS)


def _age(decision: Json) -> tuple[float, int]:
    """Creation is told in whole seconds; among those of one second the version says which was first."""
    version = str(decision["metadata"].get("resourceVersion", ""))
    return _created(decision) or 0.0, int(version) if version.isdigit() else 0


def _order(decision: Json, kind: str) -> Order:
    spec = decision["spec"]
    expires, flaw = _expiry(spec.get("expires", ""))
    if (meant := spec.get("kind", CANARY_PLAN.name)) != kind:
        flaw = f"it is for a {meant}, and this run is of a {kind}: say so in its spec.kind"
    return Order(
        uid=decision["metadata"]["uid"],
        verb=spec["verb"],
        by=spec.get("by", ""),
        reason=spec.get("reason", ""),
        step=spec.get("step"),
        full=spec.get("full", False),
        expires=expires,
        to_revision=spec.get("toRevision"),
        name=decision["metadata"]["name"],
        content=_content(decision),
        created=_created(decision),
        groups=tuple(spec.get("groups", ())),
        flaw=flaw,
    )


def _expiry(text: str) -> tuple[float | None, str]:
    """When the order expires, and what is wrong with that. A time without its zone could be hours too late."""
    if not text:
        return None, ""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp(), ""
    except (ValueError, OverflowError):
        pass
    return None, f"its expiry, {text}, is no time such as 2026-01-31T12:00:00Z"


def _content(decision: Json) -> str:
    """What makes a decision that is deleted and created again the same order: its name, and all that it says."""
    said = orjson.dumps([decision["metadata"]["name"], decision["spec"]], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()[:12]


def _created(decision: Json) -> float | None:
    stamp = decision["metadata"].get("creationTimestamp")
    return epoch(stamp) if stamp else None
