"""Fuzzing of what the API server answers: its refusals and its watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.adapters.kube.faults import Answer, Intent, fault
from rollout.adapters.kube.transport import Transport
from rollout.adapters.kube.watch import KubeWatcher
from rollout.controller.stores import Stores
from rollout.errors import RolloutError, Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, CONFIGMAP, DEPLOYMENT, NAMESPACE, SECRET, Ref
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told
from tests.kit.mutations import VALUES, examples, mutated

pytestmark = pytest.mark.timeout(600)  # a hunt with ROLLOUT_FUZZ takes its time

# -- what the API server answers

CANARY = "hunter2-canary"
SPILLS = [
    f'Invalid value: "{{\\"env\\":\\"{CANARY}\\"}}": must be a number',
    f'Invalid value: {{"env":"{CANARY}"}}: must be a number',
    f'Invalid value: [{{"env":"{CANARY}"}}]: must be a number',
    f'Invalid value: map[string]interface {{}}{{"env":"{CANARY}"}}: must be a number',
    f'Invalid value: v1.EnvVar{{Value:"{CANARY}"}}: must be a number',
    f'Invalid value: "{{\\"env\\":\\"{CANARY}',
]
"""Objects that the API server quotes in its messages."""
STATUS: Json = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "Deployment.apps is invalid",
    "reason": "Invalid",
    "details": {"name": "web", "kind": "deployments", "causes": [{"reason": "X", "message": "m", "field": "spec"}]},
    "code": 422,
}
INTENTS = st.builds(
    Intent,
    st.sampled_from(["get", "list", "watch", "create", "patch", "delete", "review"]),
    st.sampled_from([DEPLOYMENT, CANARY_PLAN, NAMESPACE, None]),
    st.sampled_from(["", "shop"]),
    st.sampled_from(["", "web"]),
    st.sampled_from(["", "status"]),
)
CODES = st.integers(100, 599) | st.sampled_from([400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503, 504])
BODIES = st.one_of(
    mutated(STATUS).map(lambda body: json.dumps(body).encode()),
    mutated(STATUS).map(lambda body: json.dumps(body).encode()[:-3]),
    VALUES.map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=30),
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "Warning"]),
    st.text(max_size=8) | st.sampled_from(["²", "1e3", "9" * 400]),
)


@given(INTENTS, CODES, BODIES, HEADERS)
@examples(80)
@example(Intent("get", DEPLOYMENT, "shop", "web"), 429, b"", {"Retry-After": "²"})
@example(Intent("patch", DEPLOYMENT), 422, json.dumps(STATUS | {"details": [1]}).encode(), {})
@example(Intent("patch", DEPLOYMENT), 422, json.dumps(STATUS | {"details": {"causes": 5}}).encode(), {})
@example(Intent("patch", DEPLOYMENT), 409, json.dumps(STATUS | {"message": {"a": 1}, "reason": []}).encode(), {})
def test_every_refusal_is_one_of_our_errors(intent: Intent, code: int, body: bytes, headers: dict[str, str]) -> None:
    error = fault(intent, Answer(code, body, headers))
    assert isinstance(error, RolloutError)
    assert str(error).startswith("cannot ")
    assert len(str(error)) < 1000
    assert 0 <= getattr(error, "after", 0.0) < 1_000_000


@given(INTENTS, CODES, mutated(STATUS, values=st.just(CANARY)), st.sampled_from(["", *SPILLS]), HEADERS)
@examples(40)
def test_no_refusal_repeats_what_may_be_secret(
    intent: Intent, code: int, body: Json, spill: str, headers: dict[str, str]
) -> None:
    """The server's message is repeated, for that is what it is for; but no object in it, and nothing else."""
    said = body | {"message": f'Deployment "web" is invalid: spec: {spill}'} if isinstance(body, dict) else body
    headers = headers | {"Authorization": CANARY, "Set-Cookie": CANARY}
    error = fault(intent, Answer(code, json.dumps(said).encode(), headers))
    assert CANARY not in f"{error} {error.hint}"


@given(CODES.filter(lambda code: code not in (403, 404)), mutated(STATUS, 1, values=st.just(CANARY)))
@examples(40)
def test_nothing_that_is_said_of_a_secret_is_repeated(code: int, body: Json) -> None:
    error = fault(Intent("create", SECRET, "shop", "db"), Answer(code, json.dumps(body).encode()))
    assert CANARY not in f"{error} {error.hint}"


# -- what a watch tells

SCOPE = Scope(CONFIGMAP, "shop")


def config(name: str, version: int, **meta: Any) -> Json:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    metadata |= {"labels": {"tier": "web"}, "managedFields": [{}]} | meta
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


EVENTS = [
    {"type": "ADDED", "object": config("a", 11)},
    {"type": "MODIFIED", "object": config("a", 12)},
    {"type": "DELETED", "object": config("a", 13)},
    {"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"resourceVersion": "14"}}},
    {"type": "ERROR", "object": STATUS | {"code": 410, "reason": "Expired"}},
    {"type": "ERROR", "object": STATUS},
]
LIST: Json = {
    "kind": "ConfigMapList",
    "apiVersion": "v1",
    "metadata": {"resourceVersion": "10"},
    "items": [config("a", 9)],
}
VERSIONS = VALUES | st.sampled_from(["", "5", "99999999999", "x", "²", 7])
LINES = st.one_of(
    st.sampled_from(EVENTS)
    .flatmap(lambda event: mutated(event, values=VERSIONS))
    .map(lambda it: json.dumps(it).encode()),
    st.sampled_from(EVENTS).map(orjson.dumps),
    st.binary(max_size=20),
    st.sampled_from(
        [b"[" * 2000, b'{"type":"ERROR","object":{"code":1e400}}', b"\xff", b"", b"null", b'{"type":"ADDED"}']
    ),
)


class Wire:
    """A transport whose first list and watch say what a test wants; all later ones are sound, and tell `last`."""

    def __init__(self, page: bytes, chunks: Sequence[bytes], *, cut: bool) -> None:
        self._pages, self._chunks, self._cut = [page], [list(chunks)], cut

    @asynccontextmanager
    async def stream(self, intent: Intent, path: str, *, query: Json, silence: float) -> AsyncIterator[Reel]:
        await asyncio.sleep(0)
        if intent.verb == "list":
            yield Reel([self._pages.pop() if self._pages else orjson.dumps(LIST), b""])
        elif self._chunks:
            yield Reel([*self._chunks.pop(), b""], cut=self._cut)
        else:
            yield Reel([orjson.dumps({"type": "ADDED", "object": config("last", 10**12)}) + b"\n"])


class Reel:
    """What one answer sends, and how it ends."""

    def __init__(self, chunks: list[bytes], *, cut: bool = False) -> None:
        self._chunks, self._cut = chunks, cut

    async def read(self) -> bytes:
        if self._cut and self._chunks == [b""]:
            raise Unavailable("the connection broke")
        return self._chunks.pop(0)


async def heard(wire: Wire) -> list[Told]:
    """All that a watch tells until the object `last` is there, each message taken by a store."""
    stores, told = Stores([SCOPE], {}), list[Told]()

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    async for one in KubeWatcher(cast("Transport", wire), sleep=sleep).watch(SCOPE):
        told.append(one)
        stores.take(SCOPE, one)
        store = stores.of(CONFIGMAP, "shop")
        if store and store.get(Ref(CONFIGMAP, "shop", "last")):
            return told
        assert len(told) < 1000, "it never gets further"
    raise AssertionError("a watch never ends")


@given(st.lists(LINES, max_size=4), st.lists(st.integers(1, 60), max_size=4), st.booleans())
@examples(60)
@example([b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"11"}}}'], [], False)
@example([b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":11}}}'], [], False)
@example([b'{"type":"ERROR","object":{"code":1e400}}'], [], False)
def test_whatever_a_watch_sends_it_is_blind_at_most(lines: list[bytes], cuts: list[int], cut: bool) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    chunks: list[bytes] = []
    for size in cuts:
        chunks, stream = [*chunks, stream[:size]], stream[size:]
    chunks = [chunk for chunk in [*chunks, stream] if chunk]
    told = asyncio.run(heard(Wire(orjson.dumps(LIST), chunks, cut=cut)))
    assert isinstance(told[0], Listed)
    for one in told:
        assert isinstance(one, Listed | Put | Gone | Blind | Seeing)


@given(mutated(LIST, values=VERSIONS).map(lambda body: json.dumps(body).encode()) | BODIES)
@examples(40)
@example(json.dumps(LIST | {"metadata": {"resourceVersion": 5}}).encode())
@example(json.dumps(LIST | {"items": [{"metadata": {}}]}).encode())
@example(json.dumps(LIST | {"metadata": {"resourceVersion": "5", "continue": {}}}).encode())
def test_whatever_a_list_says_it_is_read_again(page: bytes) -> None:
    told = asyncio.run(heard(Wire(page, [], cut=False)))
    assert any(isinstance(one, Listed) for one in told)
