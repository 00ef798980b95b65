"""The lab of the bench, the Prometheus in it, and the controller as a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from bench.scale.api import Api, kubeconfig_for
from lab import Lab, LabError, programs
from lab.access import answers
from lab.build import build
from lab.run import run
from lab.wait import wait_for

HOME = "rollout-system"
ACCOUNT = "rollout-controller"
USER = f"system:serviceaccount:{HOME}:{ACCOUNT}"
ROLLOUT = Path(__file__).parents[2] / ".venv/bin/rollout"
MESH = ("virtualservices", "destinationrules", "sidecars")
NOT_HERE = ("Deployment", "PodDisruptionBudget", "NetworkPolicy", "Service")
"""Of the installation, what runs the controller as pods: here it is a process of the machine."""
ADDRESSES = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "bench"},
    "spec": {"cidrs": ["10.254.0.0/16"]},
}
"""Addresses for more Services than the lab has; nothing is sent to them."""
SCRAPE = "5s"
CONTROLLER, PROMETHEUS = "bench-controller", "prometheus"
Say = Callable[[str], None]


class Rig:
    """Everything that runs, by the lab's name; it all ends when the lab is taken down."""

    def __init__(self, name: str, say: Say) -> None:
        self.lab, self.say = Lab(name, existing=False), say
        self.processes = self.lab.processes

    def up(self) -> Api:
        """Bring the lab up with our kinds, rights and hold policy, and with Istio's kinds (but no Istio)."""
        if self.lab.profile is not None:
            raise LabError(f"lab {self.lab.name} is up already; the bench wants a fresh one: python -m lab down")
        self.lab.up("api", self.say, fake_nodes=True)
        build("api", self.lab.site.cache, self.say, more=lambda: [programs.prometheus()])
        api = Api(self.lab.kubeconfig)
        charts = programs.istio_source() / "manifests/charts/base/files/crd-all.gen.yaml"
        wanted = [f"{plural}.networking.istio.io" for plural in MESH]
        kinds = [kind for kind in yaml.safe_load_all(charts.read_text()) if kind["metadata"]["name"] in wanted]
        exported = run([str(ROLLOUT), "install", "--export", "--hold", "policy", "--quiet"])
        ours = [part for part in yaml.safe_load_all(exported) if part["kind"] not in NOT_HERE]
        names = [part["metadata"]["name"] for part in (*kinds, *ours) if part["kind"] == "CustomResourceDefinition"]
        self.lab.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all([*ours, *kinds, ADDRESSES]))
        self.lab.kubectl("wait", "--for=condition=Established", *(f"crd/{name}" for name in names))
        kubeconfig_for(api, self.lab.kubeconfig, self._kubeconfig, (HOME, ACCOUNT))
        return api

    def down(self) -> None:
        """End everything."""
        self.lab.down()

    def start_prometheus(self, target: int) -> None:
        """Start the lab's Prometheus, scraping the exporter, with a log of its queries."""
        site = self.lab.site
        port, config = site.port(PROMETHEUS), site.state / "bench-prometheus.yml"
        times = {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "query_log_file": str(self.query_log)}
        job = {"job_name": "shops", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        config.write_text(yaml.safe_dump({"global": times, "scrape_configs": [job | {"metrics_path": "/"}]}))
        argv = [site.program("prometheus"), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
        self.processes.start(PROMETHEUS, [*argv, f"--storage.tsdb.path={site.state / PROMETHEUS}"])
        if not wait_for(lambda: answers(f"{self.prometheus}/-/ready"), 60):
            raise LabError("Prometheus did not become ready in 60 s", self.processes.log(PROMETHEUS))

    @property
    def prometheus(self) -> str:
        """Where Prometheus answers."""
        return f"http://127.0.0.1:{self.lab.site.port(PROMETHEUS)}"

    @property
    def query_log(self) -> Path:
        """What Prometheus was asked."""
        return self.lab.site.query_log(PROMETHEUS)

    @property
    def _kubeconfig(self) -> Path:
        return self.lab.site.state / "bench-kubeconfig"

    def start_controller(self, profile: Path | None = None) -> None:
        """Start the controller, as it would run in the cluster; `profile`: where it writes what its CPU went into."""
        spied = [sys.executable, "-m", "cProfile", "-o", str(profile), "-m", "rollout"]
        argv = [str(ROLLOUT)] if profile is None else spied
        argv += ["controller", "run", f"--kubeconfig={self._kubeconfig}", "--port=0", "--routers=istio"]
        argv += [f"--prometheus={self.prometheus}", f"--controller-namespace={HOME}"]
        os.environ.pop("ROLLOUT_PROMETHEUS", None)
        self.processes.start(CONTROLLER, argv)

    def stop_controller(self) -> None:
        """End it in order."""
        self.processes.stop([CONTROLLER])

    def pid(self, program: str) -> int:
        """The process id of one of the lab's programs.

        Raises:
            LabError: it has died.
        """
        record = self.processes.record(program)
        if record is None:
            raise LabError(f"{program} is not running", self.processes.log(program))
        return record.pid
