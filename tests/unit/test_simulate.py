"""What a plan would catch: the preview is the truth, says what to do, and costs a moment."""

from __future__ import annotations

from random import Random
from xml.etree import ElementTree

from rollout.cli.render import simulate as render
from rollout.cli.render.curve import drawing
from rollout.decide.evidence.limits import Limit, limited
from rollout.decide.evidence.power import Rule, Schedule, Stage
from rollout.decide.evidence.traffic import Traffic
from rollout.decide.evidence.trials import preview, trials
from rollout.decide.simulate import Foretold, Rates, foretell, schedule, tried_gates
from rollout.observe.rates import recent
from rollout.plan.kinds import CANARY_PLAN, Ref
from rollout.plan.program import Approve, CountGate, Program, Route, Step
from rollout.plan.sequential import CompareGate
from tests.kit.builders import run as a_run
from tests.kit.sim import Sim, plan

COMPARE = CompareGate("success", "success", every=15.0, tolerance=0.01, planned=16, alpha=0.01)


def program(*gates: CompareGate | CountGate, hold: float = 150.0) -> Program:
    """Two weights with a person between them; a warm-up of half a minute each."""
    spec = a_run(10.0).program
    weights = [Step(f"weight-{weight:g}", (Route(weight),), gates, hold=hold, warmup=30.0) for weight in (10.0, 30.0)]
    asks = Step("approve", (Approve(60.0, "rollback"),), gates)
    return Program(spec.strategy, spec.workload, spec.backends, (weights[0], asks, weights[1]), spec.settings)


def told(gate: CompareGate | CountGate, rps: float, base: float = 0.005, *, seed: int = 1) -> Foretold:
    return foretell(program(gate), gate, Rates(rps, base), Random(seed))


def test_a_gate_judges_where_there_is_a_weight_and_no_warm_up() -> None:
    assert tried_gates(program(COMPARE)) == (COMPARE,)
    stages = schedule(program(COMPARE), COMPARE).stages
    assert [(stage.weight, stage.seconds) for stage in stages] == [(0.1, 120.0), (0.3, 120.0)]


def test_the_preview_is_within_two_points_of_the_truth() -> None:
    """Against trials of its own, with another seed."""
    found = told(COMPARE, 40).at_tolerance
    assert (found.regression, found.found.runs) == (0.01, 2400)
    rule = Rule(0.01, 0.01, 1, COMPARE.beta)
    looks = schedule(program(COMPARE), COMPARE)
    truth = preview(trials(looks, Traffic(40, 0.005, 0.01), rule, Random(77), 4800, phi=1.0))
    assert 0.2 < truth.share < 0.9
    assert abs(found.found.share - truth.share) <= 0.02


def test_a_larger_regression_is_found_sooner_and_more_surely() -> None:
    found = told(COMPARE, 100).sizes
    assert [one.regression for one in found] == [0.005, 0.01, 0.02, 0.05, 0.1]
    shares = [one.found.share for one in found]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    times = [one.found.median for one in found if one.found.median is not None]
    assert times == sorted(times, reverse=True)


def test_a_seed_is_a_result() -> None:
    assert told(COMPARE, 40, seed=3) == told(COMPARE, 40, seed=3) != told(COMPARE, 40, seed=4)


def test_too_little_is_said_with_the_step_that_has_to_be_longer() -> None:
    advice = told(COMPARE, 40).advice
    assert len(advice) == 1
    assert "the dwell of step 3: 1 point is then found with about " in advice[0]
    assert told(COMPARE, 1000).advice == ()


def test_where_no_time_helps_a_larger_tolerance_is_advised() -> None:
    advice = told(COMPARE, 1.0)
    assert any("there is too little traffic to see 1 point" in one for one in advice.advice)
    assert any("minRequests is 50" in one for one in advice.advice)
    assert told(COMPARE, 0.0).advice == ("there is no traffic: nothing can be judged",)


def test_a_fixed_limit_near_what_is_usual_is_said_to_reject_sound_versions() -> None:
    limit = CountGate("success", "success", every=60.0, min=0.99, failures=2, over=5)
    found = told(limit, 20, 0.009)
    assert found.sound.share > 0.2
    assert "sound versions: a gate of type compare" in found.advice[0]
    assert told(limit, 1000, 0.0001).advice == ()


def test_a_limit_counts_failed_looks_only_where_there_are_enough_requests() -> None:
    steps = Schedule((Stage(0.5, 600),), every=60.0)
    all_bad = Traffic(1.0, 1.0)
    times = [
        limited(steps, all_bad, Limit(0.01, least, failures, 5), Random(1), 1)[0].failed
        for least, failures in ((20, 2), (50, 2), (20, 3), (1000, 1))
    ]
    assert times == [120.0, 240.0, 180.0, None]


def test_a_picture_is_xml_and_tells_each_point_in_words() -> None:
    ref = Ref(CANARY_PLAN, "shop", "a<b")
    found = render.Simulation(ref, 1, "traffic as given", (told(COMPARE, 100), told(COMPARE, 20)))
    root = ElementTree.fromstring(drawing(found))
    titles = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "shop/a<b: how often a worse version is found"
    assert len(titles) == 11
    assert "success: 10 points worse is found in 100.0 %" in titles


async def test_what_a_service_is_used_to_is_read_from_its_own_counters() -> None:
    sim = Sim(plan=plan())
    sim.memory.run(120)
    spec = (await sim.run(sim.engine())).spec.program
    gates = (COMPARE, CompareGate("latency", "slow", every=15.0, tolerance=0.02, planned=16, alpha=0.01))
    rates, lacking = await recent(sim.memory.metrics, spec, "shop", gates, sim.memory.clock.now())
    assert lacking == ""
    assert 1 < rates["success"].rps < 1000
    assert rates["latency"].base < 0.01
