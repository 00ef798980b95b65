"""This machine's Python as layers of an image: the interpreter with the libraries it loads, and the wheels."""

from __future__ import annotations

import os
import platform
import re
import shutil
import ssl
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from lab.artefacts import Artefact, digest_of
from lab.errors import LabError
from lab.image import Entry, Image, write_archive
from lab.lock import RUNTIME
from lab.packages import pip
from lab.run import run

NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"
HOME = "usr/local"  # an interpreter finds its library beside itself, wherever both are
BASE = "lab.local/python:wheels"
PROGRAM = f"/{HOME}/bin/{NAME}"
WHEELS = "/app/wheels"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# What nobody needs who only runs a program.
UNUSED = (
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3"),
    *("ensurepip", "venv", "pydoc_data", "config-*", "_tkinter*", "_test*", "_ctypes_test*", "libpython*"),
)
# The typed calls and models of the Kubernetes client, loaded when they are named: 70 MB, and we name none.
STRIPPED = ("kubernetes/**/client/api/*_api.py", "kubernetes/**/client/models/*.py")


def base_archive(folder: Path) -> Artefact:
    """Return the artefact of the image that holds Python and the wheels; `folder` is the cache."""
    library, wheels = _library(), _wheels()

    def pack(target: Path) -> None:
        scratch = target.with_suffix(".files")
        try:
            extensions = sorted((folder / wheels.path).rglob("*.so"))
            layers = (_interpreter(folder / library.path, extensions, scratch), tree(folder / wheels.path, WHEELS))
            write_archive(target, [Image(BASE, layers[1], PROGRAM, below=layers[:1])])
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    return Artefact("img/python.tar", (digest_of(Path(__file__)),), pack, (library, wheels))


def wheels_folder(folder: Path) -> Path:
    """Return where, in the cache, the wheels are, for a program that is run on this machine."""
    return folder / _wheels().path


def tree(folder: Path, inside: str) -> tuple[Entry, ...]:
    """Return everything in a folder, to be in an image at `inside`."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    modes = (0o755 if os.access(file, os.X_OK) else 0o644 for file in files)
    return tuple(
        Entry(f"{inside}/{file.relative_to(folder)}", file.resolve(), mode=mode)
        for file, mode in zip(files, modes, strict=True)
    )


def compile_all(folder: Path, inside: str) -> None:
    """Compile every module, for a root file system that cannot be written; in an image, no dates can be compared."""
    options = ["-q", "--invalidation-mode=unchecked-hash", "-s", str(folder), "-p", inside]
    run([sys.executable, "-m", "compileall", *options, str(folder)])


@cache
def _version() -> str:
    return f"{platform.python_version()} {platform.machine()} {sys.base_prefix}"


def _library() -> Artefact:
    def copy(target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        ignored = shutil.ignore_patterns(*UNUSED)
        shutil.copytree(sysconfig.get_path("stdlib"), target, ignore=ignored, ignore_dangling_symlinks=True)
        compile_all(target, f"/{HOME}/lib/{NAME}")

    return Artefact(f"share/{NAME}", (_version(), *UNUSED), copy)


def _wheels() -> Artefact:
    def install(target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        options = [
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--only-binary=:all:",
            "--require-hashes",
            "--target",
            str(target),
        ]
        with tempfile.TemporaryDirectory() as scratch:
            run([*pip(Path(scratch)), "install", *options, "-r", str(RUNTIME)])
        for pattern in STRIPPED:
            for file in target.glob(pattern):
                if file.name != "__init__.py":
                    file.unlink()
        compile_all(target, WHEELS)

    return Artefact("share/wheels", (_version(), digest_of(RUNTIME), WHEELS, *STRIPPED), install)


def _interpreter(library: Path, extensions: Sequence[Path], scratch: Path) -> tuple[Entry, ...]:
    """Return the interpreter, its library, what these and `extensions` are linked to, and a few files in /etc."""
    program = Path(sys.base_prefix) / "bin" / NAME
    scratch.mkdir(parents=True)
    accounts, groups = scratch / "passwd", scratch / "group"
    accounts.write_text("root:x:0:0::/root:/nonexistent\nrollout:x:65532:65532::/nonexistent:/nonexistent\n")
    groups.write_text("root:x:0:\nrollout:x:65532:\n")
    authorities = ssl.get_default_verify_paths().cafile or AUTHORITIES
    certificates = [Entry(AUTHORITIES, Path(authorities).resolve(), mode=0o644)]
    return (
        Entry("tmp", mode=0o1777),
        Entry("etc/passwd", accounts, mode=0o644),
        Entry("etc/group", groups, mode=0o644),
        *(certificates if Path(authorities).exists() else ()),
        Entry(PROGRAM, program.resolve()),
        *_shared(program, *sorted(library.glob("lib-dynload/*.so")), *extensions),
        *tree(library, f"/{HOME}/lib/{NAME}"),
    )


def _shared(*programs: Path) -> tuple[Entry, ...]:
    """Return the shared libraries that programs name, each beside the C library, where every loader looks."""
    found = {}
    for name, path in re.findall(r"(\S+)(?: => (/\S+))? \(0x", run(["ldd", *map(str, programs)])):
        if path or name.startswith("/"):
            found[name] = Path(path or name)
    libc = next((path.parent for name, path in found.items() if name.startswith("libc.so")), None)
    if libc is None:
        raise LabError(f"{programs[0]} does not use a C library that can be copied")
    return tuple(
        Entry(name if name.startswith("/") else str(libc / name), path.resolve())
        for name, path in sorted(found.items())
    )
