"""start: apply the plan, hold and check the new version, then drive the run until it ends.

Where a controller looks after the namespace it is told what is wanted, and its run is followed.  Elsewhere the engine
runs in this process: Ctrl-C takes the traffic home first; a killed process cannot, and a second `start` resumes its
run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Literal

from rich.text import Text

from rollout import checks
from rollout.cli import crds, submit
from rollout.cli.drive import Drive
from rollout.cli.exit import Code, Interrupted, of_phase
from rollout.cli.follow import interruptible
from rollout.cli.lint import known
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer, confirmed
from rollout.cli.plan import compiled, preview
from rollout.cli.plan import show as show_plan
from rollout.cli.render import findings as render_findings
from rollout.cli.render import run as render
from rollout.cli.render.plan import Preview, bounds, change
from rollout.cli.render.run import position
from rollout.cli.render.words import GO, GOOD, clock, length
from rollout.cli.session import Session, connected, somebody
from rollout.cli.source import Given, from_file, image_option, is_file
from rollout.controller.starting import StartRefused, apply_plan
from rollout.controller.view import RunView
from rollout.errors import Unsupported
from rollout.observe.observer import read_target
from rollout.observe.templates import images as containers
from rollout.observe.workload import full_size
from rollout.plan import lint as rules
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CANARY_PLAN, MESH_ADOPTION_PLAN, Kind, ref_of
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import InvalidDocument
from rollout.plan.program import Approve


def start(
    common: Common,
    source: str,
    *,
    images: Sequence[str],
    dry_run: Literal["none", "client", "server"],
    timeout: str | None,
    leave: bool,
    yes: bool,
) -> int:
    """Start or resume, and follow to the end."""
    wanted = dict(map(image_option, images))
    limit = duration(timeout)
    if dry_run == "client" and is_file(source):
        show_plan(Printer(common), preview(common, from_file(source, common.namespace)))
        return Code.GOOD
    return asyncio.run(_start(common, source, wanted, dry_run=dry_run, limit=limit, leave=leave, yes=yes))


async def _start(
    common: Common,
    source: str,
    images: dict[str, str],
    *,
    dry_run: Literal["none", "client", "server"],
    limit: float | None,
    leave: bool,
    yes: bool,
) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        written = from_file(source, common.namespace, session.namespace) if is_file(source) else None
        kind, rehearsal = written.kind if written else CANARY_PLAN, dry_run != "none"
        await _need_kinds(session, printer, kind, yes=yes or rehearsal, dry_run=rehearsal)
        given = await (session.completed(written) if written else session.given(source, common.namespace))
        if images:
            given.canary  # noqa: B018  # raises: an adoption has no images
        _say_parsed(printer, given, await compiled(session, given))
        _lint(printer, given)
        if dry_run != "none":
            return await _rehearse(session, printer, given, look=dry_run == "server")
        controller = await session.controller(given.plan.metadata.namespace)
        if controller is not None:
            _line(printer, "submitted to", f"controller {controller.identity}; Ctrl-C only stops following", GO)
            say = partial(_say_started, printer, interrupt=False)
            view = await submit.through(session, printer, given, images, controller=controller, limit=limit, say=say)
        else:
            view = await begin(session, printer, given, images, by=somebody())
            view = await Drive(session, printer, leave=leave, limit=limit).to_the_end(view)
    printer.emit(lambda: render.as_json(view), lambda: render.status(view), [render.name(view)])
    return of_phase(view.state.phase)


async def _need_kinds(session: Session, printer: Printer, kind: Kind, *, yes: bool, dry_run: bool) -> None:
    """The kinds must be there; offer to install them."""
    missing = await session.engine.crds_missing(kind)
    if not missing:
        return
    printer.say(f"the cluster does not know our kinds yet: {', '.join(missing)}")
    if dry_run or not confirmed(printer, "install them now (rollout crds apply)?", yes=yes):
        raise Unsupported("the kinds are not installed", hint="rollout crds apply, or start again with --yes")
    for line in await crds.install(session.world, crds.documents(with_hold=False)):
        printer.say(f"  {line}")


def _say_parsed(printer: Printer, given: Given, found: Preview) -> None:
    meta, program = given.plan.metadata, found.program
    what = f"{given.kind} {meta.namespace}/{meta.name}, strategy {program.strategy}, {len(program.steps)} steps"
    _line(printer, f"parsed {given.where}" if given.where else "found", what)


def _lint(printer: Printer, given: Given) -> None:
    """What is wrong with the plan itself; errors stop here, before anything is written.

    Raises:
        InvalidDocument: with every error.
    """
    found = rules.lint(given.documents, known(given.templates))
    errors = [it for it in found if it.level is Level.ERROR]
    if errors:
        raise InvalidDocument(errors)
    for it in found:
        printer.say(render_findings.finding(it))


def _line(printer: Printer, done: str, what: str, sign: Text = GOOD) -> None:
    printer.say(Text.assemble(sign, f" {done:<24} {what}"))


async def _rehearse(session: Session, printer: Printer, given: Given, *, look: bool) -> int:
    """--dry-run: what would happen, and with a look at the cluster what would forbid it."""
    found: list[Finding] = []
    if look:
        stored = await session.world.cluster.get(ref_of(given.raw))
        if stored is None:
            await session.world.cluster.create(given.raw, dry_run=True)
        found = await checks.preflight(session.world, stored or given.raw, given.templates)
        printer.warn(render_findings.findings(found, "preflight"))
    show_plan(printer, await compiled(session, given))
    return Code.HELD if any(it.level is Level.ERROR for it in found) else Code.GOOD


async def begin(session: Session, printer: Printer, given: Given, images: dict[str, str], *, by: str) -> RunView:
    """Create the run or find the one that is under way; say what is about to happen."""
    at = f"-n {given.plan.metadata.namespace}"
    name = given.plan.metadata.name
    said = "Ctrl-C takes the traffic home first; if it is killed it cannot:\n"
    said += "  the traffic then stays where it is until:"
    if given.kind == MESH_ADOPTION_PLAN:
        said = "Ctrl-C stops it, and leaves what has been done as it is; to go on:"
    printer.say(f"  this terminal drives the run. {said} rollout start {name} {at}")
    for template in given.objects:
        await apply_plan(session.world, template)
    try:
        view = await interruptible(_begun(session, printer, given, images, by))
    except KeyboardInterrupt:
        raise await _stopped(session, given) from None
    except StartRefused as error:
        for finding in error.findings:
            printer.warn(render_findings.finding(finding))
        raise
    _say_started(printer, view)
    return view


async def _begun(session: Session, printer: Printer, given: Given, images: dict[str, str], by: str) -> RunView:
    view = await session.engine.start(given.raw, images=images, by=by)
    if not view.state.started:
        await _say_checked(session, printer, given)
    return view


async def _stopped(session: Session, given: Given) -> Interrupted:
    """What an interruption has left behind that came before the run was driven."""
    meta = given.plan.metadata
    target = given.plan.spec.target if isinstance(given.plan, CanaryPlan) else None
    at = f"{meta.name} -n {meta.namespace}"
    view = await session.engine.newest(ref_of(given.raw))
    if view is not None and not view.state.phase.ended:
        hint = f'rollout start {at} drives it; rollout abort {at} --reason "..." ends it'
        return Interrupted(f"interrupted; run {view.name} is there, and nobody drives it", hint=hint)
    _, sets, work = await read_target(session.world, meta.namespace, target.name if target else "")
    stable = full_size(sets)
    if target is None or work is None or stable is None or not work.held:
        return Interrupted("interrupted before there was a run; nothing but the plan was written")
    old = " ".join(f"--image {name}={image}" for name, image in containers(stable["spec"]["template"]).items())
    return Interrupted(
        f"interrupted before there was a run: Deployment/{target.name} holds the new version, and nobody tries it; all "
        "requests stay on the stable one",
        hint=f"rollout start {at} tries it; rollout start {at} {old} lets it go",
    )


async def _say_checked(session: Session, printer: Printer, given: Given) -> None:
    """The warnings of the preflight, whose errors did not stop the start."""
    found = [it for it in await session.engine.check(given.raw) if it.level is Level.WARNING]
    codes = f" ({', '.join(sorted({it.code for it in found}))})" if found else ""
    _line(printer, "checked", render_findings.count(found) + codes)
    for it in found:
        printer.say(render_findings.finding(it))


def _say_started(printer: Printer, view: RunView, *, interrupt: bool = True) -> None:
    """What runs now, until when, and how to follow and to stop it; `interrupt`: Ctrl-C is one way."""
    program, revision, resumed = view.spec.program, view.spec.revision, view.state.started > 0
    word = f"run {view.name} {'resumed' if resumed else 'started'}"
    what = change(revision.stable_images, revision.images) if program.adoption is None else position(view)
    _line(printer, word, what, GO)
    if not resumed:
        least, most = bounds(program)
        approvals = [n for n, s in enumerate(program.steps, 1) if any(isinstance(i, Approve) for i in s.instructions)]
        needs = f"; needs approval at step {', '.join(map(str, approvals))}" if approvals else ""
        printer.say(
            f"  earliest finish {clock(view.now + least)[:5]} ({length(least)}), "
            f"latest {clock(view.now + most)[:5]} ({length(most)}){needs}"
        )
    at = f"-n {view.namespace}"
    printer.say(f"  follow: rollout watch {view.spec.plan} {at}")
    if program.adoption is not None:
        printer.say(f'  undo it: rollout abort {view.spec.plan} {at} --reason "..."')
        return
    printer.say(f'  stop:   {"Ctrl-C, or " if interrupt else ""}rollout abort {view.spec.plan} {at} --reason "..."')
