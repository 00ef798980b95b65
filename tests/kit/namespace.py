"""`kubectl delete namespace` in the simulated cluster: everything in it is deleted, and nothing new comes in."""

from __future__ import annotations

from rollout.adapters.memory.apiserver import Review
from rollout.adapters.memory.world import World
from rollout.errors import Forbidden, NotFound
from rollout.plan.base import Json
from rollout.plan.kinds import EVENT
from rollout.ports.cluster import Guard


def delete_namespace(memory: World, namespace: str = "shop") -> None:
    """Mark the namespace as terminating and delete what is in it; what has finalizers waits for them."""
    memory.cluster.server.policies.append(lambda review: _refuse(review, namespace))
    for ref, _ in sorted(memory.objects, key=lambda found: found[0]):
        if ref.namespace == namespace and ref.kind != EVENT:
            try:
                memory.cluster.server.delete(ref, Guard(""))
            except NotFound:
                continue


def _refuse(review: Review, namespace: str) -> Json:
    meta = review.new["metadata"]
    if review.old is None and meta.get("namespace") == namespace:
        raise Forbidden(f"namespace {namespace} is being terminated; no new objects are accepted", hint="wait")
    return review.new
