"""Watches, against a local server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from rollout.adapters.kube import access
from rollout.adapters.kube.faults import Intent
from rollout.adapters.kube.transport import PROBES, Transport
from rollout.adapters.kube.watch import CHUNK, KubeWatcher, Pace
from rollout.errors import Forbidden, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP, Ref
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing
from tests.kit.ear import Ear, listening
from tests.unit.test_kube_transport import write_kubeconfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SCOPE = Scope(CONFIGMAP, "shop", "tier")


class WatchApi:
    """Answers lists and watches from two scripts; at their end it lists `a` at version 10, and watches in silence."""

    def __init__(self) -> None:
        self.lists: list[Handler] = []
        self.watches: list[Handler] = []
        self.asked: list[web.Request] = []
        self.open = 0
        self.none_open = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if "watch" not in request.query:
            return await (self.lists.pop(0) if self.lists else lists("a"))(request)
        self.open += 1
        self.none_open.clear()
        try:
            return await (self.watches.pop(0) if self.watches else watches())(request)
        finally:
            self.open -= 1
            if not self.open:
                self.none_open.set()

    def queries(self, *, watch: bool) -> list[dict[str, str]]:
        return [dict(request.query) for request in self.asked if ("watch" in request.query) is watch]


class Pauses:
    """A sleep that takes no time, and never ends once it was asked for too often."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.most = 1000
        self.over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)
        if len(self.asked) >= self.most:
            self.over.set()
            await asyncio.Event().wait()


def obj(name: str, version: int) -> Json:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def event(what: str, name: str, version: int, **more: object) -> bytes:
    return orjson.dumps({"type": what, "object": obj(name, version) | more}) + b"\n"


def bookmark(version: int) -> bytes:
    return orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}) + b"\n"


def status(code: int, reason: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, "reason": reason, "message": "no"}


def failed(code: int, reason: str) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": status(code, reason)}) + b"\n"


def lists(*names: str, version: int = 10, more: str = "") -> Handler:
    """Items as built-in kinds have them: without their type."""
    items = [{"metadata": obj(name, 5)["metadata"] | {"managedFields": [{}]}} for name in names]
    return says({"metadata": {"resourceVersion": str(version), "continue": more}, "items": items})


def says(body: object, code: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return handler


def refuses(code: int, reason: str, **headers: str) -> Handler:
    return says(status(code, reason), code, **headers)


async def unknown(_: web.Request) -> web.StreamResponse:
    return web.Response(status=404, text="404 page not found")


def watches(*pieces: bytes, ends: str = "never") -> Handler:
    """A watch that sends these pieces, and then ends in order, is cut, or goes on in silence."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if ends == "cut":
            assert request.transport is not None
            request.transport.close()
        if ends == "never":
            await asyncio.Event().wait()
        return response

    return handler


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[WatchApi]:
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
async def transport(api: WatchApi, tmp_path: Path) -> AsyncIterator[Transport]:
    found, client = await access.find(str(tmp_path / "config"), None)
    transport = Transport(client, found.load)
    yield transport
    await transport.close()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@asynccontextmanager
async def watching(transport: Transport, pauses: Pauses, pace: Pace | None = None) -> AsyncIterator[Ear]:
    watcher = KubeWatcher(transport, pace, sleep=pauses, luck=random.Random(1))
    async with listening(watcher, SCOPE) as ear:
        yield ear


# -- lists


async def test_a_list_is_read_in_pages_of_one_snapshot(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.lists = [lists("a", "b", more="p2"), lists("c")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed)
    assert ear.told == [Listed((obj("a", 5), obj("b", 5), obj("c", 5)), version="10")]
    assert api.queries(watch=False) == [
        {"limit": str(CHUNK), "labelSelector": "tier"},
        {"limit": str(CHUNK), "labelSelector": "tier", "continue": "p2"},
    ]
    assert api.asked[0].path == "/api/v1/namespaces/shop/configmaps"


async def test_a_snapshot_that_expires_is_read_in_one_piece(
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    api.lists = [lists("old", more="p2"), refuses(410, "Expired"), lists("a", "b")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed)
        assert set(ear.objects) == {"a", "b"}
    assert api.queries(watch=False)[-1] == {"labelSelector": "tier"}


@pytest.mark.parametrize("body", [[], {}, {"metadata": {}}, {"items": [{}], "metadata": {"resourceVersion": "1"}}])
async def test_an_answer_that_is_no_list_leaves_it_blind(
    api: WatchApi, transport: Transport, pauses: Pauses, body: object
) -> None:
    api.lists = [says(body)]
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Listed)


# -- watches that go well


async def test_a_watch_goes_on_where_the_list_ended(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [watches(event("ADDED", "b", 11), event("MODIFIED", "a", 12), event("DELETED", "b", 13))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put, Gone)
    assert ear.told[1:] == [Put(obj("b", 11)), Put(obj("a", 12)), Gone(Ref(CONFIGMAP, "shop", "b"), "uid-b", "13")]
    (query,) = api.queries(watch=True)
    assert 300 <= int(query.pop("timeoutSeconds")) <= 600
    assert query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "10",
        "labelSelector": "tier",
    }


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_events_may_come_in_any_pieces(api: WatchApi, transport: Transport, pauses: Pauses, size: int) -> None:
    stream = event("ADDED", "b", 11) + b"\n" + event("ADDED", "ü", 12) + bookmark(20) + event("DELETED", "a", 21)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    api.watches = [watches(*pieces)]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put, Gone)
    assert ear.told[1:3] == [Put(obj("b", 11)), Put(obj("ü", 12))]


async def test_an_event_may_be_bigger_than_any_buffer(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    data = {"big": "x" * 9_000_000}
    api.watches = [watches(event("ADDED", "b", 11, data=data) + event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put)
        assert ear.objects["b"]["data"] == data


async def test_an_orderly_end_is_not_worth_a_word(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [
        watches(event("ADDED", "b", 11), bookmark(30), ends="well"),
        watches(event("ADDED", "c", 31), ends="well"),
        watches(event("ADDED", "d", 32)),
    ]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put, Put)
    assert [query["resourceVersion"] for query in api.queries(watch=True)] == ["10", "30", "31"]
    assert len(api.queries(watch=False)) == 1
    assert pauses.asked == []


# -- watches that break


async def test_a_cut_is_told_once_and_nothing_is_missed(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    half = event("ADDED", "c", 12)[:20]
    busy = refuses(503, "ServiceUnavailable")
    api.watches = [watches(event("ADDED", "b", 11), half, ends="cut"), busy, busy, watches(event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Blind, Seeing, Put)
        assert set(ear.objects) == {"a", "b", "c"}
    assert [query["resourceVersion"] for query in api.queries(watch=True)] == ["10", "11", "11", "11"]
    assert len(pauses.asked) == 3


async def test_a_silent_watch_that_is_accepted_sees(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [watches(ends="cut"), watches()]
    async with watching(transport, pauses, Pace(verdict=0.05)) as ear:
        await ear.hears(Listed, Blind, Seeing)


async def test_a_stalled_server_is_found(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [watches(event("ADDED", "b", 11)), watches(bookmark(12))]
    async with watching(transport, pauses, Pace(silence=1.0)) as ear:
        await ear.until(lambda: len(ear.told) >= 4)
    assert [type(told) for told in ear.told[:4]] == [Listed, Put, Blind, Seeing]
    assert isinstance(ear.told[2], Blind)
    assert isinstance(ear.told[2].error, Unavailable)


async def test_a_server_that_never_answers_is_found(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    api.lists = [never]
    async with watching(transport, pauses, Pace(answer=1.0)) as ear:
        await ear.until(lambda: len(ear.told) >= 2)
    assert [type(told) for told in ear.told[:2]] == [Blind, Listed]


async def test_an_old_version_is_listed_anew(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.lists = [lists("a"), lists("b", version=50), lists("c", version=60)]
    api.watches = [watches(failed(410, "Expired")), refuses(410, "Gone"), watches()]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Listed, Listed)
        await ear.has("c")
        assert set(ear.objects) == {"c"}
    assert pauses.asked[0] == 0.0
    assert len(pauses.asked) == 2


async def test_a_version_that_is_forgotten_meanwhile_was_not_seen(
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    api.lists = [lists("a"), lists("b", version=50)]
    api.watches = [watches(ends="cut"), watches(failed(410, "Expired"))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Listed)


async def test_an_error_in_the_stream_is_an_outage(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [watches(failed(500, "InternalError")), watches(event("ADDED", "b", 11))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Seeing, Put)


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{}}\n'])
async def test_what_is_no_event_is_an_outage(api: WatchApi, transport: Transport, pauses: Pauses, line: bytes) -> None:
    api.watches = [watches(event("ADDED", "b", 11), line), watches(event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Blind, Seeing, Put)
    assert [query["resourceVersion"] for query in api.queries(watch=True)] == ["10", "11"]


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
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    api.watches = [watches(ends="well")] * 40
    pauses.most = 30
    async with watching(transport, pauses, Pace(verdict=40.0)) as ear:
        await asyncio.wait_for(pauses.over.wait(), 40)
        await ear.hears(Listed, Blind)
    assert sum(pauses.asked[8:]) > 22 * 7


async def test_lists_that_are_always_too_old_are_asked_ever_more_rarely(
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    api.watches = [refuses(410, "Expired")] * 40
    pauses.most = 30
    async with watching(transport, pauses):
        await asyncio.wait_for(pauses.over.wait(), 40)
    assert sum(pauses.asked[8:]) > 22 * 7


async def test_a_server_that_says_when_to_come_back_is_obeyed(
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    api.lists = [refuses(429, "TooManyRequests", **{"Retry-After": "7"})]
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Listed)
    assert 7.0 <= pauses.asked[0] <= 8.0


async def test_success_makes_the_next_pause_short_again(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    busy = refuses(503, "ServiceUnavailable")
    api.watches = [*[busy] * 6, watches(event("ADDED", "b", 11), ends="cut"), watches(event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Seeing, Put, Blind, Seeing, Put)
    assert pauses.asked[6] <= 1.0


# -- rights and kinds


async def test_refused_credentials_are_renewed_without_a_word(api: WatchApi, tmp_path: Path, pauses: Pauses) -> None:
    found, client = await access.find(str(tmp_path / "config"), None)
    renewed = 0

    async def renew() -> None:
        nonlocal renewed
        renewed += 1
        found.configuration.api_key["BearerToken"] = "Bearer new"

    async def guarded(request: web.Request) -> web.StreamResponse:
        ok = request.headers["Authorization"] == "Bearer new"
        return await (watches(event("ADDED", "b", 11)) if ok else refuses(401, "Unauthorized"))(request)

    api.watches = [guarded] * 2
    transport = Transport(client, renew)
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put)
    await transport.close()
    assert renewed == 1
    assert pauses.asked == []


async def test_a_missing_right_is_told_once_and_tried_slowly(
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    api.lists = [refuses(403, "Forbidden")] * 3
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Listed)
    assert isinstance(ear.told[0], Blind)
    assert isinstance(ear.told[0].error, Forbidden)
    assert all(24.0 <= pause <= 36.0 for pause in pauses.asked)
    assert len(pauses.asked) == 3


async def test_a_kind_comes_goes_and_comes_again(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.lists = [unknown, unknown, unknown, lists("a"), unknown, unknown, lists("b", version=50)]
    api.watches = [watches(event("DELETED", "a", 12), ends="well"), unknown]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Listed, Gone, Listed, Listed)
        assert set(ear.objects) == {"b"}
    assert [told.served for told in ear.told if isinstance(told, Listed)] == [False, True, False, True]
    assert all(24.0 <= pause <= 36.0 for pause in pauses.asked)


async def test_an_outage_while_a_kind_is_not_served_ends_when_it_is_still_not(
    api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    busy = refuses(503, "ServiceUnavailable")
    api.lists = [unknown, busy, unknown, lists("a")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Listed, Listed)
    assert [told.served for told in ear.told if isinstance(told, Listed)] == [False, False, True]


# -- the end


async def test_closing_ends_the_connection_at_once(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [watches(event("ADDED", "b", 11))]
    watch = KubeWatcher(transport, sleep=pauses).watch(SCOPE)
    assert isinstance(await anext(watch), Listed)
    assert isinstance(await anext(watch), Put)
    assert api.open == 1
    await watch.aclose()
    await asyncio.wait_for(api.none_open.wait(), 40)


async def test_cancelling_ends_the_connection_at_once(api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    api.watches = [watches(event("ADDED", "b", 11))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put)
    await asyncio.wait_for(api.none_open.wait(), 40)


async def test_many_watches_leave_room_for_requests(api: WatchApi, transport: Transport) -> None:
    watcher = KubeWatcher(transport)
    open_watches = [watcher.watch(Scope(CONFIGMAP, f"n{number}")) for number in range(120)]
    api.watches = [watches(event("ADDED", "b", 11))] * len(open_watches)
    for watch in open_watches:
        await anext(watch)
        await anext(watch)
    assert api.open == 120
    answer = await transport.call(Intent("list", CONFIGMAP), "GET", "/api/v1/configmaps")
    assert answer.status == 200
    for watch in open_watches:
        await watch.aclose()


async def test_the_kernel_asks_a_silent_peer_whether_it_is_there(api: WatchApi, transport: Transport) -> None:
    api.watches = [watches()]
    async with transport.stream(
        Intent("watch", CONFIGMAP), "/api/v1/configmaps", query={"watch": "1"}, silence=40
    ) as s:
        connection = s._response.connection
        assert connection is not None
        assert connection.transport is not None
        end = connection.transport.get_extra_info("socket")
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBES["TCP_KEEPIDLE"]
