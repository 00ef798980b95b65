"""What a unit has: its proxies, what its next pod gets, its modes, and what is said about it elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from rollout.adapters.istiod import root_namespace
from rollout.adapters.mesh.istio import controlplane, injection, mtls, ports, proxies, rules
from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, NAMESPACE, PEER_AUTHENTICATION, SERVICE, Kind, Ref
from rollout.ports.mesh import Injection, MeshView, Mtls, Unit
from rollout.ports.router import Objects


class Survey:
    """Reads what all units share once, and then tells of each."""

    def __init__(self, objects: Objects, home: str) -> None:
        self._objects = objects
        self._policies = self._of(PEER_AUTHENTICATION)
        self._hooks = controlplane.hooks_in(objects)
        self.root = root_namespace(objects, home)
        """The namespace whose policies hold for the whole mesh."""
        self._injector = cache(lambda revision: controlplane.injector(objects, revision))
        self._namespaces = {it["metadata"]["name"]: it["metadata"].get("labels") or {} for it in self._of(NAMESPACE)}

    def _of(self, kind: Kind) -> Sequence[Json]:
        return self._objects.get(kind, ())

    def view(self, unit: Unit) -> MeshView:
        """One unit."""
        mode = self.mtls(unit.namespace, unit.labels)
        services = tuple(it for it in self._of(SERVICE) if _sends_to(it, unit))
        return MeshView(
            proxies=proxies.proxies(unit),
            next=self.injection(unit),
            mtls=mode,
            pods={name: own for name, own in self._of_pods(unit) if own != mode},
            services=services,
            rules=rules.client_rules(services, self._of(DESTINATION_RULE)),
            bypassed=tuple(sorted(set(ports.bypassed(unit)))),
            scraped=tuple(sorted(set(ports.scraped(unit)))),
            guessed=tuple(ports.guessed(services)),
        )

    def injection(self, unit: Unit) -> Injection:
        """What its next pod gets."""
        return injection.decide(unit, self.labels(unit.namespace), self._hooks, self._injector)

    def labels(self, namespace: str) -> Mapping[str, str] | None:
        """Labels of a namespace; None when it may not be read."""
        return self._namespaces.get(namespace)

    def mtls(self, namespace: str, labels: Mapping[str, str]) -> Mtls:
        """The modes of pods with these labels."""
        return mtls.effective(namespace, labels, self._policies, self.root)

    def whole(self, namespace: str) -> Ref | None:
        """The policy that sets the mode of a whole namespace."""
        return mtls.whole(namespace, self._policies)

    def _of_pods(self, unit: Unit) -> Iterable[tuple[str, Mtls]]:
        for pod in unit.pods:
            if "deletionTimestamp" not in pod["metadata"]:
                labels = pod["metadata"].get("labels") or {}
                yield pod["metadata"]["name"], self.mtls(unit.namespace, labels)


def _sends_to(service: Json, unit: Unit) -> bool:
    selector = service["spec"].get("selector")
    mine = service["metadata"]["namespace"] == unit.namespace
    return bool(mine and selector and selector.items() <= unit.labels.items())
