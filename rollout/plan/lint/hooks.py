"""RO28x and RO29x: hooks.  The controller calls what a plan's author writes, from where it stands in the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollout.plan import called
from rollout.plan.base import seconds
from rollout.plan.finding import Level
from rollout.plan.hook import Hook
from rollout.plan.lint.rule import Hit, Subject, rule
from rollout.plan.mistakes import closest

FULL: Final = "full"
"""The step that a compiler adds: all traffic on the new version."""
_END: Final = ("after", "onRollback")
_REPEATED: Final = ("during", "confirm", "askRollback")
_OFTEN: Final = 5.0
"""Seconds."""


def _hooks(subject: Subject) -> Iterator[tuple[str, Hook]]:
    for index, hook in enumerate(subject.spec.hooks):
        yield f"spec.hooks[{index}]", hook


def _urls(subject: Subject) -> Iterator[tuple[str, Hook, str]]:
    """Every URL that is written down, with its host."""
    for path, hook in _hooks(subject):
        if hook.webhook is not None and hook.webhook.url is not None:
            yield f"{path}.webhook.url", hook, called.host_of(hook.webhook.url)


@rule("RO284", Level.ERROR, "Two hooks have one name", "give each a name of its own")
def same_name(subject: Subject) -> Iterator[Hit]:
    """A hook is known by its name, in status and by its receiver."""
    seen: set[str] = set()
    for path, hook in _hooks(subject):
        if hook.name in seen:
            yield Hit(f"{path}.name", f"there is another hook {hook.name}")
        seen.add(hook.name)


@rule("RO285", Level.ERROR, "A hook is for a step that there is not", "name one that `rollout plan` shows")
def unknown_step(subject: Subject) -> Iterator[Hit]:
    """A hook that would never be called."""
    named = {step.name for step in subject.steps if step.weight is not None}
    for path, hook in _hooks(subject):
        for index, step in enumerate(hook.steps):
            if step not in {*named, FULL}:
                yield Hit(f"{path}.steps[{index}]", f"no step with a weight is named {step}", closest(step, named))


@rule("RO286", Level.ERROR, "A hook calls an address of the machine's own", "name a Service or a host")
def of_the_link(subject: Subject) -> Iterator[Hit]:
    """There clouds give credentials to machines; the engine refuses it as well."""
    for path, hook, host in _urls(subject):
        if called.of_the_link(host):
            yield Hit(path, f"hook {hook.name} calls {host}, where clouds give credentials to machines")


@rule("RO287", Level.WARNING, "A hook calls the engine's own surroundings", "name a Service or a host")
def of_the_engine(subject: Subject) -> Iterator[Hit]:
    """Loopback is somebody's terminal, or a controller's own pod; the API server is no receiver of hooks."""
    for path, hook, host in _urls(subject):
        own = called.of_the_engine(host)
        if own or host == "kubernetes" or host.startswith("kubernetes.default"):
            whose = "whoever runs the engine, and a controller refuses to call itself" if own else "the API server"
            yield Hit(path, f"hook {hook.name} calls {host}: that is {whose}")


@rule("RO288", Level.WARNING, "A secret leaves the cluster in plain text", "use https")
def in_plain_text(subject: Subject) -> Iterator[Hit]:
    """A header out of a Secret, over http to a host outside."""
    for path, hook, host in _urls(subject):
        assert hook.webhook is not None, "see _urls"
        inside = "." not in host or host.endswith((".svc", ".cluster.local")) or host.count(".") == 1
        plain = str(hook.webhook.url).startswith("http://")
        if plain and not inside and any(header.value_from is not None for header in hook.webhook.headers):
            yield Hit(path, f"hook {hook.name} sends a Secret's value to {host} by http")


@rule("RO289", Level.WARNING, "A hook has a field that means nothing for it", "leave it out")
def meaningless(subject: Subject) -> Iterator[Hit]:
    """What is called at the end stands in nobody's way; what is asked until it says yes does not fail."""
    for path, hook in _hooks(subject):
        if hook.when in _END and hook.steps:
            yield Hit(f"{path}.steps", f"hook {hook.name} is called at the end, not at a step")
        if hook.on_failure is not None and hook.when in (*_END, "askRollback"):
            yield Hit(f"{path}.onFailure", f"a hook {hook.when} never stands in the way")
        if hook.on_failure == "ignore" and hook.when == "confirm":
            yield Hit(
                f"{path}.onFailure", f"hook {hook.name} is asked until it says yes: nothing would come of ignoring it"
            )


@rule("RO290", Level.ERROR, "The Job of a hook cannot run", "write it as in batch/v1")
def no_job(subject: Subject) -> Iterator[Hit]:
    """What the API server would refuse in the middle of a run."""
    for path, hook in _hooks(subject):
        if hook.job is None:
            continue
        pod = _inside(_inside(hook.job.spec, "template"), "spec")
        if not pod.get("containers"):
            yield Hit(f"{path}.job.spec", f"the Job of hook {hook.name} has no template.spec.containers")
        elif pod.get("restartPolicy") not in ("Never", "OnFailure"):
            said = f"the pods of hook {hook.name} need a restartPolicy: Never or OnFailure"
            yield Hit(f"{path}.job.spec", said)


@rule("RO291", Level.WARNING, "A hook is called very often", "every: 30s is the default")
def too_often(subject: Subject) -> Iterator[Hit]:
    """Each call is written down twice."""
    for path, hook in _hooks(subject):
        if hook.when in _REPEATED and seconds(hook.every) < _OFTEN:
            yield Hit(f"{path}.every", f"hook {hook.name} is called every {hook.every}")


def _inside(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
