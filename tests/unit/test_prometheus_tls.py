"""A Prometheus with a certificate of a private authority."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rollout.adapters.metrics.prometheus import Prometheus
from rollout.plan.gate import Provider, SecretKey
from tests.kit.certificates import certificate
from tests.kit.prometheus import FakePrometheus

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
CA = SecretKey(name="prom", key="ca")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    return {name: certificate(folder, name) for name in ("own", "other")}


@pytest.fixture
async def address(certificates: dict[str, tuple[Path, Path]]) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates["own"])
    app = web.Application()
    app.router.add_route("*", "/api/v1/query", FakePrometheus().handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("authority", "insecure", "status"),
    [("own", False, "value"), ("other", False, "unknown"), ("", False, "unknown"), ("", True, "value")],
)
async def test_only_the_named_authority_is_trusted(
    address: str, certificates: dict[str, tuple[Path, Path]], authority: str, insecure: bool, status: str
) -> None:
    pem = certificates[authority][0].read_text() if authority else ""

    async def read(*_: str) -> str:
        return pem

    provider = Provider(address=address, ca=CA if authority else None, insecure_skip_verify=insecure)
    prometheus = Prometheus(read)
    reading = await prometheus.check(provider, "shop")
    await prometheus.close()
    assert reading.status == status
    assert ("certificate is not trusted" in reading.detail) == (status == "unknown")
