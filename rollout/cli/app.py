"""The verbs: their arguments, and nothing else.  What a verb does is in the module of its name, imported when it runs.

`rollout --help` and `rollout VERB --help` must stay fast, so this module and what it imports at the top touch neither
the Kubernetes client nor the models; a test looks.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer
from typer import _completion_classes as completion_classes

from rollout.cli import administration, adoption, judging, people
from rollout.cli.arguments import (
    AllNamespaces,
    AnyPlan,
    Because,
    Leave,
    Plan,
    Reason,
    RunId,
    Source,
    Timeout,
    Yes,
    plans,
    plans_and_runs,
)
from rollout.cli.exit import UsageError
from rollout.cli.options import Common, verb

app = typer.Typer(
    name="rollout",
    help="Change what production runs one step at a time, watch, and undo it when the evidence turns bad.",
    epilog="Start here: rollout demo. Exit codes: 0 good, 1 error, 2 usage, 3 rolled back or aborted, "
    "4 held or invalid, 5 timed out, 6 refused, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(administration.crds_app, name="crds")
app.add_typer(administration.controller_app, name="controller")
app.add_typer(adoption.mesh_app, name="mesh")
app.add_typer(people.notify_app, name="notify")
app.add_typer(judging.gate_app, name="gate")


@verb(app)
def start(
    common: Common,
    *,
    source: Source,
    image: Annotated[
        list[str] | None, typer.Option("--image", metavar="C=IMAGE", help="Set a container's image; repeatable.")
    ] = None,
    dry_run: Annotated[
        Literal["none", "client", "server"], typer.Option(help="Only show: without, or with a look at the cluster.")
    ] = "none",
    timeout: Timeout = None,
    leave: Leave = False,
    yes: Yes = False,
) -> int:
    """Start a plan and drive its run until it ends.

    A second start of the same plan resumes its run.
    """
    from rollout.cli.start import start as run

    return run(common, source, images=image or [], dry_run=dry_run, timeout=timeout, leave=leave, yes=yes)


@verb(app)
def plan(common: Common, *, source: Source) -> int:
    """Show what a plan will do. Works without a cluster."""
    from rollout.cli.plan import plan as run

    return run(common, source)


verb(app, formats="table json yaml")(judging.simulate)


@verb(app, cluster=False, formats="table json yaml")
def lint(
    common: Common,
    *,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, or - for stdin.")],
    fail_on: Annotated[
        Literal["warning", "error"], typer.Option(help="The mildest finding that exits with 4.")
    ] = "error",
) -> int:
    """Say what is wrong in files, where, and how to put it right. Needs no cluster."""
    from rollout.cli.lint import lint as run

    return run(common, files, fail_on=fail_on)


@verb(app, formats="table short json yaml")
def check(
    common: Common,
    *,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|PLAN]", help="Also check everything that this plan needs.", autocompletion=plans),
    ] = None,
    pre: Annotated[bool, typer.Option("--pre", help="Only what an installation needs.")] = False,
    mesh: Annotated[
        bool, typer.Option("--mesh", help="Instead: what keeps the namespace's workloads out of the mesh.")
    ] = False,
    revision: Annotated[
        str, typer.Option("--revision", metavar="NAME", help="With --mesh: the mesh's revision or tag.")
    ] = "",
) -> int:
    """Check what a plan, or the way into a mesh, needs here. Changes nothing."""
    from rollout.cli.check import check as run
    from rollout.cli.check import check_mesh

    if mesh and (source or pre):
        raise UsageError("--mesh is about a namespace", hint="name it with -n; without --mesh check a plan, or --pre")
    if revision and not mesh:
        raise UsageError("--revision goes with --mesh")
    return check_mesh(common, revision) if mesh else run(common, source, pre=pre)


@verb(app)
def status(
    common: Common,
    *,
    plan: AnyPlan = None,
    run_id: RunId = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="C=IMAGE", help="The run of this image, also one to come; repeatable."),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="DIGEST", help="The run of this pod template, also one to come."),
    ] = None,
    all_namespaces: AllNamespaces = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end, as --wait-for done.")] = False,
    wait_for: Annotated[
        str | None,
        typer.Option("--wait-for", metavar="done|approval|step=N", help="Wait for this; several with commas."),
    ] = None,
    timeout: Timeout = None,
) -> int:
    """Say how a run stands and why; the exit code says it too."""
    from rollout.cli.change import Change
    from rollout.cli.source import image_option
    from rollout.cli.status import status as run

    awaited = wait_for or ("done" if wait else None)
    change = Change(run_id, dict(map(image_option, image or [])), revision)
    return run(common, plan, change=change, all_namespaces=all_namespaces, wait_for=awaited, timeout=timeout)


@verb(app)
def get(
    common: Common,
    *,
    plan: AnyPlan = None,
    all_namespaces: AllNamespaces = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, with a line for each change.")] = False,
) -> int:
    """List plans. -o wide tells more; -w prints every change."""
    from rollout.cli.get import get as run

    return run(common, plan, all_namespaces=all_namespaces, watch=watch)


@verb(app)
def history(common: Common, *, plan: Plan) -> int:
    """List the runs of a plan: outcome, versions, when, who and why."""
    from rollout.cli.history import history as run

    return run(common, plan)


@verb(app, formats="table json yaml")
def events(
    common: Common,
    *,
    plan: Plan,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, with a line for each new one.")] = False,
) -> int:
    """Tell what happened to a plan and its runs, oldest first."""
    from rollout.cli.events import events as run

    return run(common, plan, watch=watch)


@verb(app)
def watch(common: Common, *, plan: Plan, run_id: RunId = None) -> int:
    """Follow a run until it ends. Watching changes nothing."""
    from rollout.cli.watch import watch as run

    return run(common, plan, run_id=run_id)


@verb(app)
def promote(
    common: Common,
    *,
    plan: Plan,
    reason: Reason,
    full: Annotated[bool, typer.Option("--full", help="Skip what is left of the analysis. Recorded.")] = False,
    step: Annotated[int | None, typer.Option("--step", min=1, help="Only if the run is at this step.")] = None,
    yes: Yes = False,
) -> int:
    """Approve the step that waits, or with --full promote at once."""
    from rollout.cli.promote import promote as run

    return run(common, plan, reason=reason, full=full, step=step, yes=yes)


@verb(app)
def abort(common: Common, *, plan: Plan, reason: Reason, yes: Yes = False) -> int:
    """Take the traffic home and end the run."""
    from rollout.cli.abort import abort as run

    return run(common, plan, reason=reason, yes=yes)


@verb(app, formats="table json yaml name")
def pause(common: Common, *, plan: Plan, reason: Because = "") -> int:
    """Keep the run where it is until it is resumed."""
    from rollout.cli.pause import pause as run

    return run(common, plan, reason=reason)


@verb(app, formats="table json yaml name")
def resume(common: Common, *, plan: Plan, reason: Because = "") -> int:
    """Let a paused run go on."""
    from rollout.cli.resume import resume as run

    return run(common, plan, reason=reason)


@verb(app)
def retry(common: Common, *, plan: Plan, reason: Because = "", timeout: Timeout = None, leave: Leave = False) -> int:
    """Try again: a held step, or the version of an ended run.

    Without a controller this terminal drives the new run, as with start.
    """
    from rollout.cli.retry import retry as run

    return run(common, plan, reason=reason, timeout=timeout, leave=leave)


@verb(app, formats="table json yaml name")
def skip(common: Common, *, plan: Plan, reason: Because = "", yes: Yes = False) -> int:
    """Leave the rest of the present step out."""
    from rollout.cli.skip import skip as run

    return run(common, plan, reason=reason, yes=yes)


@verb(app)
def undo(
    common: Common,
    *,
    plan: Plan,
    reason: Reason,
    to_revision: Annotated[
        int | None,
        typer.Option("--to-revision", metavar="N", min=1, help="REV of history; the one before when absent."),
    ] = None,
    yes: Yes = False,
) -> int:
    """Go back to a version that ran before, without steps."""
    from rollout.cli.undo import undo as run

    return run(common, plan, reason=reason, to_revision=to_revision, yes=yes)


@verb(app, formats="table json yaml name")
def handoff(common: Common, *, plan: Plan) -> int:
    """Print the YAML to commit so that Git agrees with the cluster."""
    from rollout.cli.handoff import handoff as run

    return run(common, plan)


@verb(app)
def why(
    common: Common,
    *,
    name: Annotated[
        str,
        typer.Argument(metavar="RUN|PLAN", help="A run, or a plan for its newest run.", autocompletion=plans_and_runs),
    ],
    step: Annotated[int | None, typer.Option("--step", min=1, help="Only what happened in this step.")] = None,
) -> int:
    """Tell why a run is where it is.

    Which gate, its value against the limit, what was undone, what to do next.
    """
    from rollout.cli.why import why as run

    return run(common, name, step=step)


verb(app, formats="table json yaml name")(judging.replay)


@verb(app, cluster=False, formats="table")
def demo(common: Common) -> int:
    """See one version promoted and one rolled back, simulated.

    The same engine and the same view as on a cluster; nothing to install.
    """
    from rollout.cli.demo import demo as run

    return run(common)


verb(app, formats="table json yaml name")(administration.install)
verb(app, formats="table json yaml")(administration.uninstall)


@verb(app, cluster=False, formats="table")
def completion(
    common: Common,
    *,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish|powershell")],
) -> int:
    """Print the completion script of a shell."""
    from rollout.cli.completion import completion as run

    return run(common, shell)


@verb(app, cluster=False, formats="table json yaml")
def version(
    common: Common,
    *,
    diagram: Annotated[bool, typer.Option("--diagram", help="Print the phases of a run as a Mermaid diagram.")] = False,
) -> int:
    """Print the version, the routers and the strategies."""
    from rollout.cli.version import version as run

    return run(common, diagram=diagram)


def main() -> None:
    """The entry point."""
    if "_ROLLOUT_COMPLETE" in os.environ:
        # typer does this only for apps with its own --install-completion
        completion_classes.completion_init()
    app(prog_name="rollout")
