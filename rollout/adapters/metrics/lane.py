"""The way to one Prometheus: so many queries at a time, each with a deadline, and none for a server that is silent.

A server that does not answer must cost nobody but those who ask it.  It has threads of its own, few, and gives them
back at the deadline.  When several queries in a row got no answer, those that follow are told so at once, and one is
sent now and then to see whether it is back: a look at it takes no time then, and the plans of other servers have the
loop for themselves.  One heavy query among others that are answered does not make a server silent.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from rollout.adapters.metrics.server import WORKERS, Call, QueryError, RangeSeries, Server
from rollout.ports.metrics import Series

T = TypeVar("T")

THREADS: Final = 32
"""Queries under way at a time, to all servers together."""
SILENT_AFTER: Final = WORKERS
"""So many queries in a row without an answer, and the server is silent."""
AGAIN: Final = 10.0
"""Seconds between two queries to a server that is silent."""


@dataclass(slots=True)
class Threads:
    """The threads of all lanes. Bounded: who waits for one waits within the deadline of its query."""

    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="prometheus")
    )
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(THREADS))

    def close(self) -> None:
        """Begin nothing more; queries under way end by their deadlines."""
        self.pool.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class Lane:
    """Asks one server."""

    server: Server
    threads: Threads
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WORKERS))
    _unanswered: int = 0
    """Queries in a row without an answer."""
    _again: float = -math.inf
    """When a silent server is asked next."""

    async def query(self, text: str) -> list[Series]:
        """The samples of an instant query.

        Raises:
            QueryError: no answer in time, or none that can be used.
        """
        return await self._answer(self.server.call(text))

    async def query_range(self, text: str, start: float, end: float, step: float) -> list[RangeSeries]:
        """The samples of a range query, from one moment to another, seconds since the epoch.

        Raises:
            QueryError: as `query`.
        """
        return await self._answer(self.server.call_range(text, start, end, step))

    async def _answer(self, call: Call[T]) -> T:
        probes = self._refuse()
        try:
            # a read has a timeout of its own: this one is for a server that trickles, and for the wait for a thread
            async with asyncio.timeout(self.server.timeout + 1):
                return await self._sent(call, probes=probes)
        except TimeoutError:
            if call.sent:  # who had to wait for a thread knows nothing of the server
                self._noticed(answered=False)
            call.hang_up()
            raise QueryError(self._silence) from None

    def _refuse(self) -> bool:
        """Let nothing go to a silent server but one query now and then; whether this is one.

        Raises:
            QueryError: it is silent.
        """
        if self._unanswered < SILENT_AFTER:
            return False
        now = _time()
        if now < self._again:
            raise QueryError(f"{self._silence}; it is asked again every {AGAIN:g} s")
        self._again = now + AGAIN + self.server.timeout
        return True

    async def _sent(self, call: Call[T], *, probes: bool) -> T:
        """Run the call in a thread. The place in the lane is free again when the thread is, and not before."""
        await self._free.acquire()
        try:
            if not probes:
                self._refuse()  # it may have fallen silent meanwhile
            await self.threads.free.acquire()
        except BaseException:
            self._free.release()
            raise
        work = asyncio.get_running_loop().run_in_executor(self.threads.pool, call.run)
        work.add_done_callback(partial(self._done, call))
        return await asyncio.shield(work)

    def _done(self, call: Call[T], work: asyncio.Future[T]) -> None:
        if not work.cancelled():
            work.exception()  # nobody may be waiting for it any more
            if not call.hung_up:
                self._noticed(answered=call.answered)
        self.threads.free.release()
        self._free.release()

    def _noticed(self, *, answered: bool) -> None:
        self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered == SILENT_AFTER:
            self._again = _time() + AGAIN

    @property
    def _silence(self) -> str:
        return f"{self.server.shown}: no answer within {self.server.timeout:g} s"


def _time() -> float:
    return asyncio.get_running_loop().time()
