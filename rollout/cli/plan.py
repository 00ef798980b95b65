"""plan: what a plan will do. A file needs no cluster; a plan of the cluster shows its versions too."""

from __future__ import annotations

import asyncio

from rollout import registry
from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import plan as render
from rollout.cli.source import Given, from_file, is_file
from rollout.errors import InvalidInput
from rollout.plan.strategy import Facts


def plan(common: Common, source: str) -> int:
    """Compile and print."""
    if is_file(source):
        preview = compiled(from_file(source, common.namespace))
    else:
        preview = asyncio.run(_of_cluster(common, source))
    show(Printer(common), preview)
    return Code.GOOD


def show(printer: Printer, preview: render.Preview) -> None:
    """Print a preview in the format that was asked for."""
    printer.emit(
        lambda: render.as_json(preview),
        lambda: render.table(preview),
        [f"canaryplan.meshrollout.dev/{preview.plan}"],
    )


def compiled(given: Given) -> render.Preview:
    """The program of a plan, as far as it is known without a run.

    Raises:
        InvalidInput: the strategy does not exist or refuses the plan.
    """
    strategies = registry.strategies()
    strategy = strategies.get(given.plan.spec.strategy)
    if strategy is None:
        raise InvalidInput(
            f"strategy {given.plan.spec.strategy} is not installed",
            where=given.where,
            hint=f"use one of {', '.join(sorted(strategies))}",
        )
    program = strategy.compile(given.plan, Facts(templates=given.templates))
    return render.Preview(given.plan.metadata.name, program)


async def _of_cluster(common: Common, name: str) -> render.Preview:
    from rollout.cli.session import connected  # the client costs half a second that a file does not need

    async with connected(common) as session:
        return compiled(await session.given(name, common.namespace))
