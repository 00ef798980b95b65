"""The evidence behind a gate: how strong, from which numbers, which pods, and what would decide it."""

from __future__ import annotations

import math
from typing import Any

from rich.text import Text

from rollout.cli.render.words import columns
from rollout.decide import compare, memory, slo
from rollout.decide.evidence.burst import factor
from rollout.decide.figures import odds, share
from rollout.plan.evidence import Evidence
from rollout.plan.program import Gate
from rollout.plan.run import GateState
from rollout.plan.sequential import CompareGate, Judging, Sequential, SloGate, TrafficGate

_PODS = 5
"""So many pods are shown, the worst first."""


def told(gate: Gate, state: GateState) -> list[Text | str]:
    """The lines of `why`: strength, burst factor, what would decide it, and the candidate's pods."""
    known = state.evidence
    if not isinstance(gate, Judging) or known is None:
        return []
    how = factor(memory.bursts(known))
    assumed = ", assumed: stable has one pod or no bad requests yet" if how.assumed else ""
    parts: list[Text | str] = [
        f"  {'evidence':<9}{odds(_against(known))} against it (limit {odds(-math.log(gate.alpha))}), "
        f"{odds(_for(gate, known))} for it (limit {odds(-math.log(gate.beta))})",
        f"  {'bursts':<9}factor {how.phi:.1f}{assumed}",
    ]
    last = state.looks[-1] if state.looks else None
    if last is not None and last.verdict == "inconclusive":
        parts.append(f"  {'decides':<9}{outlook(gate, known)}")
    return parts + _pods(state)


def outlook(gate: Judging, known: Evidence) -> str:
    """What would decide it."""
    return compare.outlook(gate, known) if isinstance(gate, CompareGate) else slo.outlook(gate, known)


def _pods(state: GateState) -> list[Text | str]:
    """Bad requests by pod, since each began: all from one pod is a story of its own."""
    bad = sorted(state.cursor.items(), key=lambda it: (-it[1][1], it[0]))
    if not bad or bad[0][1][1] <= 0:
        return []
    rows = columns([[pod, share(worse, total)] for pod, (total, worse) in bad[:_PODS]], indent=" " * 11)
    more = [f"{' ' * 11}and {len(bad) - _PODS} more"] if len(bad) > _PODS else []
    return [f"  {'by pod':<9}{_spread(bad)}", *rows, *more]


def _spread(bad: list[tuple[str, tuple[float, float]]]) -> str:
    guilty = sum(worse > 0 for _, (_, worse) in bad)
    if guilty == 1 and len(bad) > 1:
        return f"all bad requests come from one of {len(bad)} pods"
    return f"bad requests come from {guilty} of {len(bad)} pods"


def _against(known: Evidence) -> float:
    return memory.mixture(known.worse).log_e


def _for(gate: Sequential, known: Evidence) -> float:
    return memory.mixture(known.better).log_e if isinstance(gate, SloGate) else known.proof


def evidence_json(gate: Sequential, state: GateState) -> dict[str, Any] | None:
    """The same for machines; evidence as ln E."""
    known = state.evidence
    if known is None:
        return None
    candidate, bad, stable, worse = known.counts
    how = factor(memory.bursts(known))
    body: dict[str, Any] = {
        "looks": known.looks,
        "candidate": {"requests": candidate, "bad": bad},
        "stable": {"requests": stable, "bad": worse},
        "logAgainst": round(_against(known), 6),
        "logFor": round(_for(gate, known), 6),
    }
    if isinstance(gate, TrafficGate):
        return body | {"alarm": known.alarm}
    return body | {
        "logLimit": round(-math.log(gate.alpha), 6),
        "logProof": round(-math.log(gate.beta), 6),
        "burstFactor": round(how.phi, 3),
        "burstFactorAssumed": how.assumed,
        "slowerThan": known.edge or gate.slower_than,
        "pods": {pod: {"requests": total, "bad": worse} for pod, (total, worse) in sorted(state.cursor.items())},
    }
