"""Routes that are written and not obeyed, or refused: what the engine makes of them."""

from __future__ import annotations

from rollout.decide.engine import decide
from rollout.decide.reason import Reason
from rollout.decide.seen import Route
from rollout.plan.run import Phase
from tests.kit.builders import RUN, candidate, holding, progressing, seen, steered


def test_what_is_written_and_not_looked_at_yet_is_not_in_place() -> None:
    """No candidate behind routes that nobody obeys; the time to settle begins when somebody does."""
    known = Route("steered", 0.0, leftovers=True, pending="HTTPRoute/web: not yet")
    state = progressing(settled=90.0)
    waiting = decide(RUN, state, seen(route=known), 101.0)
    assert (waiting.actions, waiting.state.routed) == ((), None)
    assert waiting.state.message == "the routes do not hold yet: HTTPRoute/web: not yet"
    assert decide(RUN, waiting.state, steered(0.0, candidate=None), 102.0).state.settled == 104.0


def test_a_refusal_that_lasts_is_a_failure_and_one_that_passes_is_not() -> None:
    refused = Route("steered", 10.0, leftovers=True, refused="HTTPRoute/web: no such Service")
    early = decide(RUN, holding(settled=112.0), seen(route=refused, candidate=candidate()), 111.0)
    assert (early.state.phase, early.actions) == (Phase.PROGRESSING, ())
    late = decide(RUN, early.state, seen(route=refused, candidate=candidate()), 112.5)
    assert (late.state.phase, late.state.reason) == (Phase.ROLLING_BACK, Reason.ROUTE_REFUSED)


def test_on_the_way_home_nothing_is_struck_out_that_is_not_obeyed() -> None:
    state = holding(phase=Phase.ROLLING_BACK, outcome=Phase.ROLLED_BACK)
    unseen = Route("steered", 0.0, leftovers=True, pending="HTTPRoute/web: not yet")
    turn = decide(RUN, state, seen(route=unseen, candidate=candidate()), 120.0)
    assert (turn.actions, turn.state.journal) == ((), state.journal)
    obeyed = decide(RUN, turn.state, steered(0.0), 121.0)
    assert [line.kind for line in obeyed.state.journal] == ["subsets", "route", "candidate"]
