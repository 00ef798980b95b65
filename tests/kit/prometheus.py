"""A local server that speaks Prometheus' query API: series that a test sets, and faults on demand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

Sample = tuple[dict[str, str], str]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class FakePod:
    """Counters of one pod; `slower` counts requests by histogram edge in milliseconds, as spelled in `le`."""

    total: float
    bad: float | None = None
    slower: dict[str, float] = field(default_factory=dict)
    age: float = 1.0


@dataclass(slots=True)
class FakePrometheus:
    """What it knows, and what it was asked."""

    address: str = ""
    pods: dict[tuple[str, str, str], FakePod] = field(default_factory=dict)
    """By namespace, workload and pod."""
    past: dict[tuple[str, str, str], dict[float, list[int]]] = field(default_factory=dict)
    """Counters over time: requests, bad and slow ones (over 500 ms) by moment."""
    answers: dict[str, object] = field(default_factory=dict)
    """Raw `data` by query, for everything that is not one of the adapter's own queries."""
    fault: Fault | None = None
    warnings: list[str] = field(default_factory=list)
    partial: bool | None = None
    """VictoriaMetrics' flag, which other servers do not have."""
    pod_label: bool = True
    queries: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        form = await request.post() if request.method == "POST" else request.query
        query = str(form["query"])
        self.queries.append(query)
        self.headers.append(dict(request.headers))
        if self.fault is not None:
            return await self.fault(request)
        if request.path.endswith("query_range"):
            data: object = self._range(query, *(float(str(form[key])) for key in ("start", "end", "step")))
        else:
            data = self.evaluate(query)
        body: dict[str, object] = {"status": "success", "data": data}
        if self.warnings:
            body["warnings"] = self.warnings
        if self.partial is not None:
            body["isPartial"] = self.partial
        return web.json_response(body)

    def evaluate(self, query: str) -> object:
        if query == "vector(1)":
            return vector([({}, "1")])
        if query in self.answers:
            return self.answers[query]
        if query.startswith("group by"):
            return vector(self._edges())
        if '"count"' in query:
            return vector(self._buckets(query))
        if '"total"' in query:
            return vector(self._requests())
        return vector([])

    def _range(self, query: str, start: float, end: float, step: float) -> object:
        """Of the workload that is named; like the real one it refuses more than 11,000 points."""
        moments = [start + step * number for number in range(int((end - start) / step) + 1)]
        assert len(moments) <= 11_000
        result: list[dict[str, object]] = []
        for (_, workload, pod), counters in self.past.items():
            known = [(at, counters[at]) for at in moments if at in counters] if f'="{workload}"' in query else []
            parts: list[tuple[dict[str, str], list[int]]] = []
            if '"total"' in query:
                parts += [({"part": "total"}, [row[0] for _, row in known])]
                parts += [({"part": "bad"}, [row[1] for _, row in known])]
            if '"count"' in query:
                parts += [({"part": "count", "le": "+Inf"}, [row[0] for _, row in known])]
                parts += [({"part": "count", "le": "500"}, [row[0] - row[2] for _, row in known])]
            for labels, numbers in parts if known else ():
                values = [[at, str(number)] for (at, _), number in zip(known, numbers, strict=True)]
                result.append({"metric": {"pod": pod, **labels}, "values": values})
        return {"resultType": "matrix", "result": result}

    def _labels(self, key: tuple[str, str, str], **more: str) -> dict[str, str]:
        namespace, workload, pod = key
        labels = {"destination_workload_namespace": namespace, "destination_workload": workload}
        return labels | ({"pod": pod} if self.pod_label else {}) | more

    def _requests(self) -> list[Sample]:
        samples = []
        for key, pod in self.pods.items():
            samples.append((self._labels(key, part="total"), str(pod.total)))
            samples.append((self._labels(key, part="age"), str(pod.age)))
            if pod.bad is not None:
                samples.append((self._labels(key, part="bad"), str(pod.bad)))
        return samples

    def _edges(self) -> list[Sample]:
        found = {(n, w, le) for (n, w, _), pod in self.pods.items() for le in (*pod.slower, "+Inf") if pod.slower}
        return [({"destination_workload_namespace": n, "destination_workload": w, "le": le}, "1") for n, w, le in found]

    def _buckets(self, query: str) -> list[Sample]:
        wanted = re.search(r'le=~"([^"]*)"', query)
        assert wanted
        les = wanted[1].replace("\\", "").split("|")
        samples = []
        for key, pod in self.pods.items():
            if pod.slower:
                samples.append((self._labels(key, part="age"), str(pod.age)))
                samples.append((self._labels(key, part="count", le="+Inf"), str(pod.total)))
            for le, slower in pod.slower.items():
                if le in les:
                    samples.append((self._labels(key, part="count", le=le), str(pod.total - slower)))
        return samples


def vector(samples: list[Sample]) -> dict[str, object]:
    return {
        "resultType": "vector",
        "result": [{"metric": labels, "value": [1700000000.5, value]} for labels, value in samples],
    }


def refuses(status: int, error: str = "", *, text: str = "") -> Fault:
    async def fault(_: web.Request) -> web.StreamResponse:
        if text:
            return web.Response(status=status, text=text, content_type="text/html")
        return web.json_response({"status": "error", "errorType": "execution", "error": error}, status=status)

    return fault


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def serving() -> AsyncIterator[FakePrometheus]:
    """The server, running."""
    fake = FakePrometheus()
    app = web.Application()
    app.router.add_route("*", "/api/v1/query", fake.handle)
    app.router.add_route("*", "/api/v1/query_range", fake.handle)
    app.router.add_route("*", "/prefix/api/v1/query", fake.handle)
    app.router.add_route("*", "/prefix/api/v1/query_range", fake.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def fake_prometheus() -> AsyncIterator[FakePrometheus]:
    """The server, for one test."""
    async with serving() as fake:
        yield fake
