"""The rules of kstatus, numbered: what GitOps tools and `kubectl wait` read out of a status, checked write by write.

A rule sees two versions of an object as a watcher does: the one before (None for the first) and the one that came.
Rules with a `before` hold between two versions, all others in each version by itself.  Every rule can fail:
`tests/unit/test_kstatus.py` breaks each of them.

| rule | what it says | who would be misled |
|---|---|---|
| K1 | observedGeneration is a number from 1 to generation, and never goes back | Current for a spec nobody read |
| K2 | a write of the status is about the generation that is there when it is written | the same |
| K3 | there is one condition Ready: True, False or Unknown; no type comes twice | `kubectl wait` waits for ever |
| K4 | Ready is True exactly if neither Reconciling nor Stalled is there | Flux and `kubectl wait` disagree |
| K5 | Reconciling and Stalled are True or absent | tools that only look whether they are there |
| K6 | Reconciling and Stalled are never there together | kstatus takes the one that comes first |
| K7 | a condition has reason (CamelCase), message, time (RFC 3339) and the status' observedGeneration | the schema |
| K8 | lastTransitionTime moves when the status of its condition does, and only then; never back | "since when" |
| K9 | what kstatus computes is what the table says for the phase | everybody |
| K10 | a run that has ended stays as it ended, and says when | history |
| K11 | AwaitingApproval, Paused and RolledBack are there, and True, in their phase only | alerts |
| K12 | Stalled says why, in words | the person who has to act |
| K13 | a status that was written is never taken away | kstatus: Current without a status |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.run import ENDED, Phase

Computed = Literal["InProgress", "Failed", "Current", "Terminating"]
KINDS: Final = ("CanaryPlan", "PlanRun")
TABLE: Final[dict[str, Computed]] = {
    Phase.PENDING: "InProgress",
    Phase.PROGRESSING: "InProgress",
    Phase.AWAITING_APPROVAL: "InProgress",
    Phase.PAUSED: "InProgress",
    Phase.HOLDING: "InProgress",
    Phase.PROMOTING: "InProgress",
    Phase.ROLLING_BACK: "InProgress",
    Phase.SUCCEEDED: "Current",
    Phase.SUPERSEDED: "Current",
    Phase.ROLLED_BACK: "Failed",
    Phase.ABORTED: "Failed",
    Phase.HELD: "Failed",
}
"""What a run's phase means to kstatus. A plan's is the same, with the exceptions of `wanted`."""
AT_REST: Final[dict[str, Computed]] = {"Idle": "Current", "Invalid": "Failed"}
"""What only a plan can be."""
DOMAIN: Final = {"AwaitingApproval": Phase.AWAITING_APPROVAL, "Paused": Phase.PAUSED, "RolledBack": Phase.ROLLED_BACK}
_CAMEL: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, as far as the rules look."""

    kind: str
    name: str
    generation: int
    status: Json | None
    leaving: bool = False

    @property
    def conditions(self) -> list[Json]:
        """The conditions, as they are listed."""
        found: list[Json] = (self.status or {}).get("conditions") or []
        return found

    def condition(self, kind: str) -> Json | None:
        """The condition of a type."""
        return next((c for c in self.conditions if c.get("type") == kind), None)

    @property
    def phase(self) -> str:
        """The phase; empty without a status."""
        return str((self.status or {}).get("phase") or "")


def version(obj: Json) -> Version:
    """What the rules look at in an object."""
    meta = obj["metadata"]
    leaving = "deletionTimestamp" in meta
    return Version(obj["kind"], meta.get("name", ""), meta.get("generation", 1), obj.get("status") or None, leaving)


def compute(now: Version) -> Computed:
    """What kstatus makes of an object of a kind that it has no rule of its own for.

    Deletion comes first, then a generation that was not observed yet, then the first of Reconciling and Stalled that
    is True in the order of the list; an object without any of these is Current.
    """
    if now.leaving:
        return "Terminating"
    observed = (now.status or {}).get("observedGeneration")
    if observed is not None and observed != now.generation:
        return "InProgress"
    for condition in now.conditions:
        if condition.get("status") == "True" and condition.get("type") == "Reconciling":
            return "InProgress"
        if condition.get("status") == "True" and condition.get("type") == "Stalled":
            return "Failed"
    return "Current"


def wanted(now: Version) -> Computed | None:
    """What kstatus has to make of this phase; None for a phase that there is not.

    A plan whose run gave way to a newer revision is not done: its next run begins.
    """
    if now.kind != "CanaryPlan":
        return TABLE.get(now.phase)
    if now.phase == Phase.SUPERSEDED and (now.status or {}).get("reason") == Reason.NEW_REVISION:
        return "InProgress"
    return (TABLE | AT_REST).get(now.phase)


def _k1(before: Version | None, now: Version) -> Iterator[str]:
    observed = (now.status or {}).get("observedGeneration")
    if not isinstance(observed, int) or not 1 <= observed <= now.generation:
        yield f"observedGeneration is {observed}, generation {now.generation}"
    elif before is not None and before.status is not None:
        earlier = before.status.get("observedGeneration")
        if isinstance(earlier, int) and observed < earlier:
            yield f"observedGeneration went back from {earlier} to {observed}"


def _k2(before: Version | None, now: Version) -> Iterator[str]:
    observed = (now.status or {}).get("observedGeneration")
    if before is not None and before.status != now.status and observed != now.generation:
        yield f"written for generation {observed} while the object had {now.generation}"


def _k3(before: Version | None, now: Version) -> Iterator[str]:
    types = [c.get("type") for c in now.conditions]
    if len(types) != len(set(types)):
        yield f"a condition comes twice: {types}"
    ready = now.condition("Ready")
    if ready is None or ready.get("status") not in ("True", "False", "Unknown"):
        yield f"Ready is {ready and ready.get('status')}"


def _k4(before: Version | None, now: Version) -> Iterator[str]:
    ready = now.condition("Ready")
    abnormal = [kind for kind in ("Reconciling", "Stalled") if now.condition(kind)]
    if (ready is not None and ready.get("status") == "True") == bool(abnormal):
        yield f"Ready is {ready and ready.get('status')} and there is {' and '.join(abnormal) or 'nothing abnormal'}"


def _k5(before: Version | None, now: Version) -> Iterator[str]:
    for kind in ("Reconciling", "Stalled"):
        found = now.condition(kind)
        if found is not None and found.get("status") != "True":
            yield f"{kind} is {found.get('status')}"


def _k6(before: Version | None, now: Version) -> Iterator[str]:
    if now.condition("Reconciling") and now.condition("Stalled"):
        yield "both Reconciling and Stalled"


def _k7(before: Version | None, now: Version) -> Iterator[str]:
    for c in now.conditions:
        if c.get("observedGeneration") != (now.status or {}).get("observedGeneration"):
            yield f"{c.get('type')}: observedGeneration is {c.get('observedGeneration')}"
        if not _CAMEL.fullmatch(str(c.get("reason", ""))):
            yield f"{c.get('type')}: the reason is {c.get('reason')!r}"
        if not isinstance(c.get("message"), str):
            yield f"{c.get('type')}: the message is {c.get('message')!r}"
        if not _TIME.fullmatch(str(c.get("lastTransitionTime", ""))):
            yield f"{c.get('type')}: the time is {c.get('lastTransitionTime')!r}"


def _k8(before: Version | None, now: Version) -> Iterator[str]:
    for c in now.conditions:
        was = before.condition(str(c.get("type"))) if before is not None else None
        if was is None:
            continue
        then, time = str(was.get("lastTransitionTime")), str(c.get("lastTransitionTime"))
        if was.get("status") == c.get("status") and then != time:
            yield f"{c['type']} stayed {c.get('status')} and its time went from {then} to {time}"
        elif time < then:
            yield f"{c['type']}: the time went back from {then} to {time}"


def _k9(before: Version | None, now: Version) -> Iterator[str]:
    observed = (now.status or {}).get("observedGeneration")
    result, right = compute(now), wanted(now)
    if result != "Terminating" and observed == now.generation and result != right:
        yield f"phase {now.phase or '(none)'} is {result} to kstatus, not {right}"


def _k10(before: Version | None, now: Version) -> Iterator[str]:
    if now.kind != "PlanRun":
        return
    if before is not None and before.phase in ENDED and now.phase != before.phase:
        yield f"a run that had ended {before.phase} is {now.phase}"
    if now.phase in ENDED and not (now.status or {}).get("endedAt"):
        yield f"{now.phase} without endedAt"


def _k11(before: Version | None, now: Version) -> Iterator[str]:
    for kind, phase in DOMAIN.items():
        found = now.condition(kind)
        if found is None and now.phase == phase:
            yield f"phase {phase} without {kind}"
        if found is not None and (now.phase != phase or found.get("status") != "True"):
            yield f"{kind} is {found.get('status')} in phase {now.phase}"


def _k12(before: Version | None, now: Version) -> Iterator[str]:
    stalled = now.condition("Stalled")
    if stalled is not None and not stalled.get("message"):
        yield f"Stalled ({stalled.get('reason')}) without a message"


Rule = Callable[[Version | None, Version], Iterable[str]]
RULES: Final[dict[str, Rule]] = {
    "K1": _k1,
    "K2": _k2,
    "K3": _k3,
    "K4": _k4,
    "K5": _k5,
    "K6": _k6,
    "K7": _k7,
    "K8": _k8,
    "K9": _k9,
    "K10": _k10,
    "K11": _k11,
    "K12": _k12,
}
"""The rules for an object with a status; K13 is about one that has none any more."""


def broken(before: Version | None, now: Version) -> list[str]:
    """The rules that this version breaks, each with its number."""
    if now.status is None:
        gone = before is not None and before.status is not None
        return [f"K13 {now.kind}/{now.name}: the status is gone"] if gone else []
    return [f"{code} {now.kind}/{now.name}: {wrong}" for code, rule in RULES.items() for wrong in rule(before, now)]


@dataclass
class Conformance:
    """Watches all objects of ours and keeps what was wrong with any version of them."""

    wrong: list[str] = field(default_factory=list)
    _last: dict[str, Version] = field(default_factory=dict)

    def see(self, obj: Json) -> None:
        """Look at a version that came; objects of other kinds are not looked at."""
        if obj.get("kind") not in KINDS:
            return
        uid, now = str(obj["metadata"].get("uid", "")), version(obj)
        self.wrong += broken(self._last.get(uid), now)
        self._last[uid] = now

    def see_all(self, objects: Iterable[Any]) -> list[str]:
        """Look at several, one after the other, and tell what is wrong so far."""
        for obj in objects:
            self.see(obj)
        return self.wrong
