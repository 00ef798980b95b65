from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.gates import failure, look, waiting
from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.plan.program import QueryGate
from rollout.plan.run import GateState
from tests.kit.builders import SUCCESS, counts

QUERY = QueryGate("cart", "cart_ok", every=5.0, failures=2, over=3, min=0.9)


def feed(*samples: Sample, gate: object = SUCCESS) -> GateState:
    state = GateState()
    for i, sample in enumerate(samples):
        state = look(gate, state, sample, 5.0 * i, judged=True)  # type: ignore[arg-type]  # either gate
    return state


def test_a_new_pods_first_requests_count() -> None:
    assert feed(counts(100, 3)).looks[-1].value == pytest.approx(0.97)


def test_only_what_came_since_the_last_look_counts() -> None:
    state = feed(counts(100, 50), counts(200, 50))
    assert [x.verdict for x in state.looks] == ["fail", "pass"]


def test_a_counter_that_fell_was_reset() -> None:
    state = feed(counts(100), counts(20, 20))
    assert state.looks[-1].value == 0.0


def test_few_requests_are_carried_into_the_next_look() -> None:
    state = feed(counts(6, 1))
    assert state.looks[-1].verdict == "inconclusive"
    state = look(SUCCESS, state, counts(12, 1), 5.0, judged=True)
    assert state.looks[-1].verdict == "fail"
    assert "11 good of 12" in state.looks[-1].text


def test_no_requests_are_no_data() -> None:
    assert feed(counts(0)).looks[-1].verdict == "no-data"


@pytest.mark.parametrize("status", ["no-data", "stale", "many"])
def test_what_is_not_a_value_is_no_data_and_never_fails(status: str) -> None:
    state = feed(*[Sample(status, "q")] * 9)  # type: ignore[arg-type]  # statuses by name
    assert state.looks[-1].verdict == "no-data"
    assert failure([SUCCESS], {"success": state}) is None


def test_an_outage_is_unknown_and_never_fails() -> None:
    state = feed(*[Sample("unknown", "q", detail="connection refused")] * 9)
    assert failure([SUCCESS], {"success": state}) is None
    assert waiting([SUCCESS], {"success": state}, 0.0) == (
        Reason.METRICS_UNAVAILABLE,
        "success: connection refused",
    )


def test_no_data_can_be_made_to_fail_or_pass() -> None:
    for wanted in ("pass", "fail"):
        gate = replace(SUCCESS, on_no_data=wanted)
        assert feed(Sample("no-data", "q"), gate=gate).looks[-1].verdict == wanted


def test_failures_out_of_looks() -> None:
    state = feed(counts(100, 2), counts(200, 2), counts(300, 4))
    found = failure([SUCCESS], {"success": state})
    assert found is not None
    assert "2 of the last 3 looks" in found.message
    assert "limit ≥ 99.00 %" in found.message


def test_one_bad_look_is_not_a_failure() -> None:
    assert failure([SUCCESS], {"success": feed(counts(100, 50), counts(200, 50))}) is None


def test_failures_leave_the_window() -> None:
    good = [counts(100 * i, 2) for i in range(2, 7)]
    state = feed(counts(100, 2), *good, counts(700, 9))
    assert failure([SUCCESS], {"success": state}) is None


def test_observe_only_never_fails_and_never_waits() -> None:
    gate = replace(SUCCESS, observe_only=True)
    state = {"success": feed(counts(100, 90), counts(200, 190), gate=gate)}
    assert failure([gate], state) is None
    assert waiting([gate], state, 0.0) is None


def test_a_pass_of_an_earlier_step_does_not_pass_this_one() -> None:
    state = {"success": feed(counts(100))}
    assert waiting([SUCCESS], state, 0.0) is None
    assert waiting([SUCCESS], state, 50.0) is not None


def test_warm_up_is_counted_and_not_judged() -> None:
    state = look(SUCCESS, GateState(), counts(100, 100), 0.0, judged=False)
    assert state.looks == ()
    assert look(SUCCESS, state, counts(200, 100), 5.0, judged=True).looks[-1].verdict == "pass"


@pytest.mark.parametrize(("value", "verdict"), [(0.95, "pass"), (0.85, "fail"), (None, "no-data")])
def test_a_query_is_compared_with_its_limits(value: float | None, verdict: str) -> None:
    sample = Sample("value" if value is not None else "no-data", "q", value)
    assert feed(sample, gate=QUERY).looks[-1].verdict == verdict


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12))
def test_counts_never_exceed_what_the_counters_say(increments: list[tuple[int, int]]) -> None:
    total = bad = 0
    state = GateState()
    for i, (good, failed) in enumerate(increments):
        total, bad = total + good + failed, bad + failed
        state = look(SUCCESS, state, counts(total, bad), float(i), judged=True)
        assert 0 <= state.bad <= state.total
    assert state.requests == total


def test_counters_of_pods_without_names_begin_where_they_are_first_seen() -> None:
    """Counted together they hold what other pods answered before this run."""
    state = feed(counts(100, 50, pod=""), counts(200, 50, pod=""))
    assert [x.verdict for x in state.looks] == ["pass"]
    assert state.requests == 100
