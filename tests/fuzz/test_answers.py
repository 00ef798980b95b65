"""Fuzzing of what others answer: the API server's refusals, its watches, and the metrics."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.adapters.kube.faults import Answer, Intent, fault
from rollout.adapters.kube.transport import Transport
from rollout.adapters.kube.watch import KubeWatcher
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.controller.stores import Stores
from rollout.decide.gates import failure, look
from rollout.decide.seen import Sample
from rollout.errors import RolloutError, Unavailable
from rollout.plan.base import Json
from rollout.plan.gate import Provider
from rollout.plan.kinds import CANARY_PLAN, CONFIGMAP, DEPLOYMENT, NAMESPACE, SECRET, Ref
from rollout.plan.program import CountGate, QueryGate
from rollout.plan.run import GateState
from rollout.ports.metrics import Ask, CountAsk, Reading, ScalarAsk
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told
from tests.kit.builders import SUCCESS
from tests.kit.mutations import VALUES, examples, mutated
from tests.kit.prometheus import FakePrometheus, serving, vector

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


# -- what the metrics answer

COUNT = CountAsk("success", "shop", "web")
SLOW = CountAsk("slow", "shop", "web", slower_than=0.5)
SCALAR = ScalarAsk("q")
QUERY = QueryGate("cart", "q", every=5.0, failures=1, over=1, min=0.5, max=2.0)
SAMPLES = st.sampled_from(
    ["0", "1", "100", "-1", "-1e300", "1e300", "1e999", "NaN", "+Inf", "-Inf", "", "x", "0x10", "١", "1_0", "9" * 5000]
) | st.floats().map(str)


def labels(**more: str) -> dict[str, str]:
    return {"destination_workload_namespace": "shop", "destination_workload": "web", "pod": "a"} | more


SERIES = [
    labels(part="total"),
    labels(part="bad"),
    labels(part="age"),
    labels(part="total", pod="b"),
    labels(part="count", le="+Inf"),
    labels(part="count", le="500"),
    labels(le="500"),
    {},
    {"pod": "a"},
]
VECTORS = st.lists(st.tuples(st.sampled_from(SERIES), SAMPLES), max_size=6).map(vector)
DATA = st.one_of(
    VECTORS,
    VECTORS.flatmap(mutated),
    st.just({"resultType": "scalar", "result": [1700000000.5, "1"]}).flatmap(mutated),
    st.just({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}).flatmap(mutated),
    VALUES,
)
RAW = st.one_of(
    DATA.map(lambda data: json.dumps({"status": "success", "data": data}).encode()),
    DATA.flatmap(lambda data: mutated({"status": "success", "data": data, "warnings": ["w"], "error": "e"})).map(
        lambda body: json.dumps(body).encode()
    ),
    DATA.map(lambda data: json.dumps({"status": "success", "data": data}).encode()[:-4]),
    st.binary(max_size=20),
    st.sampled_from(
        [b"[" * 100_000, b"<html>", b"\xff\xfe", b'{"status":"success","data":{"result":[' + b"1" * 5000 + b"]}}"]
    ),
)
HTTP = st.sampled_from([200] * 8 + [204, 302, 400, 401, 404, 422, 429, 500, 503])
HEAD = st.sampled_from(
    [
        {},
        {},
        {},
        {"Content-Encoding": "gzip"},
        {"Location": "http://["},
        {"Content-Type": "text/html; charset=nonsense"},
    ]
)


async def readings(fake: FakePrometheus, answers: Sequence[tuple[int, bytes, dict[str, str]]]) -> list[Reading]:
    """Each answer is what Prometheus says to everything it is asked."""
    prometheus, found = Prometheus(default=Provider(address=fake.address, timeout="5s")), list[Reading]()
    for code, body, headers in answers:

        async def say(_: web.Request, code: int = code, body: bytes = body, headers: Any = headers) -> web.Response:
            return web.Response(status=code, body=body, headers={"Content-Type": "application/json"} | headers)

        fake.fault = say
        asks: list[Ask] = [COUNT, SLOW, SCALAR]
        answered = await prometheus.ask(asks)
        found += [answered[ask] for ask in asks]
    await prometheus.close()
    return found


def answered(answers: Sequence[tuple[int, bytes, dict[str, str]]]) -> list[Reading]:
    async def everything() -> list[Reading]:
        async with serving() as fake:
            return await readings(fake, answers)

    return asyncio.run(everything())


def sound(reading: Reading) -> None:
    """A reading is a number, counters, or says why not."""
    assert reading.status in ("value", "no-data", "stale", "many", "unknown")
    assert len(reading.detail) < 1000
    if reading.status != "value":
        assert reading.detail
        assert reading.value is None
        assert not reading.pods
    elif reading.value is not None:
        assert math.isfinite(reading.value)
    else:
        assert reading.pods
        for total, bad in reading.pods.values():
            assert 0 <= bad <= total < math.inf


@given(st.lists(st.tuples(HTTP, RAW, HEAD), min_size=1, max_size=4))
@examples(15)
@example([(200, b"[" * 100_000, {})])
@example(
    [(200, json.dumps({"status": "success", "data": vector([(SERIES[0], "1")])}).replace('"a"', "[]").encode(), {})]
)
@example([(200, b'{"status":"success","data":{"result":[{"metric":{},"value":[0,1' + b"0" * 400 + b"]}]}}", {})])
def test_every_answer_is_a_reading(answers: list[tuple[int, bytes, dict[str, str]]]) -> None:
    for reading in answered(answers):
        sound(reading)


@given(st.lists(VECTORS, min_size=1, max_size=5))
@examples(12)
@example([vector([(labels(part="total"), "-5")])])
@example([vector([(labels(part="total"), "+Inf"), (labels(part="bad"), "+Inf")])])
@example([vector([(labels(part="total"), "10"), (labels(part="bad"), "20")])])
def test_every_vector_is_a_reading_that_gates_can_judge(vectors: list[Any]) -> None:
    found = answered([(200, json.dumps({"status": "success", "data": data}).encode(), {}) for data in vectors])
    for gate, of_gate in ((SUCCESS, found[::3]), (QUERY, found[2::3])):
        for reading in of_gate:
            sound(reading)
        _judge(gate, [Sample(r.status, r.query, r.value, r.pods, r.detail) for r in of_gate])


COUNTS = st.integers(0, 500) | st.integers(0, 2**50)
COUNTERS = st.dictionaries(
    st.sampled_from(["a", "b", ""]),
    st.tuples(COUNTS, COUNTS).map(lambda it: (float(max(it)), float(min(it)))),
    min_size=1,
    max_size=3,
).map(lambda pods: Sample("value", "q", pods=pods))
SILENCE = st.sampled_from(
    [Sample("no-data", "q"), Sample("stale", "q"), Sample("many", "q"), Sample("unknown", "q", detail="down")]
)


def _judge(gate: CountGate | QueryGate, samples: Sequence[Sample], *, judged: Sequence[bool] = ()) -> GateState:
    """A gate's looks at samples; what must hold after each of them."""
    state, values = GateState(), 0
    for number, sample in enumerate(samples):
        was = state
        state = look(gate, state, sample, 5.0 * number, judged=judged[number] if judged else True)
        values += sample.status == "value"
        assert 0 <= state.bad <= state.total < math.inf
        assert state.requests >= was.requests
        assert len(state.looks) <= gate.over + 1
        for seen in state.looks:
            assert (seen.value is not None) == (seen.verdict in ("pass", "fail"))
            assert seen.value is None or math.isfinite(seen.value)
            if isinstance(gate, CountGate) and seen.value is not None:
                assert 0 <= seen.value <= 1
        if sample.status != "value":
            assert (state.total, state.bad, state.requests) == (was.total, was.bad, was.requests)
            assert failure([gate], {gate.name: state}) == failure([gate], {gate.name: was})
    if not values:
        assert failure([gate], {gate.name: state}) is None, "no data is not bad data"
    return state


@given(st.lists(st.tuples(COUNTERS | SILENCE, st.booleans()), max_size=12), st.integers(0, 100))
@examples(60)
@example(
    [(Sample("value", "q", pods={"a": (100.0, 0.0)}), True), (Sample("value", "q", pods={"a": (150.0, 60.0)}), True)],
    20,
)
@example(
    [(Sample("value", "q", pods={"a": (100.0, 50.0)}), True), (Sample("value", "q", pods={"a": (110.0, 40.0)}), True)],
    20,
)
def test_shares_stay_shares_whatever_counters_do(answers: list[tuple[Sample, bool]], least: int) -> None:
    gate = replace(SUCCESS, min_requests=least)
    _judge(gate, [sample for sample, _ in answers], judged=[judged for _, judged in answers])


NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Sample("value", "q", value))


@given(st.lists(NUMBERS | SILENCE, max_size=12))
@examples(40)
@example([Sample("value", "q", 0.0), *[Sample("no-data", "q"), Sample("unknown", "q", detail="down")] * 2])
def test_a_query_fails_by_a_number_only(samples: list[Sample]) -> None:
    _judge(QUERY, samples)
