"""The Prometheus adapter against a local server: what is counted, what is not data, and what is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.metrics import counts, past, promql
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.metrics.server import RangeSeries
from rollout.plan.gate import MetricLabels, Provider
from rollout.ports.metrics import Ask, CountAsk, PastAsk, Reading, ScalarAsk, Series
from tests.kit.prometheus import FakePod, FakePrometheus, Fault, hangs, hangs_up, refuses, vector

WEB = CountAsk("success", "shop", "web")
SLOW = CountAsk("slow", "shop", "web", slower_than=0.5)


@pytest.fixture
async def prometheus(fake_prometheus: FakePrometheus) -> AsyncIterator[Prometheus]:
    metrics = Prometheus(default=Provider(address=fake_prometheus.address, timeout="2s"))
    yield metrics
    await metrics.close()


async def ask(prometheus: Prometheus, question: Ask) -> Reading:
    return (await prometheus.ask([question]))[question]


# -- counters


async def test_counters_come_by_pod(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, 3), ("shop", "web", "b"): FakePod(50, 1)}
    reading = await ask(prometheus, WEB)
    assert reading.status == "value"
    assert reading.pods == {"a": (100.0, 3.0), "b": (50.0, 1.0)}


async def test_no_series_of_errors_means_no_errors(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100)}
    assert (await ask(prometheus, WEB)).pods == {"a": (100.0, 0.0)}


async def test_no_series_at_all_is_no_data(prometheus: Prometheus) -> None:
    reading = await ask(prometheus, WEB)
    assert reading.status == "no-data"
    assert "web in shop" in reading.detail


async def test_the_query_for_people_is_about_one_workload(prometheus: Prometheus) -> None:
    reading = await ask(prometheus, WEB)
    assert reading.query == (
        'sum by (pod,response_code) (istio_requests_total{reporter="destination",'
        'destination_workload_namespace="shop",destination_workload="web"})'
    )


async def test_a_workload_is_stale_only_when_all_its_pods_are(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    dead, alive = ("shop", "web", "dead"), ("shop", "web", "alive")
    fake_prometheus.pods = {dead: FakePod(100, age=200), alive: FakePod(50, age=5)}
    assert (await ask(prometheus, WEB)).status == "value"
    fake_prometheus.pods[alive].age = 90
    reading = await ask(prometheus, WEB)
    assert reading.status == "stale"
    assert "90 s" in reading.detail


async def test_a_mesh_without_pod_labels_is_counted_as_one(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.pods = {("shop", "web", ""): FakePod(100, 2)}
    fake_prometheus.pod_label = False
    reading = await ask(prometheus, WEB)
    assert reading.pods == {"": (100.0, 2.0)}
    assert "no label pod" in reading.detail


async def test_a_hundred_workloads_are_one_query(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    asks = [CountAsk("success", "shop", f"web-{number}") for number in range(counts.CHUNK)]
    fake_prometheus.pods = {("shop", a.workload, "p"): FakePod(number) for number, a in enumerate(asks)}
    readings = await prometheus.ask([*asks, *asks])
    assert [readings[a].pods["p"][0] for a in asks] == list(range(counts.CHUNK))
    assert len(fake_prometheus.queries) == 1


async def test_more_workloads_are_asked_in_chunks(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    asks = [CountAsk("success", "shop", f"web-{number}") for number in range(counts.CHUNK + 1)]
    assert len(await prometheus.ask(asks)) == counts.CHUNK + 1
    assert len(fake_prometheus.queries) == 2


async def test_workloads_of_the_same_name_are_told_apart_by_namespace(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(1), ("bank", "web", "b"): FakePod(2)}
    bank = CountAsk("success", "bank", "web", provider_namespace="bank")
    readings = await prometheus.ask([WEB, bank])
    assert (readings[WEB].pods, readings[bank].pods) == ({"a": (1.0, 0.0)}, {"b": (2.0, 0.0)})
    assert len(fake_prometheus.queries) == 1


@given(st.data())
def test_the_order_of_series_does_not_matter(data: st.DataObject) -> None:
    """Of counters, of buckets whose edge is spelled in two ways, and of the past."""
    where = {"destination_workload_namespace": "shop", "destination_workload": "web"}
    pods = {"a": (100.0, 3.0, 7.0), "b": (50.0, 0.0, 2.0), "c": (7.0, 7.0, 0.0)}
    parts = [
        ({"pod": pod, **part}, value)
        for pod, (total, bad, slow) in pods.items()
        for part, value in (
            ({"part": "total"}, total),
            ({"part": "bad"}, bad),
            ({"part": "age"}, 1.0),
            ({"part": "count", "le": "500"}, total - slow),
            ({"part": "count", "le": "500.0"}, total - slow),
            ({"part": "count", "le": "+Inf"}, total),
        )
    ]
    edges = [Series({**where, "le": le}, 1.0) for le in ("250", "500", "500.0", "+Inf")]

    async def query(text: str) -> list[Series]:
        found = edges if text.startswith("group") else [Series({**where, **labels}, value) for labels, value in parts]
        return data.draw(st.permutations(found))

    async def ranges(_: str, start: float, __: float, ___: float) -> list[RangeSeries]:
        found = [RangeSeries(labels, ((start, value), (start + 15, 2 * value))) for labels, value in parts]
        return data.draw(st.permutations(found))

    async def answers() -> tuple[Reading, ...]:
        asks, pasts, cache = (WEB, SLOW), (PastAsk(WEB, 0.0, 15.0), PastAsk(SLOW, 0.0, 15.0)), counts.EdgeCache()
        now = await counts.answer(query, asks, cache, 60.0)
        before = await past.answer(query, ranges, pasts, cache)
        return (*(now[one] for one in asks), *(before[one] for one in pasts))

    success, slow, earlier, slower = asyncio.run(answers())
    assert success.pods == {"a": (100.0, 3.0), "b": (50.0, 0.0), "c": (7.0, 7.0)}
    assert (slow.pods, slow.edge) == ({"a": (100.0, 7.0), "b": (50.0, 2.0), "c": (7.0, 0.0)}, 0.5)
    assert earlier.past["a"] == ((0.0, 100.0, 3.0), (15.0, 200.0, 6.0))
    assert slower.past["b"] == ((0.0, 50.0, 2.0), (15.0, 100.0, 4.0))


# -- latency


async def test_slow_requests_are_those_above_the_next_edge(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, slower={"250": 30, "500": 10, "1000": 1})}
    exact = await ask(prometheus, SLOW)
    assert (exact.status, exact.pods, exact.edge, exact.detail) == ("value", {"a": (100.0, 10.0)}, 0.5, "")
    between = await ask(prometheus, CountAsk("slow", "shop", "web", slower_than=0.3))
    assert (between.pods, between.edge) == ({"a": (100.0, 10.0)}, 0.5)
    assert "no edge at 0.3 s" in between.detail


@pytest.mark.parametrize("spelling", ["500", "500.0", "5e+02"])
async def test_edges_are_numbers_however_they_are_spelled(
    prometheus: Prometheus, fake_prometheus: FakePrometheus, spelling: str
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, slower={spelling: 10})}
    assert (await ask(prometheus, SLOW)).pods == {"a": (100.0, 10.0)}


async def test_two_spellings_of_one_edge_are_not_added_up(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, slower={"500": 12, "500.0": 10})}
    assert (await ask(prometheus, SLOW)).pods == {"a": (100.0, 10.0)}


async def test_a_pod_with_other_edges_is_left_out_rather_than_called_slow(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.pods = {
        ("shop", "web", "a"): FakePod(100, slower={"500": 10}),
        ("shop", "web", "b"): FakePod(100, slower={"700": 0}),
    }
    assert (await ask(prometheus, SLOW)).pods == {"a": (100.0, 10.0)}


async def test_an_edge_that_is_no_number_is_passed_over(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, slower={"nonsense": 1, "500": 10})}
    assert (await ask(prometheus, SLOW)).edge == 0.5


async def test_a_limit_above_every_edge_is_explained(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, slower={"500": 10})}
    reading = await ask(prometheus, CountAsk("slow", "shop", "web", slower_than=60))
    assert reading.status == "unknown"
    assert "the highest is 0.5 s" in reading.detail


async def test_edges_are_learned_once(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100, slower={"500": 10})}
    for _ in range(3):
        await ask(prometheus, SLOW)
    assert [query.startswith("group by") for query in fake_prometheus.queries] == [True, False, False, False]


async def test_a_workload_without_histogram_is_no_data(prometheus: Prometheus) -> None:
    assert (await ask(prometheus, SLOW)).status == "no-data"


# -- scalars


@pytest.mark.parametrize(
    ("data", "status", "value"),
    [
        (vector([({}, "0.25")]), "value", 0.25),
        (vector([({"pod": "a"}, "3")]), "value", 3.0),
        ({"resultType": "scalar", "result": [1700000000, "7"]}, "value", 7.0),
        (vector([]), "no-data", None),
        (vector([({}, "NaN")]), "no-data", None),
        (vector([({}, "+Inf")]), "no-data", None),
        ({"resultType": "scalar", "result": [1700000000, "NaN"]}, "no-data", None),
        (vector([({"pod": "a"}, "1"), ({"pod": "b"}, "2")]), "many", None),
        ({"resultType": "string", "result": [1700000000, "hello"]}, "unknown", None),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}, "unknown", None),
        ({"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}, "unknown", None),
        ("nonsense", "unknown", None),
        (None, "unknown", None),
    ],
)
async def test_one_number_is_told_from_everything_else(
    prometheus: Prometheus, fake_prometheus: FakePrometheus, data: object, status: str, value: float | None
) -> None:
    fake_prometheus.answers["q"] = data
    reading = await ask(prometheus, ScalarAsk("q"))
    assert (reading.status, reading.value, reading.query) == (status, value, "q")
    assert bool(reading.detail) == (status != "value")


async def test_several_series_are_named_by_what_differs(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    fake_prometheus.answers["q"] = vector([({"app": "x", "pod": "a"}, "1"), ({"app": "x", "pod": "b"}, "2")])
    assert "2 series that differ in pod:" in (await ask(prometheus, ScalarAsk("q"))).detail


async def test_the_same_question_is_asked_once(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    await prometheus.ask([ScalarAsk("q"), ScalarAsk("q"), ScalarAsk("r")])
    assert sorted(fake_prometheus.queries) == ["q", "r"]


async def test_a_long_query_does_not_travel_in_the_url(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    query = "x" * 20_000
    fake_prometheus.answers[query] = vector([({}, "1")])
    assert (await ask(prometheus, ScalarAsk(query))).value == 1.0


# -- faults


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (refuses(503), "HTTP 503"),
        (refuses(422, "too many samples"), "HTTP 422: too many samples"),
        (refuses(400, "parse error: " + "x" * 5000), "parse error"),
        (refuses(502, text="<html>bad gateway</html>"), "HTTP 502"),
        (refuses(200, text="<html>log in</html>"), "not as Prometheus"),
        (hangs, "no answer within 0.2 s"),
        (hangs_up, "no connection"),
    ],
)
@pytest.mark.parametrize("question", [WEB, SLOW, ScalarAsk("q")])
async def test_every_outage_is_a_reading_that_says_which(
    fake_prometheus: FakePrometheus, fault: Fault, says: str, question: Ask
) -> None:
    fake_prometheus.fault = fault
    prometheus = Prometheus(default=Provider(address=fake_prometheus.address, timeout="200ms"))
    reading = await ask(prometheus, question)
    await prometheus.close()
    assert reading.status == "unknown"
    assert says in reading.detail
    assert len(reading.detail) < 400
    assert len(fake_prometheus.queries) == 1


async def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    prometheus = Prometheus(default=Provider(address=f"http://127.0.0.1:{unused_tcp_port}"))
    reading = await prometheus.check()
    await prometheus.close()
    assert (reading.status, reading.detail) == ("unknown", f"http://127.0.0.1:{unused_tcp_port}: no connection")


async def test_a_partial_answer_is_no_answer(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100)}
    fake_prometheus.warnings = ["store 10.0.0.7 is down"]
    reading = await ask(prometheus, WEB)
    assert reading.status == "unknown"
    assert "store 10.0.0.7 is down" in reading.detail


@pytest.mark.parametrize(("partial", "status"), [(True, "unknown"), (False, "value")])
async def test_what_victoriametrics_says_of_its_storage_nodes_is_heard(
    prometheus: Prometheus, fake_prometheus: FakePrometheus, partial: bool, status: str
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100)}
    fake_prometheus.partial = partial
    reading = await ask(prometheus, WEB)
    assert reading.status == status
    assert ("partial answer" in reading.detail) == partial


async def test_one_broken_provider_does_not_spoil_another(
    prometheus: Prometheus, fake_prometheus: FakePrometheus, unused_tcp_port: int
) -> None:
    fake_prometheus.pods = {("shop", "web", "a"): FakePod(100)}
    elsewhere = CountAsk("success", "shop", "web", provider=Provider(address=f"http://127.0.0.1:{unused_tcp_port}"))
    readings = await prometheus.ask([elsewhere, WEB])
    assert (readings[elsewhere].status, readings[WEB].status) == ("unknown", "value")


async def test_without_any_provider_the_reading_says_how_to_name_one() -> None:
    prometheus = Prometheus()
    reading = await prometheus.check()
    await prometheus.close()
    assert reading.status == "unknown"
    assert "--prometheus" in reading.detail


async def test_a_check_asks_for_a_constant(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    assert (await prometheus.check()).value == 1.0
    assert fake_prometheus.queries == ["vector(1)"]


# -- the text of queries


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5), st.text())
def test_a_regular_expression_of_names_matches_these_names_only(names: list[str], other: str) -> None:
    import re

    pattern = re.compile(promql.any_of(names), re.DOTALL)
    assert all(pattern.fullmatch(name) for name in names)
    assert bool(pattern.fullmatch(other)) == (other in names)


def test_a_name_cannot_leave_its_string() -> None:
    hostile = CountAsk("success", 'shop"} or vector(1) #', "web\\")
    text = promql.requests(MetricLabels(), [counts.workload_of(hostile)])
    assert r'destination_workload_namespace="shop\"} or vector(1) #"' in text
    assert 'destination_workload="web\\\\"' in text


# -- the past


async def test_a_week_of_the_past_is_asked_for_in_four_parts(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    """Prometheus gives 11,000 points of a series at once."""
    end = 1_700_000_100.0
    fake_prometheus.past["shop", "web", "a"] = {end - 15 * number: [9000 - number, 0, 0] for number in range(9000)}
    reading = await ask(prometheus, PastAsk(WEB, end - 7 * 86400, end))
    assert len(fake_prometheus.queries) == 4
    assert len(reading.past["a"]) == 9000
    assert reading.past["a"][-1] == (end, 9000.0, 0.0)


async def test_all_that_is_asked_of_one_past_is_asked_together(
    prometheus: Prometheus, fake_prometheus: FakePrometheus
) -> None:
    end = 1_700_000_100.0
    fake_prometheus.past["shop", "web", "a"] = {end: [100, 3, 7]}
    fake_prometheus.pods["shop", "web", "a"] = FakePod(100, slower={"500": 7})
    success, slow = PastAsk(WEB, end - 60, end), PastAsk(SLOW, end - 60, end)
    readings = await prometheus.ask([success, slow])
    assert readings[success].past == {"a": ((end, 100.0, 3.0),)}
    assert (readings[slow].past, readings[slow].edge) == ({"a": ((end, 100.0, 7.0),)}, 0.5)
    assert sum("by (pod" in query for query in fake_prometheus.queries) == 1


async def test_errors_are_known_where_no_histogram_is(prometheus: Prometheus, fake_prometheus: FakePrometheus) -> None:
    end = 1_700_000_100.0
    fake_prometheus.past["shop", "web", "a"] = {end: [100, 3, 7]}
    success, slow = PastAsk(WEB, end - 60, end), PastAsk(SLOW, end - 60, end)
    readings = await prometheus.ask([success, slow])
    assert (readings[success].status, readings[slow].status) == ("value", "no-data")
    assert "no histogram" in readings[slow].detail
