"""Hooks by HTTP.

What a plan's author writes makes the controller send a request from where *it* stands in the network.  So: POST only,
no redirect is followed, no answer of a good status is quoted and of others a short piece, the addresses by which clouds
give credentials to machines are refused (by who sends: only he knows where a name leads), and whatever came out of a
Secret is struck out of what is quoted.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import orjson

from rollout.decide.seen import HookAnswer
from rollout.errors import RolloutError
from rollout.notify.composing import secret
from rollout.plan.base import spell
from rollout.plan.called import HttpCall
from rollout.ports.channel import Http, Request
from rollout.ports.cluster import Cluster
from rollout.ports.hidden import WORD, Hidden
from rollout.ports.hooks import Call

QUOTED: Final = 200
"""Characters of an answer that are quoted, at most."""
LONGEST: Final = 3600.0
"""Seconds that one try may take, at most."""
KEY: Final = "Idempotency-Key"
"""The header by which a receiver knows a call that comes again."""


@dataclass(slots=True)
class _Sent:
    """The latest call of one hook of one run."""

    number: int
    task: asyncio.Task[HookAnswer]


@dataclass(slots=True)
class HttpCalls:
    """Makes calls by HTTP. What is under way is only in memory: after a restart it is absent."""

    cluster: Cluster
    http: Http
    _sent: dict[tuple[str, str], _Sent] = field(default_factory=dict)

    async def begin(self, call: Call) -> None:
        """See `ports.hooks.Hooks.begin`."""
        known = self._sent.get(_key(call))
        if known is not None and known.number == call.number:
            return
        await self.end(call)
        self._sent[_key(call)] = _Sent(call.number, asyncio.create_task(self._make(call)))

    async def look(self, call: Call) -> HookAnswer:
        """See `ports.hooks.Hooks.look`."""
        known = self._sent.get(_key(call))
        if known is None or known.number != call.number:
            return HookAnswer("absent")
        return known.task.result() if known.task.done() else HookAnswer("running")

    async def end(self, call: Call) -> None:
        """See `ports.hooks.Hooks.end`."""
        await _given_up(self._sent.pop(_key(call), None))

    async def close(self) -> None:
        """Give up what is under way."""
        for key in list(self._sent):
            await _given_up(self._sent.pop(key))

    async def _make(self, call: Call) -> HookAnswer:
        """Send it, and say what the answer means."""
        how = call.hook.how
        assert isinstance(how, HttpCall), "see Calls"
        hidden = Hidden()
        try:
            request = await self._request(call, how, hidden)
            async with asyncio.timeout(call.hook.timeout):
                answer = await self.http.send(request)
        except TimeoutError:
            return HookAnswer("failed", f"no answer within {spell(call.hook.timeout)}")
        except RolloutError as error:
            return HookAnswer("failed", hidden.struck(f"{error} {error.hint}".strip()))
        if 200 <= answer.status < 300:
            return HookAnswer("passed", f"it answered {answer.status}")
        said = hidden.quoted(answer.body, QUOTED)
        return HookAnswer("failed", f"it answered {answer.status}{f': {said}' if said else ''}")

    async def _request(self, call: Call, how: HttpCall, hidden: Hidden) -> Request:
        """The request, complete; `hidden` gets what must not be quoted."""
        namespace = call.run.namespace
        url = how.url
        if how.url_from is not None:
            url = await secret(self.cluster, namespace, how.url_from)
        hidden.add_url(url, secret=how.url_from is not None)
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "rollout"}
        for header in how.headers:
            value = header.value
            if header.value_from is not None:
                value = await secret(self.cluster, namespace, header.value_from)
                hidden.add(value)
            else:
                hidden.add(value, least=WORD)
            headers[header.name] = value
        return Request(url, orjson.dumps(dict(call.body)), {**headers, KEY: call.id})


def _key(call: Call) -> tuple[str, str]:
    return call.uid, call.hook.name


async def _given_up(sent: _Sent | None) -> None:
    if sent is not None:
        sent.task.cancel()
        with suppress(asyncio.CancelledError):
            await sent.task
