"""Nodes that are not there: kwok plays their kubelets, so a thousand pods are ready and cost nothing.

For the profile `api`, which has no node: what is measured there is who talks to the API server, not what runs in a pod.
"""

from __future__ import annotations

import json
from pathlib import Path

from lab import programs
from lab.artefacts import Artefact, digest_of
from lab.errors import LabError
from lab.node import Kubectl
from lab.process import Processes
from lab.site import Site
from lab.wait import wait_for

NODES = ("fake-1", "fake-2", "fake-3")
PODS_CIDR = "10.64.0.0/12"  # addresses that nobody answers
STAGES = "share/kwok-stages.yaml"
# a node gets ready and stays so by its lease; a pod is ready at once, completes if it is a Job's, and goes when deleted
LIFE = ("node/fast/node-initialize", "pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete")


def artefacts() -> list[Artefact]:
    """Return what fake nodes need besides the profile `api`: kwok, what its nodes and pods do, and a scheduler."""
    kwok = programs.program("kwok", programs.MODULES / "kwok", "sigs.k8s.io/kwok/cmd/kwok")
    sources = [programs.source("kwok", "sigs.k8s.io/kwok") / f"kustomize/stage/{name}.yaml" for name in LIFE]

    def join(target: Path) -> None:
        target.write_text("---\n".join(source.read_text() for source in sources))

    stages = Artefact(STAGES, (digest_of(*sources),), join)
    return [kwok, stages, programs.kubernetes("kube-scheduler")]


class FakeNodes:
    """The fake nodes of one lab. They are wanted, or not, for as long as the lab is up."""

    def __init__(self, site: Site, processes: Processes) -> None:
        self.site, self.processes = site, processes
        self._mark = site.state / "fake-nodes"

    @property
    def wanted(self) -> bool:
        """Whether this lab has them."""
        return self._mark.exists()

    def want(self) -> None:
        """Have them from the next start on."""
        self.site.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._mark.touch()

    def start(self, kubectl: Kubectl) -> None:
        """Start what is not running, and return when the nodes are ready for pods."""
        kubeconfig = f"--kubeconfig={self.site.state / 'kubeconfig'}"
        scheduler = [kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1"]
        scheduler += [f"--secure-port={self.site.port('scheduler')}", "--kube-api-qps=500", "--kube-api-burst=500"]
        self.processes.start("kube-scheduler", [self.site.program("kube-scheduler"), *scheduler])
        kwok = [kubeconfig, f"--config={self.site.cache / STAGES}", "--manage-all-nodes", f"--cidr={PODS_CIDR}"]
        self.processes.start("kwok", [self.site.program("kwok"), *kwok, "--node-lease-duration-seconds=40", "-v=WARN"])
        items = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in NODES]
        kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        if not wait_for(lambda: self._ready(kubectl), 60, 0.3):
            raise LabError("the fake nodes did not become ready in 60 s", self.processes.log("kwok"))

    def _ready(self, kubectl: Kubectl) -> bool:
        for name in ("kwok", "kube-scheduler"):
            self.processes.check(name)
        query = "-o=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        return kubectl("get", "nodes", query).split() == ["True"] * len(NODES)
