"""RO10x: how the weights go up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from rollout.plan.finding import Level
from rollout.plan.lint.rule import Hit, Subject, rule
from rollout.plan.program import LEAST

_RESERVED: Final = frozenset({"full", "release", "conclude"})


@rule("RO101", Level.ERROR, "Weights rise from step to step: going down is what a rollback does", "sort the steps")
def falling_weights(subject: Subject) -> Iterator[Hit]:
    """A weight below the one before."""
    for (_, before), (step, weight) in pairwise(subject.weights):
        if weight < before:
            yield Hit(f"{step.path}.weight", f"{weight:g} is less than the {before:g} of the step before")


@rule("RO102", Level.WARNING, "Two steps in a row have the same weight", "make it one step with a longer hold")
def equal_weights(subject: Subject) -> Iterator[Hit]:
    """A step that changes nothing; after an approval it may still be meant."""
    for before, step in pairwise(subject.steps):
        same = (step.weight, step.mirror) == (before.weight, before.mirror)
        if step.weight is not None and same:
            yield Hit(f"{step.path}.weight", f"{step.weight:g} is the weight of the step before")


@rule("RO105", Level.ERROR, "The router takes whole percents only", "round the weight")
def fractional_weights(subject: Subject) -> Iterator[Hit]:
    """A fraction that the router would round away."""
    router = subject.spec.router.type
    if not subject.lacks("fractions"):
        return
    for path, weight in _places(subject, lambda weight: weight != int(weight)):
        yield Hit(path, f"{weight:g} is no whole percent, and router {router} takes no fractions")


@rule(
    "RO117",
    Level.ERROR,
    "No router gives less than 0.01 %, neither to the candidate nor to stable",
    "write 0.01 or more, and 99.99 or less, or all",
)
def tiny_weights(subject: Subject) -> Iterator[Hit]:
    """A share that the router would raise to the least that it can give."""
    for path, weight in _places(subject, lambda weight: 0 < weight < LEAST or 100 - LEAST < weight < 100):
        yield Hit(path, f"{weight:g} leaves {min(weight, 100 - weight):.2g} % to one side, and {LEAST} % is the least")


def _places(subject: Subject, wrong: Callable[[float], bool]) -> Iterator[tuple[str, float]]:
    """The weights of which something is true, and where each is written; the preset is one place."""
    seen = set()
    for step, weight in subject.weights:
        path = step.path if subject.spec.linear else f"{step.path}.weight"
        if wrong(weight) and path not in seen:
            seen.add(path)
            yield path, weight


@rule(
    "RO106",
    Level.WARNING,
    "The first step with traffic is large: a bad version reaches many people before the first look",
    "begin with 10 % or less",
)
def large_first_step(subject: Subject) -> Iterator[Hit]:
    """More than half of the requests at once; a switch means to."""
    if subject.spec.blue_green is not None:
        return
    step, weight = next(((step, weight) for step, weight in subject.weights if weight > 0), (None, 0.0))
    if step is not None and weight > 50:
        yield Hit(step.path, f"the first step gives the candidate {weight:g} % at once")


@rule(
    "RO107",
    Level.WARNING,
    "The last step is so small that promotion is a jump: load shows only with traffic",
    "add steps up to 30 or 50 %",
)
def small_last_step(subject: Subject) -> Iterator[Hit]:
    """Less than 5 % and then everything."""
    if subject.weights and subject.weights[-1][1] < 5:
        step, weight = subject.weights[-1]
        yield Hit(step.path, f"the last step has {weight:g} %, then all traffic follows")


@rule("RO108", Level.ERROR, "Two steps have the same name", "rename one: orders and messages name steps")
def duplicate_step_names(subject: Subject) -> Iterator[Hit]:
    """A name twice; names that we make up are unique."""
    counts = Counter(step.name for step in subject.steps)
    seen = set()
    for step in subject.steps:
        if counts[step.name] > 1 and step.name in seen:
            yield Hit(f"{step.path}.name", f"{step.name} is the name of an earlier step")
        seen.add(step.name)


@rule("RO109", Level.ERROR, "full, release and conclude are the names of the steps of promotion", "choose another name")
def reserved_step_names(subject: Subject) -> Iterator[Hit]:
    """A name that the compiled program uses itself."""
    for step in subject.steps:
        if step.name in _RESERVED:
            yield Hit(f"{step.path}.name", f"{step.name} names a step of every promotion")
