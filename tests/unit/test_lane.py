"""A Prometheus that does not answer costs nobody but those who ask it, and not even them for long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from rollout.adapters.metrics.lane import AGAIN, SILENT_AFTER, THREADS
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.metrics.server import WORKERS
from rollout.controller.batch import Batched
from rollout.plan.gate import Provider
from rollout.ports.metrics import Metrics, Reading, ScalarAsk

ANSWER = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [1.0, "7"]}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Upstream:
    """A server on a real socket: answers, says nothing at all, or says a byte now and then."""

    manner: str = "answers"
    heavy: str = "no such query"
    """The query that is never answered."""
    asked: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when as many queries have come as are sent at a time."""
    _lines: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def begin(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def provider(self, timeout: str) -> Provider:
        assert self._server is not None
        return Provider(address=f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}", timeout=timeout)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        try:
            while asked := await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                if self.asked == WORKERS:
                    self.full.set()
                if self.manner == "silent" or self.heavy.encode() in asked:
                    await reader.read()
                    return
                writer.write(HEAD % len(ANSWER))
                if self.manner == "stops":
                    await reader.read()
                    return
                while self.manner == "trickles" and not writer.is_closing():
                    writer.write(b" ")
                    await asyncio.sleep(0.02)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def end(self) -> None:
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.close()


@pytest.fixture
async def good() -> AsyncIterator[Upstream]:
    made = Upstream()
    await made.begin()
    yield made
    await made.end()


@pytest.fixture
async def bad() -> AsyncIterator[Upstream]:
    made = Upstream("silent")
    await made.begin()
    yield made
    await made.end()


@pytest.fixture
async def prometheus(good: Upstream, bad: Upstream) -> AsyncIterator[Prometheus]:
    made = Prometheus()
    yield made
    await made.close()


async def one(metrics: Metrics, query: str, provider: Provider) -> Reading:
    ask = ScalarAsk(query, provider)
    return (await metrics.ask([ask]))[ask]


async def test_a_plan_of_a_healthy_server_is_answered_while_another_server_is_silent(
    good: Upstream, bad: Upstream, prometheus: Prometheus
) -> None:
    batched = Batched(prometheus)
    silent = [asyncio.create_task(one(batched, f"b{n}", bad.provider("30s"))) for n in range(3 * WORKERS)]
    same_batch = await one(batched, "one", good.provider("30s"))
    await bad.full.wait()
    later = await one(batched, "two", good.provider("30s"))
    assert (same_batch.value, later.value) == (7.0, 7.0)
    assert bad.asked == WORKERS, "so many threads it has, and no more"
    assert not any(task.done() for task in silent)
    for task in silent:
        task.cancel()
    await asyncio.gather(*silent, return_exceptions=True)


async def test_who_asks_a_silent_server_is_told_so_at_once_and_it_is_found_when_it_is_back(
    bad: Upstream, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = bad.provider("500ms")
    first = await asyncio.gather(*(one(prometheus, f"q{n}", provider) for n in range(3 * WORKERS)))
    assert {reading.status for reading in first} == {"unknown"}
    asked = bad.asked
    assert asked < SILENT_AFTER + WORKERS, "what waited behind them is not sent any more"
    told = await one(prometheus, "more", provider)
    assert told.detail.endswith(f"no answer within 0.5 s; it is asked again every {AGAIN:g} s")
    assert bad.asked == asked
    bad.manner = "answers"
    loop = asyncio.get_running_loop()
    moment = loop.time() + AGAIN + 1
    monkeypatch.setattr("rollout.adapters.metrics.lane._time", lambda: moment)
    probe, beside = await asyncio.gather(one(prometheus, "probe", provider), one(prometheus, "beside", provider))
    assert (probe.value, beside.status) == (7.0, "unknown"), "one query finds out"
    assert (await one(prometheus, "again", provider)).value == 7.0


@pytest.mark.parametrize("manner", ["stops", "trickles"])
async def test_a_server_that_never_ends_its_answer_gives_its_thread_back(
    bad: Upstream, prometheus: Prometheus, manner: str
) -> None:
    bad.manner = manner
    reading = await one(prometheus, "q", bad.provider("100ms"))
    assert (reading.status, "no answer within 0.1 s" in reading.detail) == ("unknown", True), reading.detail
    async with asyncio.timeout(10):
        for _ in range(THREADS):
            await prometheus.threads.free.acquire()


async def test_one_heavy_query_does_not_make_a_server_silent(good: Upstream, prometheus: Prometheus) -> None:
    good.heavy, provider = "heavy", good.provider("300ms")
    for _ in range(SILENT_AFTER + 1):
        heavy = await one(prometheus, "heavy", provider)
        assert heavy.detail.endswith("no answer within 0.3 s")
        assert (await one(prometheus, "light", provider)).value == 7.0
