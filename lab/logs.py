"""What the servers of the lab were asked: the API server's audit log and Prometheus' query log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Every request at the level of its metadata, once: when it is answered, and a watch also when it begins.
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "nonResourceURLs": ["/readyz*", "/livez*", "/healthz*"]}, {"level": "Metadata"}],
}


@dataclass(frozen=True)
class Request:
    """A request to the API server."""

    at: str  # RFC 3339, in UTC, to the microsecond
    user: str
    agent: str
    verb: str  # get, list, watch, create, update, patch, delete, ...
    uri: str
    resource: str  # `deployments`, or `deployments/status`
    namespace: str
    name: str
    code: int
    stage: str  # ResponseComplete; a watch that is still open has only ResponseStarted
    forbidden: bool  # for want of a permission; a namespace on its way out answers 403 as well


@dataclass(frozen=True)
class Query:
    """A query to Prometheus, through its API."""

    at: str
    text: str
    path: str
    client: str  # address


def requests(log: Path, offset: int = 0) -> list[Request]:
    """Return the requests from a place in the file on: the file's size at some moment is that moment's place."""
    return [_request(line) for line in _lines(log, offset)]


def queries(log: Path, offset: int = 0) -> list[Query]:
    """Return the queries from a place in the file on."""
    return [_query(line) for line in _lines(log, offset)]


def _lines(log: Path, offset: int) -> Iterator[dict[str, Any]]:
    with log.open("rb") as content:
        content.seek(offset)
        for line in content:
            if line.endswith(b"\n"):  # else it is being written
                yield json.loads(line)


def _request(line: dict[str, Any]) -> Request:
    about = line.get("objectRef", {})
    parts = (about.get("resource", ""), about.get("subresource", ""))
    return Request(
        at=line["requestReceivedTimestamp"],
        user=line["user"].get("username", ""),
        agent=line.get("userAgent", ""),
        verb=line["verb"],
        uri=line["requestURI"],
        resource="/".join(part for part in parts if part),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=line.get("responseStatus", {}).get("code", 0),
        stage=line["stage"],
        forbidden=line.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
    )


def _query(line: dict[str, Any]) -> Query:
    asked = line.get("httpRequest", {})
    return Query(line["time"], line["params"]["query"], asked.get("path", ""), asked.get("clientIP", ""))
