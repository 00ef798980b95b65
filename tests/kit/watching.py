"""A local server whose lists and watches are scripts, and a watch of it that never really sleeps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from rollout.adapters.kube.transport import Transport
from rollout.adapters.kube.watch import KubeWatcher, Pace
from rollout.plan.base import Json
from rollout.plan.kinds import CONFIGMAP
from rollout.ports.watch import Scope
from tests.kit.ear import Ear, listening

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
        """Answer one request."""
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
        """The queries of all watches, or of all lists."""
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
    """A ConfigMap at a version."""
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def event(what: str, name: str, version: int, **more: object) -> bytes:
    """A line of a watch about a ConfigMap."""
    return orjson.dumps({"type": what, "object": obj(name, version) | more}) + b"\n"


def bookmark(version: int) -> bytes:
    """A line that only says how far the watch is."""
    return orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}) + b"\n"


def status(code: int, reason: str) -> Json:
    """How the API server refuses."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, "reason": reason, "message": "no"}


def failed(code: int, reason: str) -> bytes:
    """A refusal as a line of a watch."""
    return orjson.dumps({"type": "ERROR", "object": status(code, reason)}) + b"\n"


def lists(*names: str, version: int = 10, more: str = "") -> Handler:
    """Items as built-in kinds have them: without their type."""
    items = [{"metadata": obj(name, 5)["metadata"] | {"managedFields": [{}]}} for name in names]
    return says({"metadata": {"resourceVersion": str(version), "continue": more}, "items": items})


def says(body: object, code: int = 200, **headers: str) -> Handler:
    """An answer in JSON."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers=headers)

    return handler


def refuses(code: int, reason: str, **headers: str) -> Handler:
    """A refusal as an answer."""
    return says(status(code, reason), code, **headers)


async def unknown(_: web.Request) -> web.StreamResponse:
    """The answer for a kind that is not served."""
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


@asynccontextmanager
async def watching(transport: Transport, pauses: Pauses, pace: Pace | None = None) -> AsyncIterator[Ear]:
    """Watch the ConfigMaps of `SCOPE`; what is told is kept."""
    watcher = KubeWatcher(transport, pace, sleep=pauses, luck=random.Random(1))
    async with listening(watcher, SCOPE) as ear:
        yield ear
