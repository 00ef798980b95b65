"""RO185 to RO188, RO194 and RO195: routes, and what becomes of requests on them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rollout.plan.base import spell
from rollout.plan.finding import Level
from rollout.plan.lint.manifests.files import (
    DESTINATION_RULE,
    GRPC_ROUTE,
    HTTP_ROUTE,
    TRAFFIC_SPLIT,
    VIRTUAL_SERVICE,
    Files,
    host_of,
)
from rollout.plan.lint.manifests.node import Node
from rollout.plan.lint.manifests.rule import Case, rule
from rollout.plan.lint.rule import Hit
from rollout.plan.mistakes import closest


@rule(
    "RO185",
    Level.WARNING,
    "Outlier detection may eject every pod: all requests fail then, also those that would have worked",
    "set maxEjectionPercent to 50 or less, or minHealthPercent to 50: below it, all pods get requests again",
    DESTINATION_RULE,
)
def everyone_ejected(case: Case) -> Iterator[Hit]:
    """Envoy ejects while the ejected share stays within the maximum, and ignores ejections below minHealthPercent."""
    pods = _replicas(case)
    for detection in _outlier_detections(case.spec):
        most = detection.get("maxEjectionPercent").number
        healthy = detection.get("minHealthPercent").number or 0
        path = detection.get("maxEjectionPercent").path
        if most is None or not 0 < most <= 100:
            continue
        if most == 100 and healthy <= 0:
            yield Hit(path, f"all {pods} pods can be ejected at once" if pods and pods > 1 else "no pod may be left")
        elif pods is not None and pods > 1 and (left := pods - math.floor(pods * most / 100)) == 1:
            if 100 / pods >= healthy:
                yield Hit(path, f"of {pods} pods it leaves {left}, which gets all requests")


def _outlier_detections(spec: Node) -> Iterator[Node]:
    policies = [spec.get("trafficPolicy"), *(it.get("trafficPolicy") for it in spec.get("subsets").items)]
    for policy in policies:
        for one in (policy, *policy.get("portLevelSettings").items):
            if one.get("outlierDetection").there:
                yield one.get("outlierDetection")


def _replicas(case: Case) -> int | None:
    """How many pods the rule's host has by these files; None when they do not say."""
    host = host_of(case.spec.get("host").text, case.namespace)
    counts = [
        1 if (written := workload.spec.get("replicas")).value is None else written.number
        for service in case.files.services(host)
        for workload in case.files.pods_of(service)
        if workload.kind in {"Deployment.apps", "StatefulSet.apps"}
    ]
    known = [int(count) for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


@rule(
    "RO186",
    Level.ERROR,
    "A weight is no whole number from 0, or no destination has one",
    "weights are whole numbers that sum to 100",
    VIRTUAL_SERVICE,
    TRAFFIC_SPLIT,
    HTTP_ROUTE,
    GRPC_ROUTE,
)
def bad_weights(case: Case) -> Iterator[Hit]:
    """The API server or Istio's webhook refuses them."""
    for at, destinations in _weighted(case):
        weights = [destination.get("weight") for destination in destinations]
        for weight in weights:
            if weight.there and (wrong := _wrong_weight(case.given.kind, weight)):
                yield Hit(weight.path, wrong)
        total = sum(weight.number or 0 for weight in weights)
        sound = all(not weight.there or weight.number is not None for weight in weights)
        if case.given.kind == VIRTUAL_SERVICE and len(weights) > 1 and sound and total == 0:
            yield Hit(at.path, f"none of the {len(weights)} destinations has a weight: Istio refuses it")


def _wrong_weight(kind: str, weight: Node) -> str:
    number = weight.number
    if number is None:
        return "" if kind == TRAFFIC_SPLIT and weight.text else "the weight is no number"
    if number < 0:
        return f"{number:g} is negative"
    return f"{number:g} is no whole number" if number != int(number) else ""


@rule(
    "RO187",
    Level.WARNING,
    "The weights do not sum to 100",
    "make them sum to 100, so that they say what they do",
    VIRTUAL_SERVICE,
)
def odd_sum(case: Case) -> Iterator[Hit]:
    """Weights are relative: nobody is told that 90 and 20 are 82 % and 18 %."""
    for at, destinations in _weighted(case):
        weights = [destination.get("weight") for destination in destinations]
        numbers = [0 if not weight.there else weight.number for weight in weights]
        sound = [number for number in numbers if number is not None and number >= 0]
        if len(sound) < len(numbers) or not any(weight.there for weight in weights):
            continue
        if len(sound) == 1:
            if sound[0] != 100:
                yield Hit(weights[0].path, f"a single destination gets all requests, whatever its weight: {sound[0]:g}")
        elif (total := sum(sound)) not in {0, 100}:
            shares = ", ".join(f"{number:g} is {number / total:.0%}" for number in sound)
            yield Hit(at.path, f"the weights sum to {total:g}, and they are relative: {shares}")


def _weighted(case: Case) -> Iterator[tuple[Node, Sequence[Node]]]:
    """The lists of destinations that share the requests of one route."""
    match case.given.kind:
        case "VirtualService.networking.istio.io":
            lists = [route.get("route") for way in ("http", "tcp", "tls") for route in case.spec.get(way).items]
        case "TrafficSplit.split.smi-spec.io":
            lists = [case.spec.get("backends")]
        case _:
            lists = [it.get("backendRefs") for it in case.spec.get("rules").items]
    return ((one, one.items) for one in lists if one.items)


@rule(
    "RO188",
    Level.WARNING,
    "A route leads to a subset that no DestinationRule among the files defines",
    "apply the DestinationRule first, and lint both together: without the subset every such request is a 503",
    VIRTUAL_SERVICE,
)
def unknown_subset(case: Case) -> Iterator[Hit]:
    """Requests for a subset that does not exist are answered with 503."""
    for destination in _destinations(case.spec):
        subset, host = destination.get("subset"), destination.get("host").text
        if not subset.text or not host:
            continue
        defined = _subsets(case.files, host, case.namespace)
        if defined is None:
            yield Hit(
                subset.path, f"no DestinationRule among these files is for {host}, so nothing defines its subsets"
            )
        elif subset.text not in defined:
            fix = closest(subset.text, defined) if defined else ""
            yield Hit(subset.path, f"the DestinationRule for {host} has no subset {subset.text}", fix)


def _subsets(files: Files, host: str, namespace: str) -> set[str] | None:
    """The subsets that the files define for a host; None when no DestinationRule is for it."""
    wanted = host_of(host, namespace)
    rules = [it for it in files.of(DESTINATION_RULE) if host_of(it.spec.get("host").text, it.namespace).matches(wanted)]
    return {it.get("name").text for rule in rules for it in rule.spec.get("subsets").items} if rules else None


def _destinations(spec: Node) -> Iterator[Node]:
    for way in ("http", "tcp", "tls"):
        for route in spec.get(way).items:
            yield from (it.get("destination") for it in (*route.get("route").items, *route.get("mirrors").items))
            yield route.get("mirror")


@rule(
    "RO194",
    Level.WARNING,
    "A fault is injected into every request",
    "limit it: a match on a header of your own, or a percentage of 1; and take it away after the test",
    VIRTUAL_SERVICE,
)
def fault_for_all(case: Case) -> Iterator[Hit]:
    """A fault of 100 % on a route that takes everybody."""
    for route in case.spec.get("http").items:
        if _limited(route):
            continue
        for way in ("delay", "abort"):
            fault = route.get("fault", way)
            share = fault.get("percentage", "value").number
            share = fault.get("percent").number if share is None else share
            if share is not None and share >= 100:
                what = "is delayed" if way == "delay" else "fails"
                yield Hit(fault.path, f"every request of this route {what}, and no match limits it")


def _limited(route: Node) -> bool:
    """Whether a route has matches, and none of them takes every request."""
    matches = route.get("match").items
    return bool(matches) and all(not _takes_all(match) for match in matches)


def _takes_all(match: Node) -> bool:
    said = {key: below for key, below in match.entries if key not in {"name", "statPrefix", "ignoreUriCase"}}
    return said.keys() <= {"uri"} and ("uri" not in said or said["uri"].value in ({"prefix": "/"}, {"regex": ".*"}))


@rule(
    "RO195",
    Level.WARNING,
    "The retries have no time within the timeout of the route",
    "set retries.perTryTimeout so that attempts + 1 tries fit into timeout",
    VIRTUAL_SERVICE,
)
def no_time_to_retry(case: Case) -> Iterator[Hit]:
    """The timeout of the route is for all tries together."""
    for route in case.spec.get("http").items:
        retries, timeout = route.get("retries"), route.get("timeout").seconds
        attempts, each = retries.get("attempts").number or 0, retries.get("perTryTimeout")
        if attempts < 1 or not timeout:
            continue
        if not each.there:
            said = f"one slow try uses up the timeout of {spell(timeout)}, and none of the {attempts:g} retries is made"
            yield Hit(retries.path, said)
        elif each.seconds and each.seconds * (attempts + 1) > timeout:
            fit = math.floor(timeout / each.seconds)
            said = f"of {attempts + 1:g} tries of {spell(each.seconds)}, {fit} fit into the timeout of {spell(timeout)}"
            yield Hit(each.path, said)
