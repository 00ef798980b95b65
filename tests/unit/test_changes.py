"""From actions to writes: what comes first, and what must wait for it."""

from __future__ import annotations

from rollout.act.changes import Acting, changes
from rollout.adapters.routers.istio import Istio
from rollout.decide.action import Steer
from rollout.observe.observer import Observation
from rollout.plan.kinds import DESTINATION_RULE, PLAN_RUN, VIRTUAL_SERVICE, Ref
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import World, play
from tests.kit.builders import run, seen


def test_subsets_are_written_alone_and_routes_only_when_they_are_there() -> None:
    spec = run(10.0)
    shop = World(given.objects(given.MIXED_PORTS))
    name = Ref(PLAN_RUN, "shop", spec.program.split.run)

    def acting() -> Acting:
        return Acting(name, "uid", spec, Observation(seen(), shop.read()), Istio())

    first = changes(acting(), Steer(0), ())
    assert {change.ref.kind for change in first} == {DESTINATION_RULE}
    journal = play(shop, first, ())
    second = changes(acting(), Steer(0), journal)
    assert {change.ref.kind for change in second} == {VIRTUAL_SERVICE}
    journal = play(shop, second, journal)
    assert changes(acting(), Steer(0), journal) == ()
