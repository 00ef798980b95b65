"""The shop: a web server in three copies, in a namespace of the mesh, for something to be delivered to."""

from __future__ import annotations

import json

from lab.mesh import namespace
from lab.node import MANIFESTS, Kubectl


def install(kubectl: Kubectl, ns: str, *, mesh: bool = True) -> None:
    """Install the shop in a namespace (made if need be) and return when all copies serve."""
    wanted = namespace(ns, **({"istio-injection": "enabled"} if mesh else {}))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(wanted))
    kubectl("apply", "-n", ns, "-f", str(MANIFESTS / "shop.yaml"))
    kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=110s")


def remove(kubectl: Kubectl, ns: str) -> None:
    """Remove the shop with its namespace and everything else in there."""
    kubectl("delete", "namespace", ns, "--ignore-not-found", "--wait", "--timeout=110s")
