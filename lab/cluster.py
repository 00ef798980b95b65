"""The lab itself: bringing it up, looking at it, and taking it down."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import access, fake, product, shop
from lab.artefacts import Progress
from lab.build import PROFILES, build, includes
from lab.controller import Controller
from lab.errors import LabError
from lab.fake import FakeNodes
from lab.faults import Faults
from lab.node import Node
from lab.process import Processes
from lab.prometheus import Prometheus, in_cluster
from lab.site import Site
from lab.startup import start


def silent(_: str) -> None:
    """Report progress to nobody."""


class Lab:
    """A lab by name; any number of these objects, in any process, may speak of the same one.

    With `existing`, it is the cluster that $KUBECONFIG (and $ROLLOUT_PROMETHEUS) name: nothing is started or stopped.
    """

    def __init__(
        self, name: str = "default", *, existing: bool | None = None, env: Mapping[str, str] = os.environ
    ) -> None:
        self.name, self._env = name, env
        self.site = Site.named(name, env)
        self.existing = env.get("ROLLOUT_LAB_EXISTING") == "1" if existing is None else existing
        self.processes = Processes(self.site.state / "processes")
        self.node = Node(self.site, self.processes)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster's administrator."""
        if not self.existing:
            return self.site.state / "kubeconfig"
        if not self._env.get("KUBECONFIG"):
            raise LabError("an existing cluster is the one of $KUBECONFIG, which is not set")
        return Path(self._env["KUBECONFIG"])

    @property
    def prometheus(self) -> str:
        """The URL of the Prometheus with Istio's standard labels."""
        return self._prometheus("prometheus", "ROLLOUT_PROMETHEUS")

    @property
    def prometheus_hash(self) -> str:
        """The URL of the Prometheus that also has the label `pod_template_hash`."""
        return self._prometheus("prometheus-hash", "ROLLOUT_PROMETHEUS_HASH")

    @property
    def prometheus_in_cluster(self) -> str:
        """The URL at which pods find the first Prometheus; empty without one."""
        meshed = self.profile is not None and includes(self.profile, "istio")
        return in_cluster("prometheus") if meshed else ""

    def _prometheus(self, name: str, variable: str) -> str:
        if self.existing:
            return self._env.get(variable, "")
        return Prometheus(self.site, self.processes, name).url

    @property
    def profile(self) -> str | None:
        """The profile that is up, or None."""
        file = self.site.state / "profile"
        return file.read_text() if file.exists() else None

    def kubectl(self, *args: str, stdin: str | None = None, timeout: float | None = 120) -> str:
        """Run kubectl against the lab and return what it printed."""
        program = "kubectl" if self.existing else self.site.program("kubectl")
        return access.kubectl(program, self.kubeconfig, *args, stdin=stdin, timeout=timeout)

    def up(self, profile: str = "istio", progress: Progress = silent, *, fake_nodes: bool = False) -> None:
        """Bring the lab to at least this profile; what already runs is left alone.

        With `fake_nodes` (profile `api` only), Deployments get pods that are ready at once and do nothing.
        """
        if self.existing:
            self.kubectl("get", "--raw=/readyz")
            return
        if profile not in PROFILES:
            raise LabError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
        if self.profile is not None and includes(self.profile, profile):
            profile = self.profile
        if includes(profile, "node") and os.geteuid() != 0:
            raise LabError(f"profile {profile} runs containers and needs root; profile api does not")
        fakes = FakeNodes(self.site, self.processes)
        if includes(profile, "node") and (fake_nodes or fakes.wanted):
            raise LabError(f"profile {profile} has a real node; fake ones belong in a lab of profile api")
        build(profile, self.site.cache, progress, more=fake.artefacts if fake_nodes or fakes.wanted else tuple)
        with self._locked():
            if fake_nodes:
                fakes.want()
            start(self.site, self.node, self.kubectl, profile, progress)
            (self.site.state / "profile").write_text(profile)

    def down(self) -> None:
        """Stop everything of this lab and remove all it left on the machine; the cache of built things stays."""
        if self.existing or not self.site.state.exists():
            return
        with self._locked():
            self.node.stop()
            self.processes.stop(self.processes.names(), grace=1)  # nothing of theirs is to be kept
            shutil.rmtree(self.site.state)

    def status(self) -> dict[str, str]:
        """Return what is up: each program of the lab and whether it runs."""
        names = self.processes.names()
        return {name: "running" if self.processes.record(name) else "dead" for name in names}

    def environment(self) -> dict[str, str]:
        """Return the environment variables by which other programs find this lab."""
        found = {"KUBECONFIG": str(self.kubeconfig)}
        if self.existing or (self.profile is not None and includes(self.profile, "istio")):
            found |= {"ROLLOUT_PROMETHEUS": self.prometheus, "ROLLOUT_PROMETHEUS_HASH": self.prometheus_hash}
        return {name: value for name, value in found.items() if value}

    def shop_up(self, ns: str = "shop", *, mesh: bool = True) -> None:
        """Install the small shop (Deployment and Service `web`) in a namespace and wait until it serves."""
        self.shop_claim(ns)
        shop.install(self.kubectl, ns, mesh=mesh)

    def shop_claim(self, ns: str = "shop") -> None:
        """Refuse to touch a namespace of an existing cluster that is not the shop's; the lab's own are all its own."""
        if self.existing:
            shop.claim(self.kubectl, ns)

    def shop_down(self, ns: str = "shop") -> None:
        """Remove the shop with its namespace."""
        self.shop_claim(ns)
        shop.remove(self.kubectl, ns)

    @property
    def faults(self) -> Faults:
        """What can be broken in this lab, and healed."""
        if self.existing:
            raise LabError("the lab breaks nothing in a cluster that it did not start")
        if self.profile is None:
            raise LabError(f"lab {self.name} is not up: python -m lab up --name {self.name}")
        return Faults(self)

    def audit_log(self) -> Path:
        """Return the API server's log of requests; `lab.logs.requests` reads it."""
        if not self.site.audit_log.exists():
            raise LabError("this lab's API server keeps no audit log: take the lab down and up again")
        return self.site.audit_log

    def query_log(self, name: str = "prometheus") -> Path:
        """Return the log of queries of one of the two Prometheus; `lab.logs.queries` reads it."""
        if not self.site.query_log(name).exists():
            raise LabError(f"{name} keeps no query log: start it again, or is it in this lab's profile?")
        return self.site.query_log(name)

    @property
    def controller(self) -> Controller:
        """The controller as pods of this lab."""
        if self.existing or self.profile is None or not includes(self.profile, "node"):
            raise LabError("the controller's pods need a lab with a node: python -m lab up --profile node (or istio)")
        return Controller(self.site, self.node.sandbox, self.kubectl)

    def controller_up(
        self,
        namespaces: Sequence[str] = (),
        *,
        replicas: int = 2,
        version: str = "",
        options: Sequence[str] = (),
        progress: Progress = silent,
    ) -> str:
        """Run the code as it is now as the lab's controller, wait until it is available, and return its image.

        Another `version` (default: the project's) is the same code in another image, to upgrade to; `options` are
        further words for `rollout install`.
        """
        image = self.controller.load(version or product.project()["version"], progress)
        only = [f"--namespaces={','.join(namespaces)}"] if namespaces else []
        self.controller.up(image, self.prometheus_in_cluster, [*only, f"--replicas={replicas}", *options])
        return image

    def controller_down(self) -> None:
        """Take the lab's controller away, as a cluster loses it: kinds, policies, plans and runs stay."""
        self.controller.down()

    def start_prometheus(self, name: str = "prometheus") -> None:
        """Start one of the two Prometheus again."""
        one = Prometheus(self.site, self.processes, name)
        one.start()
        one.finish()

    def stop_prometheus(self, name: str = "prometheus", *, forget: bool = False) -> None:
        """Stop one of the two Prometheus, to see what is done without it; its data stays, unless it shall forget it."""
        one = Prometheus(self.site, self.processes, name)
        one.stop()
        if forget:
            one.forget()

    def restart_prometheus(self, name: str = "prometheus") -> None:
        """Stop and start one of the two Prometheus."""
        self.stop_prometheus(name)
        self.start_prometheus(name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one command at a time change this lab."""
        self.site.state.parent.mkdir(parents=True, exist_ok=True)
        with self.site.state.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
