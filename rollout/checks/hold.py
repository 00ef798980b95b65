"""Hold: which mode works here, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.checks.subject import Checker, Subject, policy_bound
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import MUTATING_POLICY

_INSTALL: Final = "rollout crds apply --with-hold"


async def mode(subject: Subject) -> Sequence[Finding]:
    """Which hold mode is in force, and whether what the plan asks for is there."""
    if subject.plan is not None and subject.plan.spec.target is None:
        return []
    served = await subject.world.cluster.serves(MUTATING_POLICY)
    bound = await policy_bound(subject.world)
    if subject.plan is not None and subject.hold_mode == "policy" and not bound:
        fix = _INSTALL if served else "set spec.hold.mode: paused, or use Kubernetes 1.36 or newer"
        return [Finding("RO210", Level.ERROR, "spec.hold.mode is policy, and the policy is not installed", fix=fix)]
    if bound:
        text = "mode policy: a new revision is paused in the write that brings it"
        cost = "while held, Argo CD shows Suspended; kubectl rollout status, kstatus and Helm wait"
        return [Finding("RO211", Level.INFO, f"{text}; {cost}")]
    text = "mode paused: only `rollout start --image` holds for sure; another writer's new template rolls at once"
    fix = _INSTALL if served else "keep the Deployment paused (spec.paused: true) at rest, or use Kubernetes 1.36"
    level = Level.WARNING if served else Level.INFO
    return [Finding("RO212", level, text, fix=fix)]


CHECKERS: Final = (Checker("hold-mode", "hold", "new revisions can be held", mode, needs_plan=False),)
