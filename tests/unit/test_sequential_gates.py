"""Gates that judge by evidence: what one look after the other makes of raw counters of both versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rollout.decide.compare import finding
from rollout.decide.gates import failure, look, show, waiting
from rollout.decide.reason import Reason
from rollout.decide.seen import Sample
from rollout.plan.evidence import PODS
from rollout.plan.program import CountGate, Gate, QueryGate
from rollout.plan.run import STATE, GateState, State, dump_state
from rollout.plan.sequential import CompareGate, SloGate, TrafficGate

COMPARE = CompareGate("success", "success", every=15.0, tolerance=0.01, planned=40, alpha=0.01)
SLO = SloGate("slo", "success", every=15.0, allowed=0.01, planned=40, alpha=0.01)
TRAFFIC = TrafficGate("traffic", every=15.0, tolerance=0.25, planned=40)
SLOW = CompareGate("latency", "slow", every=15.0, tolerance=0.02, planned=40, alpha=0.01)

Pair = tuple[float, float]


def seen(candidate: dict[str, Pair] | None, stable: dict[str, Pair] | None) -> Sample:
    """An answer about both versions; None: no series."""
    peer = Sample("no-data", "q") if stable is None else Sample("value", "q", pods=stable)
    if candidate is None:
        return Sample("no-data", "q", peer=peer)
    return Sample("value", "q", pods=candidate, peer=peer)


def feed(
    gate: Gate, looks: Sequence[tuple[Pair, Pair]], *, weight: float = 10.0, state: GateState | None = None
) -> GateState:
    """Looks of (requests, bad requests) of both versions, stable's divided over three pods; counters grow."""
    state = state or GateState()
    total = [0.0, 0.0, 0.0, 0.0]
    start = state.next_look
    for number, (ours, theirs) in enumerate([((0.0, 0.0), (0.0, 0.0)), *looks]):
        total = [a + b for a, b in zip(total, (*ours, *theirs), strict=True)]
        stable = {f"web-{pod}": (total[2] / 3, total[3] / 3) for pod in range(3)}
        sample = seen({"web-canary-1": (total[0], total[1])}, stable)
        state = look(gate, state, sample, start + 15.0 * number, judged=True, weight=weight)
    return state


GOOD, BAD = ((150.0, 0.0), (1350.0, 4.0)), ((150.0, 8.0), (1350.0, 4.0))


def test_the_first_look_only_says_where_the_counters_begin() -> None:
    state = look(COMPARE, GateState(), seen({"a": (500.0, 500.0)}, {"b": (9.0, 0.0)}), 0.0, judged=True, weight=10.0)
    assert state.looks == ()
    assert state.evidence is not None
    assert (state.evidence.begun, state.evidence.looks) == (True, 0)


def test_a_worse_candidate_fails_with_a_sentence_that_says_how_sure_that_is() -> None:
    state = feed(COMPARE, [BAD, BAD])
    assert state.looks[-1].verdict == "fail"
    found = failure([COMPARE], {"success": state})
    assert found is not None
    assert found.message.startswith("success: candidate 5.33 % failed (16 of 300), stable 0.30 % (8 of 2700): ")
    assert "5.04 points worse, evidence " in found.message
    assert "(limit 100:1) in 2 looks, burst factor 1.0" in found.message


def test_one_bad_look_is_no_verdict_however_bad() -> None:
    assert feed(COMPARE, [((150.0, 150.0), (1350.0, 4.0))]).looks[-1].verdict != "fail"


def test_an_equal_candidate_passes_once_it_is_proved() -> None:
    verdicts = [feed(COMPARE, [GOOD] * number).looks[-1].verdict for number in (1, 8)]
    assert verdicts == ["inconclusive", "pass"]
    assert "proved less than 1 point worse (evidence " in feed(COMPARE, [GOOD] * 8).looks[-1].text


def test_what_hits_both_versions_alike_fails_nobody() -> None:
    incident = ((150.0, 75.0), (1350.0, 675.0))
    state = feed(COMPARE, [GOOD, incident, incident, incident, GOOD])
    assert state.looks[-1].verdict != "fail"
    assert failure([COMPARE], {"success": state}) is None


def test_too_little_to_tell_says_how_much_more_is_needed_and_how_long_that_takes() -> None:
    state = feed(COMPARE, [GOOD])
    assert waiting([COMPARE], {"success": state}, 0.0) == (Reason.INCONCLUSIVE, f"success: {state.looks[-1].text}")
    assert "more requests to the candidate (about " in state.looks[-1].text


def test_a_step_asks_for_requests_of_its_own() -> None:
    proved = feed(COMPARE, [GOOD] * 8)
    fresh = feed(COMPARE, [((10.0, 0.0), (90.0, 0.0))], state=replace(proved, requests=0.0))
    assert "10 of 50 requests in this step" in fresh.looks[-1].text


def test_evidence_goes_along_to_another_weight_and_what_saw_both_weights_is_left_out() -> None:
    before = feed(COMPARE, [BAD])
    straddling = seen({"web-canary-1": (1000.0, 900.0)}, {"web-0": (9000.0, 0.0)})
    after = look(COMPARE, before, straddling, 60.0, judged=True, weight=50.0)
    assert (before.evidence, after.evidence) != (None, None)
    assert after.evidence is not None
    assert before.evidence is not None
    assert (after.evidence.worse, after.evidence.counts) == (before.evidence.worse, before.evidence.counts)
    assert after.looks == before.looks
    assert after.evidence.weight == 50.0


def test_at_full_weight_what_was_seen_before_stands() -> None:
    state = feed(COMPARE, [GOOD] * 8)
    moved = look(COMPARE, state, seen({"web-canary-1": (1200.0, 0.0)}, None), 200.0, judged=True, weight=100.0)
    last = look(COMPARE, moved, seen({"web-canary-1": (9000.0, 4000.0)}, None), 215.0, judged=True, weight=100.0)
    assert last.looks[-1].verdict == "pass"
    assert last.looks[-1].text.endswith("while stable had requests")


def test_nothing_beside_it_is_no_data_and_not_a_pass() -> None:
    state = look(COMPARE, GateState(), seen({"a": (0.0, 0.0)}, None), 0.0, judged=True, weight=10.0)
    assert state.looks[-1].verdict == "no-data"
    assert state.looks[-1].text.startswith("stable: ")


def test_a_missing_series_says_whether_nobody_called_or_it_was_there_before() -> None:
    gone = replace(seen(None, {"b": (9.0, 0.0)}), detail="no series r for workload web-canary in shop")
    begun = look(COMPARE, GateState(), gone, 0.0, judged=True, weight=10.0)
    uncalled = look(COMPARE, begun, gone, 15.0, judged=True, weight=10.0).looks[-1]
    neither = look(COMPARE, GateState(), replace(gone, peer=Sample("no-data", "q")), 0.0, judged=True, weight=10.0)
    renamed = look(
        COMPARE, feed(COMPARE, [GOOD]), replace(gone, peer=Sample("no-data", "q")), 60.0, judged=True, weight=10.0
    )
    assert {uncalled.verdict, neither.looks[-1].verdict, renamed.looks[-1].verdict} == {"no-data"}
    assert uncalled.text == f"{gone.detail}: no request has reached it yet"
    assert neither.looks[-1].text == (
        f"{gone.detail}, nor for stable: no requests reach them, or their metrics have other names; "
        "rollout check looks at both"
    )
    why = ": its pods are not scraped any more, or it is kept under another name now"
    assert renamed.looks[-1].text == f"{gone.detail}, and there was one before{why}"
    stale = replace(gone, status="stale", detail="the newest sample of r is 85 s old")
    assert look(COMPARE, renamed, stale, 75.0, judged=True, weight=10.0).looks[-1].text == f"{stale.detail}{why}"
    assert failure([COMPARE], {"success": renamed}) is None


def test_an_outage_of_either_version_is_unknown() -> None:
    down = Sample("value", "q", pods={"a": (1.0, 0.0)}, peer=Sample("unknown", "q", detail="refused"))
    for sample in (down, Sample("unknown", "q", detail="refused")):
        state = look(COMPARE, feed(COMPARE, [BAD]), sample, 60.0, judged=True, weight=10.0)
        assert state.looks[-1].verdict == "unknown"
        assert waiting([COMPARE], {"success": state}, 0.0) is not None


def test_warm_up_moves_the_counters_and_judges_nothing() -> None:
    state = feed(COMPARE, [])
    state = look(COMPARE, state, seen({"web-canary-1": (50.0, 50.0)}, {"web-0": (90.0, 0.0)}), 15.0, judged=False)
    assert state.looks == ()
    assert state.cursor["web-canary-1"] == (50.0, 50.0)


def test_a_candidate_pod_that_is_born_later_counts_from_its_first_request() -> None:
    state = look(COMPARE, GateState(), seen(None, {"web-0": (900.0, 0.0)}), 0.0, judged=True, weight=10.0)
    state = look(COMPARE, state, seen({"new": (100.0, 40.0)}, {"web-0": (1800.0, 0.0)}), 15.0, judged=True, weight=10.0)
    assert state.evidence is not None
    assert state.evidence.counts == (100.0, 40.0, 900.0, 0.0)


def test_a_stable_pod_that_turns_up_brings_no_history() -> None:
    state = feed(COMPARE, [GOOD])
    assert state.evidence is not None
    before = state.evidence.counts
    pods = {f"web-{pod}": (450.0, 4 / 3) for pod in range(3)} | {"web-old": (1e6, 5e5)}
    state = look(COMPARE, state, seen({"web-canary-1": (300.0, 0.0)}, pods), 60.0, judged=True, weight=10.0)
    assert state.evidence is not None
    assert state.evidence.counts[2:] == before[2:]


def test_bursts_among_stables_pods_weaken_what_is_held_against_the_candidate() -> None:
    def told(each: Sequence[Pair]) -> float:
        state = feed(COMPARE, [])
        for number in (1, 2, 3):
            pods = {f"web-{i}": (450.0 * number, bad * number) for i, (_, bad) in enumerate(each)}
            sample = seen({"web-canary-1": (150.0 * number, 8.0 * number)}, pods)
            state = look(COMPARE, state, sample, 15.0 * number, judged=True, weight=10.0)
        assert state.evidence is not None
        return finding(COMPARE, state.evidence).log_e

    even, bursty = told([(450, 2), (450, 2), (450, 2)]), told([(450, 6), (450, 0), (450, 0)])
    assert bursty < even / 2


def test_common_failures_get_the_sharper_test() -> None:
    history = seen({"web-canary-1": (0.0, 0.0)}, {"web-0": (10_000.0, 3000.0)})
    state = look(COMPARE, GateState(), history, 0.0, judged=True, weight=10.0)
    assert state.evidence is not None
    assert state.evidence.common


@pytest.mark.parametrize(("bad", "verdict"), [(10.0, "fail"), (0.0, "pass")])
def test_an_objective_needs_nobody_beside_the_candidate(bad: float, verdict: str) -> None:
    state = GateState()
    for number in range(9):
        sample = seen({"a": (300.0 * number, bad * number)}, None)
        state = look(SLO, state, sample, 15.0 * number, judged=True, weight=100.0)
    assert state.looks[-1].verdict == verdict
    assert "1 % allowed" in state.looks[-1].text
    assert (failure([SLO], {"slo": state}) is not None) == (verdict == "fail")


def test_just_what_is_allowed_passes_when_more_would_have_been_seen() -> None:
    state = GateState()
    for number in range(14):
        state = look(SLO, state, seen({"a": (1200.0 * number, 12.0 * number)}, None), 15.0 * number, judged=True)
    assert state.looks[-1].verdict == "pass"
    assert "twice as many would have been seen" in state.looks[-1].text


def test_a_split_that_is_not_there_holds_the_run_and_never_fails_it() -> None:
    state = feed(TRAFFIC, [((0.0, 0.0), (1500.0, 0.0))] * 3)
    assert state.looks[-1].verdict == "fail"
    assert failure([TRAFFIC], {"traffic": state}) is None
    missing = waiting([TRAFFIC], {"traffic": state}, 0.0)
    assert missing is not None
    assert missing[0] is Reason.TRAFFIC_ASKEW
    assert missing[1] == (
        "traffic: 0.00 % (0 of 4500) requests went to the candidate, 10 % were asked for: routing is not effective"
    )


def test_the_alarm_ends_when_the_last_minute_divides_as_it_should() -> None:
    alarmed = feed(TRAFFIC, [((0.0, 0.0), (1500.0, 0.0))] * 3)
    for number in range(1, 7):
        pods = {f"web-{pod}": (1500.0 + 450.0 * number, 0.0) for pod in range(3)}
        sample = seen({"web-canary-1": (150.0 * number, 0.0)}, pods)
        alarmed = look(TRAFFIC, alarmed, sample, 45.0 + 15.0 * number, judged=True, weight=10.0)
    assert alarmed.looks[-1].verdict == "pass"


@pytest.mark.parametrize("weight", [0.0, 100.0])
def test_nothing_is_divided_at_either_end(weight: float) -> None:
    state = feed(TRAFFIC, [((1500.0, 0.0), (0.0, 0.0))], weight=weight)
    assert state.looks[-1].verdict == "pass"


def test_a_latency_that_nobody_names_is_chosen_from_stables_history() -> None:
    history = Sample("value", "q", pods={"b": (1000.0, 0.0)}, within={0.1: 900.0, 0.25: 991.0, 0.5: 1000.0})
    state = look(SLOW, GateState(), history, 0.0, judged=True, weight=10.0)
    assert state.evidence is not None
    assert (state.evidence.edge, state.evidence.begun, state.next_look) == (0.25, False, 0.0)
    state = feed(SLOW, [BAD, BAD], state=state)
    assert "slower than 250ms" in state.looks[-1].text


def test_a_latency_is_not_chosen_from_a_handful_of_requests() -> None:
    state = look(SLOW, GateState(), Sample("value", "q", pods={"b": (9.0, 0.0)}, within={0.1: 9.0}), 0.0, judged=True)
    assert state.evidence is None
    assert "too few" in state.looks[-1].text


def test_undecided_for_too_long_does_what_the_plan_says() -> None:
    states = {"success": feed(COMPARE, [GOOD])}
    for wanted, fails, waits in (("hold", False, True), ("pass", False, False), ("fail", True, True)):
        gate = replace(COMPARE, on_inconclusive=wanted, max_hold=60.0)  # type: ignore[arg-type]  # words by name
        assert failure([gate], states, 59.0) is None
        assert (failure([gate], states, 60.0) is not None) is fails
        assert (waiting([gate], states, 0.0, 60.0) is not None) is waits
        assert waiting([gate], states, 0.0, 59.0) is not None


def test_observing_never_fails() -> None:
    gate = replace(COMPARE, observe_only=True)
    assert failure([gate], {"success": feed(gate, [BAD] * 3)}) is None


def test_values_are_shown_with_their_units() -> None:
    assert show(COMPARE, 0.0143) == "+1.43 points"
    assert show(COMPARE, -0.01) == "-1 point"
    assert show(SLO, 0.995) == "99.50 %"


COUNT = st.integers(0, 300)
LOOKS = st.lists(st.tuples(COUNT, COUNT, COUNT, COUNT), min_size=1, max_size=8)
LIMIT = CountGate("limit", "success", every=15.0, failures=1, over=3, min=0.99)
GATES = st.sampled_from([COMPARE, SLO, TRAFFIC, replace(SLOW, slower_than=0.5), LIMIT])


@given(GATES, LOOKS)
def test_without_data_of_the_candidate_nothing_fails(gate: Gate, looks: list[tuple[int, int, int, int]]) -> None:
    state = GateState()
    for number, (_, _, good, bad) in enumerate(looks):
        for candidate in (None, {"a": (0.0, 0.0)}):
            pods = {"b": (float(good + bad) * (number + 1), float(bad) * (number + 1))}
            state = look(gate, state, seen(candidate, pods), 15.0 * number, judged=True, weight=10.0)
        assert failure([gate], {gate.name: state}) is None


@given(GATES, LOOKS, st.lists(st.tuples(st.booleans(), COUNT, COUNT), min_size=1, max_size=4))
@settings(max_examples=40)
def test_a_candidate_that_falls_silent_does_not_fail_by_that(
    gate: Gate, looks: list[tuple[int, int, int, int]], silence: list[tuple[bool, int, int]]
) -> None:
    state = feed(gate, [((float(a + b), float(b)), (float(c + d), float(d))) for a, b, c, d in looks])
    assume(failure([gate], {gate.name: state}) is None)
    stable = [9e5, 1e3]
    for there, good, bad in silence:
        stable = [stable[0] + good + bad, stable[1] + bad]
        pods = {f"web-{pod}": (stable[0] / 3, stable[1] / 3) for pod in range(3)}
        sample = seen(dict(state.cursor) if there else None, pods)
        state = look(gate, state, sample, state.next_look, judged=True, weight=10.0)
        assert failure([gate], {gate.name: state}) is None


@given(st.lists(st.sampled_from(["no-data", "stale", "many", "unknown"]), min_size=1, max_size=8))
def test_a_query_without_a_value_never_fails_unless_the_plan_says_so(answers: list[Any]) -> None:
    state, gate = GateState(), QueryGate("query", "up", every=15.0, failures=1, over=3, min=1.0)
    for number, status in enumerate(answers):
        state = look(gate, state, Sample(status, "up"), 15.0 * number, judged=True)
    assert failure([gate], {"query": state}) is None


@given(
    st.sampled_from([COMPARE, SLO, replace(SLOW, slower_than=0.5)]),
    st.lists(st.tuples(st.tuples(COUNT, COUNT, COUNT, COUNT), st.sampled_from([10.0, 30.0, 50.0])), min_size=2),
)
@settings(max_examples=40)
def test_evidence_goes_along_to_any_weight_as_if_it_were_one(
    gate: Gate, looks: list[tuple[tuple[int, int, int, int], float]]
) -> None:
    """But for the looks that saw two of them, which count for nothing."""

    def tell(*, moving: bool) -> GateState:
        state, total, last = GateState(), [0, 0, 0, 0], looks[0][1]
        for number, (counts, weight) in enumerate(looks):
            total = [a + b for a, b in zip(total, counts, strict=True)]
            ours = {"c": (float(total[0] + total[1]), float(total[1]))}
            theirs = {f"s{i}": (float(i * total[2] + i * total[3]), float(i * total[3])) for i in range(3)}
            asked, judged = (weight, True) if moving else (10.0, weight == last)
            state = look(gate, state, seen(ours, theirs), 15.0 * number, judged=judged, weight=asked)
            last = weight
        return state

    moved, still = tell(moving=True), tell(moving=False)
    assert moved.evidence is not None
    assert still.evidence is not None
    assert replace(moved.evidence, weight=0.0) == replace(still.evidence, weight=0.0)
    assert (moved.looks, moved.requests, moved.cursor) == (still.looks, still.requests, still.cursor)


@given(GATES, LOOKS)
@settings(max_examples=40)
def test_the_order_of_pods_does_not_matter(gate: Gate, looks: list[tuple[int, int, int, int]]) -> None:
    def tell(*, shuffled: bool) -> GateState:
        state, total = GateState(), [0, 0, 0, 0]
        for number, counts in enumerate(looks):
            total = [a + b for a, b in zip(total, counts, strict=True)]
            ours = {f"c{i}": (float(i * total[0] + i * total[1]), float(i * total[1])) for i in range(3)}
            theirs = {f"s{i}": (float(i * total[2] + i * total[3]), float(i * total[3])) for i in range(4)}
            if shuffled:
                ours, theirs = dict(reversed(ours.items())), dict(reversed(theirs.items()))
            state = look(gate, state, seen(ours, theirs), 15.0 * number, judged=True, weight=10.0)
        return state

    one, other = tell(shuffled=False), tell(shuffled=True)
    assert [(x.verdict, x.text) for x in one.looks] == [(x.verdict, x.text) for x in other.looks]


@given(GATES, LOOKS)
def test_evidence_survives_being_stored_and_goes_on_the_same(
    gate: Gate, looks: list[tuple[int, int, int, int]]
) -> None:
    rows = [((float(a + b), float(b)), (float(c + d), float(d))) for a, b, c, d in looks]
    state = feed(gate, rows)
    again = STATE.validate_json(orjson.dumps(dump_state(State(gates={"g": state})))).gates["g"]
    assert again == state
    sample = seen({"web-canary-1": (9e5, 1e3)}, {f"web-{pod}": (9e5, 1e3) for pod in range(3)})
    after = [look(gate, it, sample, 900.0, judged=True, weight=10.0) for it in (state, again)]
    assert after[0] == after[1]


def test_a_record_of_many_looks_and_pods_stays_small() -> None:
    state = GateState()
    for number in range(400):
        pods = {f"checkout-7d9f8c6b5-{i:05}": (1e6 + 997.0 * number, 100.0 + number) for i in range(3 * PODS)}
        beside = {name.replace("out", "out-canary"): counts for name, counts in pods.items()}
        state = look(COMPARE, state, seen(beside, pods), 2.0 * number, judged=True, weight=10.0)
    assert len(orjson.dumps(dump_state(State(gates={"g": state})))) < 14 * 1024


def test_pods_beyond_those_remembered_still_count_for_the_split() -> None:
    state = GateState()
    for number in range(1, 8):
        ours = {f"c{i}": (10.0 * number, 0.0) for i in range(20)}
        theirs = {f"s{i}": (10.0 * number, 0.0) for i in range(180)}
        state = look(TRAFFIC, state, seen(ours, theirs), 15.0 * number, judged=True, weight=10.0)
    assert state.looks[-1].text.startswith("10.00 % (1200 of 12000)")
