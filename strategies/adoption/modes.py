"""The stages about proxies and modes: enrol, permissive, shadow strict, strict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rollout.plan.adoption import Enrolment, ShadowStrict, Strict
from rollout.plan.base import seconds
from rollout.plan.program import Enrol, Gate, Label, ReadyGate, SetMode, Shadow, Step, UnitName, Withdraw
from rollout.plan.strategy import UnitFact
from strategies.adoption.frame import Frame, slug
from strategies.adoption.people import People

SHADOW = "shadow-strict"
NAMESPACE = "strict-namespace"


def enrol(frame: Frame, stage: Enrolment, who: People) -> list[Step]:
    """Proxies, workload by workload; then the namespace asks for them."""
    steps = [_enrolled(frame, it) for it in who.entering]
    if stage.label_namespace and not frame.facts.namespace_enrolled:
        steps.append(frame.step("label-namespace", (Label(),), frame.always(None)))
    return steps


def permissive(frame: Frame) -> list[Step]:
    """Both, and explicitly: what every later step goes back to."""
    return [frame.step("permissive", (SetMode("PERMISSIVE"),), frame.always(None))]


def shadow_strict(frame: Frame, stage: ShadowStrict, who: People, *, then_strict: bool) -> list[Step]:
    """Count what STRICT would refuse, and wait for whom it would cut off."""
    window = _window(stage, who)
    gates = (*_counted(frame, stage, who), *frame.always(None))
    step = frame.step(SHADOW, (Shadow(),), gates, patience=window)
    return [step] if then_strict else [step, frame.step(f"withdraw-{SHADOW}", (Withdraw(SHADOW),), frame.always(None))]


def strict(frame: Frame, stage: Strict, who: People, shadow: ShadowStrict | None) -> list[Step]:
    """Some pods, the workload, the namespace; then what was narrower, and has no exceptions, goes.

    Before it begins, everything that was counted is counted again; before each workload, who would be cut off there.
    """
    steps: list[Step] = []
    if shadow is not None and who.serving:
        steps.append(frame.recount("strict", _counted(frame, shadow, who), _window(shadow, who)))
    for it in who.serving:
        locked = _locked(frame, it, stage.pods, who.plaintext.get(it.unit, ()))
        if shadow is not None:
            ready = _ready(frame, shadow, who, [it.unit])
            again = frame.recount(slug(it.unit), (ready,), ready.window)
            locked = [again, *(replace(step, back_to=again.name) for step in locked)]
        steps += locked
    steps.append(frame.step(NAMESPACE, (SetMode("STRICT"),), frame.locked(None)))
    # an owner's own policy for a workload would get its old mode back, and count before the namespace's
    ours = [it.unit for it in who.serving if not it.narrow and not who.plaintext.get(it.unit)]
    narrow = [f"strict-{slug(unit)}" for unit in ours]
    served = [Withdraw(name) for name in (*narrow, *([SHADOW] if shadow is not None else []))]
    if served:
        # what is withdrawn does not come back by going back: then the namespace goes back to accepting both
        steps.append(frame.step("withdraw-narrow", served, frame.locked(None), back_to=NAMESPACE))
    return steps


def _window(stage: ShadowStrict, who: People) -> float:
    """Seconds of traffic that are counted: a CronJob that calls has called."""
    return max(seconds(stage.window), who.longest_pause)


def _ready(frame: Frame, stage: ShadowStrict, who: People, units: Iterable[UnitName]) -> ReadyGate:
    """Nobody is known who would be cut off from these units."""
    return ReadyGate(
        "ready",
        tuple(units),
        window=_window(stage, who),
        every=frame.every,
        excused=who.outside,
        left_open=tuple(who.plaintext),
    )


def _counted(frame: Frame, stage: ShadowStrict, who: People) -> tuple[Gate, ...]:
    """Nobody is known, and nothing is counted."""
    ready, guards = _ready(frame, stage, who, (it.unit for it in who.serving)), frame.facts.guards
    # what an excepted caller sends is counted as well, cannot be told apart, and would be waited for in vain
    counted = () if guards is None or who.outside else guards.shadow(None, ready.window, frame.every, who.plaintext)
    return (ready, *counted)


def _enrolled(frame: Frame, it: UnitFact) -> Step:
    guards, budget = frame.facts.guards, frame.plan.spec.budget
    gates: tuple[Gate, ...] = frame.always(it.unit if it.serves else None)
    if guards is not None and budget is not None:
        gates = (*gates, *guards.cost(it.unit, budget.cpu, budget.memory, frame.every))
    return frame.step(f"enrol-{slug(it.unit)}", (Enrol(it.unit),), gates, unit=it.unit)


def _locked(frame: Frame, it: UnitFact, pods: int, plaintext: tuple[int, ...]) -> list[Step]:
    """One workload. Its two steps belong together: when the whole is refused, no pod goes on refusing."""
    whole, some = f"strict-{slug(it.unit)}", f"strict-pods-{slug(it.unit)}"
    gates = frame.locked(it.unit)
    mode = SetMode("STRICT", it.unit, plaintext=plaintext)
    pods = min(pods, it.pods - 1)
    if pods < 1:
        return [frame.step(whole, (mode,), gates, unit=it.unit)]
    first = SetMode("STRICT", it.unit, pods=pods, plaintext=plaintext)
    return [
        frame.step(some, (first,), gates, unit=it.unit),
        frame.step(whole, (mode, Withdraw(some)), gates, unit=it.unit, back_to=some),
    ]
