"""All manifests that were given together: many faults only show between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.plan.lint.manifests.node import Node
from rollout.plan.located import Manifest

VIRTUAL_SERVICE: Final = "VirtualService.networking.istio.io"
DESTINATION_RULE: Final = "DestinationRule.networking.istio.io"
SERVICE_ENTRY: Final = "ServiceEntry.networking.istio.io"
SIDECAR: Final = "Sidecar.networking.istio.io"
PEER_AUTHENTICATION: Final = "PeerAuthentication.security.istio.io"
AUTHORIZATION_POLICY: Final = "AuthorizationPolicy.security.istio.io"
ISTIO_OPERATOR: Final = "IstioOperator.install.istio.io"
TRAFFIC_SPLIT: Final = "TrafficSplit.split.smi-spec.io"
HTTP_ROUTE: Final = "HTTPRoute.gateway.networking.k8s.io"
GRPC_ROUTE: Final = "GRPCRoute.gateway.networking.k8s.io"
NAMESPACE: Final = "Namespace"
SERVICE: Final = "Service"
CONFIG_MAP: Final = "ConfigMap"
WORKLOADS: Final = ("Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "Job.batch", "CronJob.batch", "Pod")

ROOT_NAMESPACE: Final = "istio-system"
"""Istio's root namespace, unless an installation changes it: policies in it hold for the whole mesh."""


@dataclass(frozen=True, slots=True)
class Given:
    """One manifest."""

    manifest: Manifest
    root: Node = field(init=False)
    kind: str = field(init=False)
    """Kind and group, as kubectl writes them: `VirtualService.networking.istio.io`, `Service`."""
    version: str = field(init=False)

    def __post_init__(self) -> None:
        raw = self.manifest.raw
        group, _, version = str(raw.get("apiVersion")).rpartition("/")
        object.__setattr__(self, "root", Node(raw))
        object.__setattr__(self, "kind", f"{raw.get('kind')}.{group}".rstrip("."))
        object.__setattr__(self, "version", version)

    @property
    def name(self) -> str:
        """Its name."""
        return self.root.get("metadata", "name").text

    @property
    def namespace(self) -> str:
        """Its namespace; empty when the file leaves it to `kubectl -n`."""
        return self.root.get("metadata", "namespace").text

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.root.get("metadata", "labels").texts

    @property
    def spec(self) -> Node:
        """Its spec."""
        return self.root.get("spec")

    @property
    def template(self) -> Node:
        """The pod in it, or the template of its pods."""
        match self.kind:
            case "Pod":
                return self.root
            case "CronJob.batch":
                return self.spec.get("jobTemplate", "spec", "template")
            case _:
                return self.spec.get("template")


@dataclass(frozen=True, slots=True)
class Files:
    """All manifests, in the order they were given."""

    all: tuple[Given, ...]

    def of(self, *kinds: str) -> Iterator[Given]:
        """Those of some kinds."""
        return (given for given in self.all if given.kind in kinds)

    def services(self, host: Host) -> Iterator[Given]:
        """The Services behind a host."""
        return (it for it in self.of(SERVICE) if it.name == host.name and near(it.namespace, host.namespace))

    def pods_of(self, service: Given) -> Iterator[Given]:
        """The workloads whose pods a Service selects."""
        selector = service.spec.get("selector").texts
        for workload in self.of(*WORKLOADS):
            labels = workload.template.get("metadata", "labels").texts
            if selector and near(workload.namespace, service.namespace) and selector.items() <= labels.items():
                yield workload

    def mtls(self, host: Host) -> list[Given]:
        """The PeerAuthentications that set the mode of a host's pods: those of the narrowest scope."""
        selectors = [service.spec.get("selector").texts for service in self.services(host)]
        scopes: tuple[list[Given], ...] = ([], [], [])
        for policy in self.of(PEER_AUTHENTICATION):
            wanted = policy.spec.get("selector", "matchLabels").texts
            if mesh_wide(policy):
                scopes[2].append(policy)
            elif near(policy.namespace, host.namespace):
                if not wanted:
                    scopes[1].append(policy)
                elif any(wanted.items() <= it.items() for it in selectors):
                    scopes[0].append(policy)
        return next((scope for scope in scopes if scope), [])


@dataclass(frozen=True, slots=True)
class Host:
    """A Service's name and namespace, or the whole name of something else."""

    name: str
    namespace: str

    def matches(self, other: Host) -> bool:
        """Whether both may mean the same; a name like `*.shop.svc.cluster.local` means every service there."""
        return near(self.namespace, other.namespace) and ("*" in {self.name, other.name} or self.name == other.name)


def host_of(host: str, namespace: str) -> Host:
    """What a host means to those who write it in a namespace."""
    parts = host.split(".")
    if host in {"*", "*.local"}:
        return Host("*", "")
    if len(parts) == 1:
        return Host(host, namespace)
    if len(parts) == 2 or parts[2] == "svc":
        return Host(parts[0], parts[1])
    return Host(host, "")


def near(one: str, other: str) -> bool:
    """Whether two namespaces may be the same: one that is left out may be any."""
    return not one or not other or one == other


def mesh_wide(policy: Given) -> bool:
    """Whether a policy holds for the whole mesh."""
    return policy.namespace == ROOT_NAMESPACE and not policy.spec.get("selector", "matchLabels").texts


def together(manifests: Sequence[Manifest]) -> Files:
    """The manifests as files that were given together."""
    return Files(tuple(Given(manifest) for manifest in manifests))
