"""Definitions of kinds whose own are not to be had here: minimal and structural, from the documented fields."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.plan.base import Json
from rollout.plan.kinds import Kind

TEXT: Json = {"type": "string"}
WHOLE: Json = {"type": "integer", "minimum": 0}
QUANTITY: Json = {"x-kubernetes-int-or-string": True}


def mapping(required: Sequence[str] = (), **fields: Json) -> Json:
    """A mapping with these fields and no others: the rest is pruned."""
    return {"type": "object", "properties": fields, **({"required": list(required)} if required else {})}


def each(item: Json) -> Json:
    """A list."""
    return {"type": "array", "items": item}


def definition(
    kinds: Sequence[Kind], specs: Sequence[Json], served: Sequence[Kind], *, status: Json | None = None
) -> Json:
    """One definition of a kind in several versions, the first of which is stored; `status` is written apart."""
    first = kinds[0]
    apart: Json = {} if status is None else {"subresources": {"status": {}}}
    more: Json = {} if status is None else {"status": status}
    versions = [
        {
            "name": kind.version,
            "served": kind in served,
            "storage": kind == first,
            "schema": {"openAPIV3Schema": mapping(spec=spec, **more)},
            **apart,
        }
        for kind, spec in zip(kinds, specs, strict=True)
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{first.plural}.{first.group}"},
        "spec": {
            "group": first.group,
            "scope": "Namespaced",
            "names": {"kind": first.name, "plural": first.plural, "singular": first.name.lower()},
            "versions": versions,
        },
    }


def policy_route() -> Json:
    """The spec of an HTTPRoute of Linkerd (v1beta2 and later), as far as its rules route without conditions."""
    parent = mapping(("name",), group=TEXT, kind=TEXT, namespace=TEXT, name=TEXT, sectionName=TEXT, port=WHOLE)
    backend = mapping(("name",), group=TEXT, kind=TEXT, namespace=TEXT, name=TEXT, port=WHOLE, weight=WHOLE)
    timeouts = mapping(request=TEXT, backendRequest=TEXT)
    match = mapping(path=mapping(type=TEXT, value=TEXT), method=TEXT)
    rule = mapping(matches=each(match), timeouts=timeouts, backendRefs=each(backend))
    return mapping(parentRefs=each(parent), hostnames=each(TEXT), rules=each(rule))


def service_profile() -> Json:
    """The spec of a ServiceProfile (Linkerd), as far as it is about retries."""
    budget = mapping(retryRatio={"type": "number"}, minRetriesPerSecond=WHOLE, ttl=TEXT)
    condition = mapping(method=TEXT, pathRegex=TEXT)
    route = mapping(("name",), name=TEXT, condition=condition, isRetryable={"type": "boolean"}, timeout=TEXT)
    return mapping(routes=each(route), retryBudget=budget)


def traffic_split(weight: Json, *, matches: bool) -> Json:
    """The spec of a TrafficSplit (SMI): `matches` came with v1alpha3, whole weights with v1alpha2."""
    backend = mapping(("service", "weight"), service=TEXT, weight=weight)
    group = mapping(("kind", "name"), apiGroup=TEXT, kind=TEXT, name=TEXT)
    more = {"matches": each(group)} if matches else {}
    return mapping(("service", "backends"), service=TEXT, backends=each(backend), **more)


def _destination(**more: Json) -> Json:
    """Where a splitter or a router of Consul sends requests."""
    return mapping((), service=TEXT, serviceSubset=TEXT, namespace=TEXT, partition=TEXT, **more)


def consul_resolver() -> Json:
    """The spec of a ServiceResolver (Consul), as far as it is about where requests go."""
    subset = mapping(filter=TEXT, onlyPassing={"type": "boolean"})
    failover = mapping(service=TEXT, serviceSubset=TEXT, namespace=TEXT, datacenters=each(TEXT))
    by_name: Json = {"type": "object", "additionalProperties": subset}
    return mapping(
        defaultSubset=TEXT,
        subsets=by_name,
        redirect=mapping(service=TEXT, serviceSubset=TEXT, namespace=TEXT, datacenter=TEXT),
        failover={"type": "object", "additionalProperties": failover},
        connectTimeout=TEXT,
        requestTimeout=TEXT,
        loadBalancer=mapping(policy=TEXT),
    )


def consul_splitter() -> Json:
    """The spec of a ServiceSplitter (Consul): weights are percents with two decimals."""
    headers = mapping(add=_texts(), set=_texts(), remove=each(TEXT))
    weight: Json = {"type": "number"}
    return mapping(splits=each(_destination(weight=weight, requestHeaders=headers, responseHeaders=headers)))


def consul_router() -> Json:
    """The spec of a ServiceRouter (Consul), as far as it matches paths."""
    match = mapping(http=mapping(pathExact=TEXT, pathPrefix=TEXT, pathRegex=TEXT))
    return mapping(routes=each(mapping(match=match, destination=_destination(prefixRewrite=TEXT, requestTimeout=TEXT))))


def consul_defaults() -> Json:
    """The spec of ServiceDefaults (Consul), as far as it is about the protocol."""
    return mapping(protocol=TEXT, mutualTLSMode=TEXT)


def synced() -> Json:
    """What Consul's controller says of an object."""
    condition = mapping(("type", "status"), type=TEXT, status=TEXT, reason=TEXT, message=TEXT, lastTransitionTime=TEXT)
    return mapping(conditions=each(condition), lastSyncedTime=TEXT)


def _texts() -> Json:
    return {"type": "object", "additionalProperties": TEXT}
