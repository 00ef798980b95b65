"""RO13x and RO14x: gates, their limits and their sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.plan.base import number, seconds
from rollout.plan.finding import Level
from rollout.plan.gate import Condition, Gate, Number, Threshold, TrafficSplit, compares, decides, sources
from rollout.plan.lint.rule import Gated, Hit, Subject, gate_rule, rule
from rollout.plan.query import VARIABLES, names

EDGES_MS: Final = (
    *(0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000),
    *(300_000, 600_000, 1_800_000, 3_600_000),
)
"""The buckets of Istio's request duration histogram, milliseconds, unless an installation changes them."""


def written_gates(subject: Gated) -> Iterator[tuple[str, Gate]]:
    """Every gate with its path."""
    for path, gates in subject.gates.items():
        yield from ((f"{path}[{index}]", gate) for index, gate in enumerate(gates))


def written_limits(subject: Gated) -> Iterator[tuple[str, Threshold]]:
    """Those of them that compare each look with limits."""
    return ((path, gate) for path, gate in written_gates(subject) if isinstance(gate, Threshold))


def written_sources(subject: Gated) -> Iterator[tuple[str, Threshold | Number]]:
    """Everything that gates ask in PromQL."""
    return ((f"{path}{place}", it) for path, gate in written_gates(subject) for place, it in sources(gate))


@rule("RO133", Level.WARNING, "Nothing judges the new version", "add gates, at least metric success")
def no_gates(subject: Subject) -> Iterator[Hit]:
    """No step has a gate that decides."""
    if not any(decides(gate) for step in subject.steps for gate in step.gates):
        yield Hit("spec", "no step has a gate that decides: only broken pods and people can stop the run")


@gate_rule("RO134", Level.ERROR, "A gate has no limit", "give it min or max")
def no_limit(subject: Gated) -> Iterator[Hit]:
    """Neither min nor max."""
    for path, gate in written_limits(subject):
        if gate.min is None and gate.max is None:
            yield Hit(path, f"gate {gate.name} has neither min nor max, so it never fails")


@gate_rule("RO135", Level.ERROR, "Two gates of a step have the same name", "rename one")
def duplicate_gate_names(subject: Gated) -> Iterator[Hit]:
    """Gates are remembered by their names."""
    seen: set[tuple[str, str]] = set()
    for path, gate in written_gates(subject):
        key = (path.rpartition("[")[0], gate.name)
        if key in seen:
            yield Hit(f"{path}.name", f"{gate.name} is the name of an earlier gate of this step")
        seen.add(key)


@rule("RO136", Level.ERROR, "A limit of a share is over 1, or no share at all", "shares are 0 to 1, or percents")
def share_out_of_range(subject: Subject) -> Iterator[Hit]:
    """`min: 99` where 99 % was meant."""
    for path, gate in written_limits(subject):
        for field, limit in (("min", gate.min), ("max", gate.max)):
            if gate.metric is None or limit is None or 0 <= number(limit) <= 1:
                continue
            meant = f"did you mean {limit:g}%?" if not isinstance(limit, str) and 1 < limit <= 100 else ""
            said = f"{limit if isinstance(limit, str) else f'{limit:g}'} is no share between 0 and 1"
            yield Hit(f"{path}.{field}", said, meant)


@rule("RO137", Level.ERROR, "The limit is on the wrong side", "success needs min, slow needs max")
def wrong_side(subject: Subject) -> Iterator[Hit]:
    """A gate that fails when things get better."""
    for path, gate in written_limits(subject):
        if gate.metric == "success" and gate.min is None and gate.max is not None:
            yield Hit(f"{path}.max", f"gate {gate.name} fails when more requests succeed", "did you mean min?")
        if gate.metric == "slow" and gate.max is None and gate.min is not None:
            yield Hit(f"{path}.min", f"gate {gate.name} fails when fewer requests are slow", "did you mean max?")


@gate_rule("RO138", Level.ERROR, "min is over max: every look fails", "exchange them")
def empty_range(subject: Gated) -> Iterator[Hit]:
    """No value can pass."""
    for path, gate in written_limits(subject):
        if gate.min is not None and gate.max is not None and number(gate.min) > number(gate.max):
            yield Hit(f"{path}.min", f"{gate.min} is over max, {gate.max}")


@rule("RO139", Level.WARNING, "slowerThan is no bucket edge of the histogram", "use an edge")
def no_bucket_edge(subject: Subject) -> Iterator[Hit]:
    """A latency that the histogram cannot tell exactly; the next edge at or above it is used."""
    if subject.spec.analysis.labels.latency != "istio_request_duration_milliseconds_bucket":
        return
    for path, gate in written_gates(subject):
        if isinstance(gate, TrafficSplit | Condition) or gate.slower_than is None:
            continue
        wanted = round(seconds(gate.slower_than) * 1000, 6)
        if wanted in EDGES_MS:
            continue
        edge = next((edge for edge in EDGES_MS if edge >= wanted), None)
        used = f"the next edge, {edge:g}ms, is used" if edge else "it is over the last edge: nothing counts as slow"
        yield Hit(f"{path}.slowerThan", f"{gate.slower_than} is no default bucket edge of Istio: {used}")


@rule("RO143", Level.WARNING, "One request can decide", "leave minRequests at 20, or more")
def no_minimum(subject: Subject) -> Iterator[Hit]:
    """`minRequests: 0` for a metric that counts requests."""
    for path, gate in written_gates(subject):
        if not isinstance(gate, TrafficSplit | Condition) and gate.metric is not None and gate.min_requests == 0:
            yield Hit(f"{path}.minRequests", f"gate {gate.name} is judged even by a single request")


@gate_rule("RO234", Level.WARNING, "What a gate's failure or doubt does is said, and cannot happen", "leave it out")
def without_effect(subject: Gated) -> Iterator[Hit]:
    """`onFailure` of a gate that never decides, and `maxHold` of one that waits for ever."""
    for path, gate in written_gates(subject):
        if isinstance(gate, TrafficSplit):
            continue
        if gate.observe_only and gate.on_failure is not None:
            yield Hit(f"{path}.onFailure", f"gate {gate.name} only looks (observeOnly), so its failure does nothing")
        if gate.on_inconclusive == "hold" and "max_hold" in gate.model_fields_set:
            said = f"gate {gate.name} waits until the step's deadline, however long maxHold is"
            yield Hit(f"{path}.maxHold", said, "say what comes then: onInconclusive: pass or fail")


@rule("RO175", Level.ERROR, "A gate compares a query with itself", "name ${candidate} in the query")
def same_for_both(subject: Subject) -> Iterator[Hit]:
    """What is relative to stable must be about one of the versions."""
    for path, gate in written_limits(subject):
        template = (subject.known.templates or {}).get(gate.template or "")
        query = gate.query or (template.query if template else "")
        if gate.relative_to is not None and query and "candidate" not in names(query):
            yield Hit(
                path, f"the query of gate {gate.name} is the same for both versions: it does not name ${{candidate}}"
            )


@gate_rule("RO176", Level.ERROR, "A factor of stable's value is not over 0", "1.5 is half as much again as stable has")
def no_factor(subject: Gated) -> Iterator[Hit]:
    """Limits of a gate that is relative to stable."""
    for path, gate in written_limits(subject):
        for field, limit in (("min", gate.min), ("max", gate.max)):
            if gate.relative_to is not None and limit is not None and number(limit) <= 0:
                yield Hit(f"{path}.{field}", f"{limit} times what stable has is nothing")


@gate_rule("RO144", Level.ERROR, "There is no such MetricTemplate", "create it in the plan's namespace")
def unknown_template(subject: Gated) -> Iterator[Hit]:
    """Only where the namespace's templates are known."""
    known = subject.known.templates
    for path, source in written_sources(subject):
        if known is not None and source.template is not None and source.template not in known:
            there = f"there are: {', '.join(sorted(known))}" if known else ""
            yield Hit(f"{path}.template", f"there is no MetricTemplate {source.template}", there)


@gate_rule("RO145", Level.ERROR, "A variable has the name of a built-in one", "choose another name")
def hidden_variable(subject: Gated) -> Iterator[Hit]:
    """The built-in value would win."""
    for path, source in written_sources(subject):
        for name in sorted(source.variables.keys() & VARIABLES):
            yield Hit(f"{path}.variables.{name}", f"${{{name}}} is built in")


@rule("RO146", Level.ERROR, "A query names a variable that has no value", "add it to the gate's variables")
def unknown_variable(subject: Subject) -> Iterator[Hit]:
    """A hole that nothing fills; of templates only those that are known."""
    traffic = subject.spec.traffic
    nameless = {"workload", "candidate"} if traffic is not None and traffic.workloads is None else set()
    for path, source in written_sources(subject):
        template = (subject.known.templates or {}).get(source.template or "")
        for name in names(source.query or (template.query if template else "")):
            if name in nameless:
                yield Hit(path, f"${{{name}}} has no value in this plan", "give spec.traffic.workloads")
            elif name not in VARIABLES | source.variables.keys():
                yield Hit(path, f"the variable ${{{name}}} is unknown")


@rule("RO163", Level.ERROR, "A gate compares, and nothing serves beside the candidate", "add a step below 100 %")
def nobody_beside(subject: Subject) -> Iterator[Hit]:
    """A comparison that is asked for at full weight only."""
    for step in subject.steps:
        beside = {gate.name for other, weight in subject.weights if weight < 100 for gate in other.gates}
        for index, gate in enumerate(step.gates):
            if compares(gate) and not gate.observe_only and step.weight == 100 and gate.name not in beside:
                own = step.gates_path != "spec.analysis.gates" or subject.spec.analysis.gates is not None
                path = f"{step.gates_path}[{index}]" if own else step.path
                yield Hit(path, f"gate {gate.name} compares with stable, and no step before leaves it any requests")


@rule("RO164", Level.ERROR, "Gates of one name differ from step to step", "give each a name of its own")
def two_meanings(subject: Subject) -> Iterator[Hit]:
    """Evidence is remembered by name over all steps."""
    known: dict[str, Gate] = {}
    for path, gate in written_gates(subject):
        first = known.setdefault(gate.name, gate)
        if first != gate and not (isinstance(first, Threshold | Condition) and isinstance(gate, Threshold | Condition)):
            yield Hit(
                f"{path}.name", f"gate {gate.name} of an earlier step is another one, and their evidence would mix"
            )
