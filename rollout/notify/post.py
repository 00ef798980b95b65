"""One turn of one channel: choose what is next, write down that it is being sent, send it, write down that it was.

    choose -> (ask, if an earlier try is in doubt) -> intent -> send -> done

A turn sends one message at most.  Whatever fails, the next turn reads everything again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from rollout.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Rejected,
    RolloutError,
    Unavailable,
    Unsupported,
)
from rollout.notify import ledger as books
from rollout.notify.choose import TERMINAL, Box, Choice, Chosen, Reach, choose, covered, ends
from rollout.notify.composing import Sealed, seal
from rollout.notify.message import message
from rollout.notify.report import SENT, Standing, report
from rollout.notify.verdict import judge
from rollout.plan.base import Json
from rollout.plan.channel import ChannelSpec, Ledger, Sending, Told
from rollout.plan.kinds import NOTIFICATION_CHANNEL, Ref
from rollout.ports.channel import Channel, Http, Letter
from rollout.ports.clock import Clock
from rollout.ports.cluster import Cluster, guard_of

GRACE: Final = 30.0
"""Seconds that a message which another engine is sending is left to it: longer than any request lasts."""
PAUSES: Final = (1.0, 300.0)
"""Seconds between two tries, at first and at most."""
CLOSED: Final = 60.0
"""Seconds, at least, until a channel that refuses everything is tried again."""
AGAIN: Final = 5
"""So often something is written down on top of what others wrote meanwhile."""
EVENTUALLY: Final = 0.2
"""Seconds until a turn that met another's write is taken again."""
_FAILURES: Final = (Unavailable, OutcomeUnknown, Forbidden, NotFound, InvalidInput)
"""What keeps a message from arriving."""

Counted = Callable[[Ref, str], None]
"""Told of each try: the channel, and `sent`, `failed` or `refused`."""


@dataclass(slots=True)
class _Round:
    """One turn that has something to send."""

    box: Box
    spec: ChannelSpec
    channel: Channel
    found: Json
    """The channel's object as it was last read or written."""
    chosen: Chosen
    choice: Choice


def nobody(_channel: Ref, _result: str) -> None:
    """Counts nothing."""


@dataclass(slots=True)
class Courier:
    """Takes the turns of channels."""

    cluster: Cluster
    clock: Clock
    http: Http
    channels: Mapping[str, Channel]
    identity: str
    reach: Reach = TERMINAL
    counted: Counted = nobody

    async def turn(self, box: Box) -> float:
        """Take one turn; the seconds until the next one, infinity when something has to happen first.

        Raises:
            RolloutError: the cluster was not ready.
        """
        found = await self.cluster.get(box.ref)
        if found is None or "deletionTimestamp" in found["metadata"]:
            return math.inf
        spec = await self._spec(box, found)
        if spec is None:
            return math.inf
        now, channel = self.clock.now(), self.channels[spec.type]
        choice = await choose(self.cluster, box, spec, _ledger(found), now, reach=self.reach, threaded=channel.threaded)
        if choice.chosen is None:
            # what was failing is not waited for any more: the next event is tried at once
            box.failures = 0
            if choice.passed:
                return min(await self._pass(box, spec, choice), choice.wait)
            return choice.wait
        return await self._deliver(_Round(box, spec, channel, found, choice.chosen, choice))

    async def _spec(self, box: Box, found: Json) -> ChannelSpec | None:
        """The channel as it is now; None, and told in its status, when it cannot be used."""
        made = (found["metadata"]["uid"], found["metadata"].get("generation", 1))
        if made == box.made:
            return box.spec
        sealed = Sealed.of(found, self.channels, self.reach.home)
        if sealed.problem:
            await self._stand(found, Standing("Invalid", sealed.problem))
        box.made, box.open, box.failures = made, None, 0
        box.spec = sealed.spec if not sealed.problem else None
        return box.spec

    async def _deliver(self, it: _Round) -> float:
        """Send the chosen message, and write down what came of it."""
        if it.box.arrived[:2] == it.chosen.key:
            return await self._done(it, it.box.arrived[2])
        doubt = _in_doubt(it.box, it.chosen)
        if doubt is not None and doubt.by != self.identity and self.clock.now() < doubt.at + GRACE:
            return doubt.at + GRACE - self.clock.now()
        try:
            letter = await self._letter(it)
            if doubt is not None and not it.channel.certain:
                thread, known = await self._ask(it.channel, letter)
                if thread is not None:
                    return await self._done(it, thread)
                letter = replace(letter, again=not known)
        except _FAILURES as error:
            return await self._failed(it, error)
        try:
            it.found = await self._intend(it)
        except Conflict:
            return EVENTUALLY  # somebody else wrote: perhaps who tells of it
        return await self._sent(it, letter)

    async def _sent(self, it: _Round, letter: Letter) -> float:
        """Send a letter that is written down as being sent."""
        it.box.unsent = ("", 0)
        try:
            thread = await self._send(it.channel, letter)
        except Rejected as error:
            if it.chosen.opens:  # a run without a thread has nowhere to tell the rest
                return await self._failed(it, error)
            text = f"the message about {it.chosen.event.reason} was refused: {error}"
            return await self._done(it, "", Standing("MessageRefused", text))
        except _FAILURES as error:
            if not letter.again and not isinstance(error, OutcomeUnknown):
                it.box.unsent = it.chosen.key
            return await self._failed(it, error)
        it.box.arrived = (*it.chosen.key, thread)
        return await self._done(it, thread)

    async def _letter(self, it: _Round) -> Letter:
        left_out = it.chosen.next.left_out
        said = message(it.chosen.run, it.chosen.event, cluster=it.spec.cluster, left_out=left_out)
        letter = await seal(self.cluster, it.found["metadata"]["namespace"], it.spec, said)
        return replace(letter, thread=it.chosen.told.thread, opens=it.chosen.opens, now=self.clock.now())

    async def _ask(self, channel: Channel, letter: Letter) -> tuple[str | None, bool]:
        """The thread of the letter if it has arrived, as far as the vendor can say; and whether he can."""
        question = channel.question(letter)
        if question is None:
            return None, False
        answer = await self.http.send(question)
        try:
            judge(answer, self.clock.now())
            return channel.found(letter, answer), True
        except (Unsupported, Forbidden, Rejected):
            return None, False

    async def _send(self, channel: Channel, letter: Letter) -> str:
        """Send what the channel makes of a letter; its thread."""
        requests = channel.requests(letter)
        if not requests:
            return ""
        *before, last = requests
        for request in before:
            try:
                answer = await self.http.send(request)
                judge(answer, self.clock.now())
                channel.read(answer)
            except OutcomeUnknown as error:  # it may be repeated, and the letter itself has not been sent
                raise Unavailable(str(error), after=error.after) from None
            except Rejected:
                continue  # what was to be kept up to date is gone: somebody deleted it
        answer = await self.http.send(last)
        judge(answer, self.clock.now())
        return channel.read(answer)

    # -- writing down

    async def _failed(self, it: _Round, error: RolloutError) -> float:
        """It did not arrive, or perhaps it did: again after a growing pause."""
        self.counted(it.box.ref, "failed")
        least = error.after if isinstance(error, Unavailable | OutcomeUnknown) else CLOSED
        wait = max(least, min(PAUSES[0] * 2.0 ** min(it.box.failures, 16), PAUSES[1]))
        it.box.failures += 1
        await self._stand(it.found, Standing.of(error))
        return wait

    async def _intend(self, it: _Round) -> Json:
        """Write down that the message is being sent; the channel with that.

        Raises:
            Conflict: somebody else wrote first.
        """
        told, now, number = it.chosen.told, self.clock.now(), it.chosen.key[1]
        if told.sending is not None and (told.sending.seq, told.sending.by) == (number, self.identity):
            return it.found
        sending = Sending(number, self.identity, now)
        ledger = books.with_line(_ledger(it.found), replace(told, sending=sending))
        return await self._write(it.found, report(it.found, now, ledger))

    async def _done(self, it: _Round, thread: str, standing: Standing = SENT) -> float:
        """Write down that the message is done with."""
        chosen = it.chosen
        told = replace(chosen.told, sending=None)
        told = replace(told, thread=thread) if chosen.opens else replace(told, seq=chosen.event.seq)
        missed = (0 if chosen.opens else chosen.next.too_late) + (not standing.good)
        if not await self._record(it.box, it.spec, it.choice.waiting, [told], missed, standing):
            return EVENTUALLY
        it.box.failures, it.box.arrived = 0, ("", 0, "")
        self.counted(it.box.ref, "sent" if standing.good else "refused")
        return it.channel.pace

    async def _pass(self, box: Box, spec: ChannelSpec, choice: Choice) -> float:
        """Write down what is done with untold, and how much of it should have been told; when to look again."""
        missed = sum(number for _, number in choice.passed)
        if await self._record(box, spec, choice.waiting, [told for told, _ in choice.passed], missed):
            return 0.0
        return EVENTUALLY

    async def _record(
        self,
        box: Box,
        spec: ChannelSpec,
        waiting: tuple[float, ...],
        lines: Sequence[Told],
        missed: int,
        standing: Standing | None = None,
    ) -> bool:
        """Write lines into the ledger, on top of whatever others have written meanwhile; whether it was possible."""
        runs, complete = await covered(self.cluster, box.ref, spec, self.reach)
        for _ in range(AGAIN):
            found = await self.cluster.get(box.ref)
            if found is None:
                return False
            now, ledger = self.clock.now(), _ledger(found)
            for told in lines:
                ledger = books.with_line(ledger, told)
            if complete:
                ledger = books.tidied(ledger, now, waiting, ends(runs))
            with suppress(Conflict):
                await self._write(found, report(found, now, ledger, standing, missed=missed))
                return True
        return False

    async def _stand(self, found: Json, standing: Standing) -> None:
        """Write down how the channel is doing, if that is news."""
        if Standing.in_status(found) == standing:
            return
        with suppress(Conflict):
            await self._write(found, report(found, self.clock.now(), _ledger(found), standing))

    async def _write(self, found: Json, status: Json) -> Json:
        ref = Ref(NOTIFICATION_CHANNEL, found["metadata"]["namespace"], found["metadata"]["name"])
        return await self.cluster.put_status(ref, status, guard_of(found))


def _ledger(found: Json) -> Ledger:
    return books.read(found.get("status") or {}, books.since(found))


def _in_doubt(box: Box, chosen: Chosen) -> Sending | None:
    """Who may have sent this message before."""
    sending = chosen.told.sending
    if sending is None or sending.seq != chosen.key[1] or box.unsent == chosen.key:
        return None
    return sending
