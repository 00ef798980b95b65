"""The parts around the evidence: bursts, effects, edges of a histogram, the traffic's split."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.decide.evidence.burst import BLOCK, WINDOW, Bursts, factor, follow, lossy, replay, spread, watch
from rollout.decide.evidence.counts import Arms
from rollout.decide.evidence.edges import (
    Buckets,
    Edges,
    at_edge,
    edge_for,
    slowdown,
    superiority,
    telling_edges,
    typical_edge,
)
from rollout.decide.evidence.effect import Tally, judge, least_effect, log_limit, tally
from rollout.decide.evidence.split import Split, alarm, divide
from rollout.errors import InvalidInput

# --- bursts


def mean(bursts: Bursts) -> float:
    """What was seen of them, with nothing added."""
    return math.fsum(one.squares for one in bursts.blocks) / math.fsum(one.chance for one in bursts.blocks)


def test_independent_errors_have_the_factor_one_on_average() -> None:
    """Every way that 6 errors fall on 3 unequal pods, with its chance."""
    sizes = (100.0, 200.0, 300.0)
    seen = 0.0
    for a, b in product(range(7), range(7)):
        if a + b <= 6:
            c = 6 - a - b
            ways = math.factorial(6) / (math.factorial(a) * math.factorial(b) * math.factorial(c))
            chance = ways * (1 / 6) ** a * (2 / 6) ** b * (3 / 6) ** c
            seen += chance * spread(zip(sizes, (a, b, c), strict=True))[0]
    assert seen == pytest.approx(spread(zip(sizes, (6, 0, 0), strict=True))[1])


@pytest.mark.parametrize("size", [2, 5, 50, 170])
def test_clusters_of_one_size_have_it_as_their_factor(size: int) -> None:
    """Each in a look of its own: one of five equal pods has all of them."""
    bursts = Bursts()
    for number in range(20):
        bursts = watch(bursts, [(100.0 * size, float(size) * (pod == number % 5)) for pod in range(5)], 15.0 * number)
    assert mean(bursts) == pytest.approx(size)
    assert size <= factor(bursts).phi < 1.5 * size


def test_a_large_cluster_weighs_more_than_small_ones() -> None:
    """One of 50 among fifty single errors: what a false alarm is made of is the half that came at once."""
    bursts = Bursts()
    for number in range(50):
        bursts = watch(bursts, [(100.0, float(pod == number % 4)) for pod in range(4)], 10.0 * number)
    bursts = watch(bursts, [(100.0, 50.0), (100.0, 0.0), (100.0, 0.0), (100.0, 0.0)], 510.0)
    assert mean(bursts) == pytest.approx((50 + 2500) / 100)


def test_what_hits_all_pods_alike_is_no_burst() -> None:
    bursts = Bursts()
    for number in range(10):
        bursts = watch(bursts, [(1000.0, 700.0)] * 4, 15.0 * number)
    assert factor(bursts).phi == 1.0


def test_a_few_busy_minutes_that_happen_to_be_calm_do_not_promise_that_there_are_no_bursts() -> None:
    """Each of them is one comparison of two pods, whatever it counts; half an hour of them is worth something."""
    said, bursts = [], Bursts()
    for number in range(25):
        bursts = watch(bursts, [(900.0, 30.0), (900.0, 33.0)], 60.0 * number)
        said.append(factor(bursts).phi)
    assert said == sorted(said, reverse=True)
    assert said[2] > 1.5
    assert said[-1] == 1.0


def test_a_few_bursts_that_happen_to_be_small_do_not_promise_that_all_are() -> None:
    """The more was counted, the less is added to what was seen."""
    added, bursts = [], Bursts()
    for number in range(64):
        bursts = watch(bursts, [(100.0, 6.0 * (pod == number % 5)) for pod in range(5)], 15.0 * number)
        added.append(factor(bursts).phi / 6.0)
    assert added[0] > 2.0
    assert added == sorted(added, reverse=True)
    assert 1.0 < added[-1] < 1.3


def test_history_is_the_looks_that_were_before_the_run() -> None:
    tracks = {
        "a": [(0.0, 100.0, 0.0), (60.0, 200.0, 5.0), (120.0, 10.0, 0.0), (180.0, 110.0, 0.0)],
        "b": [(0.0, 100.0, 7.0), (60.0, 200.0, 7.0), (120.0, 300.0, 7.0), (180.0, 400.0, 12.0)],
    }
    whole = watch(watch(Bursts(), [(100.0, 5.0), (100.0, 0.0)], 60.0), [(100.0, 0.0), (100.0, 5.0)], 180.0)
    assert replay(tracks) == replay(dict(reversed(tracks.items())))
    assert mean(replay(tracks)) == mean(whole) == 5.0


def test_a_burst_of_the_past_that_lasts_a_minute_is_one() -> None:
    """To the looks of a run it is three small ones."""
    tracks = {
        "a": [(15.0 * n, 100.0 * n, 5.0 * n) for n in range(4)] + [(60.0 + 15 * n, 400.0, 15.0) for n in range(8)],
        "b": [(15.0 * n, 100.0 * n, 0.0) for n in range(12)],
    }
    looks = Bursts()
    for n in range(3):
        looks = watch(looks, [(100.0, 5.0), (100.0, 0.0)], 15.0 * n)
    assert mean(looks) == 5.0
    assert mean(replay(tracks)) == 15.0


def test_a_burst_of_the_candidate_between_calm_looks_has_its_size_as_factor() -> None:
    """Where nothing is known of stable: before, its evidence was divided by what is assumed."""
    own = follow(follow((0.0, 0.0), (100.0, 0.0), (100.0, 50.0)), (100.0, 50.0), (100.0, 0.0))
    assert own == (2500.0, 50.0)
    assert factor(Bursts()).phi == 3.0
    found = factor(Bursts(), own)
    assert 45 < found.phi < 50
    assert not found.assumed


def test_a_candidate_that_breaks_is_one_step_and_weighs_more_with_each_look() -> None:
    """e / (2 k - 1) after k looks of e errors."""
    own, last, seen = follow((0.0, 0.0), (100.0, 0.0), (100.0, 60.0)), (100.0, 60.0), [60.0]
    for _ in range(3):
        own = follow(own, last, last)
        seen.append(own[0] / own[1])
    assert seen == pytest.approx([60.0, 20.0, 12.0, 60 / 7])


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), max_size=8), st.floats(0, 1e5), st.floats(0, 1e5))
def test_the_candidate_may_raise_the_factor_and_never_lowers_it(
    pods: list[tuple[int, int]], squares: float, chance: float
) -> None:
    bursts = watch(Bursts(), [(total, min(total, bad)) for total, bad in pods], 0.0)
    assert factor(bursts, (squares, chance)).phi >= factor(bursts).phi


@pytest.mark.parametrize("pods", [[], [(100.0, 9.0)], [(100.0, 0.0)] * 3, [(100.0, 5.0), (0.0, 0.0)]])
def test_without_errors_or_with_one_pod_it_is_assumed_and_said(pods: list[tuple[float, float]]) -> None:
    found = factor(watch(Bursts(), pods, 0.0))
    assert (found.phi, found.assumed) == (3.0, True)


def test_the_factor_has_bounds() -> None:
    assert factor(watch(Bursts(), [(1e6, 1e6), (1e6, 0.0)], 0.0)).phi == 200.0


def test_bursts_are_forgotten_after_half_an_hour_and_the_memory_stays_small() -> None:
    bursts = watch(Bursts(), [(100.0, 90.0), (100.0, 0.0)], 10_000.0)
    for number in range(1, 500):
        bursts = watch(bursts, [(100.0, 1.0), (100.0, 1.0)], 10_000.0 + 15 * number)
        assert len(bursts.blocks) <= WINDOW / BLOCK
    assert mean(bursts) == 0.0
    assert factor(bursts).phi == 1.0


def test_increase_sees_less_and_varies_more() -> None:
    assert lossy(1.0, window=30, scrape=15) == 2.0
    assert lossy(1.5, window=60, scrape=15) == 2.0
    assert lossy(1.0, window=120, scrape=15) == pytest.approx(8 / 7)
    with pytest.raises(InvalidInput, match="sees no increase"):
        lossy(1.0, window=15, scrape=15)


# --- effect and rule


def looks(*arms: Arms, every: float = 15.0, least: float = 0.005) -> Tally:
    state = Tally()
    for number, look in enumerate(arms, 1):
        state = tally(state, look, every * number, least=least)
    return state


BAD, GOOD = Arms(100, 3, 900, 2), Arms(100, 0, 900, 2)


def rule(log_e: float, state: Tally) -> bool:
    return judge(log_e, state, alpha=0.02, gates=2, least=0.005, phi=1.0).failed


def test_one_look_is_no_verdict_however_strong() -> None:
    crash = Arms(1000, 900, 9000, 2)
    assert not rule(500.0, looks(crash))
    assert rule(500.0, looks(crash, crash))


def test_evidence_below_the_limit_is_no_verdict() -> None:
    assert not rule(math.log(99.99), looks(BAD, BAD))
    assert rule(math.log(100.01), looks(BAD, BAD))


def test_the_budget_is_divided_over_the_gates() -> None:
    assert log_limit(0.02, 2) == pytest.approx(math.log(100))
    assert log_limit(0.01, 2) == pytest.approx(math.log(200))


def test_a_difference_that_nobody_minds_is_no_verdict_however_sure() -> None:
    slight = Arms(1_000_000, 1400, 1_000_000, 1000)
    assert not rule(80.0, looks(slight, slight, slight))


def test_a_difference_that_is_over_is_no_verdict() -> None:
    """Two looks saw it, a minute ago; since then nothing, and of all requests it is little."""
    state = looks(BAD, BAD, *[Arms(1000, 1, 9000, 9)] * 8)
    assert state.exceeded == 2
    assert not rule(80.0, state)


def test_the_last_minute_counts_when_the_whole_is_diluted() -> None:
    state = looks(*[Arms(1000, 1, 9000, 9)] * 40, BAD, BAD, BAD, BAD)
    assert state.total.excess < 0.005
    assert state.effect == pytest.approx(0.03 - 2 / 900)
    assert [when for when, _ in state.recent] == [15.0 * n for n in (41, 42, 43, 44)]


def test_the_whole_counts_when_the_last_minute_is_calm() -> None:
    state = looks(*[BAD] * 5, *[GOOD] * 4)
    assert state.effect == pytest.approx(15 / 900 - 18 / 8100)


def test_half_the_tolerance_is_the_least_effect() -> None:
    assert least_effect(0.01) == 0.005


# --- latency


PRIMARY = Buckets(10_000, {0.05: 4000, 0.1: 6500, 0.25: 9000, 0.5: 9890, 1.0: 9980, 5.0: 10_000, math.inf: 10_000})


def test_the_edge_that_stands_for_a_bound() -> None:
    assert edge_for(PRIMARY, 0.5) == (0.5, True)
    assert edge_for(PRIMARY, 0.3) == (0.5, False)
    assert edge_for(PRIMARY, 9.0) is None


def test_edges_that_tell_something() -> None:
    assert telling_edges(PRIMARY) == (0.25, 0.5)
    assert typical_edge(PRIMARY) == 0.5
    assert (telling_edges(Buckets(10, {1.0: 10})), typical_edge(Buckets(10, {1.0: 10}))) == ((), None)


def test_slower_than_an_edge_is_a_count() -> None:
    canary = Buckets(100, {0.25: 80, 0.5: 97})
    assert at_edge(canary, PRIMARY, 0.5) == Arms(100, 3, 10_000, 110)
    assert at_edge(canary, PRIMARY, 1.0) == Arms()


def test_several_edges_are_worth_their_mean() -> None:
    canary = Buckets(1000, {0.1: 600, 0.25: 850, 0.5: 960})
    both = slowdown(Edges((0.25, 0.5)), canary, PRIMARY, planned=4)
    alone = [slowdown(Edges((edge,)), canary, PRIMARY, planned=4).log_e for edge in (0.25, 0.5)]
    assert both.log_e == pytest.approx(math.log(sum(math.exp(log_e) for log_e in alone) / 2))
    assert both.log_e > 3
    assert Edges((0.25, 0.5)).log_e == 0


def test_an_edge_that_is_gone_gives_no_evidence() -> None:
    before = slowdown(Edges((0.25, 0.5)), Buckets(100, {0.25: 80, 0.5: 90}), PRIMARY, planned=4)
    after = slowdown(before, Buckets(100, {0.25: 80}), PRIMARY, planned=4)
    assert after.mixtures[1] == before.mixtures[1]
    assert after.mixtures[0].looks == 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=4))
def test_superiority_is_the_share_of_pairs(parts: list[tuple[int, int]]) -> None:
    """Against all pairs of requests, one by one; z against the variance of ranks with ties."""
    canary = [i for i, (c, _) in enumerate(parts) for _ in range(c)]
    primary = [i for i, (_, p) in enumerate(parts) for _ in range(p)]
    edges = (0.1, 0.2, 0.4)
    ours, theirs = (
        Buckets(len(arm), {edge: sum(x <= i for x in arm) for i, edge in enumerate(edges)}) for arm in (canary, primary)
    )
    found = superiority(ours, theirs)
    if not canary or not primary:
        assert found is None
        return
    assert found is not None
    pairs = [(c > p) + (c == p) / 2 for c, p in product(canary, primary)]
    assert found.probability == pytest.approx(sum(pairs) / len(pairs))
    pooled = canary + primary
    ranks = [sum(y < x for y in pooled) + (sum(y == x for y in pooled) + 1) / 2 for x in pooled]
    middle = (len(pooled) + 1) / 2
    spread_of_ranks = sum((rank - middle) ** 2 for rank in ranks)
    if spread_of_ranks == 0:
        assert found.z == 0
        return
    variance = len(canary) * len(primary) * spread_of_ranks / (len(pooled) * (len(pooled) - 1))
    assert found.z == pytest.approx((sum(ranks[: len(canary)]) - len(canary) * middle) / math.sqrt(variance))


# --- traffic


def after(canary: int, total: int, looks: int, weight: float = 0.1) -> Split:
    state = Split()
    for _ in range(looks):
        state = divide(state, Arms(canary, 0, total - canary, 0), weight=weight, planned=40)
    return state


@pytest.mark.parametrize("canary", [13, 15, 17])
def test_a_split_within_its_tolerance_raises_no_alarm(canary: int) -> None:
    assert alarm(after(canary, 150, 40)) is None


def test_a_route_without_effect_is_seen_at_once() -> None:
    assert alarm(after(0, 150, 1)) == "less"


def test_a_double_share_is_seen() -> None:
    assert alarm(after(30, 150, 8)) == "more"


def test_all_traffic_at_the_canary_is_as_it_should_be_at_full_weight() -> None:
    assert alarm(after(150, 150, 40, weight=1.0)) is None
    assert alarm(after(20, 150, 40, weight=1.0)) == "less"


def test_without_traffic_or_weight_there_is_nothing_to_divide() -> None:
    assert after(0, 0, 9) == Split()
    assert after(5, 10, 9, weight=0.0) == Split()
