"""One event of a run as a message: facts, the next commands, and the words of people's own templates.

A template is filled in, never evaluated: `${plan}` is replaced, and there is nothing else in it that means anything.
What is filled in is escaped by the channel first; what the template itself says is its author's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollout.decide.reason import Reason
from rollout.notify.happenings import BACK, Happening, happenings, phase
from rollout.plan.base import rfc3339
from rollout.plan.channel import PLACEHOLDER
from rollout.plan.run import Phase
from rollout.ports.channel import Escape, Letter, Message, Trouble

_GOOD: Final = frozenset(
    {Reason.CLEARED, Reason.APPROVED, Reason.RESUMED, Reason.RETRIED, Reason.PROMOTED, Reason.ADOPTED, Reason.SKIPPED}
)
"""What ends all trouble that a run has had up to then."""
_ENDS: Final = frozenset({*BACK, Reason.PROMOTED, Reason.ADOPTED})
TITLE: Final = "${plan}: ${what}"
TEXT: Final = "${text}"


def message(run: Mapping[str, Any], event: Happening, *, cluster: str = "", left_out: int = 0) -> Message:
    """An event of a stored PlanRun as a message."""
    meta, spec = run["metadata"], run["spec"]
    status = run.get("status") or {}
    step, _, steps = str(status.get("step") or "1/1").partition("/")
    before, after = (spec["revision"].get(key) or {} for key in ("stableImages", "images"))
    return Message(
        id=f"{meta['uid']}/{event.seq}",
        at=event.at,
        kind=spec.get("planKind") or "CanaryPlan",
        namespace=meta["namespace"],
        plan=spec["plan"],
        run=meta["name"],
        reason=event.reason,
        cause=event.cause,
        what=words(event.reason),
        text=event.text,
        severity=event.severity,
        phase=phase(run),
        step=int(step),
        steps=int(steps or 1),
        weight=status.get("weight"),
        change=change(before, after),
        images=dict(after),
        by=spec.get("startedBy") or "",
        cluster=cluster,
        next=commands(event, phase(run), spec["plan"], meta["name"], meta["namespace"]),
        left_out=left_out,
        troubles=troubles(event, happenings(run)),
    )


def words(reason: str) -> str:
    """`GateFailed` as `gate failed`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", reason).lower()


def change(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """`web:1.4.2 → web:1.5.0`; images that stay are not named, and of an image only its last part."""
    moved = [(before.get(name, ""), image) for name, image in sorted(after.items()) if before.get(name) != image]
    return ", ".join(f"{_short(old)} → {_short(new)}" if old else _short(new) for old, new in moved)


def commands(event: Happening, phase: str, plan: str, run: str, namespace: str) -> tuple[str, ...]:
    """What somebody who reads of this event may want to do."""
    where = f"-n {namespace}"
    if event.reason == Reason.APPROVAL_NEEDED:
        return (f'rollout promote {plan} {where} --reason "..."', f'rollout abort {plan} {where} --reason "..."')
    if event.reason == Reason.PAUSED:
        return (f"rollout resume {plan} {where}",)
    if event.warning and phase == Phase.HELD:
        return (f"rollout why {run} {where}", f"rollout retry {plan} {where}", f"rollout undo {plan} {where}")
    return (f"rollout why {run} {where}",) if event.warning else ()


def troubles(event: Happening, events: Sequence[Happening]) -> tuple[Trouble, ...]:
    """What was wrong in a run up to an event, each reason once."""
    well = event.reason in _GOOD and not event.warning
    seen: dict[str, Trouble] = {}
    for earlier in events:
        if earlier.seq > event.seq:
            break
        if earlier.severity in ("action", "warning"):
            over = well or (event.reason in _ENDS and earlier.reason != event.reason)
            seen[earlier.reason] = Trouble(earlier.reason, earlier.at, over and earlier.seq < event.seq)
    return tuple(seen.values())


def title(letter: Letter, escape: Escape) -> str:
    """The first line."""
    return filled(letter.spec.template.title or TITLE, letter.message, escape)


def text(letter: Letter, escape: Escape) -> str:
    """What is below it; the sentences that are always needed come with it."""
    said = [filled(letter.spec.template.text or TEXT, letter.message, escape)]
    if letter.message.left_out:
        said.append(f"({letter.message.left_out} earlier events of this run were not told here.)")
    if letter.again:
        said.append("(Perhaps told before: the sender was interrupted.)")
    return "\n".join(said)


def filled(template: str, message: Message, escape: Escape) -> str:
    """A template with the facts of a message, each filled in once; what it names wrongly stays as it is."""
    values = _values(message)
    return PLACEHOLDER.sub(lambda it: escape(values[it[1]]) if it[1] in values else it[0], template)


def standing(message: Message) -> str:
    """How the run stands: `step 3/6, 50 %`; empty when it has not begun."""
    weight = "" if message.weight is None else f", {message.weight:g} %"
    return f"step {message.step}/{message.steps}{weight}"


def place(message: Message) -> str:
    """Where it is: `prod-eu / shop`."""
    return " / ".join(part for part in (message.cluster, message.namespace) if part)


def facts(message: Message) -> dict[str, str]:
    """What a card says beside its text, by name; what is not known is left out."""
    found = {
        "where": place(message),
        "run": message.run,
        "stands at": f"{message.phase}, {standing(message)}",
        "version": message.change,
        "started by": message.by,
    }
    return {name: said for name, said in found.items() if said}


def _values(message: Message) -> dict[str, str]:
    return {
        "title": f"{message.plan}: {message.what}",
        "text": message.text,
        "cluster": message.cluster,
        "namespace": message.namespace,
        "plan": message.plan,
        "kind": message.kind,
        "run": message.run,
        "reason": message.reason,
        "what": message.what,
        "severity": message.severity,
        "phase": message.phase,
        "step": str(message.step),
        "steps": str(message.steps),
        "weight": "" if message.weight is None else f"{message.weight:g}",
        "change": message.change,
        "by": message.by,
        "next": "\n".join(message.next),
        "time": rfc3339(message.at),
    }


def _short(image: str) -> str:
    """`registry/shop/web:1.5.0` as `web:1.5.0`; of a digest the beginning."""
    name, at, digest = image.rsplit("/", 1)[-1].partition("@")
    return f"{name}{at}{digest[:19]}"
