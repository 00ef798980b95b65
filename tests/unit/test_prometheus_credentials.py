"""How the Prometheus adapter gets in, and that no secret is ever repeated."""

from __future__ import annotations

import pytest
from aiohttp import web

from rollout.adapters.metrics import prometheus as adapter
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.metrics.server import QueryError, Server
from rollout.errors import NotFound
from rollout.plan.gate import BasicAuth, Provider, SecretKey
from tests.kit.prometheus import FakePrometheus

SECRET = "hunter2"


def test_a_password_in_an_address_is_not_repeated(unused_tcp_port: int) -> None:
    server = Server(f"http://ann:{SECRET}@127.0.0.1:{unused_tcp_port}", timeout=1)
    with pytest.raises(QueryError, match="no connection") as caught:
        server.query("vector(1)")
    server.close()
    assert SECRET not in str(caught.value)


class Vault:
    """Secrets that rotate."""

    def __init__(self) -> None:
        self.value = "one"
        self.reads: list[tuple[str, str, str]] = []

    async def read(self, namespace: str, name: str, key: str) -> str:
        self.reads.append((namespace, name, key))
        if name == "absent":
            raise NotFound(f"Secret/{name} in {namespace}")
        return self.value + "\n"


async def test_a_token_is_read_at_most_once_a_minute_and_followed(
    fake_prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault()
    key = SecretKey(name="prom", key="token")
    provider = Provider(address=fake_prometheus.address, bearer=key, headers={"X-Scope-OrgID": "shop"})
    prometheus = Prometheus(vault.read)
    await prometheus.check(provider, "shop")
    vault.value = "two"
    await prometheus.check(provider, "shop")
    assert vault.reads == [("shop", "prom", "token")]
    monkeypatch.setattr(adapter, "REREAD_SECONDS", 0.0)
    await prometheus.check(provider, "shop")
    await prometheus.close()
    assert [seen["Authorization"] for seen in fake_prometheus.headers] == ["Bearer one", "Bearer one", "Bearer two"]
    assert {seen["X-Scope-OrgID"] for seen in fake_prometheus.headers} == {"shop"}


async def test_basic_authentication(fake_prometheus: FakePrometheus) -> None:
    basic = BasicAuth(username="ann", password=SecretKey(name="prom", key="password"))
    prometheus = Prometheus(Vault().read)
    reading = await prometheus.check(Provider(address=fake_prometheus.address + "/prefix/", basic=basic), "shop")
    await prometheus.close()
    assert reading.status == "value"
    assert fake_prometheus.headers[0]["Authorization"] == "Basic YW5uOm9uZQ=="


async def test_a_secret_that_is_not_there_is_named(fake_prometheus: FakePrometheus) -> None:
    prometheus = Prometheus(Vault().read)
    key = SecretKey(name="absent", key="token")
    reading = await prometheus.check(Provider(address=fake_prometheus.address, bearer=key), "shop")
    await prometheus.close()
    assert reading.status == "unknown"
    assert "Secret/absent in shop" in reading.detail
    assert fake_prometheus.queries == []


async def test_a_ca_that_is_no_certificate_is_named_and_not_quoted(fake_prometheus: FakePrometheus) -> None:
    prometheus = Prometheus(Vault().read)
    key = SecretKey(name="prom", key="ca")
    reading = await prometheus.check(Provider(address=fake_prometheus.address, ca=key), "shop")
    await prometheus.close()
    assert (reading.status, reading.detail) == ("unknown", "the provider's CA is no PEM certificate")


async def test_an_error_text_never_repeats_a_header(fake_prometheus: FakePrometheus) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text=str(request.headers))

    fake_prometheus.fault = echo
    vault = Vault()
    vault.value = SECRET
    key = SecretKey(name="prom", key="token")
    prometheus = Prometheus(vault.read)
    reading = await prometheus.check(Provider(address=fake_prometheus.address, bearer=key), "shop")
    await prometheus.close()
    assert SECRET not in reading.detail


@pytest.mark.parametrize("basic", [False, True])
async def test_who_repeats_credentials_in_an_error_is_not_quoted(
    fake_prometheus: FakePrometheus, *, basic: bool
) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        said = "x" * 200 + str(dict(request.headers))
        return web.json_response({"status": "error", "error": said}, status=401)

    fake_prometheus.fault = echo
    vault = Vault()
    vault.value = SECRET * 5
    key = SecretKey(name="prom", key="token")
    auth = BasicAuth(username="ann", password=key) if basic else None
    headers = {"X-Key": "literal-canary", "X-Team": "shop"}
    provider = Provider(address=fake_prometheus.address, bearer=None if basic else key, basic=auth, headers=headers)
    prometheus = Prometheus(vault.read)
    reading = await prometheus.check(provider, "shop")
    await prometheus.close()
    assert "HTTP 401: xxx" in reading.detail
    assert not any(it in reading.detail for it in (SECRET, "YW5u", "literal"))
