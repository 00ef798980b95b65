"""The evidence behind a gate: how strong, from which numbers, which pods, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from rollout.cli.render.words import columns
from rollout.decide import compare, memory, slo
from rollout.decide.figures import odds, share
from rollout.decide.gates import WORST
from rollout.decide.outlook import decides
from rollout.plan.evidence import Evidence
from rollout.plan.program import CountGate, Gate
from rollout.plan.run import GateState
from rollout.plan.sequential import Judging, Sequential, SloGate, TrafficGate


def told(gate: Gate, state: GateState) -> list[Text | str]:
    """The lines of `why`: strength, burst factor, what would decide it, and the candidate's pods."""
    known = state.evidence
    if not isinstance(gate, Judging) or known is None:
        return _pods(state) if isinstance(gate, CountGate) else []
    how = memory.phi(known)
    assumed = ", assumed: stable has one pod or no bad requests yet" if how.assumed else ""
    parts: list[Text | str] = [
        f"  {'evidence':<9}{odds(_against(gate, known))} against it (limit {odds(-math.log(gate.alpha))}), "
        f"{odds(_for(gate, known))} for it (limit {odds(-math.log(gate.beta))})",
        f"  {'bursts':<9}factor {how.phi:.1f}{assumed}",
    ]
    last = state.looks[-1] if state.looks else None
    if last is not None and last.verdict == "inconclusive":
        parts.append(f"  {'decides':<9}{decides(gate, state)}")
    return parts + _pods(state)


def _pods(state: GateState) -> list[Text | str]:
    """Bad requests by pod, since each began: all from one pod is a story of its own."""
    bad = sorted(state.cursor.items(), key=lambda it: (-it[1][1], it[0]))
    if not bad or bad[0][1][1] <= 0:
        return []
    nodes = [state.nodes.get(pod, "") for pod, _ in bad]
    cells = [
        [pod, share(worse, total), f"on {node}" if node else ""]
        for (pod, (total, worse)), node in zip(bad[:WORST], nodes, strict=False)
    ]
    more = [f"{' ' * 11}and {len(bad) - WORST} more"] if len(bad) > WORST else []
    guilty = sum(worse > 0 for _, (_, worse) in bad)
    return [f"  {'by pod':<9}{_spread(guilty, nodes)}", *columns(cells, indent=" " * 11), *more]


def _spread(guilty: int, nodes: Sequence[str]) -> str:
    """How many pods they come from, and from which node if the others may be elsewhere."""
    if guilty == 1 and len(nodes) > 1:
        where = f", on node {nodes[0]}" if nodes[0] else ""
        return f"all bad requests come from one of {len(nodes)} pods{where}"
    shared = nodes[0] if guilty < len(nodes) and guilty <= WORST and len(set(nodes[:guilty])) == 1 else ""
    where = f", all on node {shared}" if shared else ""
    return f"bad requests come from {guilty} of {len(nodes)} pods{where}"


def _against(gate: Sequential, known: Evidence) -> float:
    if isinstance(gate, TrafficGate):
        return memory.mixture(known.worse).log_e
    return slo.against(known) if isinstance(gate, SloGate) else compare.finding(gate, known).log_e


def _for(gate: Sequential, known: Evidence) -> float:
    if isinstance(gate, TrafficGate):
        return memory.mixture(known.better).log_e
    return slo.proved(known) if isinstance(gate, SloGate) else compare.proof(known)


def evidence_json(gate: Sequential, state: GateState) -> dict[str, Any] | None:
    """The same for machines; evidence as ln E."""
    known = state.evidence
    if known is None:
        return None
    candidate, bad, stable, worse = known.counts
    how = memory.phi(known)
    body: dict[str, Any] = {
        "looks": known.looks,
        "candidate": {"requests": candidate, "bad": bad},
        "stable": {"requests": stable, "bad": worse},
        "logAgainst": round(_against(gate, known), 6),
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
        "pods": {
            pod: {"requests": total, "bad": worse, **({"node": state.nodes[pod]} if pod in state.nodes else {})}
            for pod, (total, worse) in sorted(state.cursor.items())
        },
    }
