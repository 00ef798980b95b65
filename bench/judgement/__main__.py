"""The command line of the bench: see the package."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import bench.judgement
from bench.judgement.rows import Row, rows
from rollout.decide.evidence.fixed import FixedThreshold
from rollout.decide.evidence.power import Rule, Schedule, Stage
from rollout.decide.evidence.trials import Outcome, Preview, preview, trials

SCHEDULE = Schedule(tuple(Stage(weight, 120) for weight in (0.1, 0.2, 0.3, 0.4, 0.5)))
RULE = Rule(alpha=0.01, gates=2)


@dataclass(frozen=True)
class Cells:
    """What the rules did with one kind of traffic at one rate."""

    row: str
    sound: bool
    rate: int
    f5: Preview
    f1: Preview
    seq: Preview


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.judgement",
        description=bench.judgement.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=2000, help="trials of each cell (default 2000)")
    parser.add_argument("--seed", type=int, default=1, help="makes them repeatable (default 1)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    args = parser.parse_args(argv)
    if args.runs < 1:
        parser.error("--runs must be 1 or more")
    if args.json:
        cells = [asdict(measure(row, rate, args.runs, args.seed)) for row in rows() for rate in row.rates]
        print(json.dumps({"seed": args.seed, "runs": args.runs, "cells": cells}, indent=2))
        return 0
    print(f"seed {args.seed}, {args.runs} trials a cell: rejected % @ median minute [bad requests served]")
    sound: bool | None = None
    for row in rows():
        if row.sound is not sound:
            sound = row.sound
            print("\n" + _line("sound candidates" if sound else "bad candidates", "r", "F5", "F1", "Seq", "proved"))
        for rate in row.rates:
            print(_text(measure(row, rate, args.runs, args.seed)), flush=True)
    return 0


def measure(row: Row, rate: int, runs: int, seed: int) -> Cells:
    """Try all rules. Each cell has a generator of its own, so that it stays the same when rows come or go."""

    def chance(rule: str) -> random.Random:
        return random.Random(f"{seed}/{row.name}/{row.phi}/{rate}/{rule}")  # noqa: S311 - chance, no secret

    checks = row.at(rate)
    fixed = {
        failures: preview(FixedThreshold(SCHEDULE, checks, chance(f"F{failures}"), failures=failures).trials(runs))
        for failures in (5, 1)
    }
    gates = [
        trials(SCHEDULE, check, RULE, chance(f"Seq {number}"), runs, phi=row.phi) for number, check in enumerate(checks)
    ]
    return Cells(
        row.name, row.sound, rate, fixed[5], fixed[1], preview([_together(one) for one in zip(*gates, strict=True)])
    )


def _together(gates: Sequence[Outcome]) -> Outcome:
    """Gates side by side: the first to fail ends the run, the last to prove lets it go on."""
    failed = min((gate.failed for gate in gates if gate.failed is not None), default=None)
    times = [gate.proved for gate in gates if gate.proved is not None]
    proved = max(times) if len(times) == len(gates) else None
    if failed is not None and proved is not None and proved >= failed:
        proved = None
    return Outcome(failed, proved, gates[0].served)


def _text(cells: Cells) -> str:
    proved = f"{100 * cells.seq.proved / cells.seq.runs:.1f}{_minute(cells.seq.proved_median)}"
    return _line(cells.row, str(cells.rate), _cell(cells.f5), _cell(cells.f1), _cell(cells.seq), proved)


def _cell(found: Preview) -> str:
    return f"{100 * found.share:.1f}{_minute(found.median)} [{found.served:.0f}]"


def _minute(seconds: float | None) -> str:
    return f" @{seconds / 60:.4g}" if seconds is not None else ""


def _line(name: str, rate: str, *cells: str) -> str:
    return f"{name:<50} {rate:>3}" + "".join(f"  {cell:<17}" for cell in cells).rstrip()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
