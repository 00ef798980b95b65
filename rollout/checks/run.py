"""All checkers in order, run; which they are is told by the kind of the plan, here and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from rollout.checks import adopting, cluster, config, hold, metrics, permissions, routing, shape
from rollout.checks.subject import CATEGORIES, Checker, Result, Subject, read, unseen
from rollout.errors import RolloutError, Unsupported
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.gate import TemplateSpec
from rollout.plan.kinds import kind_of
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.ports.world import World

_NONE: Final[Mapping[str, TemplateSpec]] = MappingProxyType({})

CHECKERS: Final[tuple[Checker, ...]] = tuple(
    sorted(
        (
            *cluster.CHECKERS,
            *permissions.CHECKERS,
            *hold.CHECKERS,
            *shape.CHECKERS,
            *config.CHECKERS,
            *routing.CHECKERS,
            *metrics.CHECKERS,
        ),
        key=lambda it: CATEGORIES.index(it.category),
    )
)
_CLUSTER: Final = tuple(it for it in CHECKERS if it.category == "cluster")
_BEYOND: Final = tuple(it for it in CHECKERS if it.category != "cluster")


async def preflight(
    world: World, plan: Json, templates: Mapping[str, TemplateSpec] = _NONE, *, unattended: bool = False
) -> list[Finding]:
    """Everything that speaks against starting a plan; errors stop a start.

    `templates` are those that are not stored yet; `unattended`: a controller starts it, which has fewer rights.

    Raises:
        InvalidInput: the plan cannot be read or compiled.
    """
    results = await _judge(world, plan, templates, unattended=unattended)
    return [finding for result in results for finding in result.findings]


async def run(
    world: World,
    namespace: str,
    plan: Json | None = None,
    *,
    pre: bool = False,
    templates: Mapping[str, TemplateSpec] = _NONE,
) -> list[Result]:
    """Every checker's result, in order. `pre`: only those that an installation needs.

    Raises:
        InvalidInput: the plan cannot be read or compiled.
    """
    bare = Subject(world, namespace) if plan is None else Subject(world, namespace, kinds=(kind_of(plan),))
    first = await _in_order(_CLUSTER, bare)
    able = all(it.state in ("ok", "warning") for it in first)
    rest = [it for it in _BEYOND if not it.needs_plan]
    if not able:
        return [*first, *(_waits(it, first[-1].checker.id) for it in rest)]
    if plan is not None and not pre:
        return [*first, *await _judge(world, plan, templates)]
    return [*first, *await _in_order(rest, bare)]


async def _judge(
    world: World, plan: Json, templates: Mapping[str, TemplateSpec], *, unattended: bool = False
) -> list[Result]:
    """What is asked about a plan depends on its kind; the cluster has been looked at."""
    match document := from_object(plan):
        case CanaryPlan():
            subject = replace(await read(world, document, templates), unattended=unattended)
            return await _in_order(_BEYOND, subject)
        case MeshAdoptionPlan():
            return await adopting.judge(world, document, templates, unattended=unattended)
        case _:
            raise Unsupported(f"a {document.kind} cannot be checked", hint="give a plan")


async def _in_order(checkers: Iterable[Checker], subject: Subject) -> list[Result]:
    """As many together as do not depend on each other; after a fatal one the rest is not looked at."""
    results: list[Result] = []
    fatal = ""
    for group in _up_to_fatal(checkers):
        if fatal:
            results += [_waits(checker, fatal) for checker in group]
            continue
        results += await asyncio.gather(*(_look(checker, subject) for checker in group))
        if group[-1].fatal and results[-1].state in ("error", "skipped"):
            fatal = group[-1].id
    return results


def _up_to_fatal(checkers: Iterable[Checker]) -> Iterator[list[Checker]]:
    """The checkers in order, in groups of which only the last one may be fatal."""
    group: list[Checker] = []
    for checker in checkers:
        group.append(checker)
        if checker.fatal:
            yield group
            group = []
    if group:
        yield group


def _waits(checker: Checker, fatal: str) -> Result:
    return Result(checker, skipped=f"not looked at: {fatal} comes first", after=fatal)


async def _look(checker: Checker, subject: Subject) -> Result:
    try:
        return Result(checker, tuple(await checker.check(subject)))
    except RolloutError as error:
        return Result(checker, skipped=unseen(error))
