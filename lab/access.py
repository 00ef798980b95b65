"""Talking to a lab's API server: its credentials, kubectl, and whether it answers."""

from __future__ import annotations

import json
import os
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from lab.run import run
from lab.site import Site


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on, and that nobody finds half written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    os.replace(unfinished, file)


def admin_token(site: Site) -> str:
    """Return the lab's administrator's token; each lab gets a random one of its own."""
    file = site.state / "token"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(24))
    return file.read_text()


def write_kubeconfig(site: Site, address: str, authority: Path) -> None:
    """Write the kubeconfig of the administrator. JSON is YAML, so every client reads it."""
    cluster = {"server": f"https://{address}:{site.port('api')}", "certificate-authority": str(authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": admin_token(site)}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
        "current-context": "lab",
    }
    write_private(site.state / "kubeconfig", json.dumps(content, indent=1) + "\n")


def kubectl(program: str, kubeconfig: Path, *args: str, stdin: str | None = None, timeout: float | None = 120) -> str:
    """Run kubectl to its end and return what it printed."""
    return run([program, f"--kubeconfig={kubeconfig}", *args], stdin=stdin, timeout=timeout)


def answers(url: str, headers: Mapping[str, str] | None = None, authority: Path | None = None) -> bool:
    """Return whether a server says 200 to a GET."""
    try:
        context = ssl.create_default_context(cafile=authority) if authority else None
        request = urllib.request.Request(url, headers=dict(headers or {}))
        with urllib.request.urlopen(request, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
