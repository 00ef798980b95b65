"""Prometheus, twice: one that knows a pod's template hash, and one that does not, as most do not."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from string import Template

from lab.access import answers
from lab.errors import LabError
from lab.mesh import namespace
from lab.node import MANIFESTS
from lab.process import Processes
from lab.site import Site
from lab.wait import wait_for

NAMESPACE = "monitoring"
PORT = 9090
NAMES = ("prometheus", "prometheus-hash")
HASH_RULE = "  - {source_labels: [__meta_kubernetes_pod_label_pod_template_hash], target_label: pod_template_hash}"


def in_cluster(name: str) -> str:
    """Return where pods find one of the two."""
    return f"http://{name}.{NAMESPACE}.svc:{PORT}"


def services(site: Site) -> str:
    """Return the manifest by which pods find both: Services in front of programs that run outside of the cluster."""
    items: list[dict[str, object]] = [namespace(NAMESPACE)]
    for name in NAMES:
        about = {"name": name, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}}
        port = {"name": "http", "port": PORT}
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": {"ports": [port]}})
        ends: dict[str, object] = {"addressType": "IPv4", "endpoints": [{"addresses": [site.host_ip]}]}
        slices = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": about, **ends}
        items.append(slices | {"ports": [{"name": "http", "port": site.port(name)}]})
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


class Prometheus:
    """One of the two, by name; both run on this machine, beside the node, and listen at its end of the link as well."""

    def __init__(self, site: Site, processes: Processes, name: str) -> None:
        self.site, self.processes, self.name = site, processes, name

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.site.port(self.name)}"

    @property
    def data(self) -> Path:
        """The folder with all that it has recorded."""
        return self.site.state / self.name

    @property
    def config(self) -> Path:
        """What it was told when it started, or was last renamed."""
        return self.site.state / f"{self.name}.yml"

    def configure(self, more: str = "") -> bool:
        """Write its configuration, with `more` rules for series; whether it has changed."""
        before = self.config.read_text() if self.config.exists() else ""
        rule = HASH_RULE if self.name == "prometheus-hash" else ""
        text = Template((MANIFESTS / "prometheus.yml").read_text()).substitute(
            state=self.site.state, hash_rule=rule, queries=self.site.query_log(self.name), more_rules=more
        )
        self.config.write_text(text)
        return text != before

    def rename(self, series: str = "", to: str = "") -> None:
        """Keep a series under another name from the next scrape on; without arguments: all under their own again."""
        rule = f"  - {{source_labels: [__name__], regex: '{series}', target_label: __name__, replacement: '{to}'}}"
        record = self.processes.record(self.name)
        if self.configure(rule if series else "") and record is not None:
            os.kill(record.pid, signal.SIGHUP)

    def start(self) -> None:
        """Start it unless it runs."""
        if self.processes.record(self.name) is None:
            self.configure()
        argv = [
            self.site.program("prometheus"),
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.data}",
            "--storage.tsdb.retention.time=6h",
            *(f"--web.listen-address={host}:{self.site.port(self.name)}" for host in ("127.0.0.1", self.site.host_ip)),
        ]
        self.processes.start(self.name, argv)

    def finish(self) -> None:
        """Wait until it answers."""
        if not wait_for(self.ready, 30):
            raise LabError(f"{self.name} did not become ready in 30 s", self.processes.log(self.name))

    def ready(self) -> bool:
        """Return whether it answers; a dead one is an error at once."""
        self.processes.check(self.name)
        return answers(f"{self.url}/-/ready")

    def stop(self) -> None:
        """Stop it; what it has recorded stays for the next start."""
        self.processes.stop([self.name])

    def forget(self) -> None:
        """Remove all that it has recorded; it must not run."""
        shutil.rmtree(self.data)
