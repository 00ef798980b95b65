"""Hooks as they are written, compiled into steps that wait for them and steps that call them again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.plan import hook as written
from rollout.plan.base import seconds
from rollout.plan.called import Header, Hook, HttpCall, JobCall
from rollout.plan.canary import CanarySpec, OnFailure
from rollout.plan.program import Call, Prepare, Step, weight_of

_TIMEOUTS = {True: "10m", False: "10s"}
"""How long a Job, and a webhook, may take that does not say."""


def compile_hooks(spec: CanarySpec) -> tuple[Hook, ...]:
    """The hooks of a plan in the engine's units."""
    return tuple(_compiled(hook, spec.analysis.on_failure) for hook in spec.hooks)


def _compiled(hook: written.Hook, usual: OnFailure) -> Hook:
    return Hook(
        name=hook.name,
        when=hook.when,
        how=_how(hook),
        timeout=seconds(hook.timeout or _TIMEOUTS[hook.job is not None]),
        retries=hook.retries,
        every=seconds(hook.every),
        failures=hook.failures,
        on_failure=hook.on_failure or usual,
    )


def _how(hook: written.Hook) -> HttpCall | JobCall:
    if hook.job is not None:
        return JobCall(hook.job.spec)
    assert hook.webhook is not None, "Hook.rules: either a webhook or a job"
    web = hook.webhook
    headers = tuple(Header(it.name, it.value or "", it.value_from) for it in web.headers)
    return HttpCall(web.url or "", web.url_from, headers, web.payload, web.metadata)


def with_hooks(spec: CanarySpec, steps: list[Step]) -> list[Step]:
    """The steps with those that wait for a hook between them, and with the hooks that are called while they hold.

    A step that waits for a hook keeps the gates of the weight before it: a version that turns bad meanwhile goes home.
    """
    found: list[Step] = []
    first = next((step.name for step in steps if weight_of(step) is not None), "")
    watching: Step | None = None
    for step in steps:
        if weight_of(step) is not None:
            for hook in spec.hooks:
                if hook.when in ("before", "confirm") and _is_at(hook, step.name, first):
                    found.append(_waiting(spec, hook, step, watching, {it.name for it in (*steps, *found)}))
            watching = step
        called = tuple(_called(spec, step)) if step.hold > 0 and weight_of(step) is not None else ()
        found.append(replace(step, during=called))
    return found


def _is_at(hook: written.Hook, step: str, first: str) -> bool:
    if hook.steps:
        return step in hook.steps
    return hook.when == "confirm" or step == first


def _called(spec: CanarySpec, step: Step) -> Iterator[str]:
    for hook in spec.hooks:
        if hook.when in ("during", "askRollback") and (not hook.steps or step.name in hook.steps):
            yield hook.name


def _waiting(spec: CanarySpec, hook: written.Hook, step: Step, watching: Step | None, taken: set[str]) -> Step:
    """The step before `step` that waits for a hook. Before the first weight the candidate is made ready for it."""
    ready = tuple(it for it in step.instructions if isinstance(it, Prepare) and watching is None)
    usual = spec.analysis.on_failure
    asked = _compiled(hook, usual)
    deadline = seconds(spec.analysis.deadline) + (asked.timeout + 60) * (asked.retries + 1)
    name = hook.name if hook.name not in taken else f"{hook.name}-{step.name}"
    return Step(
        name=name,
        instructions=(*ready, Call(hook.name)),
        gates=watching.gates if watching is not None else (),
        deadline=seconds(hook.within) if hook.when == "confirm" else deadline,
        on_failure=usual if asked.on_failure == "ignore" else asked.on_failure,
    )
