"""The node of the lab: scheduler, containerd, kubelet, kube-proxy and DNS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from string import Template

from lab.artefacts import Cache
from lab.build import archives
from lab.errors import LabError
from lab.process import Processes
from lab.runtime import Containerd, copy_store
from lab.sandbox import Sandbox
from lab.site import Site
from lab.wait import wait_for

MANIFESTS = Path(__file__).parent / "manifests"
NODE = "lab"
Kubectl = Callable[..., str]


def manifest(name: str, site: Site) -> str:
    """Return a manifest with the site's addresses and folders filled in."""
    values = {
        "state": str(site.state),
        "pods": site.pods,
        "node_ip": site.node_ip,
        "dns_ip": site.dns_ip,
        "cgroup": site.cgroup,
    }
    return Template((MANIFESTS / name).read_text()).substitute(values)


class Node:
    """The one node of a lab, in its namespaces."""

    def __init__(self, site: Site, processes: Processes) -> None:
        self.site, self.processes = site, processes
        self.sandbox = Sandbox(site, processes)

    def open(self, profile: str) -> None:
        """Open the node's place on the machine, with the profile's images: the API server needs the link to it."""
        new, (stamp, mark) = self.sandbox.open(), self._images(profile)
        if new or not mark.exists():
            copy_store(self.site.cache / "images" / profile, self.site.state / "containerd")
            mark.write_text(stamp)

    def _images(self, profile: str) -> tuple[str, Path]:
        """Return the stamp of the images that are wanted, and the file with the stamp of those that are there."""
        return Cache(self.site.cache).stamp(f"images/{profile}"), self.site.state / "images"

    def start(self, profile: str) -> None:
        """Start what can run before the API server does: the container runtime."""
        state = self.site.state
        (state / "cni").mkdir(exist_ok=True)
        (state / "cni/10-lab.conflist").write_text(manifest("cni.json", self.site))
        (state / "kubelet.yaml").write_text(manifest("kubelet.yaml", self.site))
        (state / "resolv.conf").write_text(f"nameserver {self.site.dns_ip}\n")
        containerd = Containerd(self.sandbox, state)
        containerd.start(state / "containerd")
        stamp, mark = self._images(profile)
        if mark.read_text() != stamp:  # it was up already, with a smaller profile or older images
            for archive in archives(profile):
                containerd.load(self.site.cache / archive)
            mark.write_text(stamp)

    def finish(self, kubectl: Kubectl) -> None:
        """Start what talks to the API server, and return when the node is ready."""
        site, kubeconfig = self.site, f"--kubeconfig={self.site.state / 'kubeconfig'}"
        me = f"--hostname-override={NODE}"
        scheduler = [kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1"]
        scheduler.append(f"--secure-port={site.port('scheduler')}")
        self.processes.start("kube-scheduler", [site.program("kube-scheduler"), *scheduler])
        kubelet = [f"--config={site.state / 'kubelet.yaml'}", f"--root-dir={site.state / 'kubelet'}", "--v=1"]
        self._start("kubelet", [site.program("kubelet"), kubeconfig, me, f"--node-ip={site.node_ip}", *kubelet])
        proxy = [f"--cluster-cidr={site.pods}", "--conntrack-max-per-core=0"]  # that limit is the machine's, not ours
        self._start("kube-proxy", [site.program("kube-proxy"), kubeconfig, me, *proxy])
        kubectl("apply", "--server-side", "-f", "-", stdin=manifest("coredns.yaml", site))
        if not wait_for(lambda: self.ready(kubectl), 60, 0.3):
            raise LabError("the node did not become ready in 60 s", self.processes.log("kubelet"))

    def wait_for_dns(self, kubectl: Kubectl) -> None:
        """Return when names can be looked up."""
        kubectl("rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=60s")

    def ready(self, kubectl: Kubectl) -> bool:
        """Return whether the node is ready; one of its programs being dead is an error at once."""
        for name in ("containerd", "kubelet", "kube-proxy", "kube-scheduler"):
            self.processes.check(name)
        query = "-o=jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
        return "True" in kubectl("get", "nodes", query)

    def stop(self) -> None:
        """Take the node down, with every pod and all that belongs to it on this machine."""
        self.sandbox.close()

    def _start(self, name: str, argv: list[str]) -> None:
        self.processes.start(name, [*self.sandbox.enter(), *argv])
