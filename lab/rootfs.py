"""The root file system of the Istio images, out of this machine's own files.

The proxy needs little beside its two static programs and Envoy: the C library, and iptables to capture the pod's
traffic. Copying those with the libraries they name takes a second; a distribution's base system takes minutes.
"""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path

from lab.errors import LabError
from lab.image import Entry
from lab.run import run

TABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
PROGRAMS = ("xtables-nft-multi", "xtables-legacy-multi", "ip", "sh")
FOLDERS = ("tmp", "etc", "run", "root", "var/lib/istio/data", "var/lib/istio/envoy", "var/run", "etc/istio/proxy")


@cache
def base_files() -> tuple[Path, ...]:
    """Return the programs, and the libraries and plugins that they load, as they are on this machine."""
    programs = [_find(name) for name in PROGRAMS]
    text = run(["ldd", *map(str, programs)])
    libraries = {Path(found) for found in re.findall(r"(/\S+\.so\S*)(?= \()", text)}
    plugins = {plugin for folder in Path("/usr/lib").glob("*/xtables") for plugin in folder.glob("*.so")}
    # Envoy is linked to these as well; they are parts of the same C library
    libc = next((library.parent for library in libraries if library.name.startswith("libc.so")), Path("/lib"))
    libraries |= {library for name in ("m", "rt", "dl", "pthread") for library in libc.glob(f"lib{name}.so.*")}
    return (*programs, *sorted(libraries), *sorted(plugins))


def base_entries(folder: Path) -> tuple[Entry, ...]:
    """Return what every Istio image holds; `folder` is for the few files that are written for it."""
    folder.mkdir(parents=True, exist_ok=True)
    accounts = folder / "passwd"
    accounts.write_text("root:x:0:0::/root:/bin/sh\nistio-proxy:x:1337:1337::/tmp:/bin/sh\n")
    groups = folder / "group"
    groups.write_text("root:x:0:\nistio-proxy:x:1337:\n")
    links = [Entry(f"usr/sbin/{name}", link="xtables-nft-multi") for name in TABLES]
    for kind in ("nft", "legacy"):
        links += [
            Entry(f"usr/sbin/{name.replace('tables', f'tables-{kind}', 1)}", link=f"xtables-{kind}-multi")
            for name in TABLES
        ]
    return (
        *(Entry(name, mode=0o1777) for name in FOLDERS),
        Entry("etc/passwd", accounts, mode=0o644),
        Entry("etc/group", groups, mode=0o644),
        *(Entry(_inside(file), file) for file in base_files()),
        *links,
    )


def _find(name: str) -> Path:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if found is None:
        raise LabError(f"{name} is not installed")
    return Path(found)


def _inside(file: Path) -> str:
    if file.name in PROGRAMS:
        return f"{'usr/sbin' if 'tables' in file.name or file.name == 'ip' else 'bin'}/{file.name}"
    return str(file)
