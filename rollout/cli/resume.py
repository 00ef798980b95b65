"""resume: a paused run goes on."""

from __future__ import annotations

from rollout.cli.options import Common
from rollout.cli.orders import order


def resume(common: Common, plan: str, *, reason: str) -> int:
    """Order it."""
    return order(common, plan, "resume", reason=reason)
