"""The kinds of plans, and how each is looked after: what the controller does by kind is told here and nowhere else.

Runs of all kinds are driven alike.  What differs is how a run begins, what a plan at rest asks for, and what is left to
do when it is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rollout.controller.adopting import Adopting
from rollout.controller.beginning import Beginning
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, MESH_ADOPTION_PLAN, Kind, Ref
from rollout.ports.world import World


class Care(Protocol):
    """Looks after plans of one kind while no run of theirs is under way."""

    async def turn(self, plan: Json, runs: Sequence[Json]) -> float:
        """See whether a run begins; the seconds until the plan should be looked at again.

        `runs` are the plan's, the newest first; all have ended.
        """
        ...

    async def renewed(self, plan: Json, run: Json, runs: Sequence[Json]) -> bool:
        """The plan may have changed while this run of it is under way; whether the run has given way to another."""
        ...

    async def gone(self, plan: Ref) -> None:
        """Clear up after a plan that is not there any more, or on its way out; its runs have ended."""
        ...


def cares(world: World) -> Mapping[Kind, Care]:
    """All that there are, by kind."""
    return {CANARY_PLAN: Beginning(world), MESH_ADOPTION_PLAN: Adopting(world)}
