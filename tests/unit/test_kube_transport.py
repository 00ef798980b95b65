"""Requests, against a local server that misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from rollout.adapters.kube import transport
from rollout.adapters.kube.cluster import KubeCluster, connect
from rollout.errors import Conflict, Forbidden, InvalidInput, OutcomeUnknown, Unavailable
from rollout.plan.kinds import CONFIGMAP, Ref
from rollout.ports.cluster import Guard
from tests.kit.kubeconfig import TOKEN, write_kubeconfig
from tests.kit.prometheus import FakePrometheus

SETTINGS = Ref(CONFIGMAP, "shop", "settings")
OBJECT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "uid": "u1", "resourceVersion": "7"},
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeApi:
    """Answers `/version`, and every other request from a script."""

    def __init__(self) -> None:
        self.script: list[Handler] = []
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.36.3"})
        self.asked.append(request)
        self.bodies.append(await request.read())
        return await self.script.pop(0)(request)


def says(body: object, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return handler


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def refuses(status: int, reason: str, **headers: str) -> Handler:
    return says(
        {"kind": "Status", "reason": reason, "message": "no", "details": {"name": "settings"}}, status, **headers
    )


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", fake.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    write_kubeconfig(tmp_path, runner.addresses[0][1])
    yield fake
    await runner.cleanup()


@pytest.fixture
async def cluster(api: FakeApi, tmp_path: Path) -> AsyncIterator[KubeCluster]:
    async with connect(str(tmp_path / "config")) as cluster:
        yield cluster


async def test_a_request_carries_the_token_and_the_programs_name(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [says(OBJECT)]
    assert await cluster.get(SETTINGS) == OBJECT
    assert api.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert api.asked[0].headers["User-Agent"].startswith("rollout/")
    assert api.asked[0].path == "/api/v1/namespaces/shop/configmaps/settings"


async def test_a_read_is_repeated_while_the_server_is_unavailable(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [refuses(503, "ServiceUnavailable"), hangs_up, says(OBJECT)]
    assert await cluster.get(SETTINGS) == OBJECT


async def test_a_read_gives_up_after_a_few_attempts(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [refuses(503, "ServiceUnavailable")] * 9
    with pytest.raises(Unavailable):
        await cluster.get(SETTINGS)
    assert len(api.asked) == transport.ATTEMPTS


async def test_a_long_pause_is_left_to_the_caller(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [refuses(429, "TooManyRequests", **{"Retry-After": "30"})]
    with pytest.raises(Unavailable) as caught:
        await cluster.get(SETTINGS)
    assert caught.value.after == 30.0


async def test_a_write_is_never_repeated(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [hangs_up, says(OBJECT)]
    with pytest.raises(OutcomeUnknown):
        await cluster.patch(SETTINGS, [], Guard("u1"))
    assert len(api.asked) == 1


async def test_a_slow_write_ends_in_an_unknown_outcome(
    api: FakeApi, cluster: KubeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "WRITE_SECONDS", 0.05)

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    api.script = [never]
    with pytest.raises(OutcomeUnknown):
        await cluster.patch(SETTINGS, [], Guard("u1"))


async def test_a_guard_goes_in_front_of_the_patch(api: FakeApi, cluster: KubeCluster) -> None:
    op = {"op": "add", "path": "/data", "value": {}}
    api.script = [says(OBJECT)]
    await cluster.patch(SETTINGS, [op], Guard("u1", "7"), dry_run=True)
    assert orjson.loads(api.bodies[0]) == [
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        op,
    ]
    assert api.asked[0].content_type == "application/json-patch+json"
    assert dict(api.asked[0].query) == {"fieldManager": "rollout", "dryRun": "All"}


async def test_a_delete_carries_its_guard_and_its_policy(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [says(OBJECT), says(OBJECT)]
    await cluster.delete(SETTINGS, Guard("u1", "7"), foreground=True)
    await cluster.delete(SETTINGS, Guard("u1"))
    first, second = (orjson.loads(body) for body in api.bodies)
    assert first["preconditions"] == {"uid": "u1", "resourceVersion": "7"}
    assert first["propagationPolicy"] == "Foreground"
    assert second["preconditions"] == {"uid": "u1"}
    assert second["propagationPolicy"] == "Background"


async def test_a_patch_that_fits_when_read_again_lost_a_race(api: FakeApi, cluster: KubeCluster) -> None:
    unapplied = says({"kind": "Status", "reason": "Invalid", "message": "no", "details": {}}, 422)
    api.script = [unapplied, says(OBJECT)]
    with pytest.raises(Conflict):
        await cluster.patch(SETTINGS, [], Guard("u1"))


async def test_a_list_whose_snapshot_expired_is_listed_again(api: FakeApi, cluster: KubeCluster) -> None:
    def page(*names: str, more: str = "") -> Handler:
        return says({"metadata": {"continue": more}, "items": [{"metadata": {"name": name}} for name in names]})

    api.script = [page("a", "old", more="p2"), refuses(410, "Expired"), page("a", more="p2"), page("b")]
    found = await cluster.list(CONFIGMAP, "shop", {"tier": "web"})
    assert [obj["metadata"]["name"] for obj in found] == ["a", "b"]
    assert found[0]["kind"] == "ConfigMap"
    assert [request.query.get("continue") for request in api.asked] == [None, "p2", None, "p2"]
    assert {request.query["labelSelector"] for request in api.asked} == {"tier=web"}


async def test_a_list_that_always_expires_is_read_in_one_piece(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [refuses(410, "Expired")] * 3 + [says({"metadata": {}, "items": []})]
    assert await cluster.list(CONFIGMAP) == []
    assert "limit" not in api.asked[-1].query


async def test_refused_credentials_do_not_get_into_the_words(api: FakeApi, cluster: KubeCluster) -> None:
    api.script = [refuses(401, "Unauthorized")] * 2
    with pytest.raises(Forbidden) as caught:
        await cluster.get(SETTINGS)
    assert TOKEN not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


async def test_an_expired_token_is_renewed_by_the_plugin(api: FakeApi, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    script = (
        f'echo x >> {counter}; n=$(wc -l < {counter}); printf \'{{"apiVersion":"client.authentication.k8s.io/v1",'
        '"kind":"ExecCredential","status":{"token":"t%s"}}\' $n'
    )
    port = orjson.loads((tmp_path / "config").read_bytes())["clusters"][0]["cluster"]["server"].rsplit(":", 1)[1]
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}
    write_kubeconfig(tmp_path, int(port), {"exec": plugin})
    api.script = [refuses(401, "Unauthorized"), says(OBJECT)]
    async with connect(str(tmp_path / "config")) as cluster:
        assert await cluster.patch(SETTINGS, [], Guard("u1")) == OBJECT
    assert [request.headers["Authorization"] for request in api.asked] == ["Bearer t1", "Bearer t2"]


async def test_a_plugin_that_fails_is_named(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", "exit 3"]}
    write_kubeconfig(tmp_path, 1, {"exec": plugin})
    with pytest.raises(InvalidInput, match="credential plugin"):
        async with connect(str(tmp_path / "config")):
            pass


async def test_a_server_that_is_not_there(tmp_path: Path, unused_tcp_port: int) -> None:
    write_kubeconfig(tmp_path, unused_tcp_port)
    with pytest.raises(Unavailable, match="no connection") as caught:
        async with connect(str(tmp_path / "config")):
            pass
    assert f"127.0.0.1:{unused_tcp_port}" in str(caught.value)
    assert caught.value.hint


async def test_a_server_that_is_no_api_server(api: FakeApi, cluster: KubeCluster) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    api.script = [page]
    with pytest.raises(Unavailable, match="not as an API server"):
        await cluster.get(SETTINGS)


async def test_an_address_that_leads_elsewhere(tmp_path: Path, fake_prometheus: FakePrometheus) -> None:
    write_kubeconfig(tmp_path, int(fake_prometheus.address.rsplit(":", 1)[1]))
    with pytest.raises(InvalidInput, match="is no API server") as caught:
        async with connect(str(tmp_path / "config")):
            pass
    assert caught.value.hint


async def test_every_answer_tells_what_time_it_is_there(api: FakeApi, tmp_path: Path) -> None:
    heard: list[float] = []
    async with connect(
        str(tmp_path / "config"), heard=lambda date, took: heard.append(date if took >= 0 else -1)
    ) as it:
        assert len(heard) == 1, "that of the version"
        api.script = [
            says(OBJECT, Date="Tue, 14 Nov 2023 22:13:20 GMT"),
            refuses(404, "NotFound", Date="Tue, 14 Nov 2023 22:13:21 GMT"),
            says(OBJECT, Date="yesterday"),
        ]
        for _ in range(3):
            await it.get(SETTINGS)
    assert heard[1:] == [1_700_000_000.0, 1_700_000_001.0], "and a date that is none is left alone"
