"""PromQL answered from stored series, with Prometheus' own arithmetic: extrapolation, gaps, matching."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from rollout.adapters.memory.promql_parse import (
    COMPARISONS,
    Aggregate,
    Binary,
    Call,
    Node,
    Number,
    QueryError,
    Selector,
    parse,
)
from rollout.adapters.memory.series import NAME, Labels, Series, SeriesStore, labelled

Sample = tuple[Mapping[str, str], float]
Vector = list[Sample]
Points = Sequence[tuple[float, float]]
"""Times and values of one series."""


def answer(query: str, store: SeriesStore, now: float) -> float | Vector:
    """What an instant query says at a moment: a number, or series.

    Raises:
        QueryError: it cannot be read or answered.
    """
    return _Evaluation(store, now).value(parse(query))


class _Evaluation:
    """One query at one moment."""

    def __init__(self, store: SeriesStore, now: float) -> None:
        self._store = store
        self._now = now

    def value(self, node: Node) -> float | Vector:
        """What a part of the query says."""
        match node:
            case Number():
                return node.value
            case Selector():
                return self._instant(node)
            case Call():
                return self._call(node)
            case Aggregate():
                return _aggregated(node, self._vector(node.inner))
            case Binary():
                return _combined(node, self.value(node.left), self.value(node.right))

    def _vector(self, node: Node) -> Vector:
        found = self.value(node)
        if isinstance(found, float):
            raise QueryError("a vector is wanted, not a number")
        return found

    def _scalar(self, node: Node) -> float:
        found = self.value(node)
        if not isinstance(found, float):
            raise QueryError("a number is wanted, not a vector")
        return found

    def _chosen(self, selector: Selector) -> Sequence[Series]:
        return self._store.choose((selector.name, selector.matchers), selector.fits)

    def _instant(self, selector: Selector) -> Vector:
        if selector.length:
            raise QueryError("a range is of use only in a function such as rate")
        moment = self._now - selector.offset
        found = ((stored.labels, self._store.at(stored, moment)) for stored in self._chosen(selector))
        return [(labels, point[1]) for labels, point in found if point is not None]

    def _call(self, call: Call) -> float | Vector:
        name, arguments = call.function, call.arguments
        if name == "time":
            return self._now
        if name == "vector":
            return [({}, self._scalar(arguments[0]))]
        if name == "scalar":
            found = self._vector(arguments[0])
            return found[0][1] if len(found) == 1 else math.nan
        if name == "absent":
            return [] if self._vector(arguments[0]) else [({}, 1.0)]
        if name == "timestamp" and isinstance(arguments[0], Selector):
            return self._stamps(arguments[0])
        if name == "histogram_quantile":
            return _quantiles(self._scalar(arguments[0]), self._vector(arguments[1]))
        if name in _OVER_TIME:
            return self._over_time(name, arguments[0])
        if name in _EACH:
            rest = [self._scalar(it) for it in arguments[1:]]
            return [(_bare(labels), _EACH[name](value, *rest)) for labels, value in self._vector(arguments[0])]
        raise QueryError(f"unknown function {name!r}")

    def _stamps(self, selector: Selector) -> Vector:
        moment = self._now - selector.offset
        found = ((stored.labels, self._store.at(stored, moment)) for stored in self._chosen(selector))
        return [(_bare(labels), point[0]) for labels, point in found if point is not None]

    def _over_time(self, name: str, selector: Node) -> Vector:
        if not isinstance(selector, Selector) or not selector.length:
            raise QueryError(f"{name} wants a range, such as requests[5m]")
        end = self._now - selector.offset
        start, found = end - selector.length, []
        for stored in self._chosen(selector):
            labels = stored.labels
            points = list(self._store.between(stored, start, end))
            value = _OVER_TIME[name](points, start, end) if points else None
            if value is not None:
                found.append((labels if name == "last_over_time" else _bare(labels), value))
        _distinct(found)
        return found


# -- functions of one series


def _grown(points: Points, start: float, end: float) -> float | None:
    """`increase`: the growth between the first and the last sample, extrapolated as Prometheus does."""
    if len(points) < 2:
        return None
    (began, first), (ended, last) = points[0], points[-1]
    growth = last - first + sum(before for (_, before), (_, after) in pairwise(points) if after < before)
    sampled = ended - began
    pause = sampled / (len(points) - 1)
    before, after = began - start, end - ended
    before = pause / 2 if before >= pause * 1.1 else before
    after = pause / 2 if after >= pause * 1.1 else after
    if growth > 0 and first >= 0:
        before = min(before, sampled * first / growth)  # a counter was never below nothing
    return growth * (sampled + before + after) / sampled


def _rate(points: Points, start: float, end: float) -> float | None:
    grown = _grown(points, start, end)
    return None if grown is None else grown / (end - start)


def _folded(fold: Callable[[list[float]], float]) -> Callable[[Points, float, float], float | None]:
    def folded(points: Points, _start: float, _end: float) -> float | None:
        return fold([value for _, value in points])

    return folded


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_OVER_TIME: Final[Mapping[str, Callable[[Points, float, float], float | None]]] = {
    "increase": _grown,
    "rate": _rate,
    "max_over_time": _folded(max),
    "min_over_time": _folded(min),
    "sum_over_time": _folded(sum),
    "avg_over_time": _folded(_mean),
    "count_over_time": _folded(lambda values: float(len(values))),
    "last_over_time": _folded(lambda values: values[-1]),
}
_EACH: Final[Mapping[str, Callable[..., float]]] = {
    "abs": abs,
    "ceil": lambda value: float(math.ceil(value)),
    "floor": lambda value: float(math.floor(value)),
    "clamp_min": max,
    "clamp_max": min,
}

# -- functions of many


def _aggregated(node: Aggregate, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = defaultdict(list)
    for labels, value in vector:
        groups[_signature(labels, node.labels, on=not node.without)].append(value)
    return [(dict(key), _FOLDS[node.op](values)) for key, values in groups.items()]


_FOLDS: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "sum": sum,
    "min": min,
    "max": max,
    "avg": _mean,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
}


def _quantiles(quantile: float, vector: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, value in vector:
        if "le" in labels:
            groups[_signature(labels, ("le",), on=False)].append((float(labels["le"]), value))
    return [(dict(key), _quantile(quantile, sorted(buckets))) for key, buckets in groups.items()]


def _quantile(quantile: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Linear within the bucket, as Prometheus does it; the highest edge for what lies beyond all edges."""
    total = buckets[-1][1]
    if len(buckets) < 2 or total <= 0 or not math.isinf(buckets[-1][0]):
        return math.nan
    rank = quantile * total
    index = next(number for number, (_, count) in enumerate(buckets) if count >= rank)
    if index == len(buckets) - 1:
        return buckets[-2][0]
    low, below = buckets[index - 1] if index else (0.0, 0.0)
    high, count = buckets[index]
    return low + (high - low) * ((rank - below) / (count - below)) if count > below else high


# -- operators


def _combined(node: Binary, left: float | Vector, right: float | Vector) -> float | Vector:
    if node.op in ("and", "or", "unless"):
        if isinstance(left, float) or isinstance(right, float):
            raise QueryError(f"{node.op} is between vectors")
        return _set(node, left, right)
    if isinstance(left, float) and isinstance(right, float):
        return _computed(node.op, left, right)
    if isinstance(right, float):
        return [*_filtered(node, ((labels, value, value, right) for labels, value in left))]  # type: ignore[union-attr]  # not both are numbers
    if isinstance(left, float):
        return [*_filtered(node, ((labels, value, left, value) for labels, value in right))]
    return _matched(node, left, right)


def _matched(node: Binary, left: Vector, right: Vector) -> Vector:
    """One to one."""
    others: dict[Labels, float] = {}
    for labels, value in right:
        key = _key(node, labels)
        if key in others:
            raise QueryError("found duplicate series for the match group: many-to-many matching is not allowed")
        others[key] = value
    seen: set[Labels] = set()
    pairs: list[tuple[Mapping[str, str], float, float, float]] = []
    for labels, value in left:
        key = _key(node, labels)
        if key in others:
            if key in seen:
                raise QueryError("multiple matches for labels: many-to-one matching must be explicit")
            seen.add(key)
            pairs.append((labels if node.labels is None else dict(key), value, value, others[key]))
    return [*_filtered(node, pairs)]


def _filtered(node: Binary, pairs: Iterable[tuple[Mapping[str, str], float, float, float]]) -> Iterator[Sample]:
    """Labels, the value to keep, and the two operands: a comparison chooses, all else computes."""
    for labels, kept, one, other in pairs:
        result = _computed(node.op, one, other)
        if node.op not in COMPARISONS or node.boolean:
            yield _bare(labels), result
        elif result:
            yield labels, kept


def _set(node: Binary, left: Vector, right: Vector) -> Vector:
    mine, theirs = ({_key(node, labels) for labels, _ in side} for side in (left, right))
    match node.op:
        case "and":
            return [it for it in left if _key(node, it[0]) in theirs]
        case "unless":
            return [it for it in left if _key(node, it[0]) not in theirs]
        case _:
            return [*left, *(it for it in right if _key(node, it[0]) not in mine)]


def _computed(op: str, one: float, other: float) -> float:
    try:
        return float(_OPERATORS[op](one, other))
    except (ZeroDivisionError, OverflowError, ValueError):
        return math.nan if one == 0 or math.isnan(one) or op == "%" else math.copysign(math.inf, one)


_OPERATORS: Final[Mapping[str, Callable[[float, float], float | bool]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
    "^": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def _key(node: Binary, labels: Mapping[str, str]) -> Labels:
    return _signature(labels, node.labels or (), on=node.on)


def _signature(labels: Mapping[str, str], names: Sequence[str], *, on: bool) -> Labels:
    """Only these labels, or all but these; never the name of the metric, unless it is asked for."""
    if on:
        return labelled({name: labels[name] for name in names if name in labels})
    return labelled({name: value for name, value in labels.items() if name != NAME and name not in names})


def _bare(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in labels.items() if name != NAME}


def _distinct(found: Vector) -> None:
    if len({labelled(labels) for labels, _ in found}) < len(found):
        raise QueryError("vector cannot contain metrics with the same labelset")
