"""Numbers in the sentences of verdicts: shares, points, odds."""

from __future__ import annotations

import math


def share(part: float, whole: float) -> str:
    """`1.67 % (7 of 420)`."""
    return f"{100 * part / whole if whole else 0.0:.2f} % ({part:.0f} of {whole:.0f})"


def points(difference: float) -> str:
    """A difference of shares: `1.43 points`, `1 point`."""
    number = f"{100 * difference:.2f}".rstrip("0").rstrip(".")
    return f"{number} point" + ("" if number == "1" else "s")


def span(seconds: float) -> str:
    """About how long: `45 s`, `7 min`, `3 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def odds(log_e: float) -> str:
    """Evidence as a bet that has grown: `130:1`; never the probability of a fault."""
    if log_e > math.log(1e6):
        return "over 1000000:1"
    value = math.exp(max(log_e, -50.0))
    return f"{value:.0f}:1" if value >= 9.5 else f"{value:.1f}:1"


def slowness(edge: float) -> str:
    """`500ms`, `1.5s`."""
    return f"{1000 * edge:g}ms" if edge < 1 else f"{edge:g}s"


def what(metric: str, edge: float | None) -> str:
    """What a bad request is: `failed`, `slower than 500ms`."""
    return f"slower than {slowness(edge)}" if metric == "slow" and edge is not None else "failed"
