"""The verbs: their arguments, and nothing else.  What a verb does is in the module of its name, imported when it runs.

`rollout --help` and `rollout VERB --help` must stay fast, so this module and what it imports at the top touch neither
the Kubernetes client nor the models; a test looks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import _completion_classes as completion_classes

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
crds_app = typer.Typer(help="Print or install the kinds.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(crds_app, name="crds")
controller_app = typer.Typer(help="The controller.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(controller_app, name="controller")


def _plans(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of plans, for the shell."""
    from rollout.cli.completion import names

    return [name for name in names("plans", ctx.params) if name.startswith(incomplete)]


def _runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, of the plan that the line has already where it has one."""
    from rollout.cli.completion import names

    plan = ctx.params.get("plan") or ""
    return [name for name in names("runs", ctx.params) if name.startswith(incomplete or plan)]


def _plans_and_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Both: `why` takes either."""
    return [*_plans(ctx, incomplete), *_runs(ctx, incomplete)]


Source = Annotated[
    str,
    typer.Argument(metavar="FILE|PLAN", help="A file, - for stdin, or the name of a plan.", autocompletion=_plans),
]
Plan = Annotated[str, typer.Argument(metavar="PLAN", help="The name of the plan.", autocompletion=_plans)]
AnyPlan = Annotated[
    str | None,
    typer.Argument(metavar="[PLAN]", help="The plan; all plans when absent.", autocompletion=_plans),
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Plans of all namespaces.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the record of the run.")]
Because = Annotated[str, typer.Option("--reason", help="Why; kept in the record of the run.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="DURATION", help="Give up after this time.")]
Leave = Annotated[
    bool, typer.Option("--leave", help="When interrupted, leave the traffic where it is instead of taking it home.")
]
RunId = Annotated[
    str | None,
    typer.Option("--run", metavar="ID", help="This run instead of the newest.", autocompletion=_runs),
]
Namespaces = Annotated[
    str | None, typer.Option("--namespaces", metavar="A,B", help="Only these namespaces; all when absent.")
]
ControllerNamespace = Annotated[str, typer.Option("--controller-namespace", help="Where the controller runs.")]


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
        typer.Argument(
            metavar="[FILE|PLAN]", help="Also check everything that this plan needs.", autocompletion=_plans
        ),
    ] = None,
    pre: Annotated[bool, typer.Option("--pre", help="Only what an installation needs.")] = False,
) -> int:
    """Check cluster, rights and surroundings of a plan. Changes nothing."""
    from rollout.cli.check import check as run

    return run(common, source, pre=pre)


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
        typer.Argument(metavar="RUN|PLAN", help="A run, or a plan for its newest run.", autocompletion=_plans_and_runs),
    ],
    step: Annotated[int | None, typer.Option("--step", min=1, help="Only what happened in this step.")] = None,
) -> int:
    """Tell why a run is where it is.

    Which gate, its value against the limit, what was undone, what to do next.
    """
    from rollout.cli.why import why as run

    return run(common, name, step=step)


@verb(app, cluster=False, formats="table")
def demo(common: Common) -> int:
    """See one version promoted and one rolled back, simulated.

    The same engine and the same view as on a cluster; nothing to install.
    """
    from rollout.cli.demo import demo as run

    return run(common)


@verb(app, formats="table json yaml name")
def install(
    common: Common,
    *,
    image: Annotated[str | None, typer.Option("--image", metavar="IMAGE", help="The controller's image.")] = None,
    controller_namespace: ControllerNamespace = "rollout-system",
    namespaces: Namespaces = None,
    selector: Annotated[
        str | None, typer.Option("--selector", "-l", metavar="LABELS", help="Only plans with these labels.")
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", min=1, help="Copies; one leads, the others wait.")] = 2,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="NS/NAME", help="A Secret of a metrics provider it may read; repeatable."),
    ] = None,
    decision_mode: Annotated[
        Literal["auto", "stamp", "match"],
        typer.Option(help="Write the caller into decisions, or refuse others. With --export, auto is match."),
    ] = "auto",
    hold: Annotated[
        Literal["auto", "policy", "none"],
        typer.Option(help="Whether to install the hold policy (Kubernetes 1.36). With --export, auto is none."),
    ] = "auto",
    export: Annotated[bool, typer.Option("--export", help="Print YAML; needs no cluster.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FOLDER", help="Write a kustomize base into this folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the controller runs.")] = True,
    timeout: Timeout = None,
    yes: Yes = False,
) -> int:
    """Install the controller, or bring it up to date.

    Runs that are under way go on.
    """
    from rollout.cli import install as verb_

    if write is not None:
        return verb_.write(common, write)
    wanted = verb_.wish(
        image=image,
        controller_namespace=controller_namespace,
        namespaces=namespaces,
        selector=selector,
        prometheus=common.prometheus,
        replicas=replicas,
        secrets=secret or [],
        decisions=decision_mode,
        hold=hold,
    )
    if export:
        return verb_.export(common, wanted)
    return verb_.install(common, wanted, dry_run=dry_run, wait=wait, timeout=timeout, yes=yes)


@verb(app, formats="table json yaml")
def uninstall(
    common: Common,
    *,
    controller_namespace: ControllerNamespace = "rollout-system",
    namespaces: Namespaces = None,
    crds: Annotated[bool, typer.Option("--crds", help="Remove the kinds too, and with them all plans.")] = False,
    timeout: Timeout = None,
    yes: Yes = False,
) -> int:
    """End all runs, then remove the controller.

    Traffic goes home and holds are taken off first. Plans stay, unless --crds is given.
    """
    from rollout.cli.uninstall import uninstall as run

    return run(
        common, controller_namespace=controller_namespace, namespaces=namespaces, crds=crds, timeout=timeout, yes=yes
    )


@verb(crds_app, cluster=False, formats="table yaml json")
def print_(
    common: Common,
    *,
    with_hold: Annotated[bool, typer.Option("--with-hold", help="The hold policy too.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FOLDER", help="One file for each kind, into this folder.")
    ] = None,
) -> int:
    """Print the kinds as YAML."""
    from rollout.cli.crds import show, write_files

    return show(common, with_hold=with_hold) if write is None else write_files(common, write)


@verb(crds_app, formats="table name json yaml")
def apply(
    common: Common,
    *,
    with_hold: Annotated[bool, typer.Option("--with-hold", help="The hold policy too.")] = False,
) -> int:
    """Install or update the kinds in the cluster."""
    from rollout.cli.crds import apply as run

    return run(common, with_hold=with_hold)


@verb(controller_app, formats="table")
def run(
    common: Common,
    *,
    namespaces: Annotated[
        list[str] | None,
        typer.Option("--namespaces", metavar="A,B", help="Only plans in these namespaces; all when absent."),
    ] = None,
    selector: Annotated[str, typer.Option("--selector", metavar="K=V", help="Only plans with these labels.")] = "",
    controller_namespace: ControllerNamespace = "rollout-system",
    port: Annotated[int, typer.Option("--port", help="For /healthz, /readyz and /metrics; 0 chooses one.")] = 8080,
) -> int:
    """Look after plans until it is stopped. Several may run: one leads.

    Stopping leaves all weights where they are; the next controller goes on.
    """
    from rollout.cli.controller import run as run_controller

    names = [name for part in namespaces or () for name in part.split(",") if name]
    return run_controller(
        common, namespaces=names, selector=selector, controller_namespace=controller_namespace, port=port
    )


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
