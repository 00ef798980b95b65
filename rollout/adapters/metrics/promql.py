"""PromQL: the queries we write, and the samples that come back. Pure.

Counters are read raw, by pod: sums over one pod are safe, because its counters are reset together; sums over pods would
fall when a pod goes, and `increase()` loses a series' first value, which for a candidate is its first burst of errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final

from rollout.plan.gate import MetricLabels

PART: Final = "part"
"""Label that tells the parts of one answer apart."""
_META: Final = re.compile(r"([\\.+*?()|\[\]{}^$])")

Workload = tuple[str, str]
"""Namespace and name."""


def quote(text: str) -> str:
    """A PromQL string."""
    return json.dumps(text, ensure_ascii=False)


def any_of(names: Iterable[str]) -> str:
    """A regular expression for exactly these names. Prometheus anchors both ends and looks literals up in its index."""
    return "|".join(_META.sub(r"\\\1", name) for name in sorted(set(names)))


def selector(labels: MetricLabels, workloads: Sequence[Workload], *more: str) -> str:
    """The label matchers, in braces. Over several namespaces this is a cross product: the caller drops the surplus."""
    matchers = [f"{key}={quote(value)}" for key, value in labels.match.items()]
    namespaces, names = {namespace for namespace, _ in workloads}, {name for _, name in workloads}
    matchers += [_matcher(labels.namespace, namespaces), _matcher(labels.workload, names), *more]
    return "{" + ",".join(matchers) + "}"


def _matcher(label: str, values: set[str]) -> str:
    if len(values) == 1:
        return f"{label}={quote(next(iter(values)))}"
    return f"{label}=~{quote(any_of(values))}"


def requests(labels: MetricLabels, workloads: Sequence[Workload]) -> str:
    """Requests, bad requests and the age of the newest sample by pod, at one moment: one query, three parts."""
    by = f"by ({labels.namespace},{labels.workload},{labels.pod})"
    every = labels.requests + selector(labels, workloads)
    failed = labels.requests + selector(labels, workloads, f'{labels.code}=~"5.."')
    return _union(
        total=f"sum {by} ({every})",
        bad=f"sum {by} ({failed})",
        age=f"time() - max {by} (timestamp({every}))",
    )


def buckets(labels: MetricLabels, workloads: Sequence[Workload], les: Iterable[str]) -> str:
    """Requests up to the named edges, all requests, and the age of the newest sample, by pod."""
    by = f"{labels.namespace},{labels.workload},{labels.pod}"
    chosen = labels.latency + selector(labels, workloads, f"le=~{quote(any_of([*les, '+Inf']))}")
    every = labels.latency + selector(labels, workloads, 'le="+Inf"')
    return _union(
        count=f"sum by ({by},le) ({chosen})",
        age=f"time() - max by ({by}) (timestamp({every}))",
    )


def native(labels: MetricLabels, workloads: Sequence[Workload], les: Iterable[str]) -> str:
    """As `buckets`, of native histograms: they have no edges, and tell of any how many requests are below it."""
    by = f"{labels.namespace},{labels.workload},{labels.pod}"
    every = _whole(labels) + selector(labels, workloads)
    age = f"time() - max by ({by}) (timestamp({every}))"
    return f"{_below(by, every, les)} or {_union(age=age)}"


def past(
    labels: MetricLabels, workload: Workload, les: Iterable[str], *, counted: bool, is_native: bool = False
) -> str:
    """For a range of time, by pod: requests and bad requests (`counted`), requests up to the named edges, if any.

    `is_native`: the histograms are native ones.
    """
    every = labels.requests + selector(labels, [workload])
    failed = labels.requests + selector(labels, [workload], f'{labels.code}=~"5.."')
    requested = {"total": f"sum by ({labels.pod}) ({every})", "bad": f"sum by ({labels.pod}) ({failed})"}
    requested = requested if counted else {}
    if not les:
        return _union(**requested)
    if is_native:
        below = _below(labels.pod, _whole(labels) + selector(labels, [workload]), les)
        return f"{_union(**requested)} or {below}" if counted else below
    chosen = labels.latency + selector(labels, [workload], f"le=~{quote(any_of([*les, '+Inf']))}")
    return _union(**requested, count=f"sum by ({labels.pod},le) ({chosen})")


def edges(labels: MetricLabels, workloads: Sequence[Workload]) -> str:
    """The histogram's edges, by workload."""
    return f"group by ({labels.namespace},{labels.workload},le) ({labels.latency}{selector(labels, workloads)})"


def natives(labels: MetricLabels, workloads: Sequence[Workload]) -> str:
    """Which workloads have native histograms."""
    every = _whole(labels) + selector(labels, workloads)
    return f"group by ({labels.namespace},{labels.workload}) (histogram_count({every}))"


def shown(labels: MetricLabels, metric: str, workload: Workload, *, is_native: bool = False) -> str:
    """The query for people: one workload, to be pasted into Prometheus."""
    if metric != "success" and is_native:
        return f"sum by ({labels.pod}) ({_whole(labels)}{selector(labels, [workload])})"
    name, by = (labels.requests, labels.code) if metric == "success" else (labels.latency, "le")
    return f"sum by ({labels.pod},{by}) ({name}{selector(labels, [workload])})"


def _whole(labels: MetricLabels) -> str:
    """The name of the native histogram beside the buckets."""
    return labels.latency.removesuffix("_bucket")


def _below(by: str, histogram: str, les: Iterable[str]) -> str:
    """Requests up to some edges, and all of them, as buckets would tell: whole counters, each with its `le`."""
    every = f"histogram_count({histogram})"
    parts = {le: f"histogram_fraction(0, {le}, {histogram}) * {every}" for le in sorted(les)} | {"+Inf": every}
    return " or ".join(f'label_replace(sum by ({by}) ({part}), "le", "{le}", "", "")' for le, part in parts.items())


def _union(**parts: str) -> str:
    return " or ".join(f'label_replace({query}, "{PART}", "{part}", "", "")' for part, query in parts.items())
