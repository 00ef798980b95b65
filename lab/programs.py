"""The Go programs of the lab, and how each is built from its pinned module."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from lab.artefacts import Artefact, digest_of
from lab.run import run

MODULES = Path(__file__).parent / "modules"
APP = Path(__file__).parent / "app"
KUBERNETES = "v1.36.3"
# Without these the API server calls itself v0.0.0, and clients believe it.
VERSION_FLAGS = " ".join(
    f"-X k8s.io/{package}/version.gitVersion={KUBERNETES}" for package in ("component-base", "client-go/pkg")
)


@cache
def go_version() -> str:
    """Return the version of the Go compiler, an input of every program."""
    return run(["go", "env", "GOVERSION", "GOOS", "GOARCH"], cwd=MODULES / "pause")


def program(name: str, module: Path, package: str = ".", *, ldflags: str = "", tags: str = "") -> Artefact:
    """Return the artefact of one Go program."""
    flags = ["-trimpath", "-mod=readonly", "-buildvcs=false", f"-ldflags=-s -w {ldflags}".rstrip()]
    if tags:
        flags.append(f"-tags={tags}")

    def build(target: Path) -> None:
        # The compiler without its garbage collector is a fifth quicker, and its packages are small enough.
        env = os.environ | {"CGO_ENABLED": "0", "GOGC": "off", "GOFLAGS": ""}
        run(["go", "build", *flags, "-o", str(target), package], cwd=module, env=env)

    sources = sorted(file for file in module.iterdir() if file.suffix in {".go", ".mod", ".sum"})
    return Artefact(f"bin/{name}", (go_version(), digest_of(*sources), package, *flags), build)


def kubernetes(name: str) -> Artefact:
    """Return the artefact of one of Kubernetes' own programs."""
    return program(name, MODULES / "kubernetes", f"k8s.io/kubernetes/cmd/{name}", ldflags=VERSION_FLAGS)


def etcd() -> Artefact:
    """Return the artefact of etcd."""
    return program("etcd", MODULES / "etcd", "go.etcd.io/etcd/server/v3")


def prometheus() -> Artefact:
    """Return the artefact of Prometheus, with no service discovery but that of Kubernetes."""
    package = "github.com/prometheus/prometheus/cmd/prometheus"
    return program("prometheus", MODULES / "prometheus", package, tags="remove_all_sd,enable_kubernetes_sd")


def pilot(name: str) -> Artefact:
    """Return the artefact of one of Istio's programs."""
    return program(name, MODULES / "istio", f"istio.io/istio/pilot/cmd/{name}")


@cache
def source(module: str, path: str) -> Path:
    """Return the folder of a dependency's sources, which hold more than what is compiled: CRDs, templates."""
    run(["go", "mod", "download", path], cwd=MODULES / module)
    return Path(run(["go", "list", "-m", "-f", "{{.Dir}}", path], cwd=MODULES / module).strip())


def istio_source() -> Path:
    """Return the folder of Istio's sources."""
    return source("istio", "istio.io/istio")
