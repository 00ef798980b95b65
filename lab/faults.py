"""Faults on demand: programs and pods that are stopped, frozen or killed, and a network that is slow or loses packets.

A target is a program of the lab (`kube-apiserver`, `etcd`, `kube-controller-manager`, `prometheus`, ...), a pod as
`NAMESPACE/NAME` (its first container), or `istiod`. `heal` undoes everything, and so does taking the lab down.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab import netqueue
from lab.errors import LabError
from lab.prometheus import NAMES, Prometheus
from lab.run import run
from lab.runtime import Containerd
from lab.wait import wait_for

if TYPE_CHECKING:
    from lab.cluster import Lab

FIRST_POD = "{.items[0].metadata.namespace}/{.items[0].metadata.name}"
# Each ends when the node does, and what we know of it is the command that went in.
QUEUE_PROGRAM = "netqueue"
INSIDE = ("node", "containerd", "kubelet", "kube-proxy", QUEUE_PROGRAM)
TABLE = ("iptables", "-w", "-t", "mangle")


class Faults:
    """What can be broken in one lab; everything is kept by the kernel and the programs, nothing here."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.site, self.processes = lab, lab.site, lab.processes

    def stop(self, program: str) -> None:
        """End a program of the lab; it stays away until `start` or `heal`."""
        self._check(program)
        self.processes.stop([program], grace=3)

    def start(self, program: str) -> None:
        """Start a program again, and return when the whole lab works."""
        if self.processes.record(program) is None and self.lab.profile is not None:
            self.lab.up(self.lab.profile)

    def kill(self, target: str) -> None:
        """End a program or a pod's process without a warning; a pod's is started again by the kubelet.

        A program is gone on return: one that is still on its way out would look alive to what starts it again.
        """
        self._signal(target, signal.SIGKILL)

    def freeze(self, target: str) -> None:
        """Halt a program or a pod's process where it is, connections and leases open."""
        self._signal(target, signal.SIGSTOP)

    def thaw(self, target: str) -> None:
        """Let it go on, as if no time had passed."""
        self._signal(target, signal.SIGCONT)

    @contextmanager
    def frozen(self, target: str) -> Iterator[None]:
        """Keep a target frozen for the length of a block."""
        self.freeze(target)
        try:
            yield
        finally:
            self.thaw(target)

    def stutter(self, target: str, seconds: float, *, frozen: float = 0.4, running: float = 0.1) -> None:
        """Make a target slow for so many seconds: frozen and running in turn."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            with self.frozen(target):
                time.sleep(frozen)
            time.sleep(running)

    def rename(self, prometheus: str, series: str, to: str) -> None:
        """Let one of the two Prometheus keep a series under another name from now on, as a changed rule of it does."""
        self._check(prometheus)
        Prometheus(self.site, self.processes, prometheus).rename(series, to)

    def network(self, *, delay_ms: float = 0, loss: float = 0, pod: str = "") -> None:
        """Delay packets each way, and lose a fraction of them, from now on, in place of an earlier such fault.

        Without a pod: between this machine (API server, Prometheus) and the node with all its pods. With
        `NAMESPACE/NAME`: from and to this pod, whoever talks with it.
        """
        self._heal_network()
        address = self._address(pod) if pod else ""
        program = [sys.executable, "-P", str(netqueue.__file__), str(delay_ms), str(loss)]
        self.processes.start(QUEUE_PROGRAM, [*self._inside(), *program])
        if not wait_for(self._queue_open, 10, 0.02):
            raise LabError("the queue of packets did not open in 10 s", self.processes.log(QUEUE_PROGRAM))
        hand_over = ["-j", "NFQUEUE", "--queue-num", str(netqueue.QUEUE), "--queue-bypass"]
        if pod:
            rules = [["POSTROUTING", "-s", address], ["POSTROUTING", "-d", address]]
        else:
            rules = [["PREROUTING", "-i", "node0"], ["POSTROUTING", "-o", "node0"]]
        for rule in rules:
            run([*self._inside(), *TABLE, "-A", *rule, *hand_over])

    def heal(self) -> None:
        """Undo all faults, and return when the lab works."""
        self._heal_network()
        for name in self.processes.names():
            if (record := self.processes.record(name)) is not None:
                os.kill(record.pid, signal.SIGCONT)
        if self._has_node():
            self._containerd().signal_all("CONT")
        for name in {*NAMES} & {*self.processes.names()}:
            Prometheus(self.site, self.processes, name).rename()
        if self.lab.profile is not None:
            self.lab.up(self.lab.profile)

    def _signal(self, target: str, number: signal.Signals) -> None:
        if target == "istiod":
            target = self.lab.kubectl("get", "pods", "-n", "istio-system", "-l=app=istiod", f"-o=jsonpath={FIRST_POD}")
        if "/" not in target:
            os.kill(self._check(target), number)
            if number == signal.SIGKILL and not wait_for(lambda: self.processes.record(target) is None, 10, 0.02):
                raise LabError(f"{target} does not end when it is killed")
            return
        self._containerd().signal(self._container(target), number.name)

    def _check(self, program: str) -> int:
        """Return the process id of a program outside of the node, and refuse anything else."""
        outside = [name for name in self.processes.names() if name not in INSIDE]
        if program not in outside:
            raise LabError(f"{program} is neither a pod (NAMESPACE/NAME) nor one of {', '.join(outside)}")
        record = self.processes.record(program)
        if record is None:
            raise LabError(f"{program} is not running", self.processes.log(program))
        return record.pid

    def _container(self, pod: str) -> str:
        namespace, _, name = pod.partition("/")
        query = "-o=jsonpath={.status.containerStatuses[0].containerID}"
        found = self.lab.kubectl("get", "pod", "-n", namespace, name, query)
        if not found:
            raise LabError(f"pod {pod} runs no container")
        return found.removeprefix("containerd://")

    def _has_node(self) -> bool:
        return self.lab.node.sandbox.init() is not None

    def _inside(self) -> list[str]:
        return self.lab.node.sandbox.enter()

    def _containerd(self) -> Containerd:
        return Containerd(self.lab.node.sandbox, self.site.state)

    def _address(self, pod: str) -> str:
        namespace, _, name = pod.partition("/")
        found = self.lab.kubectl("get", "pod", "-n", namespace, name, "-o=jsonpath={.status.podIP}")
        if not found:
            raise LabError(f"pod {pod} has no address")
        return found

    def _queue_open(self) -> bool:
        self.processes.check(QUEUE_PROGRAM)
        queues = Path(f"/proc/{self.lab.node.sandbox.init()}/net/netfilter/nfnetlink_queue").read_text()
        return any(line.split()[0] == str(netqueue.QUEUE) for line in queues.splitlines())

    def _heal_network(self) -> None:
        if not self._has_node():
            return
        for chain in ("PREROUTING", "POSTROUTING"):  # of a table in which nobody else on the node has rules
            run([*self._inside(), *TABLE, "-F", chain])
        if (pid := self.lab.node.sandbox.inner(QUEUE_PROGRAM)) is not None:
            os.kill(pid, signal.SIGKILL)  # it is inside, where what started it cannot end it
            wait_for(lambda: self.processes.record(QUEUE_PROGRAM) is None, 5, 0.02)
        self.processes.stop([QUEUE_PROGRAM])
