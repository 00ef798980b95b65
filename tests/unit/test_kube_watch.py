"""What a watch tells, against a local server that misbehaves on demand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from rollout.adapters.kube import access
from rollout.adapters.kube.transport import Transport
from rollout.adapters.kube.watch import CHUNK, Pace
from rollout.errors import Forbidden, Unavailable
from rollout.plan.kinds import CONFIGMAP, Ref
from rollout.ports.watch import Blind, Gone, Listed, Put, Seeing
from tests.kit.watching import (
    Pauses,
    WatchApi,
    bookmark,
    event,
    failed,
    lists,
    obj,
    refuses,
    says,
    unknown,
    watches,
    watching,
)

# -- lists


async def test_a_list_is_read_in_pages_of_one_snapshot(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.lists = [lists("a", "b", more="p2"), lists("c")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed)
    assert ear.told == [Listed((obj("a", 5), obj("b", 5), obj("c", 5)), version="10")]
    assert watch_api.queries(watch=False) == [
        {"limit": str(CHUNK), "labelSelector": "tier"},
        {"limit": str(CHUNK), "labelSelector": "tier", "continue": "p2"},
    ]
    assert watch_api.asked[0].path == "/api/v1/namespaces/shop/configmaps"


async def test_a_snapshot_that_expires_is_read_in_one_piece(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.lists = [lists("old", more="p2"), refuses(410, "Expired"), lists("a", "b")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed)
        assert set(ear.objects) == {"a", "b"}
    assert watch_api.queries(watch=False)[-1] == {"labelSelector": "tier"}


@pytest.mark.parametrize("body", [[], {}, {"metadata": {}}, {"items": [{}], "metadata": {"resourceVersion": "1"}}])
async def test_an_answer_that_is_no_list_leaves_it_blind(
    watch_api: WatchApi, transport: Transport, pauses: Pauses, body: object
) -> None:
    watch_api.lists = [says(body)]
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Listed)


async def test_blind_for_a_reason_of_another_sort_is_told_again(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.lists = [refuses(500, "Internal"), refuses(403, "Forbidden"), refuses(403, "Forbidden"), lists("a")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Blind, Listed)


# -- watches that go well


async def test_a_watch_goes_on_where_the_list_ended(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.watches = [watches(event("ADDED", "b", 11), event("MODIFIED", "a", 12), event("DELETED", "b", 13))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put, Gone)
    assert ear.told[1:] == [Put(obj("b", 11)), Put(obj("a", 12)), Gone(Ref(CONFIGMAP, "shop", "b"), "uid-b", "13")]
    (query,) = watch_api.queries(watch=True)
    assert 300 <= int(query.pop("timeoutSeconds")) <= 600
    assert query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "10",
        "labelSelector": "tier",
    }


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
async def test_events_may_come_in_any_pieces(
    watch_api: WatchApi, transport: Transport, pauses: Pauses, size: int
) -> None:
    stream = event("ADDED", "b", 11) + b"\n" + event("ADDED", "ü", 12) + bookmark(20) + event("DELETED", "a", 21)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    watch_api.watches = [watches(*pieces)]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put, Gone)
    assert ear.told[1:3] == [Put(obj("b", 11)), Put(obj("ü", 12))]


async def test_an_event_may_be_bigger_than_any_buffer(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    data = {"big": "x" * 9_000_000}
    watch_api.watches = [watches(event("ADDED", "b", 11, data=data) + event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put)
        assert ear.objects["b"]["data"] == data


async def test_an_orderly_end_is_not_worth_a_word(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.watches = [
        watches(event("ADDED", "b", 11), bookmark(30), ends="well"),
        watches(event("ADDED", "c", 31), ends="well"),
        watches(event("ADDED", "d", 32)),
    ]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Put, Put)
    assert [query["resourceVersion"] for query in watch_api.queries(watch=True)] == ["10", "30", "31"]
    assert len(watch_api.queries(watch=False)) == 1
    assert pauses.asked == []


# -- watches that break


async def test_a_cut_is_told_once_and_nothing_is_missed(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    half = event("ADDED", "c", 12)[:20]
    busy = refuses(503, "ServiceUnavailable")
    watch_api.watches = [
        watches(event("ADDED", "b", 11), half, ends="cut"),
        busy,
        busy,
        watches(event("ADDED", "c", 12)),
    ]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Blind, Seeing, Put)
        assert set(ear.objects) == {"a", "b", "c"}
    assert [query["resourceVersion"] for query in watch_api.queries(watch=True)] == ["10", "11", "11", "11"]
    assert len(pauses.asked) == 3


async def test_a_silent_watch_that_is_accepted_sees(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.watches = [watches(ends="cut"), watches()]
    async with watching(transport, pauses, Pace(verdict=0.05)) as ear:
        await ear.hears(Listed, Blind, Seeing)


async def test_a_stalled_server_is_found(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.watches = [watches(event("ADDED", "b", 11)), watches(bookmark(12))]
    async with watching(transport, pauses, Pace(silence=1.0)) as ear:
        await ear.until(lambda: len(ear.told) >= 4)
    assert [type(told) for told in ear.told[:4]] == [Listed, Put, Blind, Seeing]
    assert isinstance(ear.told[2], Blind)
    assert isinstance(ear.told[2].error, Unavailable)


async def test_a_server_that_never_answers_is_found(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    watch_api.lists = [never]
    async with watching(transport, pauses, Pace(answer=1.0)) as ear:
        await ear.until(lambda: len(ear.told) >= 2)
    assert [type(told) for told in ear.told[:2]] == [Blind, Listed]


async def test_an_old_version_is_listed_anew(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.lists = [lists("a"), lists("b", version=50), lists("c", version=60)]
    watch_api.watches = [watches(failed(410, "Expired")), refuses(410, "Gone"), watches()]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Listed, Listed)
        await ear.has("c")
        assert set(ear.objects) == {"c"}
    assert pauses.asked[0] == 0.0
    assert len(pauses.asked) == 2


async def test_a_version_that_is_forgotten_meanwhile_was_not_seen(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.lists = [lists("a"), lists("b", version=50)]
    watch_api.watches = [watches(ends="cut"), watches(failed(410, "Expired"))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Listed)


async def test_an_error_in_the_stream_is_an_outage(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.watches = [watches(failed(500, "InternalError")), watches(event("ADDED", "b", 11))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Seeing, Put)


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{}}\n'])
async def test_what_is_no_event_is_an_outage(
    watch_api: WatchApi, transport: Transport, pauses: Pauses, line: bytes
) -> None:
    watch_api.watches = [watches(event("ADDED", "b", 11), line), watches(event("ADDED", "c", 12))]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put, Blind, Seeing, Put)
    assert [query["resourceVersion"] for query in watch_api.queries(watch=True)] == ["10", "11"]


# -- rights and kinds


async def test_refused_credentials_are_renewed_without_a_word(
    watch_api: WatchApi, tmp_path: Path, pauses: Pauses
) -> None:
    found, client = await access.find(str(tmp_path / "config"), None)
    renewed = 0

    async def renew() -> None:
        nonlocal renewed
        renewed += 1
        found.configuration.api_key["BearerToken"] = "Bearer new"

    async def guarded(request: web.Request) -> web.StreamResponse:
        ok = request.headers["Authorization"] == "Bearer new"
        return await (watches(event("ADDED", "b", 11)) if ok else refuses(401, "Unauthorized"))(request)

    watch_api.watches = [guarded] * 2
    transport = Transport(client, renew)
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Put)
    await transport.close()
    assert renewed == 1
    assert pauses.asked == []


async def test_a_missing_right_is_told_once_and_tried_slowly(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    watch_api.lists = [refuses(403, "Forbidden")] * 3
    async with watching(transport, pauses) as ear:
        await ear.hears(Blind, Listed)
    assert isinstance(ear.told[0], Blind)
    assert isinstance(ear.told[0].error, Forbidden)
    assert all(24.0 <= pause <= 36.0 for pause in pauses.asked)
    assert len(pauses.asked) == 3


async def test_a_kind_comes_goes_and_comes_again(watch_api: WatchApi, transport: Transport, pauses: Pauses) -> None:
    watch_api.lists = [unknown, unknown, unknown, lists("a"), unknown, unknown, lists("b", version=50)]
    watch_api.watches = [watches(event("DELETED", "a", 12), ends="well"), unknown]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Listed, Gone, Listed, Listed)
        assert set(ear.objects) == {"b"}
    assert [told.served for told in ear.told if isinstance(told, Listed)] == [False, True, False, True]
    assert all(24.0 <= pause <= 36.0 for pause in pauses.asked)


async def test_an_outage_while_a_kind_is_not_served_ends_when_it_is_still_not(
    watch_api: WatchApi, transport: Transport, pauses: Pauses
) -> None:
    busy = refuses(503, "ServiceUnavailable")
    watch_api.lists = [unknown, busy, unknown, lists("a")]
    async with watching(transport, pauses) as ear:
        await ear.hears(Listed, Blind, Listed, Listed)
    assert [told.served for told in ear.told if isinstance(told, Listed)] == [False, False, True]
