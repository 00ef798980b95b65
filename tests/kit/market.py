"""A market in the lab: a namespace that speaks plaintext, under steady load, and a stranger from another one who calls.

Callers write down what became of each call in files outside of their pods, so that the account is whole over restarts.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Final

import pytest
import yaml

from lab import Lab, LabError
from rollout.plan.base import Json
from tests.kit.shop import IMAGE, ROOT, Shop, together

MANIFEST: Final = ROOT / "lab/manifests/market.yaml"
WORKLOADS: Final = ("deployment/web", "deployment/greeter", "deployment/mail", "statefulset/db", "deployment/front")
SERVED: Final = {"web": 8080, "greeter": 9000, "mail": 2525, "db": 8080}
"""Who is called, at which container port."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the calls of one caller, by target."""

    good: Mapping[str, int]
    errors: Mapping[str, int]
    """By target and error."""

    def __str__(self) -> str:
        failed = "".join(f"\n{count:6d}  {text}" for text, count in self.errors.items())
        return f"{dict(self.good)}, {sum(self.errors.values())} failed{failed}"


def read(file: Path, since: float = 0.0, until: float = float("inf")) -> Account:
    """Add up the lines of an account that ended in [since, until) (Unix seconds)."""
    good, errors = Counter[str](), Counter[str]()
    lines = file.read_text().splitlines() if file.exists() else ()
    for line in map(json.loads, lines):
        if since <= line["at"] < until:
            good[line["target"]] += line["good"]
            for text, count in line.get("errors", {}).items():
                errors[f"{line['target']}: {text}"] += count
    return Account(good, errors)


@dataclass(slots=True)
class Market(Shop):
    """The namespace, with its stranger in a namespace beside it."""

    stranger: str = field(init=False)
    """The namespace of the stranger."""

    def open(self, replicas: int = 2) -> None:
        """Make both namespaces and all workloads, and return when the callers have begun."""
        self.stranger = f"{self.ns}-old"
        for name in (self.ns, self.stranger):
            self.lab.kubectl("create", "namespace", name)
        text = Template(MANIFEST.read_text()).substitute(accounts=self.accounts)
        items: list[Json] = yaml.safe_load(text)["items"]
        callers = [it for it in items if it["metadata"]["name"] == "front"]
        self.apply(*(it for it in items if it not in callers))
        for name in WORKLOADS[:-1]:
            self.kubectl("rollout", "status", name, "--timeout=110s")
        legacy = self.caller("legacy", self.stranger, "-rate=5", "-fresh", f"http://web.{self.ns}/")
        self.apply(*callers)
        self.everywhere(*legacy)
        self.kubectl("rollout", "status", WORKLOADS[-1], "--timeout=60s")
        self._runs = self.watch("planruns", "{.spec.attempt} {.metadata.generation} {.status}{'\\n'}")

    def close(self) -> None:
        """Remove both namespaces, and what engines left behind."""
        self.kubectl("delete", "meshadoptionplans", "--all", "--wait=false")
        self.lab.kubectl("delete", "namespace", self.stranger, "--ignore-not-found", "--wait=false")
        Shop.close(self)

    def everywhere(self, *objects: Json) -> None:
        """Apply objects that say their namespaces."""
        self.lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    @property
    def accounts(self) -> Path:
        """The folder in which callers write."""
        return self.folder / f"{self.ns}-accounts"

    def account(self, caller: str, since: float = 0.0, until: float = float("inf")) -> Account:  # type: ignore[override]
        """What became of its calls."""
        return read(self.accounts / caller, since, until)

    def failing(self, caller: str) -> list[float]:
        """The seconds (Unix, at their ends) in which calls of it failed."""
        lines = map(json.loads, (self.accounts / caller).read_text().splitlines())
        return [line["at"] for line in lines if line.get("errors")]

    def caller(self, name: str, namespace: str, *arguments: str) -> list[Json]:
        """A Deployment that calls, with an account of its own for identity."""
        pod = self._pod(name, *arguments)
        body = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": pod}
        return [
            made("v1", "ServiceAccount", name, namespace),
            made("apps/v1", "Deployment", name, namespace, spec=body),
        ]

    def cron_job(self, name: str, *arguments: str, labels: Mapping[str, str] | None = None) -> list[Json]:
        """A CronJob that calls every minute."""
        pod = self._pod(name, *arguments, labels=labels, restartPolicy="Never")
        body = {"schedule": "* * * * *", "jobTemplate": {"spec": {"backoffLimit": 0, "template": pod}}}
        return [
            made("v1", "ServiceAccount", name, self.ns),
            made("batch/v1", "CronJob", name, self.ns, spec=body),
        ]

    def job(self, name: str, *arguments: str) -> None:
        """Call once, and wait for the end; whoever starts here now gets a proxy."""
        spec = {"backoffLimit": 0, "template": self._pod(name, *arguments, restartPolicy="Never")}
        self.apply(made("v1", "ServiceAccount", name, self.ns), made("batch/v1", "Job", name, self.ns, spec=spec))
        self.kubectl("wait", f"job/{name}", "--for=condition=Complete", "--timeout=60s")

    def _pod(self, name: str, *arguments: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Json:
        folder: Json = {"name": "accounts", "hostPath": {"path": str(self.accounts), "type": "DirectoryOrCreate"}}
        container = {
            "name": "app",
            "image": f"{IMAGE}1.0",
            "args": ["call", f"-file=/accounts/{name}", *arguments],
            "volumeMounts": [{"name": "accounts", "mountPath": "/accounts"}],
        }
        given = {"serviceAccountName": name, "terminationGracePeriodSeconds": 15, **spec}
        return {
            "metadata": {"labels": {"app": name, **(labels or {})}},
            "spec": {**given, "volumes": [folder], "containers": [container]},
        }

    def refused(self, *servers: str) -> dict[str, str]:
        """What somebody without a proxy gets on the wire from one pod of each server: empty where he is served."""
        found = {}
        for name, port in ((name, port) for name, port in SERVED.items() if not servers or name in servers):
            pods = self.get("pods", f"-l=app={name}", "--field-selector=status.phase=Running")["items"]
            found[name] = plaintext(pods[0]["status"]["podIP"], port)
        return found


def plaintext(address: str, port: int) -> str:
    """What happens to an HTTP request on a new connection without TLS: empty when anything is answered."""
    try:
        with socket.create_connection((address, port), 3) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: market\r\n\r\n")
            return "" if link.recv(64) else "closed without a byte"
    except OSError as error:
        return type(error).__name__


def made(version: str, kind: str, name: str, namespace: str, **parts: Any) -> Json:
    """An object."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **parts}


@pytest.fixture
def market(lab: Lab, tmp_path: Path) -> Iterator[Market]:
    """An open market that is gone after the test."""
    argv = [sys.executable, "-m", "rollout", "crds", "apply"]
    subprocess.run(argv, env={**os.environ, **lab.environment()}, cwd=ROOT, check=True, capture_output=True)
    opened = Market(lab, f"market-{secrets.token_hex(3)}", tmp_path)
    try:
        together(opened.open)
        yield opened
    finally:
        try:
            opened.close()
        except LabError as error:
            print(f"{opened.ns} was not removed: {error}")
