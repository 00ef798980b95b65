"""The verbs about the mesh: their arguments, and nothing else.  The verbs about runs are in `app`."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout.cli.options import Common, verb

mesh_app = typer.Typer(help="Who is in the mesh, and who is not.", no_args_is_help=True, rich_markup_mode=None)


@verb(mesh_app, formats="table wide json yaml")
def report(
    common: Common,
    *,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="All namespaces, also as callers.")
    ] = False,
    window: Annotated[str, typer.Option("--window", metavar="DURATION", help="How far to look back for traffic.")] = (
        "24h"
    ),
    mesh: Annotated[str, typer.Option("--mesh", help="The mesh.")] = "istio",
    mesh_namespace: Annotated[
        str | None, typer.Option("--mesh-namespace", help="Where its control plane is; the usual one when absent.")
    ] = None,
) -> int:
    """Say how far each workload is from mTLS only.

    Proxies, mTLS mode and where it comes from, who still sends plaintext, and what to do about it. Changes nothing.
    """
    from rollout.cli.mesh import report as run

    return run(common, all_namespaces=all_namespaces, window=window, mesh=mesh, mesh_namespace=mesh_namespace)


@verb(mesh_app, formats="table json yaml name")
def policies(
    common: Common,
    *,
    window: Annotated[str, typer.Option("--window", metavar="DURATION", help="How far to look back for callers.")] = (
        "24h"
    ),
    mesh: Annotated[str, typer.Option("--mesh", help="The mesh.")] = "istio",
    mesh_namespace: Annotated[
        str | None, typer.Option("--mesh-namespace", help="Where its control plane is; the usual one when absent.")
    ] = None,
) -> int:
    """Write a policy for each workload that admits the callers seen, and nobody else.

    For review, and for `stages.authorize.policies` of a plan, which tries them before they count. Changes nothing.
    """
    from rollout.cli.policies import policies as run

    return run(common, window=window, mesh=mesh, mesh_namespace=mesh_namespace)
