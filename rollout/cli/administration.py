"""The verbs about the installation: their arguments, and nothing else.  The verbs about runs are in `app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rollout.cli.arguments import ControllerNamespace, Namespaces, Timeout, Yes
from rollout.cli.options import Common, verb

crds_app = typer.Typer(help="Print or install the kinds.", no_args_is_help=True, rich_markup_mode=None)
controller_app = typer.Typer(help="The controller.", no_args_is_help=True, rich_markup_mode=None)


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
        typer.Option("--secret", metavar="NS/NAME", help="A Secret of a metrics provider or channel it may read."),
    ] = None,
    decision_mode: Annotated[
        Literal["auto", "stamp", "match"],
        typer.Option(help="Write the caller into decisions, or refuse others. With --export, auto is match."),
    ] = "auto",
    hold: Annotated[
        Literal["auto", "policy", "none"],
        typer.Option(help="Whether to install the hold policy (Kubernetes 1.36). With --export, auto is none."),
    ] = "auto",
    features: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="What it has rights for: canary, mesh-adoption (canary included), and the routers smi and gateway; "
            "the first two when absent.",
        ),
    ] = None,
    notifications: Annotated[
        bool, typer.Option("--notifications/--no-notifications", help="Whether it tells people through their channels.")
    ] = True,
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
        features=features,
        notifications=notifications,
    )
    if export:
        return verb_.export(common, wanted)
    return verb_.install(common, wanted, dry_run=dry_run, wait=wait, timeout=timeout, yes=yes)


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
    notifications: Annotated[
        bool, typer.Option("--notifications/--no-notifications", help="Whether to tell people through their channels.")
    ] = True,
    routers: Annotated[
        str | None, typer.Option("--routers", metavar="A,B", help="Only plans for these; all installed when absent.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="For /healthz, /readyz and /metrics; 0 chooses one.")] = 8080,
) -> int:
    """Look after plans until it is stopped. Several may run: one leads.

    Stopping leaves all weights where they are; the next controller goes on.
    """
    from rollout.cli.controller import run as run_controller

    names = [name for part in namespaces or () for name in part.split(",") if name]
    return run_controller(
        common,
        namespaces=names,
        selector=selector,
        controller_namespace=controller_namespace,
        port=port,
        notifications=notifications,
        routers=tuple(name for name in (routers or "").split(",") if name),
    )
