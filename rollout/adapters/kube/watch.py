"""`KubeWatcher`: the port `Watcher` on a real API server: a list, then a watch from its version, for ever.

    list ──> watch ──> ends by itself ──> watch from the last version seen
               │  └──> breaks ──> Blind, a pause ──> watch from the last version seen ──> Seeing
               └─────> the version is too old (410) ──> list

Every list is a consistent snapshot, read in pages: one that may come from anywhere in the past (`resourceVersion=0`)
could show a restarted controller the time before its last writes, and would come in one piece, whatever its size.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from rollout.adapters.kube.faults import Answer, Busy, Expired, Intent, fault
from rollout.adapters.kube.paths import collection_path
from rollout.adapters.kube.transport import Stream, Transport
from rollout.errors import RolloutError, Terminal, Unavailable, Unsupported
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told

CHUNK: Final = 500
"""Objects per page of a list."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a watch is; everything in seconds."""

    silence: float = 150.0
    """A connection without a byte for so long is dead: bookmarks come every minute or two."""
    answer: float = 65.0
    """A list of which nothing comes for so long is lost: the API server gives up after a minute itself."""
    shortest: float = 300.0
    longest: float = 600.0
    """The API server is asked to end a watch after a random time between these, so that the load can move on."""
    first: float = 1.0
    most: float = 30.0
    """A pause is a random share of `first`, doubled with each failure in a row, up to `most`."""
    slow: float = 30.0
    """About so long until the next try when somebody has to change something: rights, or a kind that is not served."""
    steady: float = 10.0
    """A watch that lasted so long, or told something, was no failure, however it ended."""
    verdict: float = 1.0
    """So long after it opened, a watch that has not refused our version has accepted it."""


class KubeWatcher:
    """Watches through one transport. `sleep` and `luck` are for tests."""

    def __init__(
        self,
        transport: Transport,
        pace: Pace | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        luck: random.Random | None = None,
    ) -> None:
        self._transport = transport
        self._pace = pace or Pace()
        self._sleep = sleep
        self._luck = luck or random.Random()  # noqa: S311 - spreads load, keeps no secret

    async def watch(self, scope: Scope) -> AsyncGenerator[Told]:
        """See `ports.watch.Watcher.watch`."""
        watch = _Watch(scope, self._pace, self._luck)
        while True:
            try:
                if not watch.version:
                    yield watch.listed(*await self._list(scope))
                path, query = collection_path(scope.kind, scope.namespace), watch.query()
                async with self._transport.stream(
                    watch.intent, path, query=query, silence=self._pace.silence
                ) as stream:
                    watch.opened()
                    chunk = await (self._first(stream) if watch.blind else stream.read())
                    while chunk:
                        for told in watch.read(chunk):
                            yield told
                        chunk = await stream.read()
                watch.ended()
                continue
            except RolloutError as caught:
                error = caught
            if (news := watch.broke(error)) is not None:
                yield news
            await self._sleep(watch.pause(error))

    async def _first(self, stream: Stream) -> bytes:
        """What comes first, or an empty line: an API server that has forgotten our version says so at once."""
        try:
            async with asyncio.timeout(self._pace.verdict):
                return await stream.read()
        except TimeoutError:
            return b"\n"

    async def _list(self, scope: Scope) -> tuple[tuple[Json, ...], str]:
        """All objects of the scope in pages of one snapshot, and its version."""
        query = {"limit": str(CHUNK)} | ({"labelSelector": scope.selector} if scope.selector else {})
        objects: list[Json] = []
        while True:
            try:
                items, meta = await self._page(scope, query)
            except Expired:
                if "continue" not in query:
                    raise
                # the snapshot was gone before its last page was read: this time in one piece
                objects, query = [], {key: query[key] for key in query if key == "labelSelector"}
                continue
            objects += items
            if not meta.get("continue"):
                return tuple(objects), meta["resourceVersion"]
            query["continue"] = meta["continue"]

    async def _page(self, scope: Scope, query: dict[str, str]) -> tuple[list[Json], dict[str, str]]:
        """The objects and the metadata of one page. As a stream: it may take its time, as long as something comes."""
        kind, chunks = scope.kind, []
        intent, path = Intent("list", kind, scope.namespace), collection_path(kind, scope.namespace)
        async with self._transport.stream(intent, path, query=query, silence=self._pace.answer) as stream:
            while chunk := await stream.read():
                chunks.append(chunk)
        try:
            page = orjson.loads(b"".join(chunks))
            items, more = page.get("items") or [], str(page["metadata"].get("continue") or "")
            # items of built-in kinds come without their type, although each object by itself has it
            whole = [_sound({"apiVersion": kind.api_version, "kind": kind.name, **item}, kind) for item in items]
            return whole, {"resourceVersion": _version(page["metadata"]), "continue": more}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _strange(intent) from None


class _Watch:
    """Where one watch is, and what that means for who listens."""

    def __init__(self, scope: Scope, pace: Pace, luck: random.Random) -> None:
        self.intent = Intent("watch", scope.kind, scope.namespace)
        self.version = ""
        """Where to go on; empty: list first."""
        self.blind = False
        self._why: type[RolloutError] = RolloutError
        """Of what sort the error was by which it is blind."""
        self._scope, self._pace, self._luck = scope, pace, luck
        self._served = True
        self._failures = 0
        self._opened: float | None = None
        self._heard = False
        self._line: list[bytes] = []
        """The pieces of a line whose end has not come yet."""

    def query(self) -> dict[str, str]:
        """Of the request that goes on from our version."""
        seconds = self._luck.uniform(self._pace.shortest, self._pace.longest)
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": self.version}
        query["timeoutSeconds"] = str(max(1, round(seconds)))
        return query | ({"labelSelector": self._scope.selector} if self._scope.selector else {})

    def listed(self, objects: tuple[Json, ...], version: str) -> Listed:
        """A list came."""
        self.version, self.blind, self._served = version, False, True
        return Listed(objects, version=version)

    def opened(self) -> None:
        """The API server accepted the request."""
        self._opened, self._heard = _time(), False
        self._line.clear()

    def read(self, chunk: bytes) -> Iterator[Told]:
        """What a chunk of the stream tells.

        Raises:
            RolloutError: an event of the type ERROR, or one that is none.
        """
        first, *more = chunk.split(b"\n")
        self._line.append(first)
        for piece in more:
            line = b"".join(self._line) if len(self._line) > 1 else self._line[0]
            self._line = [piece]
            told = self._event(line) if line else None
            if self.blind:
                self.blind = False
                yield Seeing()
            if told is not None:
                yield told

    def _event(self, line: bytes) -> Told | None:
        try:
            event = orjson.loads(line)
            what, obj = event["type"], event["object"]
            if what == "ERROR":
                code = obj.get("code")
                raise fault(self.intent, Answer(code if isinstance(code, int) else 500, orjson.dumps(obj)))
            meta = obj["metadata"]
            version = _version(meta)
            told: Told | None = None
            if what in ("ADDED", "MODIFIED"):
                told = Put(_sound(obj, self._scope.kind))
            elif what == "DELETED":
                meta = _sound(obj, self._scope.kind)["metadata"]
                told = Gone(Ref(self._scope.kind, meta.get("namespace", ""), meta["name"]), meta["uid"], version)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _strange(self.intent) from None
        self.version, self._heard = version, True
        return told

    def ended(self) -> None:
        """The stream came to its orderly end.

        Raises:
            Unavailable: it did so at once, without a word.
        """
        if not self._heard and self._lasted() < self._pace.verdict:
            raise Unavailable(f"cannot {self.intent}: the API server ends the watch as soon as it begins")
        self._failures, self._opened = 0, None

    def broke(self, error: RolloutError) -> Told | None:
        """The list or the watch failed; what is to be told of it."""
        if self._opened is not None and (self._heard or self._lasted() >= self._pace.steady):
            self._failures = 0
        self._failures += 1
        self._opened = None
        if isinstance(error, Expired) and self.version:
            self.version = ""
            return None
        if isinstance(error, Unsupported):
            known, self.version = not self._served and not self.blind, ""
            self._served = self.blind = False
            return None if known else Listed((), served=False)
        if self.blind and isinstance(error, Terminal) == issubclass(self._why, Terminal):
            return None
        self.blind, self._why = True, type(error)
        return Blind(error)

    def pause(self, error: RolloutError) -> float:
        """Seconds until the next try: full jitter, so that many clients do not come back at the same moment."""
        if isinstance(error, Terminal):
            return self._pace.slow * self._luck.uniform(0.8, 1.2)
        if isinstance(error, Expired) and self._failures == 1:
            return 0.0
        asked = error.after if isinstance(error, Busy) else 0.0
        doubled = self._pace.first * 2.0 ** min(self._failures - 1, 30)
        return asked + self._luck.uniform(0.0, min(self._pace.most, doubled))

    def _lasted(self) -> float:
        return 0.0 if self._opened is None else _time() - self._opened


def _version(meta: Json) -> str:
    """A resourceVersion: a number in a text, by which one can tell what is newer.

    Raises:
        ValueError: it is something else.
    """
    version = meta["resourceVersion"]
    if not (isinstance(version, str) and version.isascii() and version.isdecimal()):
        raise ValueError("no resourceVersion")
    return version


def _sound(obj: Json, kind: Kind) -> Json:
    """The object without its managedFields, if it is one of this kind and can be told from others.

    Raises:
        ValueError, TypeError, AttributeError: it is not.
    """
    meta = obj["metadata"]
    meta.pop("managedFields", None)
    _version(meta)
    named = all(isinstance(meta[key], str) and meta[key] for key in ("name", "uid"))
    spaced = isinstance(meta.get("namespace", ""), str) and bool(meta.get("namespace")) == kind.namespaced
    told = all(isinstance(text, str) for pair in (meta.get("labels") or {}).items() for text in pair)
    if not (named and spaced and told and (obj["apiVersion"], obj["kind"]) == (kind.api_version, kind.name)):
        raise ValueError("no object of this kind")
    return obj


def _time() -> float:
    return asyncio.get_running_loop().time()


def _strange(intent: Intent) -> Unavailable:
    return Unavailable(
        f"cannot {intent}: the answer is not what an API server says", hint="check the server's address, and proxies"
    )
