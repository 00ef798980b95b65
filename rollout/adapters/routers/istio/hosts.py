"""Host names as Istio reads them: short names belong to the namespace of the object that says them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rollout.adapters.routers.parts.spots import home_of
from rollout.plan.base import Json
from rollout.plan.program import Backends

_DOMAIN: Final = "cluster.local"


def canonical(host: str, home: str) -> str:
    """One spelling per Service, `name.namespace`; any other host as it is. `home` is where it is said.

    >>> canonical("web", "shop"), canonical("web.shop.svc.cluster.local", "front"), canonical("api.example.com", "x")
    ('web.shop', 'web.shop', 'api.example.com')
    """
    parts = host.split(".")
    if len(parts) == 1 and host != "*":
        return f"{host}.{home}"
    return ".".join(parts[:2]) if parts[2:3] == ["svc"] else host


def is_service(host: str, home: str, backends: Backends) -> bool:
    """Whether the host is the Service whose traffic is split."""
    return canonical(host, home) == f"{backends.service}.{backends.namespace}"


def is_wildcard(host: str) -> bool:
    """`*`, or `*.` and a domain."""
    return host.startswith("*")


def covers(host: str, home: str, backends: Backends) -> bool:
    """Whether the host is the Service, or a wildcard that takes it in (whatever the cluster's domain is)."""
    if not is_wildcard(host):
        return is_service(host, home, backends)
    suffix = host[1:]
    full = f"{backends.service}.{backends.namespace}.svc.{_DOMAIN}"
    return full.endswith(suffix) or suffix.startswith((f".{backends.namespace}.svc.", ".svc."))


def respell(host: str, home: str, like: str, namespace: str) -> str:
    """A Service of `namespace` written so that it is understood in `home`, in the style of `like`."""
    if "." in host or (home == namespace and "." not in like):
        return host
    tail = like.split(".", 2)[2] if like.count(".") >= 2 else f"svc.{_DOMAIN}"
    return f"{host}.{namespace}.{tail}"


def in_mesh(virtual_service: Json) -> bool:
    """Whether sidecars follow it (no gateway named means the mesh)."""
    gateways = virtual_service["spec"].get("gateways") or ["mesh"]
    return "mesh" in gateways


def reach(export: Iterable[str], home: str) -> frozenset[str]:
    """The namespaces that see an object of `home` with this `exportTo`; `*` alone for all."""
    said = frozenset(export) or frozenset({"*"})
    return frozenset({"*"}) if "*" in said else frozenset(home if name == "." else name for name in said - {"~"})


def reach_of(obj: Json) -> frozenset[str]:
    """The namespaces that see an object."""
    return reach(obj["spec"].get("exportTo") or (), home_of(obj))


def beyond(inner: frozenset[str], outer: frozenset[str]) -> frozenset[str]:
    """Those that see the one and not the other; `*` for any that is not named."""
    return frozenset() if "*" in outer else inner - outer


def seen_only_at_home(obj: Json) -> bool:
    """Whether no other namespace sees it; a rule that selects workloads is never exported."""
    export = obj["spec"].get("exportTo") or ["*"]
    return bool(obj["spec"].get("workloadSelector")) or set(export) <= {".", home_of(obj)}


def seen_at_home(obj: Json) -> bool:
    """Whether its own namespace sees it."""
    export = set(obj["spec"].get("exportTo") or ["*"])
    return bool(export & {".", "*", home_of(obj)})


def concerned(obj: Json) -> frozenset[str] | None:
    """The hosts that a VirtualService or DestinationRule names anywhere; None with a wildcard among them.

    Its own name, spelled like a Service's, is one of them: whoever is about to make an object finds what is in the way.
    """
    hosts, home = set(_named(obj.get("spec"))), home_of(obj)
    if any(is_wildcard(host) for host in hosts):
        return None
    return frozenset({f"{obj['metadata']['name']}.{home}", *(canonical(host, home) for host in hosts)})


def _named(part: Any) -> Iterator[str]:
    """Every value of a field `host` or `hosts`, at any depth."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "host" and isinstance(value, str):
                yield value
            elif key == "hosts" and isinstance(value, list):
                yield from (host for host in value if isinstance(host, str))
            else:
                yield from _named(value)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value)
