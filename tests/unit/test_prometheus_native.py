"""Native histograms, which have no series of buckets: what is asked of them, and of servers that do not know them."""

from __future__ import annotations

import pytest

from rollout.adapters.metrics import counts
from rollout.adapters.metrics.server import QueryError
from rollout.ports.metrics import CountAsk, Reading, Series


async def asked(native: str, *asks: CountAsk) -> tuple[list[str], dict[CountAsk, Reading]]:
    """What is asked, and the readings, where `old` has buckets and `native` is answered for all others."""
    texts: list[str] = []

    async def query(text: str) -> list[Series]:
        texts.append(text)
        old = {"destination_workload_namespace": "shop", "destination_workload": "old"}
        if text.startswith("group by (destination_workload_namespace,destination_workload,le)"):
            return [Series(old | {"le": le}, 1.0) for le in ("500", "+Inf")]
        if "histogram_count" in text and native == "unknown":
            raise QueryError("HTTP 422: unknown function histogram_count")
        if text.startswith("group by"):
            return [Series(old | {"destination_workload": "new"}, 1.0)] if native == "there" else []
        of = old if "_bucket" in text else old | {"destination_workload": "new"}
        values = {"500": 80.0, "300": 75.0, "+Inf": 100.0}
        return [Series(of | {"pod": "a", "le": le}, value) for le, value in values.items()]

    return texts, await counts.answer(query, asks, counts.EdgeCache(), 60.0)


async def test_a_native_histogram_is_asked_at_exactly_what_counts_as_slow_and_buckets_as_ever() -> None:
    old, new = (CountAsk("slow", "shop", name, slower_than=0.3) for name in ("old", "new"))
    texts, readings = await asked("there", old, new)
    assert (readings[new].pods, readings[new].edge) == ({"a": (100.0, 25.0)}, 0.3)
    assert readings[old].edge == 0.5
    assert "no edge at 0.3 s" in readings[old].detail
    assert "istio_request_duration_milliseconds{" in readings[new].query
    assert len(texts) == 4


@pytest.mark.parametrize("native", ["absent", "unknown"])
async def test_a_server_without_native_histograms_has_no_histogram(native: str) -> None:
    new = CountAsk("slow", "shop", "new", slower_than=0.3)
    _, readings = await asked(native, new)
    assert (readings[new].status, readings[new].detail) == ("no-data", "no histogram for workload new in shop")
