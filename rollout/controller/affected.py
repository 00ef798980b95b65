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
    CHANGE_FREEZE,
    DEPLOYMENT,
    MESH_ADOPTION_PLAN,
    METRIC_TEMPLATE,
    NOTIFICATION_CHANNEL,
    PLAN_DECISION,
    PLAN_RUN,
    REPLICASET,
    Kind,
    Ref,
    kind_of,
    plan_of,
    ref_of,
)
from rollout.ports.router import Concerns

_Target = tuple[str, str]
"""Namespace and name of a Deployment."""
_ANY: Final = "*"
"""In place of a Service: a plan that shifts traffic between other hosts is looked at with every route."""


@dataclass(slots=True)
class Affected:
    """Finds plans by what they are about. Has to be told of every change of a plan."""

    stores: Stores
    concerns: Mapping[Kind, Concerns]
    _by_target: dict[_Target, set[Ref]] = field(default_factory=lambda: defaultdict(set))
    _by_service: dict[str, set[Ref]] = field(default_factory=lambda: defaultdict(set))
    _aims: dict[Ref, tuple[_Target, str]] = field(default_factory=dict)

    def keys(self, obj: Json) -> Iterable[Ref]:
        """The plans that an object concerns, which may be gone."""
        kind, meta = kind_of(obj), obj["metadata"]
        namespace, labels = meta.get("namespace", ""), meta.get("labels") or {}
        if kind == CANARY_PLAN:
            return self._plan(obj)
        if kind == MESH_ADOPTION_PLAN:
            return {ref_of(obj), *(ref_of(it) for it in self._adoptions(namespace))}
        if kind in (PLAN_RUN, PLAN_DECISION):
            return {plan_of(obj)} if obj["spec"].get("plan") else ()
        if kind == NOTIFICATION_CHANNEL:
            return ()
        if kind == CHANGE_FREEZE:  # to look again costs no request
            return {*self._aims, *(ref_of(it) for it in self._adoptions(""))}
        if RUN_LABEL in labels:
            return self._of_run(namespace, labels[RUN_LABEL])
        if kind == DEPLOYMENT:
            held = {Ref(CANARY_PLAN, namespace, labels[HOLD_LABEL])} if HOLD_LABEL in labels else set()
            return self._by_target.get((namespace, meta["name"]), set()) | held
        if kind == REPLICASET:
            owners = [owner["name"] for owner in meta.get("ownerReferences", ()) if owner.get("controller")]
            return {key for owner in owners for key in self._by_target.get((namespace, owner), ())}
        if kind == METRIC_TEMPLATE:
            return {key for key in self._aims if key.namespace == namespace}
        if kind in self.concerns:
            services = self.concerns[kind](obj)
            if services is None:  # a wildcard: it may hide the routes of any namespace
                return set(self._aims)
            return {key for service in (*services, _ANY) for key in self._by_service.get(service, ())}
        return {key for key in self._aims if namespace in ("", key.namespace)}

    def _plan(self, plan: Json) -> set[Ref]:
        """The CanaryPlan itself, and those with the same target: one of them may have to wait for the other.

        To be simple, all traffic-only plans of a namespace count as having one target.
        """
        key = ref_of(plan)
        rivals: set[Ref] = set()
        if key in self._aims:
            target, service = self._aims.pop(key)
            self._by_target[target].discard(key)
            self._by_service[service].discard(key)
            rivals |= self._by_target[target]
        store = self.stores.of(CANARY_PLAN, key.namespace)
        stored = store.get(key) if store else None
        if stored is not None:
            target, service = _aim(stored)
            self._aims[key] = (target, service)
            self._by_target[target].add(key)
            self._by_service[service].add(key)
            rivals |= self._by_target[target]
        return {key, *rivals}

    def _adoptions(self, namespace: str) -> list[Json]:
        """All of a namespace (empty: of all): the oldest acts."""
        store = self.stores.of(MESH_ADOPTION_PLAN, namespace)
        return store.list(namespace) if store else []

    def _of_run(self, namespace: str, run: str) -> set[Ref]:
        store = self.stores.of(PLAN_RUN, namespace)
        found = store.get(Ref(PLAN_RUN, namespace, run)) if store else None
        return {plan_of(found)} if found else set()


def _aim(plan: Json) -> tuple[_Target, str]:
    """The target of a plan, nameless for a traffic-only one; and the Service that its routes go to."""
    spec, namespace = plan["spec"], plan["metadata"]["namespace"]
    traffic = spec.get("traffic") or {}
    if any((traffic.get(side) or {}).get("host") for side in ("stable", "candidate")):
        return (namespace, ""), _ANY
    name = (spec.get("target") or {}).get("name", "")
    return (namespace, name), f"{spec.get('service') or name}.{namespace}"
