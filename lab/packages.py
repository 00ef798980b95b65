"""What the lab takes ready made: the distribution's programs that run containers and move packets, and pip."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from lab.artefacts import Progress
from lab.errors import LabError
from lab.run import run

CNI = Path("/usr/lib/cni")
# program -> Debian package
NEEDED = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def ensure_packages(progress: Progress) -> None:
    """Install the packages that are missing, and only those."""
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = {package for name, package in NEEDED.items() if shutil.which(name, path=search) is None}
    if not (CNI / "ptp").exists():
        missing.add("containernetworking-plugins")
    if not missing:
        return
    names = sorted(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LabError(f"install the packages {', '.join(names)}; as root on Debian, the lab does so itself")
    progress(f"installing {', '.join(names)} ...")
    run(["apt-get", "update", "-q"])
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "install", "-yq", "--no-install-recommends", *names], env=env)


def pip(folder: Path) -> list[str]:
    """Return how to call pip: this Python's, or one in a folder of its own."""
    try:
        run([sys.executable, "-m", "pip", "--version"])
    except LabError:
        run([sys.executable, "-m", "venv", str(folder / "venv")])
        return [str(folder / "venv/bin/python"), "-m", "pip"]
    return [sys.executable, "-m", "pip"]
