"""notify test: what a channel would send about an event; with --send it is sent, and said what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.text import Text

from rollout.cli.exit import Code, UsageError, of_error
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render.words import BAD, GOOD, columns, lines
from rollout.cli.session import Session, connected
from rollout.decide.reason import Reason
from rollout.errors import InvalidInput, NotFound, RolloutError
from rollout.notify.composing import Sealed, seal
from rollout.notify.happenings import REASONS, Happening
from rollout.notify.message import message
from rollout.notify.verdict import judge
from rollout.plan.base import Json
from rollout.plan.gate import SecretKey
from rollout.plan.kinds import NOTIFICATION_CHANNEL, Ref
from rollout.plan.mistakes import closest
from rollout.ports.channel import Channel, Http, Letter, Request

_CALM: Final = frozenset(
    {*(Reason.STARTED, Reason.WEIGHT_SET, Reason.STEP_PASSED, Reason.APPROVAL_NEEDED, Reason.APPROVED), Reason.CLEARED}
    | {*(Reason.RESUMED, Reason.RETRIED, Reason.SKIPPED, Reason.RELEASED, Reason.PROMOTED, Reason.ADOPTED)}
    | {"Aborted", "Superseded"}
)
"""Reasons that are no warnings."""
_HIDDEN: Final = frozenset({"authorization", "webhook-signature"})
"""Headers that hold or prove a secret."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a channel would send, or has sent."""

    name: str
    type: str
    requests: tuple[Request, ...] = ()
    outcome: str = "shown"
    """`shown`, `sent` or `failed`."""
    problem: str = ""
    code: Code = Code.GOOD


def test(common: Common, name: str | None, *, event: str, send: bool) -> int:
    """Try one channel of the namespace, or all."""
    if event not in REASONS:
        raise UsageError(f"no event has the reason {event}", hint=closest(event, REASONS))
    return asyncio.run(_test(common, name, event, send=send))


async def _test(common: Common, name: str | None, event: str, *, send: bool) -> int:
    async with connected(common) as session:
        tried = [await _try(session, found, event, send=send) for found in await _channels(session, name)]
    Printer(common).emit(
        lambda: {"channels": [_json(it) for it in tried]}, lambda: _text(tried, send=send), [it.name for it in tried]
    )
    return max((it.code for it in tried), default=Code.GOOD)


async def _channels(session: Session, name: str | None) -> list[Json]:
    """The channels that are meant.

    Raises:
        NotFound: there is none.
    """
    cluster, namespace = session.world.cluster, session.namespace
    if name is None:
        found = await cluster.list(NOTIFICATION_CHANNEL, namespace)
    else:
        one = await cluster.get(Ref(NOTIFICATION_CHANNEL, namespace, name))
        found = [] if one is None else [one]
    if not found:
        what = f"no channel {name}" if name else "no channel"
        raise NotFound(f"there is {what} in {namespace}", hint=f"kubectl get nchan -n {namespace}")
    return found


async def _try(session: Session, found: Json, event: str, *, send: bool) -> Tried:
    name, world = found["metadata"]["name"], session.world
    sealed = Sealed.of(found, world.channels, session.home)
    if sealed.problem:
        return Tried(name, sealed.spec.type, problem=sealed.problem, outcome="failed", code=Code.HELD)
    channel, now = world.channels[sealed.spec.type], world.clock.now()
    said = message(_example(session.namespace, event, now), _happening(event, now), cluster=sealed.spec.cluster)
    letter = replace(Letter(said, sealed.spec), now=now)
    shown = tuple(request for it in _letters(channel, _masked(letter)) for request in channel.requests(it))
    tried = Tried(name, sealed.spec.type, shown)
    if not send:
        return tried
    try:
        full = await seal(world.cluster, session.namespace, sealed.spec, said)
        if world.http is None:
            raise InvalidInput("nothing can be sent from here")
        await _send(world.http, channel, replace(full, now=now))
    except RolloutError as error:
        problem = f"{error}; {error.hint}".rstrip("; ")
        return replace(tried, outcome="failed", problem=problem, code=of_error(error))
    return replace(tried, outcome="sent")


async def _send(http: Http, channel: Channel, letter: Letter) -> None:
    """Send it as the controller would, the message that opens a thread before it."""
    thread = ""
    for it in _letters(channel, letter):
        for request in channel.requests(replace(it, thread=thread)):
            answer = await http.send(request)
            judge(answer, letter.now)
            said = channel.read(answer)
        thread = said if it.opens else thread


def _letters(channel: Channel, letter: Letter) -> list[Letter]:
    if not channel.threaded:
        return [letter]
    return [replace(letter, opens=True), replace(letter, thread="<channel>:<message>")]


def _masked(letter: Letter) -> Letter:
    """The letter with the names of its Secrets instead of what they hold."""

    def named(key: SecretKey | None) -> str:
        return f"<Secret {key.name}/{key.key}>" if key is not None else ""

    spec = letter.spec
    address = spec.address or named(spec.address_from)
    return replace(letter, address=address, token=named(spec.token), signature=named(spec.signature))


def _happening(event: str, now: float) -> Happening:
    text = "this is a test by rollout notify: nothing has happened"
    return Happening(1, now, event, text, warning=event not in _CALM)


def _example(namespace: str, event: str, now: float) -> Json:
    """A run that there is not. Its UID is new each time, or receivers would know the test again."""
    note = {"at": now, "reason": event, "message": "a test", "warning": event not in _CALM}
    images = {"stableImages": {"app": "example/web:1.0"}, "images": {"app": "example/web:1.1"}}
    return {
        "metadata": {"name": "example-1", "namespace": namespace, "uid": f"test-{now:.3f}"},
        "spec": {"plan": "example", "planKind": "CanaryPlan", "revision": images, "startedBy": "rollout notify test"},
        "status": {"phase": "Progressing", "step": "2/5", "weight": 10.0, "state": {"notes": [note]}},
    }


def _json(tried: Tried) -> Json:
    return {
        "name": tried.name,
        "type": tried.type,
        "outcome": tried.outcome,
        **({"problem": tried.problem} if tried.problem else {}),
        "requests": [
            {"method": it.method, "url": it.url, "headers": _headers(it), "body": json.loads(it.body)}
            for it in tried.requests
        ],
    }


def _headers(request: Request) -> dict[str, str]:
    return {name: "<hidden>" if name.lower() in _HIDDEN else said for name, said in request.headers.items()}


def _text(tried: Sequence[Tried], *, send: bool) -> Text:
    shown: list[Text] = []
    for it in tried:
        if it.problem:
            shown.append(columns([(BAD, f"{it.name} ({it.type}): {it.problem}")], gap=" ")[0])
            continue
        if send:
            shown.append(columns([(GOOD, f"{it.name} ({it.type}): sent")], gap=" ")[0])
            continue
        shown.append(Text(f"{it.name} ({it.type}) would send:"))
        for request in it.requests:
            shown.append(Text(f"  {request.method} {request.url}"))
            shown += [Text(f"  {name}: {said}") for name, said in _headers(request).items()]
            body = json.dumps(json.loads(request.body), indent=2, ensure_ascii=False)
            shown += [Text(f"  {line}") for line in body.splitlines()]
        if not it.requests:
            shown.append(Text("  nothing: this event is no news there"))
    return lines(shown)
