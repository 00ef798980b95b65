"""The controller as a pod of the lab: packed, imported, installed by its own `rollout install`."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab import product
from lab.artefacts import Cache, Progress
from lab.errors import LabError
from lab.image import read_image
from lab.lock import ROOT
from lab.node import Kubectl
from lab.python import base_archive, wheels_folder
from lab.run import run
from lab.runtime import Containerd
from lab.sandbox import Sandbox
from lab.site import Site

NAMESPACE = "rollout-system"
DEPLOYMENT = "rollout-controller"
PATIENCE = 180  # seconds that the pods get


class Controller:
    """The controller of one lab with a node; the cluster must be up."""

    def __init__(self, site: Site, sandbox: Sandbox, kubectl: Kubectl) -> None:
        self.site, self.kubectl = site, kubectl
        self.containerd = Containerd(sandbox, site.state)

    def load(self, version: str, progress: Progress) -> str:
        """Bring the code as it is now into the lab as an image, and return its name."""
        store = Cache(self.site.cache)
        with store.locked():
            store.ensure(base_archive(self.site.cache), progress)
        below = self.site.cache / base_archive(self.site.cache).path
        if not self.containerd.has(digest=read_image(below)[0]):
            self.containerd.load(below)
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder) / "rollout.tar"
            name = product.pack(archive, self.site.cache, version)
            if not self.containerd.has(name=name):
                self.containerd.load(archive)
        return name

    def up(self, image: str, prometheus: str, options: Sequence[str]) -> None:
        """Install the controller, or change what is installed, and return when all copies are available."""
        words = [
            "install",
            "--yes",
            f"--image={image}",
            f"--controller-namespace={NAMESPACE}",
            f"--timeout={PATIENCE}s",
        ]
        if prometheus:
            words.append(f"--prometheus={prometheus}")
        try:
            self.rollout(*words, *options)
        except LabError as error:
            raise LabError(f"{error}\n{self._why()}") from error

    def down(self) -> None:
        """Remove the controller with its namespace, as a cluster loses it; kinds, policies and plans stay."""
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=110s")

    def pods(self) -> list[str]:
        """Return the names of the controller's pods that are not on their way out."""
        query = "-o=go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
        return self.kubectl("get", "pods", "-n", NAMESPACE, query).split()

    def rollout(self, *words: str) -> str:
        """Run the product's command on this machine, with the very wheels of the image."""
        env = os.environ | {"PYTHONPATH": f"{ROOT}:{wheels_folder(self.site.cache)}"}
        kubeconfig = f"--kubeconfig={self.site.state / 'kubeconfig'}"
        return run([sys.executable, "-m", "rollout", *words, kubeconfig], env=env, timeout=PATIENCE + 60)

    def _why(self) -> str:
        told = self.kubectl("describe", "pods", "-n", NAMESPACE)[-3000:]
        try:
            return told + self.kubectl("logs", "-n", NAMESPACE, f"deployment/{DEPLOYMENT}", "--tail=30")
        except LabError:
            return told  # there is none to ask
