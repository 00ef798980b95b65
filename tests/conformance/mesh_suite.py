"""What the writing half of every mesh driver must do: subclass `MeshSuite` and fill in the holes.

Whatever an instruction writes is journalled before, is written once, and undoing its lines backwards gives exactly the
objects that were there; what their owner wrote meanwhile stays, and what somebody else made is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import jsonpatch
import pytest

from rollout.observe.units import READS, units
from rollout.plan.base import PLAN_LABEL, RUN_UID, Json
from rollout.plan.kinds import Kind, Ref, kind_of, ref_of
from rollout.plan.program import Adoption, MeshInstruction, UnitName
from rollout.plan.run import Entry
from rollout.ports.mesh import Mesh, Stage
from rollout.ports.router import Change

OWNER: Json = {"labels": {PLAN_LABEL: "mesh"}, "annotations": {RUN_UID: "uid-of-mesh-1"}}


class World:
    """Objects by name that changes are applied to, guarded as an API server guards them; no controller acts."""

    def __init__(self, objects: Iterable[Json], kinds: Iterable[Kind]) -> None:
        self.objects: dict[Ref, Json] = {}
        self.kinds = tuple(kinds)
        self.writes = 0
        for obj in objects:
            self.put(obj)

    def put(self, obj: Json) -> None:
        """Create or replace; the generation counts writes to the spec."""
        self.writes += 1
        ref = ref_of(obj)
        before = self.objects.get(ref)
        same = before is not None and before.get("spec") == obj.get("spec")
        uid = before["metadata"]["uid"] if before else obj["metadata"].get("uid") or f"uid-{self.writes}"
        generation = (before["metadata"]["generation"] if before else 0) + (not same)
        meta = {**obj["metadata"], "uid": uid, "generation": generation, "resourceVersion": str(self.writes)}
        self.objects[ref] = deepcopy({**obj, "metadata": meta})

    def stage(self, adoption: Adoption, journal: Sequence[Entry] = ()) -> Stage:
        """Everything, read."""
        read: dict[Kind, list[Json]] = {kind: [] for kind in self.kinds}
        for obj in self.objects.values():
            read.setdefault(kind_of(obj), []).append(deepcopy(obj))
        here = {
            kind: [it for it in read.get(kind, ()) if it["metadata"].get("namespace") == adoption.namespace]
            for kind in READS
        }
        found = {UnitName(it.kind.name, it.name): it for it in units(here)}
        return Stage(adoption, found, read, tuple(journal))

    def apply(self, change: Change) -> None:
        """Do one write."""
        if change.op == "create":
            assert isinstance(change.body, dict)
            assert change.ref not in self.objects, f"{change.ref} exists"
            assert ref_of(change.body) == change.ref
            self.put(change.body)
            return
        assert change.guard is not None, f"{change.op} without a guard"
        meta = self.objects[change.ref]["metadata"]
        assert (change.guard.uid, change.guard.version) == (meta["uid"], meta["resourceVersion"])
        if change.op == "delete":
            del self.objects[change.ref]
        else:
            assert not isinstance(change.body, dict)
            self.put(jsonpatch.apply_patch(self.objects[change.ref], list(change.body)))

    def content(self) -> dict[Ref, Json]:
        """All objects without what the API server counts."""
        counted = ("generation", "resourceVersion")
        return {
            ref: {**obj, "metadata": {key: it for key, it in obj["metadata"].items() if key not in counted}}
            for ref, obj in deepcopy(self.objects).items()
        }


def done(
    mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction, journal: Sequence[Entry] = (), step: int = 0
) -> tuple[Entry, ...]:
    """Write what an instruction takes; the journal with its lines."""
    return play(world, mesh.render(wanted, world.stage(adoption, journal), OWNER), journal, step)


def play(world: World, changes: Iterable[Change], journal: Sequence[Entry], step: int = 0) -> tuple[Entry, ...]:
    """Journal and do each change."""
    for change in changes:
        if change.entry is not None:
            line = replace(change.entry, step=step)
            journal = (*(it for it in journal if it.key != line.key), line)
        world.apply(change)
    return tuple(journal)


def undo(mesh: Mesh, adoption: Adoption, world: World, journal: Sequence[Entry]) -> None:
    """Take all lines back, the last first."""
    for line in reversed(journal):
        for change in mesh.undo(line, world.stage(adoption, journal)):
            assert change.entry is None
            world.apply(change)
        assert not mesh.undo(line, world.stage(adoption, journal)), "undoing once is enough"
        assert not mesh.undone(line, world.stage(adoption, journal)).write


class MeshSuite:
    """The rules of the writing half of `rollout.ports.mesh`."""

    @pytest.fixture
    def mesh(self) -> Mesh:
        """The driver under test."""
        raise AssertionError("fill in")

    @pytest.fixture
    def adoption(self) -> Adoption:
        """Whose namespace it is."""
        raise AssertionError("fill in")

    @pytest.fixture
    def world(self) -> World:
        """The owner's objects."""
        raise AssertionError("fill in")

    def edited(self, obj: Json) -> Json:
        """The object after its owner wrote other fields in it."""
        raise AssertionError("fill in")

    def test_it_writes_and_then_has_nothing_more_to_write(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        progress = mesh.progress(wanted, world.stage(adoption))
        assert (progress.done, progress.write, progress.contested) == (False, True, False)
        assert progress.text
        journal = done(mesh, adoption, world, wanted)
        assert journal
        assert not mesh.render(wanted, world.stage(adoption, journal), OWNER)
        assert not mesh.progress(wanted, world.stage(adoption, journal)).write

    def test_undoing_gives_exactly_what_was_there(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        before = world.content()
        undo(mesh, adoption, world, done(mesh, adoption, world, wanted))
        assert world.content() == before

    def test_what_the_owner_wrote_meanwhile_stays(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        before = world.content()
        journal = done(mesh, adoption, world, wanted)
        touched = [ref for ref in before if world.content()[ref] != before[ref]]
        for ref in touched:
            world.put(self.edited(world.objects[ref]))
        undo(mesh, adoption, world, journal)
        assert world.content() == {ref: self.edited(it) if ref in touched else it for ref, it in before.items()}

    def test_what_the_owner_takes_back_is_his_and_seen_as_contested(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        before = {ref: deepcopy(obj) for ref, obj in world.objects.items()}
        journal = done(mesh, adoption, world, wanted)
        touched = [ref for ref, it in before.items() if world.objects[ref] != it and ref.kind.name != "Pod"]
        for ref in touched:
            world.put(before[ref])
        if touched:
            progress = mesh.progress(wanted, world.stage(adoption, journal))
            assert (progress.write, progress.contested) == (True, True)
        healed = done(mesh, adoption, world, wanted, journal)
        undo(mesh, adoption, world, healed)
        assert set(world.objects) == set(before)
        assert {ref: it.get("spec") for ref, it in world.objects.items()} == {
            ref: it.get("spec") for ref, it in before.items()
        }

    def test_a_line_whose_write_did_not_arrive_is_no_contest(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        before = world.content()
        planned = mesh.render(wanted, world.stage(adoption), OWNER)
        journal = tuple(replace(it.entry, step=0) for it in planned if it.entry is not None)
        progress = mesh.progress(wanted, world.stage(adoption, journal))
        assert (progress.write, progress.contested) == (True, False)
        undo(mesh, adoption, world, journal)
        assert world.content() == before
        again = done(mesh, adoption, world, wanted, journal)
        undo(mesh, adoption, world, again)
        assert world.content() == before

    def test_lines_name_what_they_are_about_and_come_first(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        for change in mesh.render(wanted, world.stage(adoption), OWNER):
            assert change.entry is not None
            line, ref = change.entry, change.ref
            assert (line.kind, line.object_kind, line.namespace, line.name) == (
                "mesh",
                ref.kind.name,
                ref.namespace,
                ref.name,
            )
            assert line.api_version == ref.kind.api_version
            assert line.step is None

    def test_made_objects_carry_their_owner(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        before = set(world.objects)
        done(mesh, adoption, world, wanted)
        for ref in set(world.objects) - before:
            assert_carries(world.objects[ref]["metadata"], OWNER)

    def test_what_became_somebody_elses_is_not_deleted(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        before = set(world.objects)
        journal = done(mesh, adoption, world, wanted)
        made = set(world.objects) - before
        for ref in made:
            mine = deepcopy(world.objects[ref])
            mine["metadata"]["annotations"].pop(RUN_UID)
            world.put(mine)
        undo(mesh, adoption, world, journal)
        assert made <= set(world.objects)

    def test_what_is_gone_is_undone(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        journal = done(mesh, adoption, world, wanted)
        for line in journal:
            world.objects = {ref: it for ref, it in world.objects.items() if ref.name != line.name}
        for line in journal:
            assert mesh.undone(line, world.stage(adoption, journal)).done

    def test_a_stale_read_cannot_write(
        self, mesh: Mesh, adoption: Adoption, world: World, wanted: MeshInstruction
    ) -> None:
        late = mesh.render(wanted, world.stage(adoption), OWNER)
        done(mesh, adoption, world, wanted)
        with pytest.raises(AssertionError):
            play(world, late, ())


def assert_carries(meta: Mapping[str, Any], owner: Mapping[str, Any]) -> None:
    """Labels and annotations of the owner are there."""
    for part in ("labels", "annotations"):
        assert owner[part].items() <= meta[part].items()
