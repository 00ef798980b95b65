"""What all verbs share: their common options, and the frame that turns a function into a verb.

Imports nothing heavy: `rollout VERB --help` passes through here.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import typer

from rollout.cli.exit import Code, UsageError, of_error
from rollout.errors import RolloutError

P = ParamSpec("P")


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    WIDE = "wide"
    SHORT = "short"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every verb has, or every verb that talks to a cluster."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
    prometheus: str | None = None
    controller_namespace: str = "rollout-system"
    output: Format = Format.TABLE
    no_color: bool = False
    verbose: bool = False
    quiet: bool = False


_CLUSTER: Final[dict[str, Any]] = {
    "namespace": Annotated[
        str | None, typer.Option("--namespace", "-n", help="The namespace; the kubeconfig's when absent.")
    ],
    "context": Annotated[str | None, typer.Option("--context", help="The kubeconfig context.")],
    "kubeconfig": Annotated[str | None, typer.Option("--kubeconfig", help="The kubeconfig file.")],
    "prometheus": Annotated[
        str | None,
        typer.Option("--prometheus", envvar="ROLLOUT_PROMETHEUS", help="URL of Prometheus, for plans that name none."),
    ],
    "controller_namespace": Annotated[
        str,
        typer.Option(
            "--controller-namespace", envvar="ROLLOUT_CONTROLLER_NAMESPACE", help="Where the controller is installed."
        ),
    ],
}
_EVERY: Final[dict[str, Any]] = {
    "output": Annotated[Format, typer.Option("--output", "-o", help="How to print the result.")],
    "no_color": Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR and pipes do the same.")],
    "verbose": Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr, and show causes of errors.")],
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no hints on stderr.")],
}


def verb(
    app: typer.Typer, *, cluster: bool = True, formats: str = "table wide json yaml name"
) -> Callable[[Callable[Concatenate[Common, P], int]], Callable[Concatenate[Common, P], int]]:
    """Register a function as a verb: the common options are added to its own, errors become exit codes.

    An option of its own comes before a common one of the same name.
    """

    def register(function: Callable[Concatenate[Common, P], int]) -> Callable[Concatenate[Common, P], int]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        taken = {parameter.name for parameter in own}
        every = {**(_CLUSTER if cluster else {}), **_EVERY}
        shared = {name: annotation for name, annotation in every.items() if name not in taken}

        def command(**given: Any) -> None:
            common = Common(**{name: given.pop(name) for name in shared})
            raise typer.Exit(_guarded(lambda: function(common, **given), common, formats))  # type: ignore[call-arg]

        defaults = {field.name: field.default for field in fields(Common)}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
            + [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation)
                for name, annotation in shared.items()
            ]
        )
        command.__doc__ = function.__doc__
        app.command(function.__name__.rstrip("_"))(command)
        return function

    return register


def _guarded(run: Callable[[], int], common: Common, formats: str) -> int:
    """Run a verb; print what went wrong and what to do about it."""
    if common.verbose:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    try:
        if common.output not in formats.split():
            raise UsageError(
                f"-o {common.output} is not for this verb", hint=f"use one of {', '.join(formats.split())}"
            )
        return run()
    except RolloutError as error:
        if message := str(error):
            sys.stderr.write(f"error: {message}\n")
        sys.stderr.write(f"  next: {error.hint or 'rollout check'}\n")
        if common.verbose and error.__cause__:
            sys.stderr.write(f"  cause: {error.__cause__!r}\n")
        return of_error(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return Code.INTERRUPTED
    except BrokenPipeError:
        # the reader of a pipe has seen enough; nothing may be written to it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Code.ERROR


_DURATION: Final = re.compile(r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$")


def duration(text: str | None) -> float | None:
    """Seconds of an option such as `30m`.

    Raises:
        UsageError: no duration.
    """
    if text is None:
        return None
    if not _DURATION.match(text):
        raise UsageError(f"{text!r} is no duration", hint="write it as 30s, 10m or 1h30m")
    from rollout.plan.base import seconds

    return seconds(text)
