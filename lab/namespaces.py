"""Namespaces of their own for programs that need root: whatever happens inside ends with them.

Network, mounts and process ids are private. So a node's packet filter rules, pod networks, mounts and container shims
never show up on the machine, two nodes do not disturb each other, and taking one down is ending one process: the kernel
ends all the others and throws the rest away.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lab.errors import LabError
from lab.process import Processes
from lab.run import run
from lab.wait import wait_for

HOLDER = "node"
# What containerd and kubelet keep at fixed places; inside, these are empty, and vanish in the end.
PRIVATE = ("/run/containerd", "/run/netns", "/var/lib/cni", "/var/log")


class Namespaces:
    """One set of namespaces, held open by the program `holder` as process 1."""

    def __init__(self, processes: Processes, holder: str) -> None:
        self.processes, self.holder = processes, holder

    def open(self) -> bool:
        """Open them unless they are open; return whether they are new."""
        spaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private"]
        if not self.processes.start(HOLDER, ["unshare", *spaces, self.holder]):
            return False
        if not wait_for(lambda: self.init() is not None, 5, 0.02):
            raise LabError("the node's namespaces did not open", self.processes.log(HOLDER))
        for folder in PRIVATE:
            Path(folder).mkdir(parents=True, exist_ok=True)
            run([*self.enter(), "mount", "-t", "tmpfs", "-o", "mode=0755", "rollout-lab", folder])
        return True

    def init(self) -> int | None:
        """Return the id, outside, of the process that is number 1 inside."""
        pid = self.inner(HOLDER)
        try:
            # until unshare has become the holder, it is still mounting /proc
            ready = pid is not None and Path(f"/proc/{pid}/comm").read_text().strip() == Path(self.holder).name
        except OSError:
            return None
        return pid if ready else None

    def inner(self, name: str) -> int | None:
        """Return the id, outside, of a program inside: we started only the command that went in, its parent."""
        record = self.processes.record(name)
        if record is None:
            return None
        try:
            children = Path(f"/proc/{record.pid}/task/{record.pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[0]) if children else None

    def enter(self) -> list[str]:
        """Return the words that, put before a command, run it inside."""
        pid = self.init()
        if pid is None:
            raise LabError("the node's namespaces are gone", self.processes.log(HOLDER))
        return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--"]

    def close(self) -> None:
        """End process 1 and with it everything inside."""
        if (pid := self.init()) is not None:
            os.kill(pid, signal.SIGTERM)  # unshare itself does not pass it on
        if not wait_for(lambda: self.processes.record(HOLDER) is None, 10, 0.05):
            self.processes.stop([HOLDER], grace=0)
