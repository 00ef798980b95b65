"""skip: leave the present step, whatever its gates say, for the next one."""

from __future__ import annotations

from rollout.cli.options import Common
from rollout.cli.orders import order


def skip(common: Common, plan: str, *, reason: str, yes: bool) -> int:
    """Order it, for the step that the run is at now and for no other."""
    warning = f"the rest of {plan}'s present step is left out: its hold and its gates"
    return order(common, plan, "skip", reason=reason, bound=True, warning=warning, yes=yes)
