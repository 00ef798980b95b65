"""Room: quotas and limit ranges have place for a proxy in every pod (PF18)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from rollout.checks.adoption.fixes import patch
from rollout.checks.adoption.quantities import asked, quantity, spell
from rollout.checks.adoption.sizes import size, surge
from rollout.checks.adoption.surroundings import Checker, Look, Surroundings, called
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import LIMIT_RANGE, RESOURCE_QUOTA, ref_of
from rollout.ports.mesh import Unit

_COUNTED: Final = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}


def quota(s: Surroundings) -> Iterator[Finding]:
    """PF18: the quota holds a proxy in each pod, and the pods that are there twice while a unit restarts.

    Quotas with a scope are left out: which pods they count cannot be told before the pods are there.
    """
    for it in s.of(RESOURCE_QUOTA):
        spec, status = it["spec"], it.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        for resource, hard in (spec.get("hard") or {}).items():
            more = _more(s, resource)
            used = quantity((status.get("used") or {}).get(resource, 0))
            if more and used + more > quantity(hard):
                yield _over(s, it, resource, used, more)


def _over(s: Surroundings, obj: Json, resource: str, used: Decimal, more: Decimal) -> Finding:
    name, need = obj["metadata"]["name"], spell(resource, used + more)
    hard = obj["spec"]["hard"][resource]
    text = (
        f"ResourceQuota/{name} allows {hard} {resource} in {s.name}; {spell(resource, used)} are used, and the proxies "
        f"with the pods that a restart adds need {spell(resource, more)} more: pods would be refused halfway through"
    )
    fix = patch(ref_of(obj), {"spec": {"hard": {resource: need}}})
    return Finding("RO518", Level.ERROR, text, where=f"ResourceQuota/{name}", fix=fix)


def _more(s: Surroundings, resource: str) -> Decimal:
    """What the adoption needs at most: every proxy, and the largest surge of one unit at a time."""
    if resource in ("pods", "count/pods"):
        return Decimal(max((surge(unit) for unit in s.joining), default=0))
    if resource not in _COUNTED:
        return Decimal(0)
    part, name = _COUNTED[resource]
    proxies, extra = Decimal(0), Decimal(0)
    for unit in s.joining:
        own = _proxy(s, unit, part, name)
        proxies += own * max(size(unit) - _with_proxy(s, unit), 0)
        extra = max(extra, (own + asked(unit.containers, part, name)) * surge(unit))
    return proxies + extra


def _proxy(s: Surroundings, unit: Unit, part: str, name: str) -> Decimal:
    own = s.adopted.resources(unit)
    value = own[part].get(name) or (own["limits"].get(name) if part == "requests" else None)
    return quantity(value) if value is not None else Decimal(0)


def _with_proxy(s: Surroundings, unit: Unit) -> int:
    """Pods that have a proxy already, which the quota counts."""
    everything = ([*(p["spec"].get("initContainers") or ()), *p["spec"]["containers"]] for p in unit.pods)
    return sum(any(c["name"] == s.adopted.proxy for c in containers) for containers in everything)


def limit_range(s: Surroundings) -> Iterator[Finding]:
    """PF18: limit ranges admit the proxy beside the application."""
    for it in s.of(LIMIT_RANGE):
        for number, rule in enumerate(it["spec"].get("limits") or ()):
            for unit in s.joining:
                found = next(_broken(s, unit, it, number, rule), None)
                if found is not None:
                    yield found
                    break


def _broken(s: Surroundings, unit: Unit, obj: Json, number: int, rule: dict[str, Any]) -> Iterator[Finding]:
    """What the proxy breaks in one rule: `max` of a container or of the whole pod, `min`, the ratio of both."""
    whole = rule["type"] == "Pod"
    if rule["type"] not in ("Pod", "Container"):
        return
    for name in ("cpu", "memory"):
        least, most = _proxy(s, unit, "requests", name), _proxy(s, unit, "limits", name)
        beside = asked(unit.containers, "limits", name) if whole else Decimal(0)
        top, bottom = (rule.get("max") or {}).get(name), (rule.get("min") or {}).get(name)
        ratio = (rule.get("maxLimitRequestRatio") or {}).get(name)
        if top is not None and most and most + beside > quantity(top):
            yield _refused(s, unit, obj, (number, "max", name), f"{top}", spell(name, most + beside))
        if bottom is not None and not whole and least and least < quantity(bottom):
            yield _refused(s, unit, obj, (number, "min", name), f"{bottom}", spell(name, least))
        if ratio is not None and not whole and least and most / least > quantity(ratio):
            key = (number, "maxLimitRequestRatio", name)
            yield _refused(s, unit, obj, key, f"{ratio}", spell("ratio", most / least))


def _refused(s: Surroundings, unit: Unit, obj: Json, key: tuple[int, str, str], allowed: str, asks: str) -> Finding:
    number, part, name = key
    which = obj["metadata"]["name"]
    text = (
        f"LimitRange/{which} of {s.name} has {part}.{name} {allowed}, and with its proxy {called(unit)} has "
        f"{asks}: its pods would be refused"
    )
    path = f"/spec/limits/{number}/{part}/{name}"
    fix = patch(ref_of(obj), [{"op": "replace", "path": path, "value": asks}])
    return Finding("RO518", Level.ERROR, text, where=f"LimitRange/{which}", fix=fix)


CHECKERS: Final = (
    Checker("PF18", "topology", "the quota has room for the proxies", quota, (Look(RESOURCE_QUOTA),)),
    Checker("PF18-limits", "topology", "limit ranges admit the proxy", limit_range, (Look(LIMIT_RANGE),)),
)
