"""Istio in the lab: its control plane, and request metrics for its sidecars."""

from __future__ import annotations

import json
from pathlib import Path

from lab.artefacts import digest_of
from lab.errors import LabError
from lab.node import MANIFESTS, Kubectl
from lab.site import Site
from lab.wait import wait_for

SYSTEM = "istio-system"
METRICS = MANIFESTS / "request-metrics.yaml"


class Mesh:
    """The Istio of one lab."""

    def __init__(self, site: Site, kubectl: Kubectl) -> None:
        self.site, self.kubectl = site, kubectl

    def install(self) -> None:
        """Install Istio, unless just this one is there, and return when it injects sidecars."""
        manifests = (self.site.cache / "share/istio-crds.yaml", MANIFESTS / "istiod.yaml", METRICS)
        stamp, mark = digest_of(*manifests), self.site.state / "istio"
        if mark.exists() and mark.read_text() == stamp and self.ready():
            return
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(namespace(SYSTEM)))
        for manifest in manifests[:2]:
            self._apply(manifest)
        established = "--for=condition=Established"
        self.kubectl("wait", established, "--timeout=30s", "crd/envoyfilters.networking.istio.io")
        if not wait_for(self.ready, 90, 0.3):
            raise LabError(f"istiod did not become ready in 90 s:\n{self._why()}")
        # istiod's webhook judges this one, and serves a moment after istiod says it is ready
        if not wait_for(self._metrics_applied, 30, 0.5):
            raise LabError("istiod's webhook did not answer in 30 s")
        mark.write_text(stamp)

    def ready(self) -> bool:
        """Return whether istiod serves and has given its certificate to the injector's webhook."""
        query = "-o=jsonpath={.status.readyReplicas}"
        if self.kubectl("get", "-n", SYSTEM, "deployment/istiod", query, "--ignore-not-found") != "1":
            return False
        query = "-o=jsonpath={.webhooks[0].clientConfig.caBundle}"
        hook = "mutatingwebhookconfiguration/istio-sidecar-injector"
        return bool(self.kubectl("get", hook, query))

    def _apply(self, manifest: Path) -> None:
        # by force: istiod writes its certificate into the webhooks, and a later apply would take that for a conflict
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest))

    def _metrics_applied(self) -> bool:
        try:
            self._apply(METRICS)
        except LabError:
            return False
        return True

    def _why(self) -> str:
        return self.kubectl("describe", "pods", "-n", SYSTEM)[-3000:]


def namespace(name: str, **labels: str) -> dict[str, object]:
    """Return the manifest of a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
