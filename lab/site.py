"""Where a lab lives: its folders, ports and addresses, all derived from its name.

Two labs on one machine must not meet, and a second terminal must find a running lab without asking anybody. So nothing
is handed out and remembered: a name has an index, and everything else follows from the index.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

PORTS = ("api", "etcd", "etcd-peer", "controller-manager", "scheduler", "prometheus", "prometheus-hash")
FIRST_PORT = 20000  # below the range from which Linux takes the ports of outgoing connections
PORTS_PER_LAB = 10
LABS = 200


def cache_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of built programs and images, shared by all labs of this user."""
    if own := env.get("ROLLOUT_LAB_CACHE"):
        return Path(own).resolve()
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME", "~")).expanduser() / ".cache"
    return (Path(base) / "rollout-lab").resolve()


def index_of(name: str, env: Mapping[str, str] = os.environ) -> int:
    """Return the number from which a lab's ports and addresses follow: 0 for `default`, else a hash of the name."""
    if own := env.get("ROLLOUT_LAB_INDEX"):
        if not own.isdigit() or int(own) >= LABS:
            raise LabError(f"ROLLOUT_LAB_INDEX must be a number from 0 to {LABS - 1}, not {own!r}")
        return int(own)
    return 0 if name == "default" else 1 + zlib.crc32(name.encode()) % (LABS - 1)


@dataclass(frozen=True)
class Site:
    """One lab's place on the machine."""

    name: str
    index: int
    cache: Path
    state: Path
    net: tuple[int, int]  # the lab networks are three /16 networks from here on

    @classmethod
    def named(cls, name: str, env: Mapping[str, str] = os.environ) -> Site:
        """Return the site of the lab with this name, as the environment variables want it."""
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
            raise LabError(f"a lab is named with small letters, digits and dashes, not {name!r}")
        cache = cache_dir(env)
        root = Path(env["ROLLOUT_LAB_STATE"]).resolve() if env.get("ROLLOUT_LAB_STATE") else cache / "run"
        net = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", env.get("ROLLOUT_LAB_NET") or "10.200")
        if net is None or int(net[1]) > 255 or int(net[2]) > 253:
            raise LabError("ROLLOUT_LAB_NET is the start of three /16 networks in a row, like 10.200")
        return cls(name, index_of(name, env), cache, root / name, (int(net[1]), int(net[2])))

    def port(self, what: str) -> int:
        """Return the port, on this machine, of one of `PORTS`."""
        return FIRST_PORT + PORTS_PER_LAB * self.index + PORTS.index(what)

    def _address(self, network: int, host: str) -> str:
        return f"{self.net[0]}.{self.net[1] + network}.{self.index}.{host}"

    @property
    def pods(self) -> str:
        """The subnet of the pods."""
        return self._address(0, "0/24")

    @property
    def services(self) -> str:
        """The subnet of the Services."""
        return self._address(1, "0/24")

    @property
    def dns_ip(self) -> str:
        """The address of the cluster's DNS Service."""
        return self._address(1, "10")

    @property
    def host_ip(self) -> str:
        """This machine's end of the link to the node; the API server listens here."""
        return self._address(2, "1")

    @property
    def node_ip(self) -> str:
        """The node's end of the link."""
        return self._address(2, "2")

    @property
    def link(self) -> str:
        """The network interface on this machine that leads to the node."""
        return f"rollout-lab{self.index}"  # the kernel allows 15 characters

    @property
    def cgroup(self) -> str:
        """The cgroup under which all pods of the lab run."""
        return f"rollout-lab-{self.name}"

    @property
    def audit_log(self) -> Path:
        """The API server's log of requests, one JSON object a line."""
        return self.state / "audit.log"

    def query_log(self, prometheus: str) -> Path:
        """Return the log of queries of one of the two Prometheus, one JSON object a line."""
        return self.state / f"{prometheus}-queries.log"

    def program(self, name: str) -> str:
        """Return the path of a program that the lab built."""
        return str(self.cache / "bin" / name)
