"""RO12x: holds, looks and deadlines."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan.base import seconds, spell
from rollout.plan.finding import Level
from rollout.plan.gate import Condition, Gate, Threshold
from rollout.plan.lint.rule import Hit, Subject, rule
from rollout.plan.steps import PlannedStep


def _interval(subject: Subject, gate: Gate) -> float:
    return seconds(gate.every or subject.spec.analysis.interval)


def _covered(step: PlannedStep) -> bool:
    """Nothing of the hold is left to judge; a rule of its own, which makes others pointless."""
    return 0 < step.warmup >= step.hold


def _once(hits: Iterator[Hit]) -> Iterator[Hit]:
    """A preset makes many steps of one line: say it once."""
    seen = set()
    for hit in hits:
        if hit.path not in seen:
            seen.add(hit.path)
            yield hit


@rule("RO120", Level.WARNING, "A step is over before its gates look", "hold for several times the interval")
def no_look(subject: Subject) -> Iterator[Hit]:
    """A hold shorter than the interval of every gate that decides."""
    return _once(
        Hit(
            step.hold_path,
            f"step {step.name} holds {spell(step.hold)}, and its gates look every "
            f"{spell(min(_interval(subject, gate) for gate in step.gates))}",
        )
        for step in subject.steps
        if step.weight is not None
        and step.gates
        and not _covered(step)
        and step.hold - step.warmup < min(_interval(subject, gate) for gate in step.gates)
    )


@rule(
    "RO121",
    Level.WARNING,
    "A step is over before a gate could fail often enough to stop it",
    "hold longer, look more often, or ask for fewer failures",
)
def too_few_looks(subject: Subject) -> Iterator[Hit]:
    """A hold that has room for a look, but for fewer looks than `failures`."""
    return _once(
        Hit(
            step.hold_path,
            f"gate {gate.name} needs {gate.failures} failed looks, {spell(_interval(subject, gate))} apart, and "
            f"{spell(step.hold - step.warmup)} of step {step.name} are judged",
        )
        for step in subject.steps
        for gate in step.gates
        if step.weight is not None
        and isinstance(gate, Threshold | Condition)
        and not gate.observe_only
        and _interval(subject, gate) <= step.hold - step.warmup < gate.failures * _interval(subject, gate)
    )


@rule("RO122", Level.ERROR, "Nothing is judged: the warmup takes the whole hold", "shorten analysis.warmup")
def warmup_covers_hold(subject: Subject) -> Iterator[Hit]:
    """A warmup that is as long as the hold."""
    for step in subject.steps:
        if step.weight is not None and _covered(step):
            said = f"a warmup of {spell(step.warmup)} leaves nothing of the {spell(step.hold)} of step {step.name}"
            yield Hit("spec.analysis.warmup", said)
            return


@rule("RO123", Level.ERROR, "A step cannot be done before its deadline", "make the deadline longer than the hold")
def deadline_before_hold(subject: Subject) -> Iterator[Hit]:
    """A deadline that ends the step before its hold or its approval does."""
    for step in subject.steps:
        least = seconds(step.approve.within) if step.approve else step.hold
        if step.deadline <= least:
            said = f"step {step.name} takes at least {spell(least)}, and its deadline is {spell(step.deadline)}"
            yield Hit(f"{step.path}.deadline", said)


@rule("RO124", Level.WARNING, "An approval is asked for before anything was seen", "put a weight step before it")
def approve_first(subject: Subject) -> Iterator[Hit]:
    """The very first step waits for a person."""
    if subject.steps and subject.steps[0].approve is not None:
        yield Hit(subject.steps[0].path, "the first step is an approval: nobody knows anything yet")


@rule("RO129", Level.ERROR, "An approval needs more people than may give it", "name more of them, or a group")
def too_few_people(subject: Subject) -> Iterator[Hit]:
    """A step that can only wait until its time is over."""
    for step in subject.steps:
        asked = step.approve
        if asked is not None and asked.users and not asked.groups and asked.count > len(set(asked.users)):
            said = f"step {step.name} needs {asked.count} approvals, and {len(set(asked.users))} may give one"
            yield Hit(f"{step.path}.approve.count", said)
