"""What a hook is told: the body of a webhook, complete and without secrets."""

from __future__ import annotations

from typing import Any, Final

from rollout.plan.base import rfc3339
from rollout.plan.called import Hook, HttpCall
from rollout.plan.run import Phase, RunSpec, State

_TYPES: Final = {
    "before": "pre-rollout",
    "during": "rollout",
    "confirm": "confirm-traffic-increase",
    "after": "post-rollout",
    "onRollback": "post-rollout",
    "askRollback": "rollback",
}
"""What Flagger calls each kind of hook."""
_FAILED: Final = frozenset({Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.ABORTED, Phase.SUPERSEDED, Phase.HELD})


def body(run: RunSpec, state: State, hook: Hook) -> dict[str, Any]:
    """The body, in the form that the hook's receiver expects; empty for a Job."""
    if not isinstance(hook.how, HttpCall):
        return {}
    return _flagger(run, state, hook, hook.how) if hook.how.payload == "flagger" else _ours(run, state, hook, hook.how)


def _flagger(run: RunSpec, state: State, hook: Hook, how: HttpCall) -> dict[str, Any]:
    """Flagger's contract: type, name, namespace, phase, checksum and metadata."""
    return {
        "type": _TYPES[hook.when],
        "name": run.plan,
        "namespace": run.program.namespace,
        "phase": _phase(state, hook),
        "checksum": run.revision.digest,
        "metadata": dict(how.metadata),
    }


def _phase(state: State, hook: Hook) -> str:
    if hook.when in ("after", "onRollback"):
        return "Failed" if state.phase in _FAILED else "Succeeded"
    if state.committed or state.weight >= 100:
        return "Promoting"
    return "Waiting" if hook.when == "confirm" else "Progressing"


def _ours(run: RunSpec, state: State, hook: Hook, how: HttpCall) -> dict[str, Any]:
    step = run.program.steps[state.step]
    return {
        "hook": hook.name,
        "when": hook.when,
        "namespace": run.program.namespace,
        "plan": run.plan,
        "run": run.program.split.run,
        "phase": state.phase.value,
        "reason": state.reason,
        "message": state.message,
        "step": {"name": step.name, "number": state.step + 1, "of": len(run.program.steps)},
        "weight": state.weight,
        "images": dict(run.revision.images),
        "stableImages": dict(run.revision.stable_images),
        "startedBy": run.started_by,
        "gates": [
            {"gate": name, "verdict": look.verdict, "value": look.value, "text": look.text, "at": rfc3339(look.at)}
            for name, gate in state.gates.items()
            for look in gate.looks[-1:]
        ],
        "metadata": dict(how.metadata),
    }
