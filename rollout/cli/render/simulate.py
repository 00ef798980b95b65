"""What a simulation found: which regression is caught, when, how often, and what it costs until then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from rollout.cli.render.words import Cell, columns, length, lines
from rollout.decide.evidence.trials import Preview
from rollout.decide.figures import points
from rollout.decide.simulate import Foretold
from rollout.plan.kinds import Ref


@dataclass(frozen=True, slots=True)
class Simulation:
    """All gates of one plan."""

    ref: Ref
    seed: int
    said: str
    """Where the traffic is from."""
    gates: tuple[Foretold, ...]
    lacking: str = ""
    """Gates that could not be tried, and why."""


def table(found: Simulation) -> Text:
    """For people."""
    head = Text.assemble((f"SIMULATED {found.ref.namespace or 'default'}/{found.ref.name}", "bold"))
    head.append(f"   {found.said}, seed {found.seed}")
    parts: list[Text | str] = [head]
    for told in found.gates:
        rates = told.rates
        bursts = f", burst factor {rates.phi:.1f}" if rates.phi > 1 else ""
        parts.append(
            Text.assemble((told.gate, "bold"), f"   {rates.rps:g} requests/s, {100 * rates.base:.3g} % bad{bursts}")
        )
        rows: list[Sequence[Cell]] = [["worse by", "found", "after", "95 % by", "bad requests until then"]]
        rows += [_row(points(one.regression), one.found) for one in told.sizes]
        parts += columns(rows, indent="  ")
        parts.append(f"  {_sound(told.sound)}")
        parts += [f"  advice: {advice}" for advice in told.advice]
    if found.lacking:
        parts.append(f"not tried: {found.lacking}")
    return lines(parts)


def _row(size: str, found: Preview) -> list[Cell]:
    late, median = (length(at) if at is not None else "-" for at in (found.late, found.median))
    return [size, f"{_percent(found.share)}", median, late, f"about {found.served:.0f}"]


def _percent(share: float) -> str:
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.1f} %"


def _sound(found: Preview) -> str:
    low, high = found.interval
    text = f"a sound version is rejected in {_percent(found.share)} ({100 * low:.1f} to {100 * high:.1f} %)"
    if found.proved_median is None:
        return text
    return f"{text}, proved in {_percent(found.proved / found.runs)}, after {length(found.proved_median)}"


def as_json(found: Simulation) -> dict[str, Any]:
    """For machines."""
    return {
        "namespace": found.ref.namespace,
        "plan": found.ref.name,
        "seed": found.seed,
        "gates": [_gate(told) for told in found.gates],
        "notTried": found.lacking,
    }


def _gate(told: Foretold) -> dict[str, Any]:
    return {
        "gate": told.gate,
        "requestsPerSecond": told.rates.rps,
        "badShare": told.rates.base,
        "burstFactor": told.rates.phi,
        "regressions": [{"regression": one.regression, **_found(one.found)} for one in told.sizes],
        "sound": _found(told.sound),
        "advice": list(told.advice),
    }


def _found(found: Preview) -> dict[str, Any]:
    return {
        "trials": found.runs,
        "rejected": found.share,
        "rejectedInterval": list(found.interval),
        "medianSeconds": found.median,
        "p95Seconds": found.late,
        "proved": found.proved / found.runs,
        "provedMedianSeconds": found.proved_median,
        "badRequests": found.served,
    }
