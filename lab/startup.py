"""Starting the parts of a lab, in the order in which they need each other, and as much as possible at the same time."""

from __future__ import annotations

import time

from lab.artefacts import Progress
from lab.build import includes
from lab.controlplane import LOOPBACK, ControlPlane
from lab.fake import FakeNodes
from lab.mesh import Mesh
from lab.node import Kubectl, Node
from lab.prometheus import NAMES, Prometheus, services
from lab.site import Site


def start(site: Site, node: Node, kubectl: Kubectl, profile: str, progress: Progress) -> None:
    """Start what does not run of a profile, and return when all of it works."""
    took = _Stopwatch(progress)
    with_node, with_mesh = includes(profile, "node"), includes(profile, "istio")
    fakes = FakeNodes(site, node.processes)
    control = ControlPlane(site, node.processes, site.host_ip if with_node else LOOPBACK, brisk=fakes.wanted)
    if with_node:
        node.open(profile)  # the API server listens on the link to the node
    control.start()
    if with_node:
        node.start(profile)
        took.done("container runtime")
    control.finish()
    took.done("control plane")
    if fakes.wanted:
        fakes.start(kubectl)
        took.done("fake nodes")
    if with_node:
        node.finish(kubectl)
        took.done("node")
    if with_mesh:
        both = [Prometheus(site, node.processes, name) for name in NAMES]
        for one in both:
            one.start()
        kubectl("apply", "--server-side", "-f", "-", stdin=services(site))
        Mesh(site, kubectl).install()
        for one in both:
            one.finish()
        took.done("Istio and Prometheus")
    if with_node:
        node.wait_for_dns(kubectl)


class _Stopwatch:
    """Says what is done and how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.began = progress, time.monotonic()

    def done(self, what: str) -> None:
        now = time.monotonic()
        self.progress(f"{what} ready ({now - self.began:.1f} s)")
        self.began = now
