"""What a plan would catch, before it runs: its gates tried on imagined traffic, a few thousand times.

Pure: chance comes from outside, so a seed is a result.  A gate is tried alone; what a candidate that is worse does to
requests is counted until that gate finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rollout.decide.evidence.limits import Limit, limited
from rollout.decide.evidence.power import Rule, Schedule, Stage, forecast
from rollout.decide.evidence.sampling import Uniform
from rollout.decide.evidence.traffic import Stories, Traffic
from rollout.decide.evidence.trials import Judge, Outcome, Preview, preview
from rollout.plan.program import CountGate, Program, Route, Step
from rollout.plan.sequential import CompareGate

RUNS: Final = 2400
"""Trials at the tolerance: the probability is within 2 points of the truth, 95 times of 100."""
FEWER: Final = 300
"""Trials of every other size, where 5 points are near enough; of a sound candidate; and where nearly all end alike."""
FEWEST: Final = 100
"""Trials of another size that all end alike: 97 of 100 of them do in truth."""
SURE: Final = 0.02
"""All trials but such a part end alike."""
SIZES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""The regressions that are tried, in tolerances."""
ENOUGH: Final = 0.8
"""A regression that is found less often is worth an advice."""
LONGER: Final = (2, 3, 4, 6, 8, 12)

Tried = CompareGate | CountGate
"""Gates that can be tried: they judge counts of requests."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What is known of a service's traffic for one gate."""

    rps: float
    """Requests/s to the service."""
    base: float
    """The share of them that is bad without any regression."""
    phi: float = 1.0
    """The burst factor."""


@dataclass(frozen=True, slots=True)
class Caught:
    """What becomes of a candidate that is worse by so much."""

    regression: float
    """0.01 is one point."""
    found: Preview


@dataclass(frozen=True, slots=True)
class Foretold:
    """What is foretold of one gate."""

    gate: str
    rates: Rates
    least: float
    """The regression that the gate is for: its tolerance, or what is missing to its limit."""
    sizes: tuple[Caught, ...]
    """Smallest first."""
    sound: Preview
    """What becomes of a candidate that is not worse."""
    advice: tuple[str, ...] = ()

    @property
    def at_tolerance(self) -> Caught:
        """The regression that the gate is for."""
        return min(self.sizes, key=lambda one: abs(one.regression - self.least))


def tried_gates(program: Program) -> tuple[Tried, ...]:
    """The gates that can be tried, each once."""
    found = {gate.name: gate for step in program.steps for gate in step.gates if isinstance(gate, Tried)}
    return tuple(found.values())


def schedule(program: Program, gate: Tried) -> Schedule:
    """The weights at which a gate judges, and how long: warm-ups, and looks that saw two weights, left out."""
    return Schedule(tuple(stage for _, stage in _stages(program.steps, gate)), gate.every)


def _stages(steps: Sequence[Step], gate: Tried) -> Iterator[tuple[int, Stage]]:
    """The steps in which a gate judges, with their numbers as `rollout plan` prints them."""
    weight = 0.0
    for number, step in enumerate(steps, 1):
        weight = next((one.weight for one in step.instructions if isinstance(one, Route)), weight)
        divided = weight > 0 and (weight < 100 or isinstance(gate, CountGate))
        if divided and step.hold > step.warmup and any(other.name == gate.name for other in step.gates):
            yield number, Stage(weight / 100, step.hold - step.warmup)


def foretell(program: Program, gate: Tried, rates: Rates, uniform: Uniform) -> Foretold:
    """Try one gate."""
    looks = schedule(program, gate)
    least = _least(gate, rates.base)
    tries = _Tries(looks, gate, rates, uniform)
    sizes = tuple(
        Caught(size, preview(tries.of(size, (FEWER, RUNS) if factor == 1.0 else (FEWEST, FEWER))))
        for factor in SIZES
        if (size := least * factor) + rates.base < 1
    )
    sound = preview(tries.of(0.0, (FEWER,)))
    told = Foretold(gate.name, rates, least, sizes, sound)
    return replace(told, advice=tuple(_advice(program, gate, looks, told)))


def _least(gate: Tried, base: float) -> float:
    """What the gate is for: of a limit, the regression that is over it by half."""
    if isinstance(gate, CompareGate):
        return gate.tolerance
    return max(1.5 * maximum(gate) - base, 0.5 * maximum(gate), 0.001)


def maximum(gate: CountGate) -> float:
    """The largest share of bad requests that passes."""
    limit = gate.max if gate.metric == "slow" else (1 - gate.min if gate.min is not None else None)
    return limit if limit is not None else 1.0


class _Tries:
    """Tries of one gate with regressions of many sizes; a judge remembers what is the same in all of them."""

    def __init__(self, looks: Schedule, gate: Tried, rates: Rates, uniform: Uniform) -> None:
        self._looks, self._gate, self._uniform = looks, gate, uniform
        burst = (rates.phi + 1) / 2  # the mean size of geometric clusters that come to this factor
        self._traffic = Traffic(rates.rps, rates.base, burst=burst)
        self._phi = rates.phi
        if isinstance(gate, CompareGate):
            self._judge = Judge(looks, rates.rps, _rule(gate), self._traffic.known(), rates.phi)

    def of(self, regression: float, sizes: Sequence[int]) -> list[Outcome]:
        """As many trials as the first of these sizes, and more where so few leave it open."""
        found: list[Outcome] = []
        traffic = replace(self._traffic, regression=regression)
        for runs in sizes:
            found += self._more(traffic, runs - len(found))
            if not SURE < sum(one.failed is not None for one in found) / runs < 1 - SURE:
                break
        return found

    def _more(self, traffic: Traffic, runs: int) -> list[Outcome]:
        gate = self._gate
        if isinstance(gate, CountGate):
            rule = Limit(maximum(gate), gate.min_requests, gate.failures, gate.over)
            return limited(self._looks, traffic, rule, self._uniform, runs)
        stories = Stories(self._looks, traffic, self._uniform)
        return [self._judge.judge(stories.tell(self._phi)) for _ in range(runs)]


def _rule(gate: CompareGate) -> Rule:
    return Rule(gate.tolerance, gate.alpha, 1, gate.beta)


def _advice(program: Program, gate: Tried, looks: Schedule, told: Foretold) -> Iterator[str]:
    if told.rates.rps <= 0:
        yield "there is no traffic: nothing can be judged"
        return
    if isinstance(gate, CountGate):
        if told.sound.share > 0.02:
            yield (
                f"{gate.name} rejects {100 * told.sound.share:.0f} % of sound versions: a gate of type compare, which"
                " looks at stable beside it, does not"
            )
        return
    if told.at_tolerance.found.share < ENOUGH:
        yield _longer(program, gate, looks, told) or _larger(gate, told)
    for stage in looks.stages:
        if (requests := told.rates.rps * stage.weight * stage.seconds) < gate.min_requests:
            yield (
                f"at {100 * stage.weight:g} % the candidate gets about {requests:.0f} requests, minRequests is"
                f" {gate.min_requests}: the step will take longer than its hold"
            )
            return


def _longer(program: Program, gate: CompareGate, looks: Schedule, told: Foretold) -> str:
    """The one step that has to last longer, by the least time, for the regression to be found often enough."""
    numbers = [number for number, _ in _stages(program.steps, gate)]
    choices = [
        (stage.seconds * (times - 1), -chance, numbers[place], times)
        for times in LONGER
        for place, stage in enumerate(looks.stages)
        if (chance := _chance(gate, _stretched(looks, place, times), told)) >= ENOUGH
    ]
    if not choices:
        return ""
    _, chance, number, times = min(choices)
    how = {2: "double", 3: "triple"}.get(times, f"multiply by {times}")
    return f"{how} the dwell of step {number}: {_points(gate.tolerance)} is then found with about {-100 * chance:.0f} %"


def _stretched(looks: Schedule, place: int, times: int) -> Schedule:
    return replace(
        looks,
        stages=tuple(
            replace(stage, seconds=stage.seconds * times) if i == place else stage
            for i, stage in enumerate(looks.stages)
        ),
    )


def _larger(gate: CompareGate, told: Foretold) -> str:
    found = next((one for one in told.sizes if one.found.share >= ENOUGH), None)
    text = f"there is too little traffic to see {_points(gate.tolerance)}"
    return f"{text}: a tolerance of {_points(found.regression)} is what it can keep" if found else text


def _chance(gate: CompareGate, looks: Schedule, told: Foretold) -> float:
    rates = told.rates
    return forecast(
        looks, _rule(gate), rate=rates.rps, base=rates.base, regression=gate.tolerance, phi=rates.phi
    ).probability


def _points(size: float) -> str:
    number = f"{100 * size:.3g}"
    return f"{number} point{'' if number == '1' else 's'}"
