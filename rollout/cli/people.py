"""The verbs about telling people: their arguments, and nothing else.  The verbs about runs are in `app`."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout.cli.options import Common, verb

notify_app = typer.Typer(help="Telling people what happens.", no_args_is_help=True, rich_markup_mode=None)


@verb(notify_app, formats="table json yaml name")
def test(
    common: Common,
    *,
    channel: Annotated[
        str | None, typer.Argument(metavar="[CHANNEL]", help="A NotificationChannel; all of the namespace when absent.")
    ] = None,
    event: Annotated[str, typer.Option("--event", metavar="REASON", help="The event: RolledBack, Promoted.")] = (
        "RolledBack"
    ),
    send: Annotated[
        bool, typer.Option("--send", help="Send it, marked as a test. Reads the channel's Secrets.")
    ] = False,
) -> int:
    """Show what a channel would send, without its secrets.

    With --send it is sent, and you are told what came of it.
    """
    from rollout.cli.notify import test as run

    return run(common, channel, event=event, send=send)
