"""What distinguishes one mesh from another for the checks: names of labels, annotations, containers and ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from rollout.plan.base import Json
from rollout.ports.mesh import Unit

Driver = Literal["istio", "linkerd", "consul"]
EVERY: Final[frozenset[Driver]] = frozenset({"istio", "linkerd", "consul"})
ISTIO: Final[frozenset[Driver]] = frozenset({"istio"})
LINKERD: Final[frozenset[Driver]] = frozenset({"linkerd"})

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
INJECT: Final = "sidecar.istio.io/inject"
REVISION: Final = "istio.io/rev"


@dataclass(frozen=True, slots=True)
class Mark:
    """A label or annotation by which a mesh is told whose pods it takes, or leaves."""

    mesh: str
    key: str
    value: str
    """Empty for any value."""

    def on(self, keys: Mapping[str, str]) -> bool:
        """Whether it is among these labels or annotations."""
        return self.key in keys and self.value in ("", keys[self.key])

    def __str__(self) -> str:
        return f"{self.key}: {self.value}" if self.value else self.key


WANTED: Final = (
    Mark("istio", INJECT, "true"),
    Mark("istio", REVISION, ""),
    Mark("istio", "istio-injection", "enabled"),
    Mark("istio ambient", "istio.io/dataplane-mode", "ambient"),
    Mark("linkerd", "linkerd.io/inject", "enabled"),
    Mark("linkerd", "linkerd.io/inject", "ingress"),
    Mark("consul", "consul.hashicorp.com/connect-inject", "true"),
    Mark("app mesh", "appmesh.k8s.aws/sidecarInjectorWebhook", "enabled"),
    Mark("kuma", "kuma.io/sidecar-injection", "enabled"),
)
"""Marks that ask for a proxy, on pods or their namespace."""
REFUSED: Final = (
    Mark("istio", INJECT, "false"),
    Mark("linkerd", "linkerd.io/inject", "disabled"),
    Mark("consul", "consul.hashicorp.com/connect-inject", "false"),
)
"""Marks that forbid one."""
PROXIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "istio-proxy": "istio",
        "linkerd-proxy": "linkerd",
        "consul-dataplane": "consul",
        "kuma-sidecar": "kuma",
        "envoy": "app mesh",
    }
)
"""Names of the containers that the meshes add, and whose they are."""
CONTROL_PORTS: Final[Mapping[Driver, tuple[int, ...]]] = MappingProxyType(
    {"istio": (15012,), "linkerd": (8086, 8090, 8080), "consul": (8502,)}
)
"""Where a proxy reaches its control plane."""
SCRAPE_PORT: Final[Mapping[Driver, int]] = MappingProxyType({"istio": 15020, "linkerd": 4191, "consul": 20200})
"""Where a proxy's metrics are scraped."""
CONTROL_LABELS: Final[Mapping[Driver, Mapping[str, str]]] = MappingProxyType(
    {
        "istio": {"app": "istiod"},
        "linkerd": {"linkerd.io/control-plane-component": "destination"},
        "consul": {"app": "consul", "component": "server"},
    }
)
"""Labels of the pods that proxies talk to."""
_RESOURCES: Final = (
    ("requests", "cpu", "sidecar.istio.io/proxyCPU"),
    ("requests", "memory", "sidecar.istio.io/proxyMemory"),
    ("limits", "cpu", "sidecar.istio.io/proxyCPULimit"),
    ("limits", "memory", "sidecar.istio.io/proxyMemoryLimit"),
)


@dataclass(frozen=True, slots=True)
class Adopted:
    """The mesh that is adopted, as it is installed. The defaults are those of Istio's chart; None: not known."""

    driver: Driver = "istio"
    namespace: str = "istio-system"
    revision: str = ""
    """The revision or tag that pods name; empty for the default one."""
    native_sidecars: bool | None = None
    """Whether proxies are init containers that start before and stop after the others."""
    cni: bool | None = None
    """Whether a node agent redirects the traffic, instead of a privileged init container."""
    rewrites_probes: bool = True
    merges_metrics: bool = True
    never_inject: tuple[Json, ...] = ()
    """Label selectors of pods that the injector leaves alone."""
    requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "100m", "memory": "128Mi"})
    limits: Mapping[str, str] = field(default_factory=lambda: {"cpu": "2000m", "memory": "1024Mi"})

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of a pod that is to be taken in."""
        if self.driver != "istio":
            return _NONE
        return {INJECT: "true"} | ({REVISION: self.revision} if self.revision else {})

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of a pod that is to be taken in."""
        match self.driver:
            case "istio":
                return _NONE
            case "linkerd":
                return {"linkerd.io/inject": "enabled"}
            case "consul":
                return {"consul.hashicorp.com/connect-inject": "true"}

    @property
    def proxy(self) -> str:
        """The name of the container that it adds."""
        return next(name for name, mesh in PROXIES.items() if mesh == self.driver)

    def starts_first(self, unit: Unit) -> bool | None:
        """Whether this unit's proxy is a native sidecar; its own annotation decides before the mesh."""
        own = unit.annotations.get("sidecar.istio.io/nativeSidecar")
        return self.native_sidecars if own is None else own != "false"

    def resources(self, unit: Unit) -> dict[str, dict[str, str]]:
        """`requests` and `limits` of the proxy in this unit's pods: one annotation replaces all defaults."""
        own: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
        for part, name, key in _RESOURCES:
            if key in unit.annotations:
                own[part][name] = unit.annotations[key]
        if any(own.values()):
            return own
        return {"requests": dict(self.requests), "limits": dict(self.limits)}
