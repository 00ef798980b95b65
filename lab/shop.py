"""The shop: a web server in three copies, in a namespace of the mesh, for something to be delivered to."""

from __future__ import annotations

import json

from lab.errors import LabError
from lab.mesh import namespace
from lab.node import MANIFESTS, Kubectl

OURS = "lab.meshrollout.dev/shop"
"""The label of namespaces that were made for a shop of the lab: only these may be changed or deleted."""


def install(kubectl: Kubectl, ns: str, *, mesh: bool = True) -> None:
    """Install the shop in a namespace (made if need be) and return when all copies serve."""
    wanted = namespace(ns, **{OURS: "true"}, **({"istio-injection": "enabled"} if mesh else {}))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(wanted))
    kubectl("apply", "-n", ns, "-f", str(MANIFESTS / "shop.yaml"))
    kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=110s")


def claim(kubectl: Kubectl, ns: str) -> None:
    """In a cluster of somebody else's: refuse a namespace that is there and was not made for the shop."""
    found = kubectl("get", "namespace", ns, "-o=jsonpath={.metadata.name} {.metadata.labels}", "--ignore-not-found")
    if found and OURS not in found:
        raise LabError(
            f"namespace {ns} exists in this cluster and was not made by the lab: nothing in it was touched\n"
            f"choose another name, or say that it may be overwritten: kubectl label namespace {ns} {OURS}=true"
        )


def remove(kubectl: Kubectl, ns: str) -> None:
    """Remove the shop with its namespace and everything else in there."""
    kubectl("delete", "namespace", ns, "--ignore-not-found", "--wait", "--timeout=110s")
