"""Fuzzing of what the metrics answer, and of what gates make of it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from rollout.adapters.metrics.prometheus import Prometheus
from rollout.decide.gates import failure, look
from rollout.decide.seen import Sample
from rollout.plan.gate import Provider
from rollout.plan.program import CountGate, QueryGate
from rollout.plan.run import GateState
from rollout.ports.metrics import Ask, CountAsk, Reading, ScalarAsk
from tests.kit.builders import SUCCESS
from tests.kit.mutations import VALUES, examples, mutated
from tests.kit.prometheus import FakePrometheus, serving, vector

pytestmark = pytest.mark.timeout(600)  # a hunt with ROLLOUT_FUZZ takes its time

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
