"""The controller's HTTP endpoints: health, readiness, metrics. They tell and change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rollout.controller.loop import Controller

STUCK: Final = 20.0
"""Seconds without a tick after which the process is better started anew."""


def application(controller: Controller) -> web.Application:
    """`/healthz`: the loop is alive.  `/readyz`: what we may see has been seen, so this process could lead."""

    async def healthz(_: web.Request) -> web.Response:
        silent = controller.clock.monotonic() - controller.telemetry.last_tick
        if silent > STUCK:
            return web.Response(status=503, text=f"the loop has not ticked for {silent:.0f} s\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        lost = sorted(controller.reach.lost.items())
        refused = "".join(f"cannot read {name or 'the cluster'}: {why}\n" for name, why in lost)
        if controller.ready:
            return web.Response(text=f"ok\n{refused}")
        missing = ", ".join(sorted({scope.kind.name for scope in controller.stores.unknown}))
        return web.Response(status=503, text=f"not seen yet: {missing}\n{refused}")

    async def metrics(_: web.Request) -> web.Response:
        # here and not in a thread: the stores change while it looks, and a thousand series take some milliseconds
        text = generate_latest(controller.telemetry.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


@asynccontextmanager
async def serving(controller: Controller, port: int) -> AsyncIterator[int]:
    """Serve until the block ends; the port, which is chosen when 0 was asked for."""
    runner = web.AppRunner(application(controller), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port)
        await site.start()
        # a chosen port differs by address family: tell that of IPv4, whose addresses are the shorter ones
        yield int(min(runner.addresses, key=len)[1])
    finally:
        await runner.cleanup()
