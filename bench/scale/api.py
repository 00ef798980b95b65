"""The bench's own client of the API server: small, quick, and told apart in the audit log by its name."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

AGENT = "rollout-bench"
WORKERS = 8
Json = dict[str, Any]
T = TypeVar("T")


class Refused(Exception):
    """The API server's answer was no success."""


class Api:
    """Speaks as the user of a kubeconfig that has a token; threads may share it."""

    def __init__(self, kubeconfig: Path) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        self._server = urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._token = content["users"][0]["user"]["token"]
        self._own = threading.local()

    def call(self, method: str, path: str, body: Json | None = None, content: str = "application/json") -> Json:
        """One request; the object that came back.

        Raises:
            Refused: it was no success.
        """
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": AGENT, "Content-Type": content}
        sent = None if body is None else json.dumps(body)
        connection = self._connection()
        try:
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
        except (http.client.HTTPException, OSError):  # it was idle for long, and the server has hung up
            connection.close()
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Refused(f"{method} {path}: {answer.status} {text[:300].decode(errors='replace')}")
        found: Json = json.loads(text)
        return found

    def _connection(self) -> http.client.HTTPSConnection:
        if not hasattr(self._own, "connection"):
            host, port = self._server.hostname or "", self._server.port
            self._own.connection = http.client.HTTPSConnection(host, port, timeout=60, context=self._tls)
        found: http.client.HTTPSConnection = self._own.connection
        return found

    def items(self, path: str) -> list[Json]:
        """All objects of a collection."""
        found: list[Json] = self.call("GET", path)["items"]
        return found


def side_by_side(work: Callable[[T], object], things: Iterable[T]) -> None:
    """Do something with each thing, several at a time; the first failure is raised."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(work, things):
            pass


def kubeconfig_for(api: Api, admin: Path, target: Path, account: tuple[str, str]) -> None:
    """Write a kubeconfig that speaks as a service account (namespace and name)."""
    namespace, name = account
    spec = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
    made = api.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", spec)
    content: Json = json.loads(admin.read_text())
    user: Mapping[str, Any] = {"token": made["status"]["token"]}
    content["users"] = [{"name": "admin", "user": user}]
    target.touch(mode=0o600)
    target.write_text(json.dumps(content))
