"""What every router must do, in memory and on a real API server: subclass `RouterSuite` and fill in the holes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from fractions import Fraction

import jsonpatch
import pytest

from rollout.errors import Conflict
from rollout.plan.base import RUN_LABEL, RUN_UID, Json
from rollout.plan.kinds import Kind, Ref, kind_of, ref_of
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.router import Change, Objects, Router
from tests.conformance.istio_manifests import objects

OWNER: Json = {"labels": {RUN_LABEL: "web-7"}, "annotations": {RUN_UID: "uid-of-web-7"}}
WEIGHTS = (0, 1, 10, 33.33, 50, 0.01, 99.99, 100, 20)
COUNTED = ("resourceVersion", "generation", "managedFields")
"""What an API server counts: every write changes it."""

Split = Mapping[str, Mapping[str, Fraction]]
"""By route: which share of its requests each destination gets. `candidate` and `stable` are our two sides."""


class World:
    """Objects by name, with UIDs and resourceVersions, that changes are applied to."""

    def __init__(self, objects: Iterable[Json] = ()) -> None:
        self.objects: dict[Ref, Json] = {}
        self.writes = 0
        for obj in objects:
            self.put(obj)

    def put(self, obj: Json) -> None:
        """Write as the owner does: create, or replace the spec."""
        self.writes += 1
        ref = ref_of(obj)
        before = self.objects.get(ref, {"metadata": {"uid": f"uid-{self.writes}"}})
        meta = {**obj["metadata"], "uid": before["metadata"]["uid"], "resourceVersion": str(self.writes)}
        self.objects[ref] = deepcopy({**obj, "metadata": meta})

    def read(self) -> Objects:
        """Everything, by kind, as copies."""
        found: dict[Kind, list[Json]] = {}
        for obj in self.objects.values():
            found.setdefault(kind_of(obj), []).append(deepcopy(obj))
        return found

    def fresh(self) -> World:
        """Another world with the objects of this one."""
        return World(self.objects.values())

    def specs(self) -> dict[Ref, Json]:
        """All specs."""
        return {ref: deepcopy(obj["spec"]) for ref, obj in self.objects.items() if "spec" in obj}

    def apply(self, change: Change) -> None:
        """Do one write, with its guard checked as an API server would: `Conflict` when it does not fit."""
        if change.op == "create":
            assert isinstance(change.body, dict)
            assert change.ref not in self.objects, f"{change.ref} exists"
            assert ref_of(change.body) == change.ref
            self.put(change.body)
            return
        assert change.guard is not None, f"{change.op} without a guard"
        meta = self.objects[change.ref]["metadata"]
        if change.guard.uid != meta["uid"] or change.guard.version not in ("", meta["resourceVersion"]):
            raise Conflict(f"{change.ref}: somebody else wrote first")
        if change.op == "delete":
            del self.objects[change.ref]
        else:
            assert not isinstance(change.body, dict)
            self.put(jsonpatch.apply_patch(self.objects[change.ref], list(change.body)))


def noted(journal: Sequence[Entry], change: Change) -> tuple[Entry, ...]:
    """The journal with the change's line, which takes the place of an older one of its kind and object."""
    if change.entry is None:
        return tuple(journal)
    new = change.entry

    def same(old: Entry) -> bool:
        keys = ("kind", "object_kind", "namespace", "name")
        return all(getattr(old, key) == getattr(new, key) for key in keys)

    return (*(old for old in journal if not same(old)), new)


def play(world: World, changes: Iterable[Change], journal: Sequence[Entry] = ()) -> tuple[Entry, ...]:
    """Journal and do each change."""
    for change in changes:
        journal = noted(journal, change)
        world.apply(change)
    return tuple(journal)


class RouterSuite:
    """The rules of `rollout.ports.router`."""

    pinned = "steered"
    """How a view calls routes that are pinned to stable."""
    manifests: tuple[str, ...] = ()
    """The owner's objects, as YAML. Their namespaces: `shop`, `edge`, `other`, `istio-system`, `mesh-root`."""
    kinds: str
    """The fixture that sees to it that a real API server has the kinds of this router."""

    @pytest.fixture
    def router(self) -> Router:
        """The router under test."""
        raise AssertionError("fill in")

    @pytest.fixture
    def backends(self) -> Backends:
        """What is split; the run is `web-7`."""
        raise AssertionError("fill in")

    @pytest.fixture(params=["memory", pytest.param("apiserver", marks=pytest.mark.apiserver)])
    def world(self, request: pytest.FixtureRequest, router: Router, backends: Backends) -> World:
        """The owner's objects: each test runs in memory, and on a real API server."""
        given = objects(*self.manifests)
        if request.param == "memory":
            return World(given)
        request.getfixturevalue(self.kinds)
        make: Callable[..., World] = request.getfixturevalue("served_world")
        return make(given, [read.kind for read in router.reads(backends)])

    def split(self, world: World) -> Split:
        """What the objects make of each route to the service."""
        raise AssertionError("fill in")

    def steered(self, router: Router, backends: Backends, world: World, *weights: float) -> tuple[Entry, ...]:
        journal: tuple[Entry, ...] = ()
        for weight in weights:
            journal = play(world, router.steer(backends, world.read(), weight, journal, OWNER), journal)
        return journal

    def go_home(self, router: Router, backends: Backends, world: World, journal: Sequence[Entry]) -> None:
        play(world, router.restore(backends, world.read(), journal))
        for _ in range(3):
            play(world, router.sweep(backends, world.read()))

    def test_at_rest_there_is_nothing_to_do(self, router: Router, backends: Backends, world: World) -> None:
        view = router.view(backends, world.read())
        assert (view.where, view.leftovers) == ("home", ())
        assert router.restore(backends, world.read(), ()) == ()
        assert router.sweep(backends, world.read()) == ()

    def test_reads_name_every_kind_in_use(self, router: Router, backends: Backends, world: World) -> None:
        assert set(world.read()) <= {kind for read in router.reads(backends) for kind in read.kinds}

    def test_it_writes_what_it_says(self, router: Router, backends: Backends, world: World) -> None:
        steered = router.steer(backends, world.read(), 10, (), OWNER)
        journal = play(world, steered)
        home = (*router.restore(backends, world.read(), journal), *router.sweep(backends, world.read()))
        for change in (*steered, *home):
            assert change.op in router.writes[change.ref.kind]

    @pytest.mark.parametrize("weight", WEIGHTS)
    def test_each_route_is_split_exactly(self, router: Router, backends: Backends, world: World, weight: float) -> None:
        before = self.split(world)
        self.steered(router, backends, world, weight)
        after = self.split(world)
        candidate = Fraction(str(weight)) / 100
        for route, shares in before.items():
            assert after[route].get("candidate", 0) == shares["stable"] * candidate
            assert after[route].get("stable", 0) == shares["stable"] * (1 - candidate)
            foreign = {name: share for name, share in after[route].items() if name not in ("stable", "candidate")}
            assert foreign == {name: share for name, share in shares.items() if name != "stable"}
        view = router.view(backends, world.read())
        assert (view.where, view.drift) == ("steered" if weight else self.pinned, "")
        assert view.weight == pytest.approx(weight)

    def test_steering_again_changes_nothing(self, router: Router, backends: Backends, world: World) -> None:
        for weight in WEIGHTS:
            journal = self.steered(router, backends, world, weight)
            assert router.steer(backends, world.read(), weight, journal, OWNER) == ()

    def test_stable_alone_is_pinned_or_the_owners_own_route(
        self, router: Router, backends: Backends, world: World
    ) -> None:
        """The engine takes `home` at its word, so it must mean the owner's spec."""
        before = world.specs()
        self.steered(router, backends, world, 50, 0)
        assert router.view(backends, world.read()).where == self.pinned
        if self.pinned == "home":
            assert world.specs() == before

    def test_restore_gives_back_what_the_owner_wrote(self, router: Router, backends: Backends, world: World) -> None:
        before = world.specs()
        journal = self.steered(router, backends, world, *WEIGHTS)
        play(world, router.restore(backends, world.read(), journal))
        assert router.view(backends, world.read()).where == "home"
        assert router.restore(backends, world.read(), journal) == ()
        self.go_home(router, backends, world, journal)
        assert world.specs() == before
        assert router.view(backends, world.read()).leftovers == ()

    def test_killed_after_any_write_it_still_comes_home(self, router: Router, backends: Backends, world: World) -> None:
        for stop in range(len(router.steer(backends, world.read(), 0, (), OWNER)) + 1):
            trial = world.fresh()
            before = trial.specs()
            journal: tuple[Entry, ...] = ()
            changes = router.steer(backends, trial.read(), 0, journal, OWNER)
            journal = play(trial, changes[:stop], journal)
            if stop < len(changes):
                journal = noted(journal, changes[stop])  # journalled, never written
            self.go_home(router, backends, trial, journal)
            assert trial.specs() == before

    def test_a_steer_cut_short_goes_on(self, router: Router, backends: Backends, world: World) -> None:
        changes = router.steer(backends, world.read(), 10, (), OWNER)
        for stop in range(len(changes)):
            trial = world.fresh()
            before = trial.specs()
            journal = play(trial, router.steer(backends, trial.read(), 10, (), OWNER)[:stop])
            journal = play(trial, router.steer(backends, trial.read(), 10, journal, OWNER), journal)
            assert router.view(backends, trial.read()).weight == 10
            self.go_home(router, backends, trial, journal)
            assert trial.specs() == before

    def test_everything_is_journalled_before_it_is_touched(
        self, router: Router, backends: Backends, world: World
    ) -> None:
        journal: tuple[Entry, ...] = ()
        for weight in (0, 10, 50):
            for change in router.steer(backends, world.read(), weight, journal, OWNER):
                journal = noted(journal, change)
                known = {(e.object_kind, e.namespace, e.name) for e in journal if e.kind != "weight"}
                assert (change.ref.kind.name, change.ref.namespace, change.ref.name) in known
                world.apply(change)

    def test_later_weights_need_no_new_route_lines(self, router: Router, backends: Backends, world: World) -> None:
        journal = self.steered(router, backends, world, 0, 10)
        changes = router.steer(backends, world.read(), 20, journal, OWNER)
        assert changes
        assert not [change for change in changes if change.entry and change.entry.kind != "weight"]

    def test_the_first_traffic_is_journalled_once(self, router: Router, backends: Backends, world: World) -> None:
        journal = self.steered(router, backends, world, 0, 10, 20, 50)
        if self.pinned == "steered":
            assert [entry.kind for entry in journal].count("weight") == 1
        assert [entry.kind for entry in journal].count("weight") <= 1

    def test_created_objects_are_marked_and_unowned(self, router: Router, backends: Backends, world: World) -> None:
        before = set(world.objects)
        self.steered(router, backends, world, 10)
        for ref in set(world.objects) - before:
            meta = world.objects[ref]["metadata"]
            assert meta["labels"] == OWNER["labels"]
            assert meta["annotations"] == OWNER["annotations"]
            assert "ownerReferences" not in meta
        left = router.view(backends, world.read()).leftovers
        assert set(left) == set(world.objects) - before

    def test_metadata_of_the_owner_is_never_changed(self, router: Router, backends: Backends, world: World) -> None:
        def meta() -> dict[Ref, Json]:
            return {
                ref: {k: v for k, v in obj["metadata"].items() if k not in COUNTED}
                for ref, obj in world.objects.items()
            }

        before = meta()
        self.steered(router, backends, world, 10)
        assert {ref: value for ref, value in meta().items() if ref in before} == before

    def test_a_stale_read_cannot_write(self, router: Router, backends: Backends, world: World) -> None:
        journal = self.steered(router, backends, world, 0)
        late = router.steer(backends, world.read(), 50, journal, OWNER)
        self.steered(router, backends, world, 10)
        with pytest.raises(Conflict):
            play(world, late)

    def test_what_the_owner_put_back_is_seen_and_healed(self, router: Router, backends: Backends, world: World) -> None:
        before = {ref: deepcopy(obj) for ref, obj in world.objects.items()}
        journal = self.steered(router, backends, world, 0, 10)
        touched = [ref for ref, obj in before.items() if world.objects[ref].get("spec") != obj.get("spec")]
        for ref in touched:
            world.put(before[ref])
            view = router.view(backends, world.read())
            assert view.where in ("mixed", "home")
            if view.where == "mixed":
                assert ref.name in view.drift
            changes = router.steer(backends, world.read(), 10, journal, OWNER)
            assert [c.entry.kind for c in changes if c.ref == ref and c.entry] == ["route"]
            journal = play(world, changes, journal)
            assert router.view(backends, world.read()).where == "steered"
        self.go_home(router, backends, world, journal)
        assert world.specs() == {ref: obj["spec"] for ref, obj in before.items() if "spec" in obj}
