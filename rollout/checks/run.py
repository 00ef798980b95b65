"""All checkers in order, run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from rollout.checks import cluster, config, hold, metrics, permissions, routing, shape
from rollout.checks.subject import CATEGORIES, Checker, Result, Subject, read, unseen
from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.finding import Finding
from rollout.plan.gate import TemplateSpec
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


async def preflight(
    world: World, plan: Json, templates: Mapping[str, TemplateSpec] = _NONE, *, unattended: bool = False
) -> list[Finding]:
    """Everything that speaks against starting a plan; errors stop a start.

    `templates` are those that are not stored yet; `unattended`: a controller starts it, which has fewer rights.

    Raises:
        InvalidInput: the plan cannot be read or compiled.
    """
    subject = replace(await read(world, plan, templates), unattended=unattended)
    results = await _in_order((it for it in CHECKERS if it.category != "cluster"), subject)
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
    bare = Subject(world, namespace)
    first = await _in_order((it for it in CHECKERS if it.category == "cluster"), bare)
    able = all(it.state in ("ok", "warning") for it in first)
    subject = await read(world, plan, templates) if able and plan is not None and not pre else bare
    rest = [it for it in CHECKERS if it.category != "cluster" and (subject.plan is not None or not it.needs_plan)]
    if not able:
        return [*first, *(_waits(it, first[-1].checker.id) for it in rest)]
    return [*first, *await _in_order(rest, subject)]


async def _in_order(checkers: Iterable[Checker], subject: Subject) -> list[Result]:
    """One after the other; after a fatal one the rest is not looked at."""
    results: list[Result] = []
    fatal = ""
    for checker in checkers:
        result = _waits(checker, fatal) if fatal else await _look(checker, subject)
        results.append(result)
        if checker.fatal and not fatal and result.state in ("error", "skipped"):
            fatal = checker.id
    return results


def _waits(checker: Checker, fatal: str) -> Result:
    return Result(checker, skipped=f"not looked at: {fatal} comes first", after=fatal)


async def _look(checker: Checker, subject: Subject) -> Result:
    try:
        return Result(checker, tuple(await checker.check(subject)))
    except RolloutError as error:
        return Result(checker, skipped=unseen(error))
