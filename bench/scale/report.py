"""Figures as lines of the tables of RESULTS.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.scale.figures import READS, Rollbacks, Window, on_time, percentile, spread
from bench.scale.shops import PERIOD
from bench.scale.usage import PROGRAMS

IDLE = "| N | seconds | requests | queries | controller CPU s/min | API server CPU s/min | RSS MiB | other work |"
ACTIVE = (
    "| N | steps | on time | gap p50/p95/max s | controller CPU s/min (ms/step) | API server s/min (ms/step) "
    "| all four s/min | requests/step | reads/step | writes/step | queries per 10 s (per tick, at most) "
    "| RSS (peak) MiB | other work |"
)
LATENCY = "| N | start: all at rest s | first bad scrape to home p50/p95/max s | of it, decided to written | found |"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _table(head: str, row: str) -> str:
    return f"{head}\n|{'---|' * (head.count('|') - 1)}\n{row}"


def _minute(window: Window, seconds: float) -> float:
    return 60 * seconds / window.seconds


def idle(count: int, window: Window, resident: float) -> str:
    """At rest."""
    used = [f"{_minute(window, window.cpu(program)):.2f}" for program in ("controller", "API server")]
    kinds = ", ".join(f"{kind} {number}" for kind, number in window.kinds().items())
    asked = f"{len(window.ours)}" + (f" ({kinds})" if kinds else "")
    cells = (f"{window.seconds:.0f}", asked, window.asked, *used, f"{resident:.0f}", f"{window.other_work:.1f}")
    return "at rest\n" + _table(IDLE, _row(count, *cells))


def active(count: int, window: Window, found: Sequence[float], resident: tuple[float, float]) -> str:
    """On the way."""
    steps = max(1, sum(r.verb == "patch" and r.resource == "virtualservices" for r in window.ours))
    reads = sum(r.verb in READS for r in window.ours)

    def used(program: str) -> str:
        seconds = window.cpu(program)
        return f"{_minute(window, seconds):.1f} ({1000 * seconds / steps:.2f})"

    by_tick = f"{percentile(window.ticks, 0.5)}, {percentile(window.ticks, 1.0)}"
    row = _row(
        count,
        steps,
        f"{100 * on_time(found):.1f} %",
        spread(found),
        used("controller"),
        used("API server"),
        f"{_minute(window, sum(window.cpu(program) for program in PROGRAMS)):.1f}",
        f"{len(window.ours) / steps:.2f}",
        f"{reads / steps:.2f}",
        f"{(len(window.ours) - reads) / steps:.2f}",
        f"{window.asked * PERIOD / window.seconds:.1f} ({by_tick})",
        f"{resident[0]:.0f} ({resident[1]:.0f})",
        f"{window.other_work:.1f}",
    )
    kinds = [f"{kind} {number / steps:.2f}" for kind, number in window.kinds().most_common()]
    refused = sum(r.code >= 400 for r in window.ours)
    return "\n".join(
        [
            "on the way",
            _table(ACTIVE, row),
            f"by kind: {', '.join(kinds)}; refused: {refused}; others sent {window.others} requests",
        ]
    )


@dataclass(frozen=True)
class Start:
    """From the new version to the first traffic."""

    first: Sequence[float]
    """Seconds until then, by run."""
    after_ready: Sequence[float]
    """Of these, from the moment that the candidate's pods were ready: before it, half of the time is Kubernetes'."""
    window: Window

    def text(self) -> str:
        """One line."""
        count = max(1, len(self.first))
        kinds = [f"{kind} {number / count:.2f}" for kind, number in self.window.kinds().most_common()]
        cpu = 1000 * self.window.cpu("controller") / count
        late = percentile(self.first, 1.0)
        return (
            f"start: first traffic p50/p95/max {spread(self.first)} s (slowest {late:.1f} s, {len(self.first)} runs), "
            f"{spread(self.after_ready)} s after its pods were ready; "
            f"{cpu:.1f} ms of controller CPU, {self.window.asked} queries in all; requests by run: {', '.join(kinds)}"
        )


def rolled_back(count: int, initialized: float, result: Rollbacks, victims: int) -> str:
    """How the bad ones got home."""
    cells = (f"{initialized:.1f}", spread(result.latency), spread(result.acting, 2))
    return "rollback\n" + _table(LATENCY, _row(count, *cells, f"{len(result.latency)} of {victims}"))
