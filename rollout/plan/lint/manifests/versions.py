"""RO180 to RO184, and RO199: manifests that do nothing at all, or not all that they say; and those nobody judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rollout.plan.finding import Level
from rollout.plan.lint.manifests.fields import Odd, homes, odd_fields
from rollout.plan.lint.manifests.files import (
    CONFIG_MAP,
    ISTIO_OPERATOR,
    NAMESPACE,
    SERVICE,
    TRAFFIC_SPLIT,
    VIRTUAL_SERVICE,
    WORKLOADS,
    Given,
)
from rollout.plan.lint.manifests.rule import Case, rule
from rollout.plan.lint.manifests.tables import DEPRECATED, KINDS, MISTAKEN
from rollout.plan.lint.rule import Hit
from rollout.plan.located import spell_path
from rollout.plan.mistakes import closest

_ISTIO: Final = ("v1", "v1beta1", "v1alpha3")
SERVED: Final[Mapping[str, tuple[str, ...]]] = {
    VIRTUAL_SERVICE: _ISTIO,
    "DestinationRule.networking.istio.io": _ISTIO,
    "Gateway.networking.istio.io": _ISTIO,
    "ServiceEntry.networking.istio.io": _ISTIO,
    "Sidecar.networking.istio.io": _ISTIO,
    "EnvoyFilter.networking.istio.io": ("v1alpha3",),
    "PeerAuthentication.security.istio.io": ("v1", "v1beta1"),
    "AuthorizationPolicy.security.istio.io": ("v1", "v1beta1"),
    "RequestAuthentication.security.istio.io": ("v1", "v1beta1"),
    "Telemetry.telemetry.istio.io": ("v1", "v1alpha1"),
    TRAFFIC_SPLIT: ("v1alpha4",),
    "HTTPRoute.gateway.networking.k8s.io": ("v1", "v1beta1"),
    "GRPCRoute.gateway.networking.k8s.io": ("v1",),
}
"""The versions that API servers serve, newest first, where older ones are gone from every release of today."""

_GONE: Final[Mapping[str, str]] = {
    "authentication.istio.io": "PeerAuthentication and RequestAuthentication of security.istio.io/v1 took their place",
    "rbac.istio.io": "AuthorizationPolicy of security.istio.io/v1 took their place",
    "config.istio.io": "Telemetry of telemetry.istio.io/v1 and EnvoyFilter took their place",
}
"""API groups without a kind left."""

_SMI: Final = "write an HTTPRoute of gateway.networking.k8s.io/v1 whose parentRef is the Service"
_ENDED: Final[Mapping[str, tuple[str, str]]] = {
    "split.smi-spec.io": ("SMI was archived in October 2023", _SMI),
    "access.smi-spec.io": ("SMI was archived in October 2023", "write the mesh's own authorization policy"),
    "specs.smi-spec.io": ("SMI was archived in October 2023", _SMI),
    "metrics.smi-spec.io": ("SMI was archived in October 2023", "ask Prometheus"),
    "appmesh.k8s.aws": ("AWS App Mesh ended on 30 September 2026", "move to another mesh"),
}
"""API groups whose project has ended, and what to use."""
_HOMES: Final = 3
"""A field with more places than this one has a common name, which says nothing of what was meant."""
_LOOKED_AT: Final = frozenset({*KINDS, *WORKLOADS, NAMESPACE, SERVICE, CONFIG_MAP, ISTIO_OPERATOR})
"""Kinds that rules are about, or look at."""


@rule(
    "RO180",
    Level.ERROR,
    "A VirtualService without hosts does nothing",
    "name the hosts whose requests it shall route; a delegate is linted together with what delegates to it",
    VIRTUAL_SERVICE,
)
def no_hosts(case: Case) -> Iterator[Hit]:
    """Istio takes it for a delegate, and accepts it."""
    if not case.spec.get("hosts").value and not any(_delegates(other, case.given) for other in case.files.all):
        yield Hit("spec", "it has no hosts: Istio accepts it as a delegate, and no route leads to it")


def _delegates(other: Given, to: Given) -> bool:
    delegates = [route.get("delegate") for route in other.spec.get("http").items]
    namespace = other.namespace if other.kind == VIRTUAL_SERVICE else ""
    return any(
        it.get("name").text == to.name and (it.get("namespace").text or namespace) == to.namespace
        for it in delegates
        if to.name
    )


@rule("RO181", Level.ERROR, "No API server serves this version", "use a version that is served")
def version_gone(case: Case) -> Iterator[Hit]:
    """`no matches for kind` is all that its author would be told."""
    given = case.given
    group = given.kind.partition(".")[2]
    served = SERVED.get(given.kind)
    if group in _GONE:
        yield Hit("apiVersion", f"the API group {group} was removed from Istio", _GONE[group])
    elif given.kind == TRAFFIC_SPLIT and given.version not in SERVED[TRAFFIC_SPLIT]:
        said = f"SMI was archived, and its last CRD serves v1alpha4 only: {given.version} needs an older one"
        yield Hit("apiVersion", f"{said}, such as that of the retired linkerd-smi", _SMI)
    elif served is not None and given.version not in served:
        yield Hit("apiVersion", f"{given.version} of {given.kind} is not served", f"use {group}/{served[0]}")


@rule("RO182", Level.WARNING, "The project behind this API has ended", "use what took its place")
def api_ended(case: Case) -> Iterator[Hit]:
    """It may still work where its controller runs, and nobody mends it."""
    ended = _ENDED.get(case.given.kind.partition(".")[2])
    if ended is not None and case.given.version in SERVED.get(case.given.kind, (case.given.version,)):
        yield Hit("apiVersion", ended[0], ended[1])


@rule("RO183", Level.WARNING, "The kind has no such field", "remove it")
def unknown_fields(case: Case) -> Iterator[Hit]:
    """kubectl refuses them; through any other client the API server drops them without a word."""
    kind = case.given.kind
    for odd in odd_fields(kind, case.spec.value):
        name = str(odd.path[-1])
        if odd.field is None:
            said = f"there is no field {name} here: kubectl apply refuses it, other clients' writes lose it"
            yield Hit(spell_path(odd.path), said, _meant(kind, odd, name))
        elif odd.field.experimental:
            said = f"only the experimental channel of the Gateway API has {name}: with the standard one it is lost"
            yield Hit(spell_path(odd.path), said, "install the experimental CRDs, or leave it out")


def _meant(kind: str, odd: Odd, name: str) -> str:
    if (meant := MISTAKEN.get(f"{kind}/{name}")) is not None:
        return meant
    belongs = homes(kind, name)
    if 0 < len(belongs) <= _HOMES:
        return f"{name} belongs in {' or '.join(belongs)}"
    return closest(name, odd.siblings)


@rule("RO184", Level.WARNING, "The field is deprecated", "use what took its place")
def deprecated_fields(case: Case) -> Iterator[Hit]:
    """Fields that still exist, and what took their place."""
    for odd in odd_fields(case.given.kind, case.spec.value):
        if odd.field is not None and odd.field.deprecated:
            why, instead = DEPRECATED[str(odd.path[-1])]
            yield Hit(spell_path(odd.path), f"{odd.path[-1]} is deprecated: {why}", instead)


@rule("RO199", Level.INFO, "No rule is about this kind", "kubectl apply --dry-run=server checks it against its schema")
def passed_over(case: Case) -> Iterator[Hit]:
    """Said once for each kind of a file."""
    given, kind = case.given, case.given.kind
    group = kind.partition(".")[2]
    if kind in _LOOKED_AT or group in _GONE or group in _ENDED:
        return
    source = given.manifest.place.source
    same = [it for it in case.files.of(kind) if it.manifest.place.source == source]
    if same[0] is given:
        yield Hit("kind", "passed over" + (f", as {len(same) - 1} more of this kind" if len(same) > 1 else ""))
