"""A TCP proxy that can freeze, cut, delay and refuse: a network that misbehaves, in front of anything.

It passes bytes through untouched, TLS included.  Connections that the frozen proxy has accepted stay open, and so do
new ones, as with a stopped process whose kernel still answers.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65536


class Proxy:
    """Listens on a port of 127.0.0.1 and connects to the target for each connection. Use it as a context manager."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = target_host, target_port
        self._port = 0
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        """Connections accepted so far."""

    @property
    def port(self) -> int:
        """Where it listens; the same for its whole life."""
        return self._port

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._tasks)

    def freeze(self) -> None:
        """From now on no byte passes in either direction; nothing is closed and nothing is lost."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Everything that was held back passes, and so does what comes."""
        self._flowing.set()

    def delay(self, seconds: float) -> None:
        """Each piece of data passes so many seconds later than it came, in each direction; 0 for none."""
        self._delay = seconds

    def cut(self) -> None:
        """Reset all connections that are open; new ones are accepted."""
        for task in self._tasks:
            task.cancel()

    async def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `admit`: a server that is down."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def admit(self) -> None:
        """Accept connections again, on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.admit()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # here rather than in the task, which may be cancelled before it begins
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until both sides have ended or it is cut."""
        try:
            there, out = await asyncio.open_connection(*self._target)
        except OSError:
            return  # the target is down: so are we
        for end in (writer, out):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [asyncio.create_task(self._pump(reader, out)), asyncio.create_task(self._pump(there, writer))]
        whole = False
        try:
            await asyncio.gather(*pumps)
            whole = True
        except OSError:
            pass  # one side broke: the other is reset
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, out):
                await _closed(end) if whole else _reset(end)
            await asyncio.wait(pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, in order. What waits for its time does not keep the next piece from being read."""
        waiting: asyncio.Queue[tuple[float, bytes | OSError]] = asyncio.Queue(maxsize=64)
        reading = asyncio.create_task(self._read(reader, waiting))
        loop = asyncio.get_running_loop()
        try:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                await self._flowing.wait()
                if isinstance(data, OSError):
                    raise data
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _read(self, reader: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes | OSError]]) -> None:
        loop = asyncio.get_running_loop()
        data: bytes | OSError = b"begin"
        while data and not isinstance(data, OSError):
            try:
                data = await reader.read(CHUNK)
            except OSError as error:
                data = error
            await waiting.put((loop.time() + self._delay, data))


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, as a connection ends that was cut."""
    end = writer.get_extra_info("socket")
    if end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
