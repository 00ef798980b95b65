"""Fixtures that several unit tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rollout.adapters.kube import access
from rollout.adapters.kube.transport import Transport
from tests.kit.kubeconfig import write_kubeconfig
from tests.kit.shell import Shell, a_shell
from tests.kit.watching import Pauses, WatchApi


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """The command line in front of a simulated shop."""
    return a_shell(tmp_path, monkeypatch)


@pytest.fixture
async def watch_api(tmp_path: Path) -> AsyncIterator[WatchApi]:
    """A server whose lists and watches are scripts, and a kubeconfig for it."""
    fake = WatchApi()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", fake.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    write_kubeconfig(tmp_path, runner.addresses[0][1])
    yield fake
    await runner.cleanup()


@pytest.fixture
async def transport(watch_api: WatchApi, tmp_path: Path) -> AsyncIterator[Transport]:
    """The way to that server, as the kubeconfig says."""
    found, client = await access.find(str(tmp_path / "config"), None)
    transport = Transport(client, found.load)
    yield transport
    await transport.close()


@pytest.fixture
def pauses() -> Pauses:
    """How long a watch would have slept."""
    return Pauses()
