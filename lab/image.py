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

from lab.errors import LabError

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
class Layer:
    """A layer by what it is known: it need not be in an archive that uses it, when it was imported before."""

    digest: str
    size: int

    @property
    def described(self) -> dict[str, Any]:
        """How a manifest refers to it."""
        return {"mediaType": f"{MEDIA}.layer.v1.tar", "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Image:
    """An image: images of one archive that list the same entries share one layer.

    `below` it are layers of this archive, or of one that is imported earlier.
    """

    name: str
    entries: tuple[Entry, ...]
    entrypoint: str
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    below: tuple[tuple[Entry, ...] | Layer, ...] = ()


def write_archive(target: Path, images: Sequence[Image]) -> None:
    """Write an archive of all images, each shared layer once."""
    layers: dict[tuple[Entry, ...], Layer] = {}
    manifests = []
    with tarfile.open(target, "w") as archive:
        for image in images:
            stack = []
            for part in (*image.below, image.entries):
                if not isinstance(part, Layer) and part not in layers:
                    layers[part] = _add_layer(archive, part, target)
                stack.append(part if isinstance(part, Layer) else layers[part])
            manifests.append(_add_image(archive, image, stack))
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())


def read_image(archive: Path) -> tuple[str, tuple[Layer, ...]]:
    """Return the digest and the layers of the first image of an archive, for another image to be built on."""
    with tarfile.open(archive) as content:
        index = _load(content, "index.json")
        digest = str(index["manifests"][0]["digest"])
        manifest = _load(content, _blob(digest))
    return digest, tuple(Layer(one["digest"], one["size"]) for one in manifest["layers"])


def _load(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    file = archive.extractfile(name)
    if file is None:
        raise LabError(f"{name} in an archive of images is not a file")
    return dict(json.load(file))


def _add_layer(archive: tarfile.TarFile, entries: Iterable[Entry], target: Path) -> Layer:
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
    return Layer(digest, header.size)


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


def _add_image(archive: tarfile.TarFile, image: Image, layers: Sequence[Layer]) -> dict[str, Any]:
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Entrypoint": [image.entrypoint],
            "Env": [PATH, *(f"{key}={value}" for key, value in image.env.items())],
            "User": image.user,
            **({"Labels": dict(image.labels)} if image.labels else {}),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }
    described = _add_blob(archive, f"{MEDIA}.config.v1+json", config)
    manifest = {"schemaVersion": 2, "mediaType": f"{MEDIA}.manifest.v1+json", "config": described}
    manifest["layers"] = [layer.described for layer in layers]
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
