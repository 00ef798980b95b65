"""Reading the surroundings of an adoption: each thing once, and what may not be seen with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from rollout.checks.adoption.installed import adopted, default_revision, revision_behind
from rollout.checks.adoption.meshes import CONTROL_LABELS, Adopted
from rollout.checks.adoption.policy import DNS_LABELS, DNS_SPACE
from rollout.checks.adoption.surroundings import Look, Outside, Place, Surroundings
from rollout.checks.subject import unseen
from rollout.errors import Forbidden, NotFound, Unsupported
from rollout.observe.units import READS, units
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, DEPLOYMENT, MUTATING_WEBHOOK, NAMESPACE, NODE, POD, Ref
from rollout.ports.cluster import Cluster
from rollout.ports.world import World

_PROMETHEUS: Final[Mapping[str, str]] = {"app.kubernetes.io/name": "prometheus"}
_PODS: Final[tuple[Place, ...]] = ("mesh", "dns", "prometheus")
"""Where pods of others are that proxies talk to, or are talked to by."""
_BESIDES: Final = frozenset(
    {
        *(Look(kind) for kind in READS),
        *(Look(POD, place) for place in _PODS),
        Look(DEPLOYMENT, "mesh"),
        Look(MUTATING_WEBHOOK, "everywhere"),
        Look(NODE, "everywhere"),
    }
)
"""What is needed to find the units and how the mesh is installed."""


async def read(
    world: World,
    namespace: str,
    needs: Iterable[Look] = (),
    *,
    mesh: Adopted | None = None,
    outside: tuple[Outside, ...] | None = None,
) -> Surroundings:
    """The surroundings of a namespace, with everything in `needs` that may be looked at.

    `mesh` says what is adopted and where it is installed; how it is installed is read.

    Raises:
        NotFound: no such namespace.
        Retry: the API server does not answer.
    """
    cluster, mesh = world.cluster, mesh or Adopted()
    space, blind = await _namespace(cluster, namespace)
    looks = sorted({*needs, *_BESIDES} - {Look(NAMESPACE)})
    answers = await asyncio.gather(*(_look(cluster, it, namespace, mesh) for it in looks))
    objects = {look: found for look, (found, _) in zip(looks, answers, strict=True) if found is not None}
    why = {look: reason for look, (_, reason) in zip(looks, answers, strict=True) if reason}
    narrowed = {look: reason for look, reason in why.items() if look in objects}
    blind |= {look: reason for look, reason in why.items() if look not in objects}
    spaces = {pod["metadata"]["namespace"] for it in _PODS for pod in objects.get(Look(POD, it), ())}
    return Surroundings(
        space,
        units({kind: objects.get(Look(kind), ()) for kind in READS}),
        objects,
        blind,
        narrowed,
        {name: await _labels(cluster, name) for name in sorted(spaces)},
        await _installed(cluster, mesh, objects) if mesh.driver == "istio" else mesh,
        outside,
    )


async def _namespace(cluster: Cluster, name: str) -> tuple[Json, dict[Look, str]]:
    try:
        found = await cluster.get(Ref(NAMESPACE, "", name))
    except Forbidden as error:
        return {"metadata": {"name": name}}, {Look(NAMESPACE): unseen(error)}
    if found is None:
        raise NotFound(f"there is no namespace {name}", hint="kubectl get namespaces")
    return found, {}


async def _look(cluster: Cluster, look: Look, namespace: str, mesh: Adopted) -> tuple[Sequence[Json] | None, str]:
    """What is there, and why no more; None for nothing seen. A kind that is not served has no objects: an answer."""
    where, labels = _place(look, namespace, mesh)
    try:
        return await cluster.list(look.kind, where, labels), ""
    except Unsupported:
        return (), ""
    except Forbidden as error:
        if look.place == "everywhere" and look.kind.namespaced:
            at_home, _ = await _look(cluster, Look(look.kind), namespace, mesh)
            return at_home, unseen(error)
        return None, unseen(error)


def _place(look: Look, namespace: str, mesh: Adopted) -> tuple[str, Mapping[str, str] | None]:
    """Namespace and labels to list."""
    match look.place:
        case "here":
            return namespace, None
        case "everywhere":
            return "", None
        case "mesh":
            return mesh.namespace, CONTROL_LABELS[mesh.driver] if look.kind in (POD, DEPLOYMENT) else None
        case "dns":
            return DNS_SPACE, DNS_LABELS
        case "prometheus":
            return "", _PROMETHEUS


async def _labels(cluster: Cluster, namespace: str) -> Mapping[str, str]:
    """The labels of a namespace; of one that may not be read none are known but its name."""
    try:
        found = await cluster.get(Ref(NAMESPACE, "", namespace))
    except Forbidden:
        return {}
    return ((found or {}).get("metadata") or {}).get("labels") or {}


async def _installed(cluster: Cluster, mesh: Adopted, objects: Mapping[Look, Sequence[Json]]) -> Adopted:
    configurations = objects.get(Look(MUTATING_WEBHOOK, "everywhere"), ())
    control = objects.get(Look(DEPLOYMENT, "mesh"), ())
    mesh = replace(mesh, revision=mesh.revision or default_revision(configurations))
    revision = revision_behind(configurations, mesh.revision)
    suffix = f"-{revision}" if revision else ""
    istiods = [it for it in control if it["metadata"]["name"] == f"istiod{suffix}"]
    return adopted(
        mesh,
        await _config(cluster, mesh, f"istio-sidecar-injector{suffix}"),
        await _config(cluster, mesh, f"istio{suffix}"),
        istiods or control,
        objects.get(Look(NODE, "everywhere")),
    )


async def _config(cluster: Cluster, mesh: Adopted, name: str) -> Json | None:
    try:
        return await cluster.get(Ref(CONFIGMAP, mesh.namespace, name))
    except Forbidden:
        return None
