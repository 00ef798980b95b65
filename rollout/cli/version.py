"""version: what is installed."""

from __future__ import annotations

import platform

import rollout
from rollout import registry
from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.decide import phase
from rollout.plan.base import API_VERSION
from rollout.plan.program import FORMAT


def version(common: Common, *, diagram: bool) -> int:
    """Print versions and plug-ins, or the diagram of phases."""
    printer = Printer(common)
    if diagram:
        printer.stdout.file.write(phase.diagram())
        return Code.GOOD
    routers, strategies = sorted(registry.routers()), sorted(registry.strategies())
    channels = sorted(registry.channels())
    facts = {
        "version": rollout.__version__,
        "api": API_VERSION,
        "programFormat": FORMAT,
        "python": platform.python_version(),
        "routers": routers,
        "strategies": strategies,
        "channels": channels,
    }
    printer.emit(
        lambda: facts,
        lambda: (
            f"rollout {rollout.__version__}   {API_VERSION}, format {FORMAT}, Python {platform.python_version()}\n"
            f"routers     {', '.join(routers)}\n"
            f"strategies  {', '.join(strategies)}\n"
            f"channels    {', '.join(channels)}"
        ),
        ["rollout"],
    )
    return Code.GOOD
