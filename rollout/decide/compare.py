"""The gate `compare`: is the candidate worse than stable, which serves beside it?

Evidence is kept over all steps: a bad version fails at once, a proved one passes at once.  One that is neither passes
when its step's time is over, if a version that is worse by the tolerance would have been seen by now; else the run
holds, because too little was seen to tell.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from rollout.decide import memory
from rollout.decide.counted import Counted, Counters
from rollout.decide.evidence import inferiority, power, ratio
from rollout.decide.evidence.burst import watch
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.effect import Finding, judge, least_effect, tally
from rollout.decide.evidence.inferiority import Proof, prove, proved
from rollout.decide.evidence.mixture import change_point
from rollout.decide.evidence.ratio import RARE
from rollout.decide.evidence.tempered import log_e, temper
from rollout.decide.figures import odds, points, share, span, what
from rollout.plan.evidence import Evidence
from rollout.plan.run import GateState, Look
from rollout.plan.sequential import CompareGate

POWER: Final = 0.8
"""A version that is worse by the tolerance would have been seen with this probability: then seeing nothing counts."""
FULL: Final = 100.0
"""At this weight nobody serves beside the candidate any more."""


def begin(stable: Counters) -> Evidence:
    """What stable's history says, before anything was judged: how common bad requests are decides the test."""
    past = memory.before_the_run(stable)
    stored = (past.total, past.bad)
    return Evidence(both=stored, base=stored, common=past.share > RARE)


def weigh(gate: CompareGate, known: Evidence, counted: Counted, now: float) -> Evidence:
    """The evidence with one look more. One that saw a single version is none, but shows how stable's pods differ."""
    arms = counted.arms
    known = replace(known, blocks=memory.blocks(watch(memory.bursts(known), counted.pods, now)))
    if not arms.comparable:
        return known
    base, both = memory.past(known.base), memory.past(known.both)
    worse = memory.tempered(known.worse)
    factors = inferiority.factors(arms, base) if known.common else ratio.factors(arms)
    proof = prove(Proof(known.proof, both), arms, margin=gate.tolerance)
    seen = power.sense(
        power.Sensitivity(*known.power),
        arms.canary_total,
        arms.primary_total,
        base=both.share,
        regression=gate.tolerance,
    )
    if known.common:
        base = base.after(arms.primary_total, arms.primary_bad)
    total = tally(memory.tallied(known), arms, now, least=least_effect(gate.tolerance))
    return replace(
        known,
        worse=memory.stored(temper(worse, factors, change_point(worse[0].looks, gate.planned))),
        proof=proof.log_e,
        both=(proof.past.total, proof.past.bad),
        base=(base.total, base.bad),
        counts=memory.counts(total.total),
        recent=memory.recent(known, arms, now),
        own=memory.own(known, arms.canary_total, arms.canary_bad),
        looks=total.looks,
        exceeded=total.exceeded,
        power=(seen.mean, seen.variance),
    )


def finding(gate: CompareGate, known: Evidence) -> Finding:
    """What the evidence amounts to."""
    phi = memory.phi(known).phi
    return judge(
        log_e(memory.tempered(known.worse), phi),
        memory.tallied(known),
        alpha=gate.alpha,
        gates=1,
        least=least_effect(gate.tolerance),
        phi=phi,
    )


def proof(known: Evidence) -> float:
    """ln of the evidence that the candidate is not worse by the tolerance."""
    return known.proof / memory.phi(known).phi


def verdict(gate: CompareGate, state: GateState, arms: Arms, now: float) -> Look:
    """One look's verdict and its sentence."""
    known = state.evidence or Evidence()
    if arms.canary_total <= 0:
        return Look(now, "no-data", None, "no requests reached the candidate")
    found = finding(gate, known)
    if arms.primary_total <= 0:
        return _alone(gate, known, found, now)
    if found.failed:
        return Look(now, "fail", found.effect, _worse(gate, known, found))
    value, head = found.counts.excess, _head(gate, known)
    if state.requests < gate.min_requests:
        text = f"{head}; {state.requests:.0f} of {gate.min_requests} requests in this step"
        return Look(now, "inconclusive", value, text)
    if proved(proof(known), gate.beta):
        strength = f"(evidence {odds(proof(known))}, limit {odds(-math.log(gate.beta))})"
        return Look(now, "pass", value, f"{head}: proved less than {points(gate.tolerance)} worse {strength}")
    chance = power.Sensitivity(*known.power).power(rule(gate), phi=memory.phi(known).phi)
    if chance >= POWER:
        text = f"{head}: {points(gate.tolerance)} worse would have been seen, with {100 * chance:.0f} % certainty"
        return Look(now, "pass", value, text)
    return Look(now, "inconclusive", value, f"{head}; {outlook(gate, known)}")


def _alone(gate: CompareGate, known: Evidence, found: Finding, now: float) -> Look:
    """No stable requests: at full weight what was seen before stands, else there is nothing to compare with."""
    if known.weight < FULL or not known.looks:
        return Look(now, "no-data", None, "no requests reached stable, to compare with")
    return Look(now, "pass", found.counts.excess, f"{_head(gate, known)}, while stable had requests")


def _head(gate: CompareGate, known: Evidence) -> str:
    """`candidate 1.67 % failed (7 of 420), stable 0.24 % (9 of 3780)`."""
    candidate, bad, stable, worse = known.counts
    named = what(gate.metric, known.edge or gate.slower_than)
    first, bracket = share(bad, candidate).split(" (")
    return f"candidate {first} {named} ({bracket}, stable {share(worse, stable)}"


def _worse(gate: CompareGate, known: Evidence, found: Finding) -> str:
    how = memory.phi(known)
    burst = f"burst factor {how.phi:.1f}" + (", assumed" if how.assumed else "")
    strength = f"evidence {odds(found.log_e)} (limit {odds(found.log_limit)})"
    return f"{_head(gate, known)}: {points(found.effect)} worse, {strength} in {found.exceeded} looks, {burst}"


def outlook(gate: CompareGate, known: Evidence) -> str:
    """What would decide it, and how long that takes: `about 410 more requests (7m) decide 1 point`."""
    more = missing(gate, known)
    rate = candidate_rate(known, gate.every)
    length = f" (about {span(more / rate)})" if rate > 0 else ""
    return f"about {more:.0f} more requests to the candidate{length} decide {points(gate.tolerance)}"


def missing(gate: CompareGate, known: Evidence) -> float:
    """Requests to the candidate until it is proved, or a worse one would have been seen, whichever comes first."""
    candidate, _, stable, _ = known.counts
    phi = memory.phi(known).phi
    weight = candidate / (candidate + stable) if candidate and stable else 0.1
    seen, base = known.power[0] / phi, memory.past(known.both).share
    detect = power.requests_to_detect(
        rule(gate), weight=weight, base=base, regression=gate.tolerance, phi=phi, seen=seen
    )
    prove_ = power.requests_to_prove(rule(gate), phi=phi) - known.proof / gate.tolerance
    return max(1.0, min(1.2 * detect, prove_))


def rule(gate: CompareGate) -> power.Rule:
    """What the gate is asked to keep."""
    return power.Rule(gate.tolerance, gate.alpha, 1, gate.beta)


def candidate_rate(known: Evidence, every: float) -> float:
    """Requests/s that reached the candidate lately."""
    if not known.recent:
        return 0.0
    spent = known.recent[-1][0] - known.recent[0][0] + every
    return sum(look[1] for look in known.recent) / spent
