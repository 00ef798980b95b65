"""The image of the controller, packed without a builder or a registry: what the Containerfile makes, from what is here.

Python and the wheels are layers that change with the lock file. The project's own packages are a thin one on top, made
and imported in a second. An image's tag ends with a hash of its content, so that changed code is another image and
Kubernetes replaces the pods.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from lab.image import Entry, Image, Layer, read_image, write_archive
from lab.lock import ROOT
from lab.python import AUTHORITIES, PROGRAM, WHEELS, base_archive, compile_all, tree

NAME = "lab.local/rollout"
PACKAGES = ("rollout", "strategies")
APP = "/app"
USER = "65532:65532"
START = f"#!{PROGRAM}\nimport sys\n\nfrom {{module}} import {{function}}\n\nsys.exit({{function}}())\n"


def project() -> dict[str, Any]:
    """Return what the project says of itself."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def pack(target: Path, cache: Path, version: str) -> str:
    """Write the archive of an image (without the layers below its own) and return its name."""
    _, below = read_image(cache / base_archive(cache).path)
    with tempfile.TemporaryDirectory() as folder:
        own = _own(Path(folder))
        name = f"{NAME}:{version}-{_digest(own, below)}"
        images = [_image(one, own, below, version) for one in (name, f"{NAME}:{version}")]
        write_archive(target, images)
    return name


def _image(name: str, own: tuple[Entry, ...], below: tuple[Layer, ...], version: str) -> Image:
    env = {"PYTHONPATH": f"{APP}:{WHEELS}", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    env["SSL_CERT_FILE"] = AUTHORITIES
    labels = {"org.opencontainers.image.title": "rollout", "org.opencontainers.image.version": version}
    return Image(name, own, "rollout", user=USER, env=env, labels=labels, below=below)


def _own(folder: Path) -> tuple[Entry, ...]:
    """Return the project's own layer: its packages, its command, and the metadata by which plug-ins are found."""
    about, app = project(), folder / "app"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, app / package, ignore=shutil.ignore_patterns("__pycache__"))
    compile_all(app, APP)
    info = app / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    groups = {"console_scripts": about["scripts"], **about["entry-points"]}
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    module, _, function = about["scripts"]["rollout"].partition(":")
    command = folder / "rollout"
    command.write_text(START.format(module=module, function=function))
    return (*tree(app, APP), Entry("usr/local/bin/rollout", command))


def _digest(own: tuple[Entry, ...], below: tuple[Layer, ...]) -> str:
    total = hashlib.sha256(json.dumps([layer.digest for layer in below]).encode())
    for entry in own:
        if entry.source is not None and entry.source.suffix != ".pyc":  # compiling writes the same in other orders
            total.update(f"{entry.path}\0{hashlib.sha256(entry.source.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:10]
