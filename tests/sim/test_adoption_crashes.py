"""An adoption is killed after every single write, exhaustively: another engine goes on, and the end is the same."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.plan.run import Phase
from tests.kit.journey import CAREFUL, EVERYTHING, Journey, plan


@dataclass(frozen=True, slots=True)
class Story:
    """A run, and how it ends."""

    end: Phase
    slow: bool = False
    """The proxy of `web` adds too much latency: its step is taken back."""
    abort_at: int | None = None
    """The step at which a person gives up."""

    def begin(self) -> Journey:
        """The world before it."""
        journey = Journey(plan=plan(EVERYTHING, analysis=CAREFUL) if self.slow else plan(EVERYTHING))
        if self.slow:
            journey.memory.behaviour("shop/web:1.0", Behaviour(proxy_seconds=2.0))
        journey.abort_at = self.abort_at
        return journey

    def wrong(self, journey: Journey) -> list[str]:
        """What is not as it should be at the end."""
        if self.end is Phase.SUCCEEDED:
            return journey.there()
        if self.end is Phase.ABORTED:
            return journey.home()
        journey.memory.run(60)
        carried = journey.carried()
        wrong = [] if carried == {"web": {False}, "front": {True}, "db": {False}} else [f"carried are {carried}"]
        return [*journey.broken, *wrong, *map(str, journey.lost().items())]


WHOLE, SLOW = Story(Phase.SUCCEEDED), Story(Phase.HELD, slow=True)
STRIDE = 4
"""Of the other faults, one in so many writes: what they do to a single write is proved with canaries."""
OTHERS = (Fault.CRASH_BEFORE, Fault.LOST_AFTER, Fault.DUPLICATE)
EARLY, LATE = Story(Phase.ABORTED, abort_at=3), Story(Phase.ABORTED, abort_at=12)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("story", "fault"),
    [
        *((story, Fault.CRASH_AFTER) for story in (WHOLE, SLOW, EARLY, LATE)),
        *((story, fault) for story in (WHOLE, LATE) for fault in OTHERS),
    ],
)
async def test_killed_at_every_write(story: Story, fault: Fault) -> None:
    journey = story.begin()
    cluster = FaultyCluster(journey.memory.cluster, FaultPlan())
    view = await journey.drive(journey.scene.engine(cluster))
    assert (view.state.phase, story.wrong(journey)) == (story.end, [])
    total = cluster.writes
    assert total > 20
    for number in range(1, total + 1, 1 if fault is Fault.CRASH_AFTER else STRIDE):
        journey = story.begin()
        view = await journey.survive(FaultPlan(at_write={number: fault}))
        assert (number, view.state.phase, story.wrong(journey)) == (number, story.end, []), view.state.message
        assert len(journey.met) == 1
