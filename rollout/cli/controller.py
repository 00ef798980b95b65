"""controller run: the process that production runs."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping, Sequence

from rollout import bootstrap, registry
from rollout.bootstrap import Beat
from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common
from rollout.controller.logs import story, to_stderr
from rollout.controller.process import run as run_process
from rollout.controller.reconcile import OnTurn
from rollout.controller.telemetry import Telemetry
from rollout.controller.view import RunView
from rollout.plan.run import State

log = logging.getLogger(__name__)


def run(
    common: Common,
    *,
    namespaces: Sequence[str],
    selector: str,
    controller_namespace: str,
    port: int,
    notifications: bool,
    routers: Sequence[str] = (),
) -> int:
    """Look after plans until SIGTERM or SIGINT; weights stay where they are."""
    to_stderr(logging.DEBUG if common.verbose else logging.INFO)
    wanted = labels(selector)
    scope = Beat(controller_namespace, tuple(namespaces), wanted, _known(routers), notifications)
    asyncio.run(_run(common, scope, port))
    return Code.GOOD


def labels(selector: str) -> Mapping[str, str]:
    """`key=value`, several with commas.

    Raises:
        UsageError: it is none.
    """
    pairs = [part.partition("=") for part in selector.split(",") if part]
    wrong = [key for key, equals, value in pairs if not (key and equals and value)]
    if wrong:
        raise UsageError(
            f"--selector {selector} is no list of labels", hint="write it as --selector team=shop,tier=web"
        )
    return {key: value for key, _, value in pairs}


def _known(routers: Sequence[str]) -> tuple[str, ...]:
    """Names of installed routers.

    Raises:
        UsageError: one of them is none.
    """
    installed = registry.routers()
    for name in routers:
        if name not in installed:
            raise UsageError(f"--routers: there is no {name}", hint=f"choose from {', '.join(sorted(installed))}")
    return tuple(routers)


async def _run(common: Common, beat: Beat, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with bootstrap.controller(
        beat, kubeconfig=common.kubeconfig, context=common.context, prometheus=common.prometheus
    ) as controller:
        controller.plans.reconciler.on_turn = _told(controller.telemetry)
        log.info("starts", extra={"identity": controller.leader.identity, "namespaces": controller.leader.serves})
        await run_process(controller, stop, port=port, said=_say)
        log.info("stops")


def _told(telemetry: Telemetry) -> OnTurn:
    def told(view: RunView, before: State) -> None:
        telemetry.turned(view, before)
        story(view, before)

    return told


def _say(text: str) -> None:
    log.info(text)
    sys.stderr.flush()
