"""What every adapter of the port `Metrics` must do.

A test file subclasses `MetricsSuite` and provides the fixture `bench`: metrics, and a hand on what they measure.
"""

from __future__ import annotations

from typing import Literal, Protocol

import pytest

from rollout.ports.metrics import Ask, CountAsk, Metrics, PastAsk, Reading, ScalarAsk, Series, VectorAsk

NAMESPACE, WORKLOAD = "shop", "web"
SUCCESS = CountAsk("success", NAMESPACE, WORKLOAD)
SLOW = CountAsk("slow", NAMESPACE, WORKLOAD, slower_than=0.5)
NUMBER = ScalarAsk("the_number")
CALLERS = VectorAsk("the_callers")
EPOCH = 1_700_000_100.0
"""A moment that is a multiple of 15 and of 60 s."""


class Bench(Protocol):
    """Metrics, and a hand on what they measure."""

    metrics: Metrics

    def count(self, pod: str, *, total: int, bad: int = 0, slow: int = 0) -> None:
        """Set the counters of a pod of the workload; slow requests take a second."""
        ...

    def history(self, pod: str, *counters: tuple[float, int, int, int]) -> None:
        """Set what a pod of the workload has counted: seconds since `EPOCH`, requests, errors, slow requests."""
        ...

    def number(self, value: float | None) -> None:
        """Set what `NUMBER` yields; None for nothing."""
        ...

    def callers(self, *series: tuple[dict[str, str], float]) -> None:
        """Set what `CALLERS` yields: labels and values."""
        ...

    def fail(self, how: Literal["outage", "stale", "many"]) -> None:
        """Make every answer from now on fail in one way."""
        ...


async def one(bench: Bench, ask: Ask) -> Reading:
    return (await bench.metrics.ask([ask]))[ask]


class MetricsSuite:
    """The suite."""

    async def test_counters_come_by_pod_as_they_are(self, bench: Bench) -> None:
        bench.count("web-a", total=100, bad=3)
        bench.count("web-b", total=50)
        reading = await one(bench, SUCCESS)
        assert (reading.status, reading.pods) == ("value", {"web-a": (100.0, 3.0), "web-b": (50.0, 0.0)})
        bench.count("web-a", total=140, bad=4)
        assert (await one(bench, SUCCESS)).pods["web-a"] == (140.0, 4.0)

    async def test_slow_requests_are_counted_at_a_histogram_edge(self, bench: Bench) -> None:
        bench.count("web-a", total=100, bad=3, slow=7)
        reading = await one(bench, SLOW)
        assert (reading.status, reading.edge, reading.pods) == ("value", 0.5, {"web-a": (100.0, 7.0)})

    async def test_between_two_edges_the_higher_one_counts(self, bench: Bench) -> None:
        bench.count("web-a", total=100, slow=7)
        assert (await one(bench, CountAsk("slow", NAMESPACE, WORKLOAD, slower_than=0.3))).edge == 0.5

    async def test_without_a_bound_all_edges_are_told(self, bench: Bench) -> None:
        bench.count("web-a", total=100, bad=3, slow=7)
        bench.count("web-b", total=50, slow=1)
        reading = await one(bench, CountAsk("slow", NAMESPACE, WORKLOAD))
        assert (reading.status, reading.edge) == ("value", None)
        assert {edge: reading.within[edge] for edge in (0.25, 0.5, 1.0)} == {0.25: 142.0, 0.5: 142.0, 1.0: 150.0}
        assert reading.pods == {"web-a": (100.0, 0.0), "web-b": (50.0, 0.0)}

    async def test_what_counters_were_comes_by_pod_and_moment(self, bench: Bench) -> None:
        bench.history("web-a", (0, 100, 1, 5), (15, 120, 1, 6), (30, 150, 4, 9))
        bench.history("web-b", (15, 10, 0, 0), (30, 30, 0, 2))
        reading = await one(bench, PastAsk(SUCCESS, EPOCH, EPOCH + 30))
        assert reading.status == "value"
        assert reading.past == {
            "web-a": ((EPOCH, 100.0, 1.0), (EPOCH + 15, 120.0, 1.0), (EPOCH + 30, 150.0, 4.0)),
            "web-b": ((EPOCH + 15, 10.0, 0.0), (EPOCH + 30, 30.0, 0.0)),
        }
        slow = await one(bench, PastAsk(SLOW, EPOCH + 15, EPOCH + 30))
        assert slow.past["web-a"] == ((EPOCH + 15, 120.0, 6.0), (EPOCH + 30, 150.0, 9.0))
        assert (await one(bench, PastAsk(SUCCESS, EPOCH, EPOCH + 30, 30.0))).past["web-b"] == ((EPOCH + 30, 30.0, 0.0),)

    async def test_a_workload_without_a_past_has_none(self, bench: Bench) -> None:
        bench.history("web-a", (0, 100, 1, 5))
        other = CountAsk("success", NAMESPACE, "web-canary")
        reading = await one(bench, PastAsk(other, EPOCH, EPOCH + 30))
        assert (reading.status, reading.past) == ("no-data", {})

    async def test_an_outage_is_no_past_either(self, bench: Bench) -> None:
        bench.history("web-a", (0, 100, 1, 5))
        bench.fail("outage")
        assert (await one(bench, PastAsk(SUCCESS, EPOCH, EPOCH + 30))).status == "unknown"

    async def test_another_workload_is_not_counted(self, bench: Bench) -> None:
        bench.count("web-a", total=100)
        for other in (CountAsk("success", NAMESPACE, "web-canary"), CountAsk("success", "bank", WORKLOAD)):
            assert (await one(bench, other)).status == "no-data"

    async def test_no_series_is_no_data(self, bench: Bench) -> None:
        for ask in (SUCCESS, SLOW, NUMBER):
            reading = await one(bench, ask)
            assert (reading.status, reading.value, reading.pods) == ("no-data", None, {})

    async def test_a_number_is_a_value(self, bench: Bench) -> None:
        bench.number(0.25)
        reading = await one(bench, NUMBER)
        assert (reading.status, reading.value, reading.query) == ("value", 0.25, "the_number")

    @pytest.mark.parametrize("value", [None, float("nan")])
    async def test_nothing_and_nan_are_no_data(self, bench: Bench, value: float | None) -> None:
        bench.number(value)
        assert (await one(bench, NUMBER)).status == "no-data"

    async def test_several_series_are_no_number(self, bench: Bench) -> None:
        bench.fail("many")
        reading = await one(bench, NUMBER)
        assert (reading.status, reading.value) == ("many", None)
        assert reading.detail

    async def test_a_vector_keeps_its_labels(self, bench: Bench) -> None:
        bench.callers(({"source": "front"}, 12.0), ({"source": "unknown"}, 0.5))
        reading = await one(bench, CALLERS)
        assert reading.status == "value"
        assert set(map(str, reading.series)) == {
            str(Series({"source": "front"}, 12.0)),
            str(Series({"source": "unknown"}, 0.5)),
        }

    async def test_one_series_is_a_vector_too_and_zero_is_a_number(self, bench: Bench) -> None:
        bench.callers(({"source": "front"}, 0.0))
        assert (await one(bench, CALLERS)).series == (Series({"source": "front"}, 0.0),)

    async def test_an_empty_vector_is_no_data(self, bench: Bench) -> None:
        bench.callers()
        reading = await one(bench, CALLERS)
        assert (reading.status, reading.series) == ("no-data", ())

    async def test_what_is_no_number_is_left_out_of_a_vector(self, bench: Bench) -> None:
        bench.callers(({"source": "a"}, float("nan")), ({"source": "b"}, float("inf")), ({"source": "c"}, 1.0))
        assert (await one(bench, CALLERS)).series == (Series({"source": "c"}, 1.0),)
        bench.callers(({"source": "a"}, float("nan")))
        assert (await one(bench, CALLERS)).status == "no-data"

    async def test_old_counters_are_stale(self, bench: Bench) -> None:
        bench.count("web-a", total=100)
        bench.fail("stale")
        assert (await one(bench, SUCCESS)).status == "stale"

    async def test_an_outage_is_a_reading_and_never_raises(self, bench: Bench) -> None:
        bench.count("web-a", total=100)
        bench.number(1.0)
        bench.fail("outage")
        bench.callers(({"source": "front"}, 1.0))
        asks = (SUCCESS, SLOW, NUMBER, CALLERS)
        readings = await bench.metrics.ask(asks)
        assert [readings[ask].status for ask in asks] == ["unknown"] * 4
        assert all(reading.detail for reading in readings.values())

    async def test_each_question_gets_its_answer(self, bench: Bench) -> None:
        bench.count("web-a", total=100, bad=1, slow=2)
        bench.number(7.0)
        bench.callers(({"source": "front"}, 3.0))
        readings = await bench.metrics.ask([NUMBER, SUCCESS, CALLERS, SLOW, SUCCESS])
        assert set(readings) == {NUMBER, SUCCESS, SLOW, CALLERS}
        assert readings[CALLERS].series == (Series({"source": "front"}, 3.0),)
        assert readings[SUCCESS].pods == {"web-a": (100.0, 1.0)}
        assert readings[SLOW].pods == {"web-a": (100.0, 2.0)}
        assert readings[NUMBER].value == 7.0

    async def test_every_reading_shows_its_query(self, bench: Bench) -> None:
        readings = await bench.metrics.ask([NUMBER, SUCCESS, SLOW, CALLERS])
        assert all(reading.query for reading in readings.values())

    async def test_no_questions_no_answers(self, bench: Bench) -> None:
        assert dict(await bench.metrics.ask([])) == {}
