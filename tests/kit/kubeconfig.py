"""A kubeconfig for a server of the test's own."""

from __future__ import annotations

from pathlib import Path

import orjson

TOKEN = "s3cr3t-t0ken"


def write_kubeconfig(folder: Path, port: int, user: object = None) -> None:
    """Write `config` into a folder: a local server at this port, and a user with the token unless told otherwise."""
    content = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "current-context": "x",
    }
    (folder / "config").write_bytes(orjson.dumps(content))
