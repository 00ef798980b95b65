"""What is installed in a cluster, found by its marks, and taken out in the order in which nothing is left hanging.

Two controllers may share a cluster, each with namespaces of its own: what they share goes with the last one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Final

from rollout.controller import leader
from rollout.errors import Unavailable, Unsupported
from rollout.install.options import BY, CONTROLLER, INSTALLED, SELECTOR
from rollout.plan import decisionpolicy, holdpolicy
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CRD,
    DEPLOYMENT,
    LEASE,
    MUTATING_BINDING,
    MUTATING_POLICY,
    NAMESPACE,
    NETWORK_POLICY,
    PDB,
    POD,
    PVC,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    VALIDATING_BINDING,
    VALIDATING_POLICY,
    Kind,
    Ref,
    ref_of,
)
from rollout.plan.schema import crd_documents
from rollout.ports.cluster import Cluster, Guard
from rollout.ports.world import World

_MARK: Final = {INSTALLED: BY}
_POLICIES: Final = (MUTATING_BINDING, MUTATING_POLICY, VALIDATING_BINDING, VALIDATING_POLICY)
_LIVING: Final = (DEPLOYMENT, POD, SERVICE, PVC, SECRET, CANARY_PLAN)
"""A namespace with one of these, not ours, is somebody's."""
_PATIENCE: Final = 90.0
"""Seconds that something gets to go away."""


async def controller(cluster: Cluster, namespace: str) -> list[Json]:
    """What makes the controller run: its Deployment, first, and what goes with it."""
    found = [obj for kind in (DEPLOYMENT, PDB, NETWORK_POLICY, SERVICE) for obj in await _in(cluster, kind, namespace)]
    lease = await cluster.get(Ref(LEASE, namespace, leader.NAME))
    return [*found, *([lease] if lease is not None else [])]


async def rights(cluster: Cluster, namespace: str) -> list[Json]:
    """What lets it act: bindings before their roles. Without them a copy that is slow to end does no harm."""
    bindings = [b for b in await _in(cluster, ROLE_BINDING, "") if _binds(b, namespace)]
    names = {(b["metadata"]["namespace"], b["roleRef"]["name"]) for b in bindings}
    roles = [r for r in await _in(cluster, ROLE, "") if (r["metadata"]["namespace"], r["metadata"]["name"]) in names]
    everywhere = [b for b in await _in(cluster, CLUSTER_ROLE_BINDING, "") if _binds(b, namespace)]
    return [*everywhere, *bindings, *roles, *await _in(cluster, SERVICE_ACCOUNT, namespace)]


async def shared(cluster: Cluster, namespace: str) -> list[Json]:
    """What it stood on: policies and ClusterRoles; nothing while another controller needs them."""
    if any(d["metadata"]["namespace"] != namespace for d in await _in(cluster, DEPLOYMENT, "")):
        return []
    return [*await _policies(cluster), *await _in(cluster, CLUSTER_ROLE, "")]


async def stale(cluster: Cluster, namespace: str, wanted: Iterable[Json]) -> list[Json]:
    """What an earlier installation made and this one does without: rights above all."""
    names = {ref_of(obj) for obj in wanted}
    found = [obj for find in (controller, rights, shared) for obj in await find(cluster, namespace)]
    return [obj for obj in found if ref_of(obj) not in names and obj["kind"] != LEASE.name]


async def kinds(cluster: Cluster) -> list[Json]:
    """Our CustomResourceDefinitions."""
    found = [await cluster.get(Ref(CRD, "", crd["metadata"]["name"])) for crd in crd_documents()]
    return [crd for crd in found if crd is not None]


async def home(cluster: Cluster, namespace: str) -> tuple[Json | None, str]:
    """The controller's namespace, if installing made it; and why it has to stay, if somebody lives there."""
    found = await cluster.get(Ref(NAMESPACE, "", namespace))
    if found is None or (found["metadata"].get("labels") or {}).get(INSTALLED) != BY:
        return None, ""
    for kind in _LIVING:
        for obj in await _listed(cluster, kind, namespace):
            labels = obj["metadata"].get("labels") or {}
            if labels.get(INSTALLED) != BY and not SELECTOR.items() <= labels.items():
                return found, f"{ref_of(obj)} is not ours"
    return found, ""


async def remove(world: World, objects: Iterable[Json]) -> AsyncIterator[Ref]:
    """Delete each and wait until it is gone; tells which was there.

    Raises:
        Unavailable: one does not go.
    """
    for obj in objects:
        ref, uid = ref_of(obj), obj["metadata"]["uid"]
        await world.cluster.delete(ref, Guard(uid), foreground=ref.kind == DEPLOYMENT)
        await _gone(world, ref, uid)
        yield ref


async def _gone(world: World, ref: Ref, uid: str) -> None:
    until = world.clock.now() + _PATIENCE
    while (found := await world.cluster.get(ref)) is not None and found["metadata"]["uid"] == uid:
        if world.clock.now() > until:
            text = f"{ref} is still being deleted after {_PATIENCE:g} s"
            raise Unavailable(
                text, hint="look for what keeps it (its finalizers, its pods); then rollout uninstall again"
            )
        await world.clock.sleep(0.5)


def _binds(binding: Json, namespace: str) -> bool:
    """Whether it is for the account of the controller in this namespace, or lies there itself."""
    if binding["metadata"].get("namespace") == namespace:
        return True
    return any(s.get("name") == CONTROLLER and s.get("namespace") == namespace for s in binding.get("subjects") or ())


async def _policies(cluster: Cluster) -> list[Json]:
    """By name: those that came with `crds apply` are unmarked, and one that pauses must not stay without an engine."""
    names = (decisionpolicy.NAME, holdpolicy.NAME)
    found = [await _get(cluster, Ref(kind, "", name)) for kind in _POLICIES for name in names]
    return [obj for obj in found if obj is not None]


async def _get(cluster: Cluster, ref: Ref) -> Json | None:
    return await cluster.get(ref) if await cluster.serves(ref.kind) else None


async def _in(cluster: Cluster, kind: Kind, namespace: str) -> list[Json]:
    return await cluster.list(kind, namespace, _MARK)


async def _listed(cluster: Cluster, kind: Kind, namespace: str) -> list[Json]:
    """All of a kind; not asked by discovery, whose answer may be older than the removal of our kinds."""
    try:
        return await cluster.list(kind, namespace)
    except Unsupported:
        return []
