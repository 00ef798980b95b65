"""pause: the run stays where it is until somebody resumes it. Its deadline does not count meanwhile."""

from __future__ import annotations

from rollout.cli.options import Common
from rollout.cli.orders import order


def pause(common: Common, plan: str, *, reason: str) -> int:
    """Order it."""
    return order(common, plan, "pause", reason=reason)
