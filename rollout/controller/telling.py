"""Telling people from a terminal that drives a run where no controller does."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from rollout.controller import leader
from rollout.errors import RolloutError
from rollout.notify.office import Office
from rollout.plan.kinds import NOTIFICATION_CHANNEL
from rollout.ports.clock import Clock
from rollout.ports.world import World

PATIENCE: Final = 10.0
"""Seconds that the last messages of a run have to arrive; a controller that comes later tells what is missing."""


async def listen(office: Office, world: World, namespace: str) -> None:
    """Find the channels of a namespace; none where a controller tells, or where we may not look."""
    found = await leader.find(world)
    if found is not None and found.serves(namespace):
        return
    with suppress(RolloutError):
        for channel in await world.cluster.list(NOTIFICATION_CHANNEL, namespace):
            office.notice(channel)


async def last_words(office: Office, clock: Clock) -> None:
    """Let what is still to be told be told, within reason."""
    end = clock.monotonic() + PATIENCE
    while (wait := office.wait()) <= end - clock.monotonic():
        office.tick()
        await clock.sleep(min(max(wait, 0.05), 0.5))
    await office.stop(0.0)
