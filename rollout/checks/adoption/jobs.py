"""Jobs: their pods end although the proxy does not (PF05)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.checks.adoption.fixes import annotate
from rollout.checks.adoption.meshes import ISTIO
from rollout.checks.adoption.surroundings import Checker, Surroundings, called
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CRON_JOB, JOB
from rollout.ports.mesh import Unit


def complete(s: Surroundings) -> Iterator[Finding]:
    """PF05: a Job with a proxy completes."""
    for unit in s.joining:
        if unit.kind in (CRON_JOB, JOB) and not s.adopted.starts_first(unit):
            yield _never_ends(unit, known=s.adopted.starts_first(unit) is False)
        if unit.kind == JOB:
            text = f"the template of Job/{unit.name} cannot be changed: it stays without a proxy until it is made anew"
            fix = "let it end, or make it anew when its labels are there"
            yield Finding("RO505", Level.INFO, text, where=str(unit), fix=fix)


def _never_ends(unit: Unit, *, known: bool) -> Finding:
    doubt = "" if known else "; whether this mesh has native sidecars could not be seen"
    text = f"the proxy of {called(unit)} would keep running when its work is done, so it never completes{doubt}"
    if known:
        # the annotation cannot switch on what the nodes cannot do
        fix = (
            "upgrade all nodes to Kubernetes 1.33 or newer with ENABLE_NATIVE_SIDECARS=auto in istiod, or end the "
            "proxy: "
            "curl -fsS -X POST localhost:15020/quitquitquit as the last command"
        )
    else:
        fix = annotate(unit, {"sidecar.istio.io/nativeSidecar": "true"})
    return Finding("RO505", Level.ERROR if known else Level.WARNING, text, where=str(unit), fix=fix)


CHECKERS: Final = (Checker("PF05", "jobs", "Jobs complete although the proxy runs", complete, meshes=ISTIO),)
