"""Promotion in full while stable is broken, and what happens then without such an order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.decide.action import Retire, Size, Steer, Unroute
from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.seen import ReplicaSetView, Route
from rollout.plan.run import Phase, State
from tests.kit.builders import FULL, RUN, STABLE, candidate, holding, seen, steered, workload
from tests.kit.orders import DOWN, NEWER, approving, blocked, full, give, held, paused, refusal, turns, waiting


def test_a_run_begins_in_full_although_stable_is_not_whole() -> None:
    weak = seen(workload=workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 1),)))
    assert decide(RUN, State(), weak, 100.0).state.phase is Phase.HOLDING
    state = give(State(), "promote", 99.0, world=weak, full=True)
    begun = turns(RUN, state, weak, 100.0).state
    assert (begun.phase, begun.step) == (Phase.PROGRESSING, FULL)
    assert any(n.reason == Reason.STABLE_NOT_READY and "in full was ordered" in n.message for n in begun.notes)


def test_the_weight_goes_up_in_full_although_stable_is_below_its_floor() -> None:
    weak = workload(replica_sets=(ReplicaSetView("h1", STABLE, 3, 1),))
    turn = turns(RUN, full(prepared=3), steered(10.0, workload=weak, candidate=candidate(3)), 120.0)
    assert turn.actions == (Steer(100),)
    assert any(n.reason == Reason.STABLE_BELOW_FLOOR for n in turn.state.notes)


def test_a_stable_without_pods_gives_everything_to_the_candidate_in_full() -> None:
    world = steered(10.0, workload=DOWN, candidate=candidate(1))
    turn = turns(RUN, full(), world, 120.0, 120.0)
    assert (turn.state.phase, turn.actions) == (Phase.PROGRESSING, (Steer(100.0),))
    grown = steered(100.0, workload=DOWN, candidate=candidate(1))
    assert turns(RUN, turn.state, grown, 121.0, 121.0).actions == (Size(3),)


def test_nothing_is_pinned_to_a_stable_without_pods_in_full() -> None:
    state = full(weight=0.0, routed=0.0)
    none_ready = candidate(3, ready=0)
    turn = turns(RUN, state, steered(0.0, workload=DOWN, candidate=none_ready), 120.0)
    assert (turn.state.phase, turn.actions) == (Phase.PROGRESSING, (Unroute(),))
    plain = seen(workload=DOWN, candidate=none_ready, route=Route("home", leftovers=True))
    assert turns(RUN, turn.state, plain, 121.0, 122.0).actions == ()
    ready = replace(plain, candidate=candidate(3))
    assert turns(RUN, turn.state, ready, 123.0, 123.0).actions == (Steer(100.0),)


@pytest.mark.parametrize("state", [holding(), paused(), held(), blocked()], ids=lambda s: s.phase)
def test_with_everything_on_the_candidate_a_broken_stable_changes_nothing(state: State) -> None:
    state = replace(state, step=FULL, weight=100.0, routed=100.0, prepared=3)
    world = steered(100.0, workload=DOWN, candidate=candidate(3))
    assert turns(RUN, state, world, 120.0).state.phase is not Phase.ROLLING_BACK
    lost = turns(RUN, state, replace(world, candidate=candidate(3, ready=0)), 120.0).state
    assert lost.reason == Reason.PIN_LOST, "nobody is left: the plain Service has whatever comes back first"


@pytest.mark.parametrize(
    "state", [holding(), waiting(), blocked(), held(), paused(), paused(full=True)], ids=lambda s: s.phase
)
def test_without_an_order_the_plain_service_takes_over_and_the_candidate_is_kept(state: State) -> None:
    world = steered(10.0, workload=DOWN)
    after = turns(approving(), state, world, 120.0).state
    assert (after.phase, after.reason) == (Phase.ROLLING_BACK, Reason.PIN_LOST)
    assert turns(approving(), after, world, 120.0).actions == (Unroute(),)
    home = seen(workload=DOWN, candidate=candidate(), route=Route("home", leftovers=True))
    kept = turns(approving(), after, home, 121.0, 200.0, 300.0)
    assert kept.actions == ()
    assert "rollout promote web --full goes forward instead" in kept.state.message
    healed = replace(home, workload=workload())
    assert turns(approving(), kept.state, healed, 301.0).actions == (Retire(),)


def test_a_run_that_went_home_because_stable_is_down_turns_round_in_full() -> None:
    state = turns(RUN, holding(), steered(10.0, workload=DOWN), 120.0).state
    home = seen(workload=DOWN, candidate=candidate(), route=Route("home", leftovers=True))
    state = turns(RUN, state, home, 121.0, 122.0).state
    state = give(state, "promote", 130.0, world=home, full=True)
    assert (state.phase, state.step, state.full, state.outcome) == (Phase.PROGRESSING, FULL, True, None)
    turn = turns(RUN, state, home, 131.0, 133.0)
    assert turn.actions == (Steer(100.0),)


@pytest.mark.parametrize(
    "changes",
    [
        {"workload": workload()},
        {"candidate": candidate(ready=0)},
        {"candidate": None},
        {"candidate": candidate(deleting=True)},
        {"plan_exists": False},
        {"workload": replace(DOWN, digest=NEWER)},
    ],
)
def test_a_run_that_goes_home_turns_round_for_nothing_less(changes: dict[str, Any]) -> None:
    state = holding(phase=Phase.ROLLING_BACK, outcome=Phase.ABORTED, reason=Reason.PIN_LOST)
    world = replace(seen(workload=DOWN, candidate=candidate()), **changes)
    after = give(state, "promote", 130.0, world=world, full=True)
    assert after.phase is Phase.ROLLING_BACK
    assert "goes home already" in refusal(after)


def test_an_approval_is_given_with_a_promotion_in_full() -> None:
    spec = replace(RUN, program=replace(RUN.program, steps=(*RUN.program.steps[:3], *approving().program.steps[1:2])))
    state = holding(step=3, full=True, weight=100.0, routed=100.0)
    assert turns(spec, state, steered(100.0), 120.0).state.phase is Phase.PROGRESSING
