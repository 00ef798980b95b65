"""What is known from watches: whatever comes late, twice or out of order, in the end it is the truth."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rollout.controller.stores import GRAVES, Store, Stores
from rollout.errors import Unavailable
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import DEPLOYMENT, LEASE, PLAN_RUN, POD, VIRTUAL_SERVICE, Kind, Ref, ref_of
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told

NAMESPACES = ("a", "b", "c")
NAMES = ("x", "y")
SERVICES = (None, frozenset({"s1"}), frozenset({"s1", "s2"}), frozenset[str]())
labels = st.dictionaries(st.sampled_from(["app", RUN_LABEL]), st.sampled_from(["1", "2"]))


def thing(kind: Kind, namespace: str, name: str, uid: str, version: int, **meta: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version), **meta}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": {}}


def services_of(obj: Json) -> frozenset[str] | None:
    """Objects of these tests say by number which Services they are about."""
    return SERVICES[obj["spec"].get("about", 3)]


class Delivered(RuleBasedStateMachine):
    """One kind, watched in two namespaces, or with a label in all; a truth, and messages about it under way."""

    kind = VIRTUAL_SERVICE
    scopes: tuple[Scope, ...] = (Scope(VIRTUAL_SERVICE, "a"), Scope(VIRTUAL_SERVICE, "b"))

    @initialize()
    def begin(self) -> None:
        self.stores = Stores(self.scopes, {self.kind: services_of})
        self.truth: dict[Ref, Json] = {}
        self.revision = 100
        self.births = 0
        self.on_way: dict[Scope, deque[Told]] = {scope: deque() for scope in self.scopes}
        self.told: dict[Scope, list[Told]] = {scope: [] for scope in self.scopes}
        self.answers: list[Json] = []
        self.dead: set[str] = set()
        self.known: dict[Ref, int] = {}
        self.frozen: list[tuple[Json, Json]] = []
        for scope in self.scopes:
            self.stores.take(scope, self._list(scope))

    # -- the truth

    def _fits(self, scope: Scope, obj: Json | None) -> bool:
        if obj is None or scope.namespace not in ("", obj["metadata"]["namespace"]):
            return False
        return not scope.selector or scope.selector in obj["metadata"].get("labels", {})

    def _list(self, scope: Scope) -> Listed:
        found = tuple(deepcopy(obj) for obj in self.truth.values() if self._fits(scope, obj))
        return Listed(found, version=str(self.revision))

    def _write(self, ref: Ref, new: Json | None, *, ours: bool) -> None:
        """A write by somebody: every watch that it concerns will tell of it; we get the answer to our own."""
        self.revision += 1
        old = self.truth.pop(ref, None)
        if new is not None:
            new = deepcopy(new)
            new["metadata"]["resourceVersion"] = str(self.revision)
            meta = new["metadata"]
            if ours and any(self._fits(scope, new) for scope in self.scopes):
                self.answers.append(new)
            if "deletionTimestamp" in meta and not meta.get("finalizers"):
                new = None
            else:
                self.truth[ref] = new
        if new is None and old is not None:
            self.dead.add(old["metadata"]["uid"])
        for scope in self.scopes:
            if self._fits(scope, new):
                assert new is not None
                self.on_way[scope].append(Put(new))
            elif self._fits(scope, old):
                assert old is not None
                self.on_way[scope].append(Gone(ref, old["metadata"]["uid"], str(self.revision)))

    @rule(
        namespace=st.sampled_from(NAMESPACES),
        name=st.sampled_from(NAMES),
        marks=labels,
        about=st.integers(0, 3),
        ours=st.booleans(),
    )
    def write(self, namespace: str, name: str, marks: dict[str, str], about: int, ours: bool) -> None:
        """Create or change."""
        ref = Ref(self.kind, namespace, name)
        old = self.truth.get(ref)
        if old is None:
            self.births += 1
            old = thing(self.kind, namespace, name, f"u{self.births}", 0, finalizers=["keep"] if about == 1 else [])
        new = {**old, "metadata": {**old["metadata"], "labels": marks}, "spec": {"about": about}}
        self._write(ref, new, ours=ours)

    @precondition(lambda self: self.truth)
    @rule(data=st.data(), ours=st.booleans())
    def delete(self, data: st.DataObject, ours: bool) -> None:
        """Delete; with a finalizer it is marked first, and goes with the write that takes the finalizer off."""
        ref = data.draw(st.sampled_from(sorted(self.truth)))
        old = self.truth[ref]
        meta = old["metadata"]
        if meta.get("finalizers"):
            marked = "deletionTimestamp" in meta
            meta = {**meta, "finalizers": []} if marked else {**meta, "deletionTimestamp": "2026-01-01T00:00:00Z"}
            self._write(ref, {**old, "metadata": meta}, ours=ours)
        else:
            self._write(ref, None, ours=ours)

    # -- what is told

    def _take(self, scope: Scope, told: Told) -> None:
        self.stores.take(scope, told)
        self.told[scope].append(told)

    @rule(index=st.integers(0, 1), number=st.integers(1, 4))
    def deliver(self, index: int, number: int) -> None:
        """A watch tells what it has, in order; other watches may be behind."""
        scope = self.scopes[index % len(self.scopes)]
        for _ in range(min(number, len(self.on_way[scope]))):
            self._take(scope, self.on_way[scope].popleft())

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """The answer to a write of ours arrives: early, late, or twice."""
        if self.answers:
            self.stores.learned(data.draw(st.sampled_from(self.answers)), self.kind)

    @rule(index=st.integers(0, 1), behind=st.integers(0, 3))
    def relist(self, index: int, behind: int) -> None:
        """The watch broke: it lists, and goes on from there.  The list may have been made before the last messages."""
        scope = self.scopes[index % len(self.scopes)]
        listed = self._list(scope)
        later = list(self.on_way[scope])[-behind:] if behind else []
        self._take(scope, Blind(Unavailable("broke")))
        self._take(scope, listed)
        self.on_way[scope] = deque(later)  # told again although the list has it

    @rule(data=st.data(), index=st.integers(0, 1))
    def stutter(self, data: st.DataObject, index: int) -> None:
        """Something that was told before is told once more."""
        scope = self.scopes[index % len(self.scopes)]
        again = [told for told in self.told[scope] if isinstance(told, Put | Gone)]
        if again:
            self.stores.take(scope, data.draw(st.sampled_from(again)))
            self.stores.take(scope, Seeing())

    # -- what must hold

    def _store(self) -> Store:
        return self.stores._stores[self.kind]

    @invariant()
    def nothing_goes_back(self) -> None:
        now: dict[Ref, int] = {}
        for obj in self._store().list():
            ref, version = ref_of(obj), int(obj["metadata"]["resourceVersion"])
            assert version >= self.known.get(ref, 0)
            now[ref] = version
        self.known |= now

    @invariant()
    def what_was_handed_out_never_changes(self) -> None:
        assert all(obj == was for obj, was in self.frozen)
        self.frozen = [*self.frozen[-20:], *((obj, deepcopy(obj)) for obj in self._store().list())]

    @invariant()
    def indexes_agree_with_a_plain_filter(self) -> None:
        store = self._store()
        everything = store.list()
        assert [ref_of(obj) for obj in everything] == sorted(ref_of(obj) for obj in everything)
        for namespace in ("", *NAMESPACES):
            here = [obj for obj in everything if namespace in ("", obj["metadata"]["namespace"])]
            assert store.list(namespace) == here
            for pair in ({"app": "1"}, {"app": "2", RUN_LABEL: "1"}, {RUN_LABEL: "2"}):
                fit = [obj for obj in here if pair.items() <= obj["metadata"].get("labels", {}).items()]
                assert store.list(namespace, pair) == fit
                for about in ({"s1"}, {"s2"}, {"s1", "s3"}):
                    mine = [obj for obj in fit if (of := services_of(obj)) is None or of & about]
                    assert store.list(namespace, pair, about) == mine

    @rule()
    def in_the_end_it_is_the_truth(self) -> None:
        for obj in self.answers:
            self.stores.learned(obj, self.kind)
        for scope in self.scopes:
            while self.on_way[scope]:
                self._take(scope, self.on_way[scope].popleft())
        for obj in self.answers:
            self.stores.learned(obj, self.kind)
        expected = [
            self.truth[ref] for ref in sorted(self.truth) if any(self._fits(s, self.truth[ref]) for s in self.scopes)
        ]
        assert self._store().list() == expected
        assert not self.dead & {obj["metadata"]["uid"] for obj in self._store().list()}

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            self.in_the_end_it_is_the_truth()


class DeliveredByLabel(Delivered):
    """With a label selector an object leaves the scope and comes back under the same UID."""

    kind = LEASE
    scopes = (Scope(LEASE, "", RUN_LABEL),)


@pytest.mark.parametrize("machine", [Delivered, DeliveredByLabel])
def test_whatever_comes_late_or_twice_in_the_end_it_is_the_truth(machine: type[Delivered]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))


def run(version: int, uid: str = "u1", **meta: Any) -> Json:
    return thing(PLAN_RUN, "a", "web-1", uid, version, **meta)


WEB_1 = Ref(PLAN_RUN, "a", "web-1")


def test_a_predecessor_never_comes_back_after_its_namesake_has_gone() -> None:
    store = Store()
    store.put(run(1))
    store.put(run(5, "u2"))
    assert store.remove(WEB_1, "u2", "6")
    assert not store.put(run(2)), "the answer to a write to the first one arrives last"
    assert store.get(WEB_1) is None


def test_a_list_older_than_our_own_write_takes_nothing_away() -> None:
    store, scope = Store(), Scope(PLAN_RUN)
    store.put(run(7))
    assert store.replace(scope, Listed((), version="6")) == []
    assert len(store) == 1
    assert store.replace(scope, Listed((), version="8")) == [run(7)]
    assert not store.put(run(7)), "the same answer once more"


def test_a_change_tells_what_was_and_what_is() -> None:
    """What an object does not name any more is concerned, too."""
    stores = Stores([Scope(PLAN_RUN)], {})
    stores.take(Scope(PLAN_RUN), Listed((run(1),), version="1"))
    assert stores.take(Scope(PLAN_RUN), Put(run(2))) == [run(1), run(2)]
    assert stores.take(Scope(PLAN_RUN), Put(run(2))) == []
    assert stores.take(Scope(PLAN_RUN), Listed((run(3),), version="3")) == [run(2), run(3)]


def test_a_namespace_that_nobody_lists_does_not_disturb_the_others() -> None:
    one, two = Scope(DEPLOYMENT, "a"), Scope(DEPLOYMENT, "b")
    stores = Stores([one, two], {})
    here, there = thing(DEPLOYMENT, "a", "x", "u1", 1), thing(DEPLOYMENT, "b", "x", "u2", 2)
    stores.take(one, Listed((here,), version="3"))
    assert stores.of(DEPLOYMENT, "a") is not None
    assert stores.of(DEPLOYMENT, "b") is None
    assert stores.of(DEPLOYMENT, "") is None, "not everything has been seen"
    assert stores.of(DEPLOYMENT, "c") is None
    assert stores.unknown == {two}
    stores.take(two, Listed((there,), version="3"))
    stores.take(one, Listed((), version="9"))
    store = stores.of(DEPLOYMENT, "")
    assert store is not None
    assert store.list() == [there]


def test_a_broken_watch_is_known_until_it_sees_again() -> None:
    scope = Scope(DEPLOYMENT)
    stores = Stores([scope], {})
    for sees in (Listed((), version="1"), Seeing()):
        broke = Blind(Unavailable("broke"))
        stores.take(scope, broke)
        assert dict(stores.blind) == {scope: broke}
        stores.take(scope, sees)
        assert stores.blind == {}


def test_a_kind_that_is_installed_later_is_served_then() -> None:
    scope = Scope(VIRTUAL_SERVICE)
    stores = Stores([scope], {})
    stores.take(scope, Listed((), served=False))
    assert not stores.served(VIRTUAL_SERVICE)
    stores.take(scope, Listed((), version="4"))
    assert stores.served(VIRTUAL_SERVICE)


def test_graves_are_bounded_and_the_oldest_is_given_up_first() -> None:
    store = Store()
    for number in range(GRAVES + 1):
        store.remove(WEB_1, f"u{number}")
    for _ in range(GRAVES):
        store.remove(WEB_1, f"u{GRAVES}")
    assert not store.put(run(1, "u1")), "stuttering about one grave opens no other"
    assert store.put(run(1, "u0"))


def test_a_pod_that_ends_is_kept_until_it_has_gone() -> None:
    """Pods go gracefully: they have no finalizer and run on."""
    store = Store()
    pod = thing(POD, "a", "x", "u1", 1)
    store.put(pod)
    assert store.put(thing(POD, "a", "x", "u1", 2, deletionTimestamp="2026-01-01T00:00:00Z"))
    assert len(store) == 1


@pytest.mark.parametrize("finalizers", [None, []])
def test_the_answer_that_takes_the_last_finalizer_off_is_the_end(finalizers: list[str] | None) -> None:
    store = Store()
    store.put(run(1, finalizers=["f"], deletionTimestamp="2026-01-01T00:00:00Z"))
    gone = run(2, deletionTimestamp="2026-01-01T00:00:00Z")
    if finalizers is not None:
        gone["metadata"]["finalizers"] = finalizers
    assert store.put(gone)
    assert len(store) == 0
    assert not store.put(run(1, finalizers=["f"], deletionTimestamp="2026-01-01T00:00:00Z"))
