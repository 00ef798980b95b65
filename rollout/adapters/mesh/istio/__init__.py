"""Istio with sidecars: what is there, and who speaks plaintext.  Ambient pods are seen; their traffic is not asked for.

| question | module |
|---|---|
| which control planes there are, which webhooks inject for them | `controlplane` |
| whether the next pod gets a proxy, and why | `injection` |
| which pods have one | `proxies` |
| which mTLS mode counts, and where it comes from | `mtls` |
| which callers are told not to speak mTLS | `rules` |
| which ports are scraped, which protocols are guessed | `ports` |
| who called whom | `traffic` |
| what to do about it | `remedies` |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from rollout.adapters.mesh.istio import controlplane, injection, mtls, ports, proxies, remedies, rules, traffic
from rollout.plan.base import Json
from rollout.plan.gate import Provider
from rollout.plan.kinds import (
    CONFIGMAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    PEER_AUTHENTICATION,
    SERVICE,
    Kind,
    Ref,
)
from rollout.ports.mesh import Capability, ControlPlane, MeshView, Mtls, Traffic, Unit
from rollout.ports.metrics import Ask, Reading, ScalarAsk, VectorAsk
from rollout.ports.router import Objects, Read


class Istio:
    """Reads a mesh of Istio sidecars; see `ports.mesh.Mesh`."""

    name: str = "istio"
    home: str = "istio-system"
    capabilities: frozenset[Capability] = frozenset(
        {
            Capability.SHADOW_STRICT,
            Capability.SHADOW_AUTHORIZATION,
            Capability.RESTART_TO_ENROL,
            Capability.LIVE_POLICY,
        }
    )

    def __init__(self, labels: traffic.Labels | None = None) -> None:
        self._labels = labels or traffic.Labels()

    def reads(self, namespace: str, home: str) -> tuple[Read, ...]:
        """Policies of the namespace and of the root one; rules of all namespaces, for any may hold for callers."""
        policies = {namespace, home} if namespace else {""}
        return (
            *(Read(PEER_AUTHENTICATION, it) for it in sorted(policies)),
            Read(DESTINATION_RULE),
            Read(SERVICE, namespace),
            Read(NAMESPACE),
            Read(MUTATING_WEBHOOK),
            Read(DEPLOYMENT, home),
            Read(CONFIGMAP, home),
        )

    def control_planes(self, objects: Objects) -> tuple[ControlPlane, ...]:
        """The istiods."""
        return controlplane.planes(objects)

    def views(self, units: Sequence[Unit], objects: Objects, home: str) -> Mapping[Ref, MeshView]:
        """What each unit has."""
        survey = _Survey(objects, home)
        return {unit.ref: survey.view(unit) for unit in units}

    def questions(self, namespace: str, window: float, provider: Provider | None = None) -> tuple[Ask, ...]:
        """Requests, connections, and whether there is history."""
        metrics = (self._labels.requests, self._labels.connections)
        asked = [VectorAsk(traffic.callers(self._labels, it, namespace, window), provider, namespace) for it in metrics]
        return (*asked, ScalarAsk(traffic.history(self._labels, window), provider, namespace))

    def traffic(self, questions: Sequence[Ask], window: float, readings: Mapping[Ask, Reading]) -> Traffic:
        """The answers as edges."""
        return traffic.read(self._labels, questions, window, readings)

    def enrol(self, unit: Unit, planes: Sequence[ControlPlane]) -> str:
        """A label in the pod template."""
        return remedies.enrol(unit, planes)

    def excuse(self, unit: Unit, ports: Sequence[int], view: MeshView) -> str:
        """A PeerAuthentication for the ports, or a patch of the one that counts already."""
        return remedies.excuse(unit, ports, view.mtls.narrow)


class _Survey:
    """Reads what all units share once."""

    def __init__(self, objects: Objects, home: str) -> None:
        self._objects = objects
        self._policies = self._of(PEER_AUTHENTICATION)
        self._hooks = controlplane.hooks_in(objects)
        self._root = controlplane.root_namespace(objects, home)
        # the settings are hundreds of lines of YAML
        self._injector = cache(lambda revision: controlplane.injector(objects, revision))
        self._namespaces = {it["metadata"]["name"]: it["metadata"].get("labels") or {} for it in self._of(NAMESPACE)}

    def _of(self, kind: Kind) -> Sequence[Json]:
        return self._objects.get(kind, ())

    def view(self, unit: Unit) -> MeshView:
        """One unit."""
        mode = self._mtls(unit.namespace, unit.labels)
        services = tuple(it for it in self._of(SERVICE) if _sends_to(it, unit))
        return MeshView(
            proxies=proxies.proxies(unit),
            next=injection.decide(unit, self._namespaces.get(unit.namespace), self._hooks, self._injector),
            mtls=mode,
            pods={name: own for name, own in self._of_pods(unit) if own != mode},
            services=services,
            rules=rules.client_rules(services, self._of(DESTINATION_RULE)),
            bypassed=tuple(sorted(set(ports.bypassed(unit)))),
            scraped=tuple(sorted(set(ports.scraped(unit)))),
            guessed=tuple(ports.guessed(services)),
        )

    def _mtls(self, namespace: str, labels: Mapping[str, str]) -> Mtls:
        return mtls.effective(namespace, labels, self._policies, self._root)

    def _of_pods(self, unit: Unit) -> Iterable[tuple[str, Mtls]]:
        for pod in unit.pods:
            if "deletionTimestamp" not in pod["metadata"]:
                labels = pod["metadata"].get("labels") or {}
                yield pod["metadata"]["name"], self._mtls(unit.namespace, labels)


def _sends_to(service: Json, unit: Unit) -> bool:
    selector = service["spec"].get("selector")
    mine = service["metadata"]["namespace"] == unit.namespace
    return bool(mine and selector and selector.items() <= unit.labels.items())
