"""Gates that judge by evidence: one look of theirs, whatever they judge.

What was counted while the weight changed is left out: it belongs to neither weight, and an incident in the middle of it
would look like a difference between the versions.  The evidence itself stays over all steps.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, assert_never

from rollout.decide import compare, division, slo
from rollout.decide.counted import Counted, bounded, count
from rollout.decide.evidence.edges import Buckets, usual_edge
from rollout.decide.seen import Sample
from rollout.plan.evidence import Evidence
from rollout.plan.run import GateState, Look
from rollout.plan.sequential import CompareGate, Sequential, SloGate, TrafficGate

KEPT: Final = 5
"""Looks that are remembered one by one; the evidence has them all."""
ENOUGH: Final = 100
"""Requests of stable that a latency is chosen from, where the plan names none."""


def look(gate: Sequential, before: GateState, sample: Sample, now: float, *, judged: bool, weight: float) -> GateState:
    """The gate's memory after one sample, at a weight in percent."""
    if chooses(gate, before):
        return _choose(before, sample, now)
    mute = _mute(gate, before, sample, weight, now)
    known = before.evidence or Evidence()
    if not known.begun and (mute is None or _begins(sample)):
        return _begin(gate, before, sample, weight)
    if mute is not None:
        return _remember(before, mute)
    counted = count(sample, before.cursor, known.peers, pooled=isinstance(gate, TrafficGate))
    known = replace(known, peers=counted.peers)
    state = replace(before, cursor=counted.cursor, evidence=known)
    if known.weight != weight:
        moved = division.changed(known, weight) if isinstance(gate, TrafficGate) else replace(known, weight=weight)
        return replace(state, evidence=moved)
    if not judged:
        return state
    return _judge(gate, replace(state, requests=state.requests + counted.arms.canary_total), counted, known, now)


def _judge(gate: Sequential, state: GateState, counted: Counted, known: Evidence, now: float) -> GateState:
    match gate:
        case CompareGate():
            state = replace(state, evidence=compare.weigh(gate, known, counted, now))
            return _remember(state, compare.verdict(gate, state, counted.arms, now))
        case SloGate():
            state = replace(state, evidence=slo.weigh(gate, known, counted, now))
            return _remember(state, slo.verdict(gate, state, counted.arms, now))
        case TrafficGate():
            after = division.weigh(gate, known, counted, now)
            return _remember(replace(state, evidence=after), division.verdict(after, counted.arms, now))
        case _:
            assert_never(gate)


def chooses(gate: Sequential, state: GateState) -> bool:
    """Whether the latency that counts as slow has yet to be chosen: then stable is asked for all its edges."""
    if not isinstance(gate, CompareGate) or gate.metric != "slow" or gate.slower_than is not None:
        return False
    return state.evidence is None or state.evidence.edge is None


def begins(gate: Sequential, state: GateState) -> bool:
    """Whether the next look is the first: then the past of stable is asked for, which tells how bursty errors are."""
    if isinstance(gate, TrafficGate) or chooses(gate, state):
        return False
    return state.evidence is None or not state.evidence.begun


def proved(gate: CompareGate | SloGate, state: GateState) -> bool:
    """Whether it is proved that the candidate is not worse than it may be."""
    known = state.evidence
    if known is None:
        return False
    strength = compare.proof(known) if isinstance(gate, CompareGate) else slo.proved(known)
    return strength >= -math.log(gate.beta)


def _choose(before: GateState, sample: Sample, now: float) -> GateState:
    """Take an edge from stable's history, never from the looks that it will judge; and look again at once."""
    if sample.status == "unknown":
        return _remember(before, Look(now, "unknown", None, sample.detail or "the metrics cannot be asked"))
    total = sum(requests for requests, _ in sample.pods.values())
    if sample.status != "value" or total < ENOUGH:
        text = f"stable has had {total:.0f} requests: too few to tell what is slow for it"
        return _remember(before, Look(now, "no-data", None, sample.detail or text))
    edge = usual_edge(Buckets(total, sample.within))
    if edge is None:
        return _remember(before, Look(now, "no-data", None, "stable's durations have no histogram"))
    return replace(before, next_look=now, evidence=Evidence(edge=edge))


def _begins(sample: Sample) -> bool:
    """The candidate has not been scraped yet, stable has: the candidate's counters begin at zero."""
    return sample.status == "no-data" and sample.peer is not None and sample.peer.status == "value"


def _begin(gate: Sequential, before: GateState, sample: Sample, weight: float) -> GateState:
    """Where the counters of both versions are before the first look."""
    pooled = isinstance(gate, TrafficGate)
    stable = bounded(sample.peer.pods if sample.peer is not None else {}, pooled=pooled)
    base = compare.begin(stable) if isinstance(gate, CompareGate) else Evidence()
    edge = before.evidence.edge if before.evidence is not None else None
    evidence = replace(base, begun=True, weight=weight, peers=stable, edge=edge, blocks=sample.bursts)
    return replace(before, anew=False, cursor=bounded(sample.pods, pooled=pooled), evidence=evidence)


def _mute(gate: Sequential, before: GateState, sample: Sample, weight: float, now: float) -> Look | None:
    """Why a sample cannot be judged; None when it can."""
    peer = sample.peer or Sample("no-data", "")
    alone = isinstance(gate, SloGate) or weight >= compare.FULL
    statuses = {sample.status} if alone else {sample.status, peer.status}
    if "unknown" in statuses:
        detail = sample.detail if sample.status == "unknown" else f"stable: {peer.detail}"
        return Look(now, "unknown", None, detail or "the metrics cannot be asked")
    if isinstance(gate, TrafficGate) and statuses == {"value", "no-data"}:
        return None  # a version without a series has had no request
    if sample.status != "value":
        words = {"stale": "the newest sample is too old", "many": "several series where one number was asked for"}
        text = sample.detail or words.get(sample.status, "no data")
        return Look(now, "no-data", None, f"{text}{_absence(before, sample)}")
    if statuses != {"value"}:
        return Look(now, "no-data", None, f"stable: {peer.detail or 'no data to compare with'}")
    return None


def _absence(before: GateState, sample: Sample) -> str:
    """What it may mean that there is no series of the candidate, or none any more: an empty answer says nothing."""
    if sample.status == "many":
        return ""
    if sample.status == "stale" or before.cursor:
        there = "" if sample.status == "stale" else ", and there was one before"
        return f"{there}: its pods are not scraped any more, or it is kept under another name now"
    if sample.peer is None or sample.peer.status == "value":
        return ": no request has reached it yet"
    return ", nor for stable: no requests reach them, or their metrics have other names; rollout check looks at both"


def _remember(state: GateState, seen: Look) -> GateState:
    return replace(state, looks=(*state.looks, seen)[-KEPT:])
