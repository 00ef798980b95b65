"""plan: what a plan will do. A file of a CanaryPlan needs no cluster; an adoption asks it for the real workloads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from rollout import registry
from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import plan as render
from rollout.cli.render.words import named
from rollout.cli.session import Session, connected
from rollout.cli.source import Given, from_file, is_file
from rollout.errors import InvalidInput, RolloutError
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.plan.program import Program
from rollout.plan.strategy import Facts, MeshFacts

PATIENCE: Final = 10.0
"""Seconds that a cluster gets to tell of its workloads."""


def plan(common: Common, source: str) -> int:
    """Compile and print."""
    if is_file(source):
        found = preview(common, from_file(source, common.namespace))
    else:
        found = asyncio.run(_of_cluster(common, source))
    show(Printer(common), found)
    return Code.GOOD


def show(printer: Printer, preview: render.Preview) -> None:
    """Print a preview in the format that was asked for."""
    printer.emit(lambda: render.as_json(preview), lambda: render.table(preview), [named(preview.ref)])


def preview(common: Common, given: Given) -> render.Preview:
    """The program of a plan of a file, as far as it is known without a run."""
    if isinstance(given.plan, CanaryPlan):
        return render.Preview(given.ref, _canary(given.plan, given))
    return asyncio.run(_with_workloads(common, given))


async def compiled(session: Session, given: Given) -> render.Preview:
    """The program of a plan, as far as it is known without a run.

    Raises:
        InvalidInput: the strategy does not exist or refuses the plan.
    """
    match given.plan:
        case CanaryPlan():
            return render.Preview(given.ref, _canary(given.plan, given))
        case MeshAdoptionPlan():
            # the checks of a mesh are a third of what starting costs, which a canary need not pay
            from rollout.checks.adopting import driver
            from rollout.observe.facts import mesh_facts

            try:
                async with asyncio.timeout(PATIENCE):
                    mesh = driver(session.world, given.plan)
                    facts = await mesh_facts(session.world, mesh, given.plan, "preview", given.templates)
            except (RolloutError, TimeoutError) as error:
                return _blind(given, given.plan, error)
            return render.Preview(given.ref, _adoption(given.plan, given, facts))


def _canary(plan: CanaryPlan, given: Given) -> Program:
    strategies = registry.strategies()
    strategy = strategies.get(plan.spec.strategy)
    if strategy is None:
        raise _no_strategy(given, strategies)
    return strategy.compile(plan, Facts(templates=given.templates))


def _adoption(plan: MeshAdoptionPlan, given: Given, facts: MeshFacts) -> Program:
    strategies = registry.compilers()
    strategy = strategies.get(plan.spec.strategy)
    if strategy is None:
        raise _no_strategy(given, strategies)
    return strategy.compile(plan, facts)


def _no_strategy(given: Given, known: Iterable[str]) -> InvalidInput:
    return InvalidInput(
        f"strategy {given.plan.spec.strategy} is not installed",
        where=given.where,
        hint=f"use one of {', '.join(sorted(known))}",
    )


def _blind(given: Given, plan: MeshAdoptionPlan, error: Exception) -> render.Preview:
    """What is known without a look at the workloads: the stages, without their steps for each of them."""
    why = str(error) or f"the cluster does not answer within {PATIENCE:g} s"
    return render.Preview(given.ref, _adoption(plan, given, MeshFacts(templates=given.templates)), unseen=why)


async def _with_workloads(common: Common, given: Given) -> render.Preview:
    assert isinstance(given.plan, MeshAdoptionPlan), "the other kind needs no cluster"
    try:
        async with connected(common) as session:
            return await compiled(session, given)
    except InvalidInput:
        raise
    except RolloutError as error:
        return _blind(given, given.plan, error)


async def _of_cluster(common: Common, name: str) -> render.Preview:
    async with connected(common) as session:
        return await compiled(session, await session.given(name, common.namespace))
