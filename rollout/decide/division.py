"""The gate `traffic`: does the traffic divide as the weight says?

An alarm says that routing is not effective, and nothing about the version: the run holds, and goes on by itself once
the last minute's requests divide as they should.
"""

from __future__ import annotations

from dataclasses import replace

from rollout.decide import memory
from rollout.decide.compare import FULL
from rollout.decide.counted import Counted
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.split import Split, alarm, divide
from rollout.decide.figures import share
from rollout.plan.evidence import Bets, Evidence
from rollout.plan.run import Look
from rollout.plan.sequential import TrafficGate


def weigh(gate: TrafficGate, known: Evidence, counted: Counted, now: float) -> Evidence:
    """The evidence with one look more, all at one weight."""
    arms = Arms(counted.arms.canary_total, 0.0, counted.arms.primary_total, 0.0)
    if arms.canary_total + arms.primary_total <= 0:
        return known
    before = Split(memory.mixture(known.worse), memory.mixture(known.better))
    split = divide(before, arms, weight=known.weight / 100, planned=gate.planned, tolerance=gate.tolerance)
    known = replace(
        known,
        worse=memory.bets(split.more),
        better=memory.bets(split.less),
        counts=memory.counts(Arms(*known.counts) + arms),
        recent=memory.recent(known, arms, now),
        looks=known.looks + 1,
    )
    if not known.alarm:
        return replace(known, alarm=alarm(split) is not None)
    # what was is sure; whether it still is so, the last minute says
    return replace(known, worse=Bets(), better=Bets(), alarm=not _fits(gate, known))


def changed(known: Evidence, weight: float) -> Evidence:
    """At a new weight the requests are counted anew. An alarm stays until they divide as they should."""
    return replace(known, weight=weight, counts=(0.0, 0.0, 0.0, 0.0), recent=(), worse=Bets(), better=Bets())


def verdict(known: Evidence, arms: Arms, now: float) -> Look:
    """One look's verdict and its sentence."""
    if known.weight >= FULL or known.weight <= 0:
        return Look(now, "pass", None, f"nothing is divided at {known.weight:g} %")
    if arms.canary_total + arms.primary_total <= 0:
        return Look(now, "no-data", None, "no requests reached either version")
    lately = _lately(known) if known.alarm else Arms(*known.counts)
    total = lately.canary_total + lately.primary_total
    text = f"{share(lately.canary_total, total)} requests went to the candidate, {known.weight:g} % were asked for"
    value = lately.canary_total / total
    if known.alarm:
        return Look(now, "fail", value, f"{text}: routing is not effective")
    return Look(now, "pass", value, text)


def _lately(known: Evidence) -> Arms:
    total = Arms()
    for _, *arms in known.recent:
        total += Arms(*arms)
    return total


def _fits(gate: TrafficGate, known: Evidence) -> bool:
    """Whether the requests of the last minute divide as they should, by their number alone."""
    lately, weight = _lately(known), known.weight / 100
    part = lately.canary_total / max(lately.canary_total + lately.primary_total, 1.0)
    return weight * (1 - gate.tolerance) <= part <= weight * (1 + gate.tolerance)
