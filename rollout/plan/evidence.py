"""What a run remembers of a gate that judges by evidence: numbers only, bounded, the same after being stored.

`decide` gives them their meaning (`decide.evidence`); here is their place in the record.  All of it is some 4 KiB, and
50 bytes for each pod that is counted, of which there are `PODS` at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PODS: Final = 100
"""Pods of one version whose counters are remembered; more of them tell nothing new."""

Counts = tuple[float, float, float, float]
"""Requests and bad requests of the candidate, then of stable."""


@dataclass(frozen=True, slots=True)
class Bets:
    """See `decide.evidence.mixture.Mixture`; for gates that can fail, `decide.evidence.tempered`: 70 numbers."""

    logs: tuple[float, ...] = ()
    spent: float = 0.0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All looks so far, as what they are worth."""

    begun: bool = False
    """It is known where the counters of both versions began."""
    worse: Bets = Bets()
    """Against the candidate: worse than stable, more bad requests than allowed, more traffic than its weight."""
    better: Bets = Bets()
    """The other way: fewer bad requests than allowed, less traffic than its weight."""
    proof: float = 0.0
    """ln of the evidence that the candidate is not worse by the tolerance, were errors independent."""
    both: tuple[float, float] | None = None
    """Requests and bad ones of both versions, as a base for the next look's proof."""
    base: tuple[float, float] | None = None
    """The same of stable alone."""
    common: bool = False
    """Bad requests were common before the run, which decides what test is sharper."""
    edge: float | None = None
    """The latency that counts as slow where the plan names none: chosen from stable's history at the first look."""
    counts: Counts = (0.0, 0.0, 0.0, 0.0)
    """Everything that was judged."""
    recent: tuple[tuple[float, float, float, float, float], ...] = ()
    """The looks of the last minute: when, and its counts."""
    looks: int = 0
    """Looks that were judged."""
    exceeded: int = 0
    """Those in which the candidate was worse by what matters."""
    blocks: tuple[tuple[float, ...], ...] = ()
    """How much stable's pods differ, in stretches of time: see `decide.evidence.burst`."""
    own: tuple[float, float] = (0.0, 0.0)
    """How much the candidate's successive looks differ: see `decide.evidence.burst`."""
    power: tuple[float, float] = (0.0, 0.0)
    """Mean and variance of what the evidence would be against a candidate that is worse by the tolerance, were errors
    independent."""
    weight: float = 0.0
    """Percent that was asked of the router at the last look: a look that saw two weights is not judged."""
    alarm: bool = False
    """The traffic does not divide as the weight says."""
    peers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Last seen counters per stable pod: requests and bad requests."""
