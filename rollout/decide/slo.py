"""The gate `slo`: has the candidate more bad requests than its objective allows?

It needs no other version: it judges where nothing serves beside the candidate, a first installation or full weight.
Stable's pods, where there are any, only say how bursty errors are.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

from rollout.decide import memory
from rollout.decide.compare import POWER, candidate_rate
from rollout.decide.counted import Counted
from rollout.decide.evidence.burst import watch
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.effect import LOOKS
from rollout.decide.evidence.mixture import change_point, from_the_start
from rollout.decide.evidence.objective import FRACTIONS, factors, ratios, requests_to_keep, sense
from rollout.decide.evidence.ratio import RATIOS
from rollout.decide.evidence.tempered import log_e, temper
from rollout.decide.figures import odds, share, span, what
from rollout.plan.evidence import Evidence
from rollout.plan.run import GateState, Look
from rollout.plan.sequential import SloGate


def weigh(gate: SloGate, known: Evidence, counted: Counted, now: float) -> Evidence:
    """The evidence with one look more; stable's counts are left out."""
    known = replace(known, blocks=memory.blocks(watch(memory.bursts(known), counted.pods, now)))
    total, bad = counted.arms.canary_total, counted.arms.canary_bad
    if total <= 0:
        return known
    allowed, worse, better = gate.allowed, memory.tempered(known.worse), memory.tempered(known.better)
    worse = temper(worse, factors(total, bad, allowed, ratios(allowed)), change_point(worse[0].looks, gate.planned))
    better = temper(better, factors(total, bad, allowed, FRACTIONS), from_the_start(better[0].looks))
    arms = Arms(total, bad)
    return replace(
        known,
        worse=memory.stored(worse),
        better=memory.stored(better),
        counts=memory.counts(Arms(*known.counts) + arms),
        recent=memory.recent(known, arms, now),
        own=memory.own(known, total, bad),
        looks=known.looks + 1,
        exceeded=known.exceeded + (bad > gate.allowed * total),
        power=sense(known.power, total, allowed=gate.allowed),
    )


def verdict(gate: SloGate, state: GateState, arms: Arms, now: float) -> Look:
    """One look's verdict and its sentence."""
    known = state.evidence or Evidence()
    if arms.canary_total <= 0:
        return Look(now, "no-data", None, "no requests reached the candidate")
    total, bad, *_ = known.counts
    named = what(gate.metric, known.edge or gate.slower_than)
    value, head = 1 - bad / total, f"{share(bad, total)} {named}, {100 * gate.allowed:.4g} % allowed"
    strength, limit = against(known), -math.log(gate.alpha)
    if strength >= limit and bad > gate.allowed * total and known.exceeded >= LOOKS:
        text = f"{head}: evidence {odds(strength)} (limit {odds(limit)}) in {known.exceeded} looks"
        return Look(now, "fail", value, text)
    if state.requests < gate.min_requests:
        text = f"{head}; {state.requests:.0f} of {gate.min_requests} requests in this step"
        return Look(now, "inconclusive", value, text)
    proof, enough = proved(known), -math.log(gate.beta)
    if proof >= enough:
        return Look(now, "pass", value, f"{head}: proved (evidence {odds(proof)}, limit {odds(enough)})")
    chance = power(gate, known)
    if chance >= POWER:
        text = f"{head}: twice as many would have been seen, with {100 * chance:.0f} % certainty"
        return Look(now, "pass", value, text)
    return Look(now, "inconclusive", value, f"{head}; {outlook(gate, known)}")


def against(known: Evidence) -> float:
    """ln of the evidence that more fails than is allowed."""
    return log_e(memory.tempered(known.worse), memory.phi(known).phi)


def proved(known: Evidence) -> float:
    """ln of the evidence that less does."""
    return log_e(memory.tempered(known.better), memory.phi(known).phi)


def power(gate: SloGate, known: Evidence) -> float:
    """How likely twice the allowed share would have been found by now."""
    phi = memory.phi(known).phi
    mean, variance = (part / phi for part in known.power)
    needed = -math.log(gate.alpha) + math.log(len(RATIOS) / 2) + math.log(2)
    return NormalDist().cdf((mean - needed) / math.sqrt(variance)) if variance > 0 else 0.0


def outlook(gate: SloGate, known: Evidence) -> str:
    """What would decide it, and how long that takes: `about 60 more requests (4 min) decide it`."""
    phi = memory.phi(known).phi
    more = max(1.0, phi * requests_to_keep(gate.allowed, gate.beta) - known.counts[0])
    rate = candidate_rate(known, gate.every)
    length = f" (about {span(more / rate)})" if rate > 0 else ""
    return f"about {more:.0f} more requests to the candidate{length} decide it"
