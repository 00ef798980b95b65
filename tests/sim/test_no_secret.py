"""A token in every Secret and every URL that runs read: whatever a server says back, nobody ever repeats one.

The adapters are the real ones, and speak with a server on this machine that quotes each request back to who sent it.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from aiohttp import web

from rollout.adapters.channels.http import AioHttp
from rollout.adapters.hooks import Calls
from rollout.adapters.hooks.http import HttpCalls
from rollout.adapters.hooks.job import JobCalls
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.controller.foreground import Foreground
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.notify.composing import secret
from rollout.plan.base import Json
from rollout.plan.gate import SecretKey
from rollout.plan.kinds import EVENT, NOTIFICATION_CHANNEL, PLAN_RUN, SECRET
from rollout.plan.run import Phase
from rollout.ports.world import World
from rollout.registry import channels
from tests.kit.serving import serving
from tests.kit.sim import GOOD, ROUTERS, STRATEGIES, Sim, plan

pytestmark = pytest.mark.timeout(120)
FAST = 200.0
"""Virtual seconds in a real one: real servers answer in between."""


@dataclass
class Tokens:
    """Texts that stand nowhere else."""

    known: list[str] = field(default_factory=list)

    def new(self, what: str) -> str:
        """One more; with characters that URLs, JSON and pages spell in ways of their own."""
        self.known.append(f"c4n4ry-{what}-{len(self.known)}+/=&<ü")
        return self.known[-1]

    def in_path(self, what: str) -> str:
        """One that can stand in the path of a URL."""
        self.known.append(f"c4n4ry{what}{len(self.known)}xyz")
        return self.known[-1]

    def repeated(self, text: str) -> list[str]:
        """The tokens that a text repeats, in any spelling."""
        return [token for token in self.known if any(it in text for it in spellings(token))]


def spellings(token: str) -> Iterator[str]:
    written = json.dumps(token)[1:-1], json.dumps(token, ensure_ascii=False)[1:-1]
    yield from (token, quote(token), quote(token, safe=""), html.escape(token), *written)
    yield base64.b64encode(token.encode()).decode().rstrip("=")


@dataclass
class Echo:
    """Quotes each request: its URL, headers and body."""

    status: int
    came: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        body = (await request.read()).decode(errors="replace")
        # what is quoted is cut: who it is comes first
        who = [request.headers.get(name, "") for name in ("Authorization", "X-Key", "X-Tenant")]
        self.came.append(f"{who} {request.raw_path} {dict(request.headers)} {body}")
        told = {"status": "error", "error": f"no, not with {self.came[-1]}", "message": self.came[-1]}
        return web.json_response(told, status=self.status)


def stored(name: str, **data: str) -> Json:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "data": encoded}


@dataclass
class Scene:
    """The shop, whose plan, channel and hooks know Secrets; and an engine with the real adapters."""

    sim: Sim
    tokens: Tokens
    people: AioHttp = field(default_factory=AioHttp)
    hooks: AioHttp = field(default_factory=AioHttp)
    said: list[str] = field(default_factory=list)
    """What was told to whoever started it."""

    def __post_init__(self) -> None:
        self.sim.memory.clock.pace = FAST
        self.sim.kinds |= {SECRET, NOTIFICATION_CHANNEL}
        self.metrics = Prometheus(self._read)

    async def _read(self, namespace: str, name: str, key: str) -> str:
        return await secret(self.sim.memory.cluster, namespace, SecretKey(name=name, key=key))

    def engine(self, *, asks: bool) -> Foreground:
        """One that asks the server, or the shop's own metrics."""
        cluster = self.sim.memory.cluster
        return Foreground(
            World(
                cluster,
                self.metrics if asks else self.sim.memory.metrics,
                self.sim.memory.clock,
                ROUTERS,
                STRATEGIES,
                channels=channels(),
                http=self.people,
                hooks=Calls(HttpCalls(cluster, self.hooks), JobCalls(cluster)),
            )
        )

    def channel(self, kind: str, address: str) -> None:
        """A channel of this type that knows Secrets only."""
        url = f"{address}/{self.tokens.in_path('post')}?key={quote(self.tokens.new('query'), safe='')}"
        key = f"whsec_{base64.b64encode(self.tokens.new('signature').encode()).decode()}"
        self.sim.memory.apply(stored(kind, url=url, token=self.tokens.in_path("bot"), key=key))
        spec = {"type": kind, "addressFrom": {"name": kind, "key": "url"}, "token": {"name": kind, "key": "token"}}
        spec |= {"signature": {"name": kind, "key": "key"}} if kind == "webhook" else {}
        meta = {"name": kind, "namespace": "shop"}
        head = {"apiVersion": NOTIFICATION_CHANNEL.api_version, "kind": NOTIFICATION_CHANNEL.name, "metadata": meta}
        self.sim.memory.apply({**head, "spec": {**spec, "giveUpAfter": "10s"}})

    def hook(self, when: str, address: str) -> Json:
        """A hook whose URL and header are in a Secret."""
        user = f"{self.tokens.in_path('user')}:{self.tokens.in_path('password')}@"
        url = address.replace("://", f"://{user}") + f"/{self.tokens.in_path('hook')}"
        name = when.lower()
        self.sim.memory.apply(stored(name, url=url, key=f"Bearer {self.tokens.in_path('header')}"))
        header = {"name": "X-Key", "valueFrom": {"name": name, "key": "key"}}
        webhook = {"urlFrom": {"name": name, "key": "url"}, "headers": [header]}
        return {"name": name, "when": when, "webhook": webhook, "every": "2s", "timeout": "60s"}

    def provider(self, address: str, way: str) -> Json:
        """A Prometheus that wants credentials."""
        self.sim.memory.apply(stored("prom", key=self.tokens.in_path(way)))
        key = {"name": "prom", "key": "key"}
        found = {"bearer": key} if way == "bearer" else {"basic": {"username": "ann", "password": key}}
        return {"address": address, "headers": {"X-Tenant": self.tokens.in_path("tenant")}, **found}

    async def play(self, written: Json, *, asks: bool, until: Phase | None = None) -> RunView | None:
        """Start it, drive it to its end or to this phase; None where it was refused."""
        engine = self.engine(asks=asks)
        try:
            view = await engine.start(written, images={"app": GOOD}, by="ana")
        except StartRefused as error:
            self.said += [str(error), error.hint, *map(str, error.findings)]
            return None
        return await engine.drive("shop", view.name, lambda _: None, until=lambda it: it.state.phase is until)

    def everything(self) -> str:
        """All that is kept or was said, but for what the owners wrote and put into Secrets."""
        kept = [
            {**obj, "spec": {}} if ref.kind not in (PLAN_RUN, EVENT) else obj
            for ref, obj in self.sim.memory.objects
            if ref.kind != SECRET
        ]
        return "\n".join([*self.said, *map(json.dumps, kept), *(json.dumps(it, ensure_ascii=False) for it in kept)])

    async def close(self) -> None:
        """End all connections."""
        for one in (self.people, self.hooks, self.metrics):
            await one.close()


@pytest.fixture
async def scene(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Scene]:
    """The shop; at the end nothing may have been repeated, in logs neither."""
    caplog.set_level(logging.DEBUG, "rollout")
    found = Scene(Sim(), Tokens())
    yield found
    await found.close()
    assert found.tokens.repeated(found.everything()) == []
    assert found.tokens.repeated(caplog.text) == []


def nobody() -> str:
    """The address of a port on which nobody listens."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("status", [401, 500])
async def test_who_is_told_and_asked_quotes_what_he_got(scene: Scene, status: int) -> None:
    server = Echo(status)
    async with serving(server.take) as address:
        for kind in ("webhook", "slack", "discord", "teams", "google-chat", "alertmanager"):
            scene.channel(kind, address)
        hooks = [scene.hook(when, address) for when in ("before", "onRollback", "after")]
        view = await scene.play(plan(hooks=hooks), asks=False)
    assert view is not None
    assert view.state.phase is Phase.ROLLED_BACK
    assert f"it answered {status}" in view.state.message, "the hook's answer was told"
    assert "***" in view.state.message, "and what it quoted was struck out"
    assert len(scene.tokens.repeated("\n".join(server.came))) > 15, "the server has seen the tokens"


async def test_nobody_is_there_to_be_told_or_asked(scene: Scene) -> None:
    for kind, address in (("webhook", nobody()), ("slack", nobody().replace("http:", "https:"))):
        scene.channel(kind, address)
    view = await scene.play(plan(hooks=[scene.hook("before", nobody())]), asks=False)
    assert view is not None
    assert view.state.phase is Phase.ROLLED_BACK


WAYS = list(itertools.product(("bearer", "basic"), (200, 401, 500)))


@pytest.mark.parametrize(("way", "status"), WAYS, ids=[f"{way}-{status}" for way, status in WAYS])
async def test_a_prometheus_quotes_who_asked(scene: Scene, way: str, status: int) -> None:
    server = Echo(status)
    async with serving(server.take) as address:
        written = plan()
        written["spec"]["analysis"]["provider"] = scene.provider(address, way)
        await scene.play(written, asks=True, until=Phase.HOLDING)
    seen = "\n".join(server.came)
    assert len(scene.tokens.repeated(seen)) >= 1, "the server has seen a token"
    assert scene.said or "MetricsUnavailable" in scene.everything(), "what it answered was told"


@pytest.mark.parametrize("scheme", ["http:", "https:"])
async def test_no_prometheus_is_there(scene: Scene, scheme: str) -> None:
    written = plan()
    written["spec"]["analysis"]["provider"] = scene.provider(nobody().replace("http:", scheme), "basic")
    await scene.play(written, asks=True, until=Phase.HOLDING)
    assert scene.said or "MetricsUnavailable" in scene.everything(), "it was told"
