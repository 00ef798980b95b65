"""The misbehaving proxy of the test kit does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.kit.proxy import Proxy


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """In front of a server that repeats what it is told."""

    served: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            while data := await reader.read(1024):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    # the proxy has reset them all
    await asyncio.wait(served)


async def test_bytes_pass_unchanged(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    sent = bytes(range(256)) * 4096
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
    writer.transport.abort()


async def test_what_is_frozen_is_held_back_and_not_lost(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.freeze()
    writer.write(b"x")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(1)
    proxy.thaw()
    assert await reader.read(1) == b"x"
    writer.transport.abort()


async def test_what_is_delayed_comes_later(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.delay(0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    assert loop.time() - began >= 0.2
    writer.transport.abort()


async def test_a_cut_resets_what_is_open_and_admits_what_comes(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"x")
    await reader.read(1)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.transport.abort()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"y")
    assert await reader.read(1) == b"y"
    writer.transport.abort()


async def test_a_refusing_one_comes_back_on_its_port(proxy: Proxy) -> None:
    port = proxy.port
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.admit()
    assert proxy.port == port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.abort()
