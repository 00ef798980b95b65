"""Which plans a changed object concerns: what has to be looked at again, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.stores import Stores
from rollout.plan.base import HOLD_LABEL, RUN_LABEL, Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    DEPLOYMENT,
    METRIC_TEMPLATE,
    PLAN_DECISION,
    PLAN_RUN,
    REPLICASET,
    Kind,
    Ref,
    kind_of,
)
from rollout.ports.router import Concerns

Key = tuple[str, str]
"""Namespace and name of a plan."""
_ANY: Final = "*"
"""In place of a Service: a plan that shifts traffic between other hosts is looked at with every route."""


@dataclass(slots=True)
class Affected:
    """Finds plans by what they are about. Has to be told of every change of a plan."""

    stores: Stores
    concerns: Mapping[Kind, Concerns]
    _by_target: dict[Key, set[Key]] = field(default_factory=lambda: defaultdict(set))
    _by_service: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    _aims: dict[Key, tuple[Key, str]] = field(default_factory=dict)

    def keys(self, obj: Json) -> Iterable[Key]:
        """The plans that an object concerns, which may be gone."""
        kind, meta = kind_of(obj), obj["metadata"]
        namespace, labels = meta.get("namespace", ""), meta.get("labels") or {}
        if kind == CANARY_PLAN:
            return self._plan(obj)
        if kind in (PLAN_RUN, PLAN_DECISION):
            return {(namespace, obj["spec"]["plan"])} if obj["spec"].get("plan") else ()
        if RUN_LABEL in labels:
            return self._of_run(namespace, labels[RUN_LABEL])
        if kind == DEPLOYMENT:
            held = {(namespace, labels[HOLD_LABEL])} if HOLD_LABEL in labels else set()
            return self._by_target.get((namespace, meta["name"]), set()) | held
        if kind == REPLICASET:
            owners = [owner["name"] for owner in meta.get("ownerReferences", ()) if owner.get("controller")]
            return {key for owner in owners for key in self._by_target.get((namespace, owner), ())}
        if kind == METRIC_TEMPLATE:
            return {key for key in self._aims if key[0] == namespace}
        if kind in self.concerns:
            services = self.concerns[kind](obj)
            if services is None:  # a wildcard: it may hide the routes of any namespace
                return set(self._aims)
            return {key for service in (*services, _ANY) for key in self._by_service.get(service, ())}
        return {key for key in self._aims if namespace in ("", key[0])}

    def _plan(self, plan: Json) -> set[Key]:
        """The plan itself, and those with the same target: one of them may have to wait for the other.

        To be simple, all traffic-only plans of a namespace count as having one target.
        """
        key = (plan["metadata"]["namespace"], plan["metadata"]["name"])
        rivals: set[Key] = set()
        if key in self._aims:
            target, service = self._aims.pop(key)
            self._by_target[target].discard(key)
            self._by_service[service].discard(key)
            rivals |= self._by_target[target]
        stored = self._stored(plan)
        if stored is not None:
            target, service = _aim(stored)
            self._aims[key] = (target, service)
            self._by_target[target].add(key)
            self._by_service[service].add(key)
            rivals |= self._by_target[target]
        return {key, *rivals}

    def _stored(self, plan: Json) -> Json | None:
        store = self.stores.of(CANARY_PLAN, plan["metadata"]["namespace"])
        return store.get(_ref(plan)) if store else None

    def _of_run(self, namespace: str, run: str) -> set[Key]:
        store = self.stores.of(PLAN_RUN, namespace)
        found = store.get(Ref(PLAN_RUN, namespace, run)) if store else None
        return {(namespace, found["spec"]["plan"])} if found else set()


def _ref(plan: Json) -> Ref:
    return Ref(CANARY_PLAN, plan["metadata"]["namespace"], plan["metadata"]["name"])


def _aim(plan: Json) -> tuple[Key, str]:
    """The target of a plan, nameless for a traffic-only one; and the Service that its routes go to."""
    spec, namespace = plan["spec"], plan["metadata"]["namespace"]
    traffic = spec.get("traffic") or {}
    if any((traffic.get(side) or {}).get("host") for side in ("stable", "candidate")):
        return (namespace, ""), _ANY
    name = (spec.get("target") or {}).get("name", "")
    return (namespace, name), f"{spec.get('service') or name}.{namespace}"
