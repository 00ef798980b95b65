"""The preflight of a MeshAdoptionPlan: rights, rivals, whether it compiles, and what keeps workloads out of the mesh.

What is found about a workload that the plan excepts as a whole does not stop it: that one stays outside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from rollout.checks import adoption
from rollout.checks.permissions import RIGHTS_MESH, RIGHTS_RECORD
from rollout.checks.rivals import look_ahead_of_adoption
from rollout.checks.subject import Checker, Question, Result, Subject, templates_of, unseen
from rollout.errors import Forbidden, RolloutError, Unsupported
from rollout.observe.facts import mesh_facts
from rollout.plan.finding import Finding, Level
from rollout.plan.gate import TemplateSpec
from rollout.plan.kinds import KINDS, MESH_ADOPTION_PLAN, Kind
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.program import Program
from rollout.plan.written import MeshException
from rollout.ports.mesh import Mesh
from rollout.ports.world import World

NOBODY: Final[Mapping[str, TemplateSpec]] = {}
_ALONE: Final = Question("adoption-alone", "plan", "nothing else is under way in the namespace")
_FRESH: Final = Question("adoption-exceptions", "plan", "no exception is over")
_FITS: Final = Question("adoption-compiles", "plan", "the plan fits the namespace")
_RIGHTS: Final = (RIGHTS_RECORD, RIGHTS_MESH)

Look = Callable[[], Awaitable[Sequence[Finding]]]


async def judge(
    world: World, plan: MeshAdoptionPlan, templates: Mapping[str, TemplateSpec] = NOBODY, *, unattended: bool = False
) -> list[Result]:
    """Everything that speaks for and against beginning this plan.

    Raises:
        InvalidInput: the plan cannot be compiled.
        Unsupported: its mesh or its strategy is not installed.
    """
    namespace, mesh = plan.metadata.namespace, driver(world, plan)
    subject = Subject(world, namespace, kinds=(MESH_ADOPTION_PLAN,), unattended=unattended, applies=_applies(plan))
    rights = [await _asked(it, subject) for it in _RIGHTS]
    first = await look_ahead_of_adoption(world, plan)
    alone = [] if first is None else [_rival(plan, str(first), first.plan if first.run else "")]
    over = tuple(_over(it) for it in overdue(plan, world.clock.now()))
    results = [*rights, Result(_ALONE, tuple(alone)), Result(_FRESH, over)]
    try:
        await compiled(world, plan, "preflight", templates)
        results.append(Result(_FITS))
    except Forbidden as error:
        results.append(Result(_FITS, skipped=unseen(error)))
    home = plan.spec.mesh.namespace or mesh.home
    # the checks know the meshes by name; a driver that is none of theirs brings its own
    known = adoption.Adopted(namespace=home, revision=plan.spec.mesh.revision)
    found = await adoption.run(world, namespace, known) if mesh.name == known.driver else []
    return [*results, *(_excused(it, plan) for it in found)]


def _applies(plan: MeshAdoptionPlan) -> frozenset[Kind]:
    """The kinds of its manifests, of whichever version; nobody may be missing a right in the middle of a run."""
    given = plan.spec.stages.traffic.apply if plan.spec.stages.traffic else ()
    named = {(it.api_version.partition("/")[0], it.kind) for it in given}
    return frozenset(kind for kind in KINDS.values() if (kind.group, kind.name) in named)


async def compiled(
    world: World, plan: MeshAdoptionPlan, run: str, templates: Mapping[str, TemplateSpec] = NOBODY
) -> Program:
    """The program for one run, from what is known of the namespace; `templates` come on top of the stored ones.

    Raises:
        InvalidInput: the plan does not fit the namespace.
        Unsupported: its mesh or its strategy is not installed.
    """
    mesh = driver(world, plan)
    strategy = world.compilers.get(plan.spec.strategy)
    if strategy is None:
        raise Unsupported(
            f"strategy {plan.spec.strategy} is not installed", hint=f"use one of {', '.join(sorted(world.compilers))}"
        )
    stored = await templates_of(world, plan.metadata.namespace)
    return strategy.compile(plan, await mesh_facts(world, mesh, plan, run, {**stored, **templates}))


def driver(world: World, plan: MeshAdoptionPlan) -> Mesh:
    """The plan's mesh.

    Raises:
        Unsupported: it is not installed.
    """
    mesh = world.meshes.get(plan.spec.mesh.driver)
    if mesh is None:
        names = ", ".join(sorted(world.meshes))
        raise Unsupported(f"mesh {plan.spec.mesh.driver} is not installed here", hint=f"use one of {names}")
    return mesh


def overdue(plan: MeshAdoptionPlan, now: float) -> list[MeshException]:
    """The exceptions whose last day (UTC) is over."""
    return [it for it in plan.spec.exceptions if ends(it) <= now]


def ends(exception: MeshException) -> float:
    """The moment at which an exception is over: the end of its last day."""
    return datetime.fromisoformat(exception.until).replace(tzinfo=UTC).timestamp() + 86_400


def told(exception: MeshException) -> str:
    """What is said of an exception that is over."""
    unit = exception.workload
    ports = f", ports {', '.join(map(str, exception.ports))}" if exception.ports else ""
    return f"the exception of {unit.kind}/{unit.name}{ports} ended on {exception.until} ({exception.reason})"


def _over(exception: MeshException) -> Finding:
    where = f"{exception.workload.kind}/{exception.workload.name}"
    fix = "give it another day in spec.exceptions if the reason still holds, or take it out"
    return Finding("RO540", Level.ERROR, told(exception), where=where, fix=fix)


def _rival(plan: MeshAdoptionPlan, text: str, watched: str) -> Finding:
    at = f"-n {plan.metadata.namespace}"
    fix = (
        f"rollout watch {watched} {at}" if watched else f"kubectl delete mplan {plan.metadata.name} {at}, or the other"
    )
    return Finding("RO232", Level.ERROR, text, where=f"Namespace/{plan.metadata.namespace}", fix=fix)


async def _asked(checker: Checker, subject: Subject) -> Result:
    try:
        return Result(checker, tuple(await checker.check(subject)))
    except RolloutError as error:
        return Result(checker, skipped=unseen(error))


def _excused(result: Result, plan: MeshAdoptionPlan) -> Result:
    return replace(result, findings=tuple(_lowered(result.findings, plan)))


def _lowered(findings: Iterable[Finding], plan: MeshAdoptionPlan) -> Iterable[Finding]:
    namespace = plan.metadata.namespace
    outside = {
        f"{it.workload.kind}/{it.workload.name} in {namespace}": it for it in plan.spec.exceptions if not it.ports
    }
    for it in findings:
        excepted = next((e for unit, e in outside.items() if it.where == unit or it.where.startswith(f"{unit} ")), None)
        if excepted is None or it.level is not Level.ERROR:
            yield it
        else:
            text = f"{it.message}; it stays outside until {excepted.until}: {excepted.reason}"
            yield replace(it, level=Level.INFO, message=text)
