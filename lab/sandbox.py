"""The node's namespaces: everything that needs root happens inside, and ends with them.

The node has its own network, mounts and process ids. So kube-proxy's rules, pod networks, kubelet's mounts and
containerd's shims never show up on the machine, two nodes do not disturb each other, and taking a node down is killing
one process: the kernel ends all the others and throws the rest away. Only the link, its routes and the cgroup are
outside.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lab.errors import LabError
from lab.process import Processes
from lab.run import run
from lab.site import Site
from lab.wait import wait_for

HOLDER = "node"
# What containerd and kubelet keep at fixed places; inside, these are empty and vanish with the namespace.
PRIVATE = ("/run/containerd", "/run/netns", "/var/lib/cni", "/var/log")
CGROUPS = Path("/sys/fs/cgroup")


class Sandbox:
    """The namespaces of one lab's node, and the link from this machine into them."""

    def __init__(self, site: Site, processes: Processes) -> None:
        self.site, self.processes = site, processes

    def start(self) -> None:
        """Open the namespaces and the link unless they are there."""
        spaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation=private"]
        if not self.processes.start(HOLDER, ["unshare", *spaces, self.site.program("pause")]):
            return
        if not wait_for(lambda: self._inner() is not None, 5, 0.02):
            raise LabError("the node's namespaces did not open", self.processes.log(HOLDER))
        for folder in PRIVATE:
            Path(folder).mkdir(parents=True, exist_ok=True)
            run([*self.enter(), "mount", "-t", "tmpfs", "-o", "mode=0755", "rollout-lab", folder])
        self._link()
        self._create_cgroup()

    def enter(self) -> list[str]:
        """Return the words that, before a command, run it inside."""
        pid = self._inner()
        if pid is None:
            raise LabError("the node's namespaces are gone", self.processes.log(HOLDER))
        return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--"]

    def close(self) -> None:
        """End the node: its process 1 goes, with it all others, their mounts and their networks; then the rest."""
        if (pid := self._inner()) is not None:
            os.kill(pid, signal.SIGTERM)
        if not wait_for(lambda: self.processes.record(HOLDER) is None, 10, 0.05):
            self.processes.stop([HOLDER], grace=0)
        if Path(f"/sys/class/net/{self.site.link}").exists():
            run(["ip", "link", "delete", self.site.link])
        for root in _cgroup_roots():
            if (ours := root / self.site.cgroup).exists() and not wait_for(lambda ours=ours: _rmdir_tree(ours), 10):  # type: ignore[misc]
                raise LabError(f"could not remove the cgroup {ours}")

    def _inner(self) -> int | None:
        """Return the id, outside, of the process that is number 1 inside."""
        record = self.processes.record(HOLDER)
        if record is None:
            return None
        children = Path(f"/proc/{record.pid}/task/{record.pid}/children").read_text().split()
        if not children or Path(f"/proc/{children[0]}/comm").read_text().strip() != "pause":
            return None  # still on its way: unshare mounts /proc before it becomes the holder
        return int(children[0])

    def _link(self) -> None:
        site, inside = self.site, self.enter()
        if Path(f"/sys/class/net/{site.link}").exists():
            run(["ip", "link", "delete", site.link])  # its other end went with an earlier node
        inner = str(self._inner())
        run(["ip", "link", "add", site.link, "type", "veth", "peer", "name", "node0", "netns", inner])
        run(["ip", "address", "add", f"{site.host_ip}/30", "dev", site.link])
        run(["ip", "link", "set", site.link, "up"])
        for command in (
            ["ip", "address", "add", f"{site.node_ip}/30", "dev", "node0"],
            ["ip", "link", "set", "node0", "up"],
            ["ip", "link", "set", "lo", "up"],
            ["ip", "route", "add", "default", "via", site.host_ip],
            ["sysctl", "-qw", "net.ipv4.ip_forward=1"],
        ):
            run([*inside, *command])
        for subnet in (site.pods, site.services):
            run(["ip", "route", "add", subnet, "via", site.node_ip, "dev", site.link])

    def _create_cgroup(self) -> None:
        for root in _cgroup_roots():
            if (root / "cgroup.subtree_control").exists():  # version 2: a child has what its parent hands down
                for controller in (root / "cgroup.controllers").read_text().split():
                    (root / "cgroup.subtree_control").write_text(f"+{controller}")
            ours = root / self.site.cgroup
            ours.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty until somebody fills them
                if (root / setting).exists() and not (root / "cgroup.controllers").exists():
                    (ours / setting).write_text((root / setting).read_text())


def _cgroup_roots() -> list[Path]:
    """Return where cgroups are made: one root with version 2, one for each controller with version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [mount for mount in sorted(CGROUPS.iterdir()) if mount.is_mount() and not mount.is_symlink()]


def _rmdir_tree(folder: Path) -> bool:
    """Remove a cgroup with those below it; False while a dying process is still counted there."""
    try:
        for path, _, _ in os.walk(folder, topdown=False):
            Path(path).rmdir()
    except OSError:
        return not folder.exists()
    return True
