"""What the sidecars of N shops would count, as one scrape target: good requests, until some shops are made bad."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.scale.usage import wall_clock

RATE = 20.0
"""Requests a second that each workload answers."""
EDGES = ("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "+Inf")
FASTEST = "50"
"""All requests took at most so many milliseconds."""


@dataclass
class _Workload:
    """One workload's counters, as functions of time."""

    labels: str
    since: float
    bad_since: float = float("inf")

    def counts(self, now: float) -> tuple[int, int]:
        """Requests answered well and badly."""
        good = max(0.0, min(now, self.bad_since) - self.since)
        return int(RATE * good), int(RATE * max(0.0, now - self.bad_since))


@dataclass
class Exporter:
    """Serves the counters of all workloads that were added."""

    first_bad_scrape: float = 0.0
    """When a scrape first showed errors; 0 before."""
    _workloads: dict[tuple[str, str], _Workload] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None

    def add(self, pods: Iterable[tuple[str, str, str]]) -> None:
        """Let workloads serve from now on, those that do not yet: namespace, workload and pod of each."""
        now = wall_clock()
        for namespace, name, pod in pods:
            if (namespace, name) in self._workloads:
                continue
            labels = f'reporter="destination",destination_workload="{name}",'
            labels += f'destination_workload_namespace="{namespace}",pod="{pod}"'
            self._workloads = {**self._workloads, (namespace, name): _Workload(labels, now)}

    def spoil(self, workloads: Iterable[tuple[str, str]]) -> None:
        """From now on all requests to these are answered 503."""
        now = wall_clock()
        for key in workloads:
            self._workloads[key].bad_since = now

    def text(self) -> str:
        """One scrape."""
        now, lines = wall_clock(), list[str]()
        for workload in self._workloads.values():
            good, bad = workload.counts(now)
            lines.append(f'istio_requests_total{{{workload.labels},response_code="200"}} {good}')
            if bad:
                lines.append(f'istio_requests_total{{{workload.labels},response_code="503"}} {bad}')
                self.first_bad_scrape = self.first_bad_scrape or now
            slow = EDGES.index(FASTEST)
            for number, edge in enumerate(EDGES):
                count = good + bad if number >= slow else 0
                lines.append(f'istio_request_duration_milliseconds_bucket{{{workload.labels},le="{edge}"}} {count}')
        return "\n".join([*lines, ""])

    def start(self) -> int:
        """Serve on a port that is free, and return it."""
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_port)

    def stop(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
