"""What a controller can read: each namespace by itself."""

from __future__ import annotations

from rollout.controller.reach import NEEDED, Reach
from rollout.controller.stores import Stores
from rollout.errors import Forbidden, Unavailable
from rollout.plan.kinds import DEPLOYMENT, POD
from rollout.ports.watch import Blind, Listed, Scope, Seeing, Told


def reach(*namespaces: str) -> Reach:
    kinds = (*NEEDED, POD)
    return Reach(Stores([Scope(kind, namespace) for namespace in namespaces for kind in kinds], {}))


def tell(it: Reach, namespace: str, told: Told) -> frozenset[str]:
    """All its watches tell the same; what came into sight."""
    came = frozenset[str]()
    for scope in it.stores.scopes:
        if scope.namespace == namespace:
            it.stores.take(scope, told)
            came |= it.look()
    return came


EMPTY, NO_RIGHT, DOWN = Listed((), version="1"), Blind(Forbidden("no right")), Blind(Unavailable("down"))


def test_ready_is_who_has_seen_all_that_may_be_seen() -> None:
    it = reach("a", "b")
    assert tell(it, "a", EMPTY) == {"a"}
    assert (it.ready, it.seen("a"), it.seen("b")) == (False, True, False)
    tell(it, "b", DOWN)
    assert not it.ready, "whoever only does not answer is waited for"
    tell(it, "b", NO_RIGHT)
    assert (it.ready, dict(it.lost), it.served) == (True, {"b": "no right"}, "a")


def test_who_was_ready_stays_so() -> None:
    it = reach("a", "b")
    tell(it, "a", EMPTY)
    tell(it, "b", NO_RIGHT)
    tell(it, "b", DOWN)
    assert (it.ready, it.served) == (True, "a,b"), "an outage takes no namespace away"
    tell(it, "a", NO_RIGHT)
    assert (it.ready, it.seen("a"), it.served) == (True, True, "b")


def test_a_namespace_comes_into_sight_once() -> None:
    it = reach("a", "b")
    tell(it, "a", EMPTY)
    tell(it, "b", NO_RIGHT)
    assert tell(it, "b", EMPTY) == {"b"}
    assert (tell(it, "b", EMPTY), tell(it, "b", Seeing()), dict(it.lost)) == (frozenset(), frozenset(), {})


def test_who_may_read_nothing_is_not_ready_and_the_whole_cluster_is_one_namespace() -> None:
    it = reach("")
    tell(it, "", NO_RIGHT)
    assert (it.ready, it.served, it.seen("a")) == (False, "*", False)
    assert tell(it, "", EMPTY) == {""}
    assert (it.ready, it.seen("a")) == (True, True)


def test_what_is_looked_for_everywhere_is_found_where_we_may_look() -> None:
    it = reach("a", "b")
    tell(it, "a", EMPTY)
    assert it.stores.of(DEPLOYMENT, "") is None
    tell(it, "b", NO_RIGHT)
    assert it.stores.of(DEPLOYMENT, "") is not None
    assert it.stores.of(DEPLOYMENT, "b") is None
