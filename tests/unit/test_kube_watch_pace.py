"""How often a watch asks a server that misbehaves, and what becomes of its connections."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from rollout.adapters.kube import access
from rollout.adapters.kube.faults import Intent
from rollout.adapters.kube.transport import PROBES, Transport
from rollout.adapters.kube.watch import KubeWatcher, Pace
from rollout.plan.kinds import CONFIGMAP
from rollout.ports.watch import Blind, Listed, Put, Scope, Seeing
from tests.kit.kubeconfig import write_kubeconfig
from tests.kit.watching import SCOPE, Pauses, WatchApi, event, refuses, watches, watching

# -- pauses


async def test_a_server_that_refuses_connections_is_asked_ever_more_rarely(
    transport: Transport, pauses: Pauses, tmp_path: Path
) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    write_kubeconfig(tmp_path, port)
    found, client = await access.find(str(tmp_path / "config"), None)
    down = Transport(client, found.load)
    pauses.most = 40
    async with watching(down, pauses) as ear:
        await asyncio.wait_for(pauses.over.wait(), 40)
        await ear.hears(Blind)
    await down.close()
    for number, pause in enumerate(pauses.asked):
        assert 0.0 <= pause <= min(30.0, 2.0**number)
    assert sum(pauses.asked[8:]) > 32 * 7


async def test_a_watch_that_ends_at_once_again_and_again_is_asked_ever_more_rarely(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.watches = [watches(ends="well")] * 40
    pauses.most = 30
    async with watching(transport, pauses, Pace(verdict=40.0)) as ear:
        await asyncio.wait_for(pauses.over.wait(), 40)
        await ear.hears(Listed, Blind)
    assert sum(pauses.asked[8:]) > 22 * 7


async def test_lists_that_are_always_too_old_are_asked_ever_more_rarely(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.watches = [refuses(410, "Expired")] * 40
    pauses.most = 30
    async with watching(transport, pauses):
        await asyncio.wait_for(pauses.over.wait(), 40)
    assert sum(pauses.asked[8:]) > 22 * 7


async def test_a_server_that_says_when_to_come_back_is_obeyed(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.lists = [refuses(429, "TooManyRequests", **{"Retry-After": "7"})]
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Listed)
    assert 7.0 <= pauses.asked[0] <= 8.0


async def test_success_makes_the_next_pause_short_again(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    busy = refuses(503, "ServiceUnavailable")
    watch_api.watches = [*[busy] * 6, watches(event("ADDED", "b", 11), ends="cut"), watches(event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Seeing, Put, Blind, Seeing, Put)
    assert pauses.asked[6] <= 1.0


# -- the end


async def test_closing_ends_the_connection_at_once(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.watches = [watches(event("ADDED", "b", 11))]
    watch = KubeWatcher(transport, sleep=pauses).watch(SCOPE)
    assert isinstance(await anext(watch), Listed)
    assert isinstance(await anext(watch), Put)
    assert watch_api.open == 1
    await watch.aclose()
    await asyncio.wait_for(watch_api.none_open.wait(), 40)


async def test_cancelling_ends_the_connection_at_once(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.watches = [watches(event("ADDED", "b", 11))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put)
    await asyncio.wait_for(watch_api.none_open.wait(), 40)


async def test_many_watches_leave_room_for_requests(watch_api: WatchApi, transport: Transport) -> None:
    watcher = KubeWatcher(transport)
    open_watches = [watcher.watch(Scope(CONFIGMAP, f"n{number}")) for number in range(120)]
    watch_api.watches = [watches(event("ADDED", "b", 11))] * len(open_watches)
    for watch in open_watches:
        await anext(watch)
        await anext(watch)
    assert watch_api.open == 120
    answer = await transport.call(Intent("list", CONFIGMAP), "GET", "/api/v1/configmaps")
    assert answer.status == 200
    for watch in open_watches:
        await watch.aclose()


async def test_the_kernel_asks_a_silent_peer_whether_it_is_there(watch_api: WatchApi, transport: Transport) -> None:
    watch_api.watches = [watches()]
    async with transport.stream(
        Intent("watch", CONFIGMAP), "/api/v1/configmaps", query={"watch": "1"}, silence=40
    ) as s:
        connection = s._response.connection
        assert connection is not None
        assert connection.transport is not None
        end = connection.transport.get_extra_info("socket")
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBES["TCP_KEEPIDLE"]
