"""Arguments that several verbs share, and the names that the shell completes them with.

Imported by `rollout --help`: see `app`.
"""

from __future__ import annotations

from typing import Annotated

import typer


def plans(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of plans, for the shell."""
    from rollout.cli.completion import names

    return [name for name in names("plans", ctx.params) if name.startswith(incomplete)]


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, of the plan that the line has already where it has one."""
    from rollout.cli.completion import names

    plan = ctx.params.get("plan") or ""
    return [name for name in names("runs", ctx.params) if name.startswith(incomplete or plan)]


def plans_and_runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Both: `why` takes either."""
    return [*plans(ctx, incomplete), *runs(ctx, incomplete)]


Source = Annotated[
    str,
    typer.Argument(metavar="FILE|PLAN", help="A file, - for stdin, or the name of a plan.", autocompletion=plans),
]
Plan = Annotated[str, typer.Argument(metavar="PLAN", help="The name of the plan.", autocompletion=plans)]
AnyPlan = Annotated[
    str | None,
    typer.Argument(metavar="[PLAN]", help="The plan; all plans when absent.", autocompletion=plans),
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
    typer.Option("--run", metavar="ID", help="This run instead of the newest.", autocompletion=runs),
]
Namespaces = Annotated[
    str | None, typer.Option("--namespaces", metavar="A,B", help="Only these namespaces; all when absent.")
]
ControllerNamespace = Annotated[str, typer.Option("--controller-namespace", help="Where the controller runs.")]
