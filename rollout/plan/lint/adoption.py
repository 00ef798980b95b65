"""RO25x: how a namespace enters a mesh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.plan.base import seconds, spell
from rollout.plan.finding import Level
from rollout.plan.lint.adopted import Adopted, rule
from rollout.plan.lint.gates import written_limits
from rollout.plan.lint.rule import Hit
from rollout.plan.lint.whole import LONGEST_PLAN
from rollout.plan.mistakes import closest
from rollout.plan.query import names

_DAY: Final = 86400.0
_VARIABLES: Final = frozenset({"namespace", "workload", "window"})
_NEEDS: Final = {"shadowStrict": "shadow-strict", "authorize": "shadow-authorization", "strict": "live-policy"}
"""What a stage asks of the mesh, as drivers name it."""
_CLASSIC: Final = ("shadowStrict", "strict")
"""The stages with needs among those that are done when none is written."""


@rule("RO250", Level.ERROR, "There is no such strategy of adoption", "install the package that brings it")
def unknown_compiler(subject: Adopted) -> Iterator[Hit]:
    """Only where the installed strategies are known."""
    known, name = subject.known.compilers, subject.spec.strategy
    if known is not None and name not in known:
        yield Hit("spec.strategy", f"no strategy of adoption is named {name}", closest(name, known))


@rule("RO251", Level.ERROR, "There is no such mesh driver", "install the package that brings it")
def unknown_mesh(subject: Adopted) -> Iterator[Hit]:
    """Only where the installed drivers are known."""
    known, name = subject.known.meshes, subject.spec.mesh.driver
    if known is not None and name not in known:
        yield Hit("spec.mesh.driver", f"no mesh driver is named {name}", closest(name, known))


@rule("RO252", Level.ERROR, "The mesh cannot do what a stage needs", "leave the stage out")
def incapable_mesh(subject: Adopted) -> Iterator[Hit]:
    """Only where the drivers are known."""
    name = subject.spec.mesh.driver
    able = (subject.known.meshes or {}).get(name)
    if able is None:
        return
    for stage in [path.rpartition(".")[2] for path in subject.stages] or _CLASSIC:
        if (need := _NEEDS.get(stage)) is not None and need not in able:
            yield Hit(f"spec.stages.{stage}", f"mesh driver {name} is not capable of {need}")


@rule(
    "RO253",
    Level.WARNING,
    "STRICT comes without a count of whom it cuts off",
    "add the stage shadowStrict before it",
)
def blind_strict(subject: Adopted) -> Iterator[Hit]:
    """Refused connections are no requests: no success rate falls."""
    stages = subject.spec.stages
    if stages.strict is not None and stages.shadow_strict is None:
        yield Hit("spec.stages.strict", "nobody looks for callers without mTLS before they are refused")


@rule("RO254", Level.INFO, "A window shorter than a day misses whoever calls once a day", "look at 1d or more")
def short_window(subject: Adopted) -> Iterator[Hit]:
    """Daily reports, backups, people in another time zone."""
    stages = subject.spec.stages
    for path, stage in (("shadowStrict", stages.shadow_strict), ("authorize", stages.authorize)):
        if stage is not None and seconds(stage.window) < _DAY:
            yield Hit(f"spec.stages.{path}.window", f"{stage.window} of traffic is looked at")


@rule("RO255", Level.WARNING, "One failed step takes back everything", "use step or stage")
def back_to_the_start(subject: Adopted) -> Iterator[Hit]:
    """All proxies go, which restarts every pod, because of one policy."""
    said = "when one step fails, every workload is restarted to leave the mesh"
    given = {"spec": subject.spec.on_failure} | {path: stage.on_failure for path, stage in subject.stages.items()}
    for path, policy in given.items():
        if policy == "all":
            yield Hit(f"{path}.onFailure", said)


@rule(
    "RO256",
    Level.WARNING,
    "The namespace's label brings in whom an exception keeps out",
    "set labelNamespace to false, or say no in the pod template (Istio: label sidecar.istio.io/inject: false)",
)
def label_against_exception(subject: Adopted) -> Iterator[Hit]:
    """Unless its template says no, the next pod of the excepted workload gets a proxy."""
    stages = subject.spec.stages
    labels = stages.enrol.label_namespace if stages.enrol else not subject.stages
    for index, it in enumerate(subject.spec.exceptions if labels else ()):
        if not it.ports:
            said = (
                f"the next pod of {it.workload.kind}/{it.workload.name} gets a proxy, if its template does not say no"
            )
            yield Hit(f"spec.exceptions[{index}]", said)


@rule("RO257", Level.ERROR, "A workload is named twice", "name it once")
def named_twice(subject: Adopted) -> Iterator[Hit]:
    """In the waves, or in the exceptions."""
    waves = [
        (f"spec.waves[{number}][{index}]", ref)
        for number, wave in enumerate(subject.spec.waves)
        for index, ref in enumerate(wave)
    ]
    exceptions = [
        (f"spec.exceptions[{index}].workload", it.workload) for index, it in enumerate(subject.spec.exceptions)
    ]
    for given in (waves, exceptions):
        seen = set()
        for path, ref in given:
            if ref in seen:
                yield Hit(path, f"{ref.kind}/{ref.name} is named before")
            seen.add(ref)


@rule("RO258", Level.ERROR, "A step cannot be done before its deadline", "make the deadline longer than observe")
def deadline_before_observe(subject: Adopted) -> Iterator[Hit]:
    """A deadline that ends a step before it was watched."""
    analysis = subject.spec.analysis
    given = [("spec.analysis", analysis.observe, analysis.deadline)] + [
        (path, stage.observe or analysis.observe, stage.deadline or analysis.deadline)
        for path, stage in subject.stages.items()
        if stage.observe or stage.deadline
    ]
    for path, observe, deadline in given:
        if seconds(deadline) <= seconds(observe):
            yield Hit(f"{path}.deadline", f"a step is watched for {observe}, and its deadline is {deadline}")


@rule("RO267", Level.ERROR, "A gate of a stage says itself what its failure does", "set onFailure of the stage")
def own_failure(subject: Adopted) -> Iterator[Hit]:
    """What is undone when a gate fails is the stage's to say: `step`, `stage` or `all`."""
    for path, gate in written_limits(subject):
        if gate.on_failure is not None:
            yield Hit(f"{path}.onFailure", f"what the failure of gate {gate.name} undoes is said by its stage")


@rule("RO268", Level.ERROR, "A gate is relative to stable, and there is none", "give min or max as values")
def relative_to_nothing(subject: Adopted) -> Iterator[Hit]:
    """An adoption has no second version."""
    for path, gate in written_limits(subject):
        if gate.relative_to is not None:
            yield Hit(
                f"{path}.relativeTo", f"gate {gate.name} compares two versions, and a namespace is adopted as it is"
            )


@rule("RO259", Level.WARNING, "A step is over before its gates look", "observe for several times the interval")
def no_look(subject: Adopted) -> Iterator[Hit]:
    """What is left of the time to observe has no room for a look."""
    analysis = subject.spec.analysis
    given = {"spec.analysis": analysis.observe} | {
        path: stage.observe for path, stage in subject.stages.items() if stage.observe
    }
    for path, observe in given.items():
        judged = seconds(observe) - seconds(analysis.warmup)
        if judged < seconds(analysis.interval):
            said = f"{spell(max(judged, 0.0))} of {observe} are judged, and gates look every {analysis.interval}"
            yield Hit(f"{path}.observe", said)


@rule("RO260", Level.ERROR, "A query names a variable that has no value", "add it to the gate's variables")
def unknown_variable(subject: Adopted) -> Iterator[Hit]:
    """A hole that nothing fills; of templates only those that are known."""
    for path, gate in written_limits(subject):
        template = (subject.known.templates or {}).get(gate.template or "")
        for name in names(gate.query or (template.query if template else "")):
            if name not in _VARIABLES | gate.variables.keys():
                yield Hit(path, f"the variable ${{{name}}} is unknown", f"use one of {', '.join(sorted(_VARIABLES))}")


@rule("RO261", Level.ERROR, "The names of the plan's runs would be too long", "give the plan a shorter name")
def long_plan_name(subject: Adopted) -> Iterator[Hit]:
    """A run's name is a label's value on what the run creates."""
    if len(name := subject.plan.metadata.name) > LONGEST_PLAN:
        yield Hit("metadata.name", f"{name} has {len(name)} characters; {LONGEST_PLAN} are allowed")
