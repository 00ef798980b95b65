"""The place of the lab's node: its namespaces, and the two things outside of them: the link to it, and its cgroup."""

from __future__ import annotations

import os
from pathlib import Path

from lab.errors import LabError
from lab.namespaces import Namespaces
from lab.process import Processes
from lab.run import run
from lab.site import Site
from lab.wait import wait_for

CGROUPS = Path("/sys/fs/cgroup")
SHARE = {"cpu.shares": "2048", "cpu.weight": "200"}
"""How much of a busy processor the pods get (versions 1 and 2): twice what any other program does.

All pods together count as one program for the kernel, so that tests, builds and the control plane would starve them:
what is measured of their traffic would be the machine's own.
"""


class Sandbox(Namespaces):
    """The namespaces of one lab's node, with the link from this machine into them."""

    def __init__(self, site: Site, processes: Processes) -> None:
        super().__init__(processes, site.program("pause"))
        self.site = site

    def open(self) -> bool:
        """Open the namespaces, the link and the cgroup, unless they are there."""
        if not super().open():
            return False
        self._link()
        self._create_cgroup()
        return True

    def close(self) -> None:
        """End the node, then remove what is outside of its namespaces."""
        super().close()
        self._unlink()
        for root in _cgroup_roots():
            _remove_cgroup(root / self.site.cgroup)

    def _unlink(self) -> None:
        """Remove the link; its routes go with it.

        The kernel removes it as well, in its own time, when the network at the other end is gone.
        """
        there = Path(f"/sys/class/net/{self.site.link}")
        if not there.exists():
            return
        try:
            run(["ip", "link", "delete", self.site.link])
        except LabError:
            if there.exists():
                raise

    def _link(self) -> None:
        site, inside = self.site, self.enter()
        self._unlink()  # there is one only if a node ended without us
        run(["ip", "link", "add", site.link, "type", "veth", "peer", "name", "node0", "netns", str(self.init())])
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
            for setting, share in SHARE.items():
                if (ours / setting).exists():
                    (ours / setting).write_text(share)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty until somebody fills them
                if (root / setting).exists() and not (root / "cgroup.controllers").exists():
                    (ours / setting).write_text((root / setting).read_text())


def _cgroup_roots() -> list[Path]:
    """Return where cgroups are made: one root with version 2, one for each controller with version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [mount for mount in sorted(CGROUPS.iterdir()) if mount.is_mount() and not mount.is_symlink()]


def _remove_cgroup(folder: Path) -> None:
    """Remove a cgroup with those below it; a dying process is still counted there for a moment."""

    def gone() -> bool:
        try:
            for path, _, _ in os.walk(folder, topdown=False):
                Path(path).rmdir()
        except OSError:
            return not folder.exists()
        return True

    if not wait_for(gone, 10):
        raise LabError(f"could not remove the cgroup {folder}")
