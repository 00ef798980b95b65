"""What holds for any counts: no verdict without data, no reset with the weight, the same numbers after storing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from rollout.decide.evidence.burst import Bursts, watch
from rollout.decide.evidence.counts import NOTHING, Arms
from rollout.decide.evidence.edges import Buckets, Edges, slowdown
from rollout.decide.evidence.effect import Tally, judge, tally
from rollout.decide.evidence.inferiority import Exceeding, Past, Proof, exceed, history, prove
from rollout.decide.evidence.mixture import UNSTARTED, Mixture, advance, change_point, from_the_start, log_add, log_mean
from rollout.decide.evidence.objective import keep, overspend
from rollout.decide.evidence.ratio import factors, rate_ratio
from rollout.decide.evidence.split import Split, divide
from rollout.errors import InvalidInput

LEAST = 0.005
ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


@st.composite
def arms(draw: st.DrawFn, largest: int = 2000) -> Arms:
    canary, primary = draw(st.integers(0, largest)), draw(st.integers(0, largest))
    return Arms(
        float(canary), float(draw(st.integers(0, canary))), float(primary), float(draw(st.integers(0, primary)))
    )


stories = st.lists(arms(), min_size=1, max_size=12)


def evidence(story: list[Arms], planned: int = 10) -> Mixture:
    state = UNSTARTED
    for look in story:
        state = rate_ratio(state, look, planned=planned)
    return state


def counted(story: list[Arms]) -> Tally:
    state = Tally()
    for number, look in enumerate(story):
        state = tally(state, look, 15.0 * number, least=LEAST)
    return state


def failed(story: list[Arms]) -> bool:
    return judge(evidence(story).log_e, counted(story), alpha=0.02, gates=2, least=LEAST, phi=1.0).failed


@given(st.lists(arms(), max_size=20))
def test_without_canary_data_nothing_ever_fails(story: list[Arms]) -> None:
    silent = [Arms(0, 0, look.primary_total, look.primary_bad) for look in story]
    assert evidence(silent).log_e == 0
    assert not failed(silent)


@given(stories, st.lists(st.integers(0, 500), min_size=1, max_size=8))
def test_looks_without_canary_data_change_no_verdict(story: list[Arms], primary: list[int]) -> None:
    silence = [Arms(0, 0, n, n // 2) for n in primary]
    assert failed(story + silence) == failed(story)
    assert evidence(story + silence) == evidence(story)


@given(stories, st.integers(1, 500))
def test_at_full_weight_the_evidence_stays(story: list[Arms], requests: int) -> None:
    """No primary is left to compare with; what was seen before is still true."""
    assert evidence([*story, Arms(requests, requests // 2)]) == evidence(story)
    assert prove(Proof(1.5), Arms(requests, 0), margin=0.01) == Proof(1.5)
    assert exceed(Exceeding(), Arms(requests, requests), planned=5) == Exceeding()


@given(st.lists(st.tuples(arms(), st.sampled_from([0.05, 0.1, 0.5])), min_size=2, max_size=8))
def test_evidence_carries_over_changes_of_the_weight(parts: list[tuple[Arms, float]]) -> None:
    """Whatever the weight was, a look's factors are its own, and all of them count."""
    story = [
        Arms(round(look.canary_total * weight), min(look.canary_bad, round(look.canary_total * weight)),
             look.primary_total, look.primary_bad)
        for look, weight in parts
    ]  # fmt: skip
    state, total = UNSTARTED, [0.0] * 7
    for look in story:
        if look.comparable:
            state = advance(state, factors(look), from_the_start(state.looks))
            total = [a + b for a, b in zip(total, factors(look), strict=True)]
    assert state.log_e == pytest.approx(log_mean(total), rel=1e-9, abs=1e-9)


def test_evidence_of_a_small_weight_decides_at_a_larger_one() -> None:
    before = [Arms(100, 2, 900, 2), Arms(100, 3, 900, 2)]
    after = [Arms(500, 5, 500, 1)]
    assert not failed(before)
    assert not failed(after)
    assert failed(before + after)


@given(st.permutations(range(6)), st.lists(st.tuples(st.integers(0, 900), st.integers(0, 30)), min_size=6, max_size=6))
def test_the_order_of_pods_does_not_matter(order: list[int], pods: list[tuple[int, int]]) -> None:
    fixed = [(float(n + bad), float(bad)) for n, bad in pods]
    assert watch(Bursts(), [fixed[i] for i in order], 0.0) == watch(Bursts(), fixed, 0.0)
    sums = [
        sum((Arms(n, bad, bad + n, bad) for n, bad in some), NOTHING) for some in (fixed, [fixed[i] for i in order])
    ]
    assert rate_ratio(UNSTARTED, sums[0], planned=3) == rate_ratio(UNSTARTED, sums[1], planned=3)


@given(st.permutations([0.1, 0.25, 0.5, 1.0]))
def test_the_order_of_edges_does_not_matter(order: list[float]) -> None:
    within = {0.1: 50.0, 0.25: 80.0, 0.5: 95.0, 1.0: 99.0}
    canary, primary = Buckets(100, within), Buckets(900, {edge: 9 * n + 9 for edge, n in within.items()})
    again = Buckets(100, {edge: within[edge] for edge in order})
    wanted = slowdown(Edges((0.25, 0.5)), canary, primary, planned=3)
    assert slowdown(Edges((0.25, 0.5)), again, primary, planned=3) == wanted
    turned = slowdown(Edges((0.5, 0.25)), canary, primary, planned=3)
    assert turned.log_e == wanted.log_e


@given(st.lists(arms(largest=300), min_size=1, max_size=6), st.integers(1, 10), st.sampled_from([1.0, 2.5]))
def test_logarithms_are_the_plain_formula_where_that_does_not_overflow(
    story: list[Arms], planned: int, phi: float
) -> None:
    bets, spent, looks, state = [0.0] * 7, 0.0, 0, UNSTARTED
    for look in story:
        state = rate_ratio(state, look, planned=planned, phi=phi)
        if not look.comparable:
            continue
        stake = change_point(looks, planned)
        bets = [(b + stake) * math.exp(f) for b, f in zip(bets, factors(look, phi=phi), strict=True)]
        spent, looks = spent + stake, looks + 1
    worth = sum(bets) / 7 + max(0.0, 1 - spent)
    if worth > 1e-300:
        assert state.log_e == pytest.approx(math.log(worth), rel=1e-9, abs=1e-9)
    assert state.spent <= 1


@given(st.booleans(), st.integers(1, 10**12))
def test_weeks_of_huge_looks_neither_overflow_nor_vanish(bad: bool, size: int) -> None:
    look = Arms(size, size if bad else 0, size, 0 if bad else size)
    state = UNSTARTED
    for _ in range(300):
        state = rate_ratio(state, look, planned=100)
    assert all(math.isfinite(log) for log in state.logs)
    assert math.isfinite(state.log_e)
    assert (state.log_e > 0) == bad


def test_a_late_regression_is_found_after_any_time_without_one() -> None:
    state = UNSTARTED
    for _ in range(5000):
        state = rate_ratio(state, Arms(1000, 5, 9000, 45), planned=6000)
    assert state.log_e < 1
    for _ in range(3):
        state = rate_ratio(state, Arms(1000, 60, 9000, 45), planned=6000)
    assert state.log_e > math.log(200)


def test_beyond_the_planned_looks_no_new_bets_begin() -> None:
    state = evidence([Arms(100, 1, 900, 9)] * 12, planned=4)
    assert (state.spent, state.looks) == (1.0, 12)


def test_no_more_is_bet_than_there_is() -> None:
    state = advance(advance(UNSTARTED, (0.0,), 0.75), (0.0,), 0.75)
    assert (state.spent, state.log_e) == pytest.approx((1.0, 0.0))


@given(st.floats(-700, 700), st.floats(-700, 700))
def test_sums_of_logarithms(a: float, b: float) -> None:
    assert log_add(a, b) == log_add(b, a) >= max(a, b)
    assert log_mean([a, b]) == pytest.approx(log_add(a, b) - math.log(2), abs=1e-9)


@given(stories, st.sampled_from([1.0, 1.5, 7.0]))
def test_states_go_through_json_bit_for_bit(story: list[Arms], phi: float) -> None:
    """Stored and read again before each look, everything comes out as if it had stayed in memory."""
    assert play(story, phi, stored) == play(story, phi, lambda state: state)


def play(story: list[Arms], phi: float, through: Callable[[Any], Any]) -> list[Any]:
    mixture, split, proof, over, bursts, tallied = UNSTARTED, Split(), Proof(), Exceeding(), Bursts(), Tally()
    edges, slo, kept = Edges((0.1, 0.5)), UNSTARTED, UNSTARTED
    for number, look in enumerate(story):
        mixture = rate_ratio(through(mixture), look, planned=8, phi=phi)
        split = divide(through(split), look, weight=0.1, planned=8)
        proof = prove(through(proof), look, margin=0.01, phi=phi)
        over = exceed(through(over), look, planned=8, phi=phi)
        bursts = watch(through(bursts), [(look.canary_total, look.canary_bad), (9.0, 1.0)], 100.0 * number)
        tallied = tally(through(tallied), look, 15.0 * number, least=LEAST)
        slo = overspend(through(slo), look.canary_total, look.canary_bad, allowed=0.01, planned=8)
        kept = keep(through(kept), look.canary_total, look.canary_bad, allowed=0.01)
        good = Buckets(look.canary_total, {0.1: 0.0, 0.5: look.canary_total - look.canary_bad})
        edges = slowdown(through(edges), good, Buckets(100.0, {0.1: 1.0, 0.5: 97.0}), planned=8)
    return [mixture, split, proof, over, bursts, tallied, slo, kept, edges]


def stored(state: Any) -> Any:
    """What is read back is what was written, and has only numbers that JSON knows."""
    adapter = ADAPTERS.get(type(state)) or ADAPTERS.setdefault(type(state), TypeAdapter(type(state)))
    text = orjson.dumps(adapter.dump_python(state, mode="json"))
    assert b"null" not in text
    back = adapter.validate_python(orjson.loads(text))
    assert (back, repr(back)) == (state, repr(state))
    return back


def test_a_tighter_limit_is_less_evidence() -> None:
    look = Arms(100, 3, 900, 2)
    found = [rate_ratio(UNSTARTED, look, planned=4, limit=limit).log_e for limit in (1.0, 1.5, 3.0)]
    assert found == sorted(found, reverse=True)


@given(arms(), st.floats(1.01, 200))
def test_a_burst_factor_only_weakens(look: Arms, phi: float) -> None:
    """Divided logarithms are a concave power: the mean over the grid moves towards 1."""
    if look.comparable:
        assert max(factors(look, phi=phi)) <= max(*factors(look), 0.0)


@pytest.mark.parametrize(
    "counts", [(5, 6, 10, 0), (5, -1, 10, 0), (5, 0, 10, 11), (math.nan, 0, 1, 0), (math.inf, 0, 1, 0)]
)
def test_contradicting_counts_are_refused(counts: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidInput, match="bad of"):
        Arms(*counts)


@pytest.mark.parametrize("allowed", [-0.1, 1.0, 1.44])
def test_an_objective_that_allows_everything_is_refused(allowed: float) -> None:
    with pytest.raises(InvalidInput, match="cannot be judged"):
        keep(UNSTARTED, 100, 1, allowed=allowed)


def test_history_is_soon_outweighed() -> None:
    assert history(18_000, 5400) == Past(2200, 600.5)
    assert history(1000, 300) == Past(1200, 300.5)
    assert history(0, 0) == Past()


def test_past_begins_with_history() -> None:
    past = Past(10_000, 3000).after(100, 100)
    assert past.share == pytest.approx(3100 / 10_100)
    assert Past(10, 10).share < 1
