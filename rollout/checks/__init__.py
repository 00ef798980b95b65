"""Checks: what would make a run fail or hurt, found before anything is written.

A checker is small: an id, a category, one look, findings with their fixes.  Categories are in the order in which they
build on each other; the first fatal finding skips what comes after it.  How results are shown is not decided here.

| code | what |
|---|---|
| RO201-RO205 | cluster and permissions: the API server, its version, our kinds, a missing right, what may not be seen |
| RO210-RO212 | hold: the policy is missing where a plan asks for it, what the mode costs, the right to release |
| RO220-RO229 | target: missing, refused shapes, what reaches the candidate past the split |
| RO230-RO233 | surroundings: configuration that GitOps may prune, a candidate in the way, another plan, the router |
| RO401-RO406 | metrics: no answer, no data, labels, staleness, several series, callers outside the mesh |

RO3xx come from the routers; RO5xx are in `adoption`, and RO540 (an exception that is over) in `adopting`.
"""

from __future__ import annotations

from rollout.checks.run import preflight, run
from rollout.checks.subject import Checker, Result, Subject

__all__ = ["Checker", "Result", "Subject", "preflight", "run"]
