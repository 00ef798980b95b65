"""The API server's clock: the one that all engines and terminals of a cluster have in common.

Deadlines, expiries and the age of orders are moments that one process writes and another compares with its own time.
A node or a laptop whose clock is wrong by minutes would pass a deadline that is none, and refuse or obey what it must
not.  So the time is the API server's, as the `Date` of its answers tells it, carried on by our monotonic clock: nobody
who sets our wall clock in mid-run moves it.  A `Date` is cut to whole seconds and takes its time to reach us; within
what that leaves open nothing is changed, so that small differences make no jumps.
"""

from __future__ import annotations

from rollout.ports.clock import Clock


class ServerClock:
    """The port `Clock`; our own wall time until the API server has answered."""

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._begun = local.now() - local.monotonic()
        """Seconds since the epoch when the monotonic clock was 0."""

    def now(self) -> float:
        """See `ports.clock.Clock.now`."""
        return self._begun + self._local.monotonic()

    def monotonic(self) -> float:
        """See `ports.clock.Clock.monotonic`."""
        return self._local.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `ports.clock.Clock.sleep`."""
        await self._local.sleep(seconds)

    def heard(self, date: float, took: float) -> None:
        """An answer told its `date`, in whole seconds since the epoch, and came `took` seconds after its request."""
        now = self._local.monotonic()
        earliest, latest = date - now, date + 1.0 - (now - took)
        self._begun = min(max(self._begun, earliest), latest)
