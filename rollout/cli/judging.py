"""`simulate`, `replay` and `gate run` with their options. Imported by `rollout --help`: see `app`."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout.cli.arguments import Source, plans_and_runs
from rollout.cli.exit import UsageError
from rollout.cli.options import Common, verb

gate_app = typer.Typer(help="Ask the gates of a plan, without a rollout.", no_args_is_help=True, rich_markup_mode=None)


@verb(gate_app, formats="table json yaml name")
def run(
    common: Common,
    *,
    source: Source,
    window: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="So long; three intervals when absent.")
    ] = None,
    weight: Annotated[
        float, typer.Option("--weight", min=0.01, max=100, help="Percent of the requests that the candidate has.")
    ] = 50,
    candidate: Annotated[
        str | None, typer.Option("--candidate", metavar="WORKLOAD", help="Judge this workload instead of the plan's.")
    ] = None,
    stable: Annotated[
        str | None, typer.Option("--stable", metavar="WORKLOAD", help="Compare with this one instead of the plan's.")
    ] = None,
) -> int:
    """Ask the gates of a plan about what serves now.

    Writes nothing. Exits with 0 when all pass, 3 when one fails, 4 when one cannot tell.
    """
    from rollout.cli.gate import run as ask

    return ask(common, source, window=window, weight=weight, candidate=candidate, stable=stable)


def simulate(
    common: Common,
    *,
    source: Source,
    rps: Annotated[
        float | None, typer.Option("--rps", min=0, help="Requests/s to the service; Prometheus is asked when absent.")
    ] = None,
    errors: Annotated[
        str | None, typer.Option("--errors", metavar="SHARE", help="With --rps: how many fail as it is; 0.1%.")
    ] = None,
    slow: Annotated[
        str | None, typer.Option("--slow", metavar="SHARE", help="With --rps: how many are slow as it is; 1%.")
    ] = None,
    bursts: Annotated[
        float, typer.Option("--bursts", min=1, max=200, help="With --rps: the burst factor of bad requests.")
    ] = 1,
    seed: Annotated[int | None, typer.Option("--seed", help="Makes the result repeatable; printed.")] = None,
    history: Annotated[
        str | None,
        typer.Option("--history", metavar="DURATION", help="Instead: its gates on the service's own past, as 7d."),
    ] = None,
    step: Annotated[
        str, typer.Option("--step", metavar="DURATION", help="With --history: from start to start.")
    ] = "1h",
    svg: Annotated[
        str | None, typer.Option("--svg", metavar="FILE", help="Also draw it: found how often, against its size.")
    ] = None,
) -> int:
    """Say what a plan would catch, and how soon, before it runs.

    From the service's own traffic of the last half hour, or from given rates; then no cluster is needed.
    """
    if history is not None:
        if rps is not None or svg is not None:
            raise UsageError("--history goes with neither --rps nor --svg", hint="leave one of them out")
        from rollout.cli.backtest import history as test

        return test(common, source, window=history, step=step)
    from rollout.cli.simulate import simulate as run

    return run(common, source, rps=rps, errors=errors, slow=slow, bursts=bursts, seed=seed, svg=svg)


def replay(
    common: Common,
    *,
    name: Annotated[
        str,
        typer.Argument(metavar="RUN|PLAN", help="A run, or a plan for its newest run.", autocompletion=plans_and_runs),
    ],
) -> int:
    """Judge a run again, from the answers that it keeps.

    Every verdict comes out bit for bit, without metrics. Exits with 1 when one does not.
    """
    from rollout.cli.replay import replay as run

    return run(common, name)
