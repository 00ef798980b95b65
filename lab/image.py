"""Container images as files: OCI archives that containerd imports, so that no registry is needed."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEDIA = "application/vnd.oci.image"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Entry:
    """One thing in an image: a copy of `source`, or a link to `link`, or else an empty folder."""

    path: str
    source: Path | None = None
    link: str = ""
    mode: int = 0o755


@dataclass(frozen=True)
class Image:
    """An image: images of one archive that list the same entries share one layer."""

    name: str
    entries: tuple[Entry, ...]
    entrypoint: str
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


def write_archive(target: Path, images: Sequence[Image]) -> None:
    """Write an archive of all images, each shared layer once."""
    layers: dict[tuple[Entry, ...], dict[str, Any]] = {}
    manifests = []
    with tarfile.open(target, "w") as archive:
        for image in images:
            if image.entries not in layers:
                layers[image.entries] = _add_layer(archive, image.entries, target)
            manifests.append(_add_image(archive, image, layers[image.entries]))
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())


def _add_layer(archive: tarfile.TarFile, entries: Iterable[Entry], target: Path) -> dict[str, Any]:
    scratch = target.with_suffix(".layer")
    with tarfile.open(scratch, "w") as layer:
        for entry in entries:
            _add_entry(layer, entry)
    try:
        with scratch.open("rb") as content:
            digest = "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
            content.seek(0)
            header = _header(_blob(digest), size=scratch.stat().st_size)
            archive.addfile(header, content)
    finally:
        scratch.unlink()
    return {"mediaType": f"{MEDIA}.layer.v1.tar", "digest": digest, "size": header.size}


def _add_entry(layer: tarfile.TarFile, entry: Entry) -> None:
    header = _header(entry.path, mode=entry.mode)
    if entry.link:
        header.type, header.linkname = tarfile.SYMTYPE, entry.link
        layer.addfile(header)
    elif entry.source is None:
        header.type = tarfile.DIRTYPE
        layer.addfile(header)
    else:
        header.size = entry.source.stat().st_size
        with entry.source.open("rb") as content:
            layer.addfile(header, content)


def _add_image(archive: tarfile.TarFile, image: Image, layer: dict[str, Any]) -> dict[str, Any]:
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Entrypoint": [image.entrypoint],
            "Env": [PATH, *(f"{key}={value}" for key, value in image.env.items())],
            "User": image.user,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    described = _add_blob(archive, f"{MEDIA}.config.v1+json", config)
    manifest = {"schemaVersion": 2, "mediaType": f"{MEDIA}.manifest.v1+json", "config": described, "layers": [layer]}
    names = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name}
    return _add_blob(archive, f"{MEDIA}.manifest.v1+json", manifest) | {"annotations": names}


def _add_blob(archive: tarfile.TarFile, media: str, content: Mapping[str, Any]) -> dict[str, Any]:
    data = json.dumps(content).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    _add(archive, _blob(digest), data)
    return {"mediaType": media, "digest": digest, "size": len(data)}


def _add(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    archive.addfile(_header(path, size=len(data)), io.BytesIO(data))


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _header(path: str, *, size: int = 0, mode: int = 0o644) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path.lstrip("/"))  # owner root, time 0: the same input gives the same bytes
    header.size, header.mode = size, mode
    return header
