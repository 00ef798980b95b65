"""why: the story of a run."""

from __future__ import annotations

import asyncio

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import run as render_run
from rollout.cli.render import why as render
from rollout.cli.session import connected


def why(common: Common, name: str, *, step: int | None) -> int:
    """Print the story; `name` is a run or a plan."""
    return asyncio.run(_why(common, name, step))


async def _why(common: Common, name: str, step: int | None) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        view = await session.run(name)
    steps = len(view.spec.program.steps)
    if step is not None and step > steps:
        raise UsageError(f"run {view.name} has {steps} steps", hint=f"use --step 1 to --step {steps}")
    printer.emit(lambda: render.why_json(view, step), lambda: render.story(view, step), [render_run.name(view)])
    return Code.GOOD
