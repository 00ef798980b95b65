"""RO15x and RO16x: the plan as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from rollout.plan.base import Model, seconds
from rollout.plan.finding import Level
from rollout.plan.gate import Condition, Gate, Number, TemplateSpec, Threshold, TrafficSplit, sources
from rollout.plan.lint.gates import written_gates
from rollout.plan.lint.rule import Hit, Subject, rule
from rollout.plan.mistakes import closest
from rollout.plan.query import VARIABLES, fill, names
from rollout.plan.steps import common_gates

_LABEL_LENGTH: Final = 63
"""The most characters of a label's value and of a pod's host name."""
_RUN_SUFFIX: Final = 13
"""What a run's name may add to its plan's: a dash, a revision, an attempt."""
LONGEST_PLAN: Final = _LABEL_LENGTH - _RUN_SUFFIX
"""The most characters of a plan's name."""
_RUN_BYTES: Final = 256 * 1024
_STEP_BYTES: Final = 400
"""A compiled step without its gates, and its lines in the story and the journal."""
_GATE_BYTES: Final = 400
"""A compiled gate without its query."""
_EVIDENCE_BYTES: Final = 5 * 1024
"""What is remembered of one gate beside its looks: a counter cursor for some tens of pods."""
_SEQUENTIAL_BYTES: Final = 9 * 1024
"""What a gate that judges by evidence remembers beside that: stable's counters, its looks, what they are worth."""
_LOOK_BYTES: Final = 200
_NAME_LENGTH: Final = 63
"""Of what a built-in variable stands for, with few exceptions."""
_BASE_BYTES: Final = 16 * 1024
"""Everything that does not depend on the plan: metadata, conditions, revision, notes."""
_MATRIX_BYTES: Final = 64 * 1024
"""The answers that gates were shown, compressed."""


@rule("RO154", Level.ERROR, "A built-in metric needs to know the workloads", "give spec.traffic.workloads")
def no_workloads(subject: Subject) -> Iterator[Hit]:
    """Traffic-only plans have no target to count requests of."""
    traffic = subject.spec.traffic
    if traffic is None or traffic.workloads is not None:
        return
    for path, gate in written_gates(subject):
        if isinstance(gate, TrafficSplit) or (not isinstance(gate, Condition) and gate.metric is not None):
            field = "type" if isinstance(gate, TrafficSplit) else "metric"
            yield Hit(f"{path}.{field}", f"gate {gate.name} counts requests of a workload, and the plan names none")


@rule("RO155", Level.ERROR, "There is no such strategy", "install the package that brings it")
def unknown_strategy(subject: Subject) -> Iterator[Hit]:
    """Only where the installed strategies are known."""
    known, name = subject.known.strategies, subject.spec.strategy
    if known is not None and name not in known:
        yield Hit("spec.strategy", f"no strategy is named {name}", closest(name, known))


@rule("RO156", Level.ERROR, "There is no such router", "install the package that brings it")
def unknown_router(subject: Subject) -> Iterator[Hit]:
    """Only where the installed routers are known."""
    known, name = subject.known.routers, subject.spec.router.type
    if known is not None and name not in known:
        fix = f"{closest(name, known)} A controller has those it was installed with: rollout install --features"
        yield Hit("spec.router.type", f"no router is named {name} here", fix)


@rule("RO157", Level.ERROR, "The candidate's name would be too long", "the target needs a shorter name")
def long_candidate_name(subject: Subject) -> Iterator[Hit]:
    """`<target>-canary` names the candidate and, in labels, its pods."""
    target = subject.spec.target
    if target is not None and len(name := f"{target.name}-canary") > _LABEL_LENGTH:
        yield Hit("spec.target.name", f"{name} has {len(name)} characters; {_LABEL_LENGTH} are allowed")


@rule("RO158", Level.ERROR, "The names of the plan's runs would be too long", "give the plan a shorter name")
def long_plan_name(subject: Subject) -> Iterator[Hit]:
    """A run's name is a label's value on everything that the run creates."""
    if len(name := subject.plan.metadata.name) > LONGEST_PLAN:
        yield Hit("metadata.name", f"{name} has {len(name)} characters; {LONGEST_PLAN} are allowed")


@rule("RO159", Level.WARNING, "promotion.bake has no effect", "remove it, or hold in a step")
def idle_bake(subject: Subject) -> Iterator[Hit]:
    """A native promotion never has all traffic on the candidate; a last step of 100 % holds by itself."""
    promotion = subject.spec.promotion
    if seconds(promotion.bake) == 0:
        return
    if subject.spec.traffic is None and promotion.mode == "native":
        yield Hit("spec.promotion.bake", "a native promotion rolls the Deployment at once", "use mode shift to bake")
    elif subject.weights and subject.weights[-1][1] == 100:
        yield Hit("spec.promotion.bake", "the last step has 100 % already, and its own hold counts")


@rule("RO160", Level.ERROR, "stable and candidate are the same backend", "name two subsets or two hosts")
def same_backend(subject: Subject) -> Iterator[Hit]:
    """The same backend, once with the service's name and once without."""
    traffic, service = subject.spec.traffic, subject.spec.service
    if traffic is None:
        return
    stable, candidate = ((side.host or service, side.subset) for side in (traffic.stable, traffic.candidate))
    if stable == candidate:
        yield Hit(
            "spec.traffic.candidate", f"both are host {stable[0]}" + (f", subset {stable[1]}" if stable[1] else "")
        )


@rule("RO161", Level.ERROR, "The record of a run could be over 256 KiB", "use fewer steps or gates, or shorter queries")
def large_run(subject: Subject) -> Iterator[Hit]:
    """An estimate from above: the API server and etcd refuse large objects in mid-run."""
    gates = {gate.name: gate for step in _stored_gates(subject) for gate in step}
    compiled = sum(_STEP_BYTES + sum(_gate_bytes(subject, gate) for gate in step) for step in _stored_gates(subject))
    evidence = sum(_evidence_bytes(subject, it) for it in gates.values())
    total = _BASE_BYTES + _MATRIX_BYTES + _settings_bytes(subject) + compiled + evidence
    if total > _RUN_BYTES:
        said = f"{len(subject.steps)} steps with their gates may need {total // 1024} KiB"
        spec = subject.spec
        yield Hit("spec.steps" if spec.steps else "spec.linear" if spec.linear else "spec.blueGreen", said)


def _stored_gates(subject: Subject) -> Iterator[tuple[Gate, ...]]:
    """The gates of each step as it is stored: an approval goes on with those before it, promotion has the plan's."""
    watching: tuple[Gate, ...] = ()
    for step in subject.steps:
        watching = watching if step.approve is not None else step.gates
        yield watching
    yield common_gates(subject.spec)


def _evidence_bytes(subject: Subject, gate: Gate) -> int:
    looks = gate.over * _LOOK_BYTES if isinstance(gate, Threshold | Condition) else _SEQUENTIAL_BYTES
    return _EVIDENCE_BYTES + looks + _query_bytes(subject, gate)


def _settings_bytes(subject: Subject) -> int:
    analysis = subject.spec.analysis
    return _json_bytes(analysis.labels) + (_json_bytes(analysis.provider) if analysis.provider else 0)


def _gate_bytes(subject: Subject, gate: Gate) -> int:
    templates = [_template(subject, source) for _, source in sources(gate)]
    providers = [it.provider for it in templates if it is not None and it.provider is not None]
    condition = len(gate.condition.encode()) if isinstance(gate, Condition) else 0
    return _GATE_BYTES + condition + _query_bytes(subject, gate) + sum(map(_json_bytes, providers))


def _template(subject: Subject, source: Threshold | Number) -> TemplateSpec | None:
    return (subject.known.templates or {}).get(source.template or "")


def _query_bytes(subject: Subject, gate: Gate) -> int:
    """The queries with their variables filled in, as JSON; one that is relative to stable is there twice."""
    twice = 2 if isinstance(gate, Threshold) and gate.relative_to is not None else 1
    return sum(twice * _filled_bytes(subject, source) for _, source in sources(gate))


def _filled_bytes(subject: Subject, source: Threshold | Number) -> int:
    template = _template(subject, source)
    text = source.query or (template.query if template else "")
    built_in = dict.fromkeys(VARIABLES, "x" * _NAME_LENGTH)
    unknown = dict.fromkeys(names(text), "")
    return len(json.dumps(fill(text, {**unknown, **source.variables, **built_in}), ensure_ascii=False).encode())


def _json_bytes(model: Model) -> int:
    return len(model.model_dump_json().encode())
