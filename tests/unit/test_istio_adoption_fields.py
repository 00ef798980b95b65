"""Fields that are changed and put back: whatever the object, whatever is wanted, whatever its owner does meanwhile."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.mesh.istio import lines
from rollout.adapters.mesh.istio.fields import GONE, at, changing, covers, differing, parsed, pointer
from rollout.adapters.mesh.istio.lines import Aim
from rollout.plan.base import RUN_UID, Json
from rollout.plan.kinds import NAMESPACE, VIRTUAL_SERVICE, Kind, Ref
from rollout.plan.run import Entry

OWNER: Json = {"labels": {"plan": "p"}, "annotations": {RUN_UID: "run"}}
KEYS = st.sampled_from(["a", "b", "c/d", "~e"])
LEAVES = st.one_of(
    st.booleans(), st.integers(0, 2), st.sampled_from(["x", "y"]), st.lists(st.integers(0, 2), max_size=2)
)
VALUES = st.recursive(LEAVES, lambda it: st.dictionaries(KEYS, it, max_size=3), max_leaves=8)
SPECS = st.dictionaries(KEYS, VALUES, max_size=3)


def thing(spec: Json, kind: Kind = VIRTUAL_SERVICE, version: str = "1", **meta: Any) -> Json:
    named = {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": version, **meta}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": named, "spec": spec}


def aim(found: Json | None, wanted: Json) -> Aim:
    return Aim(Ref(VIRTUAL_SERVICE, "shop", "web"), "changed", found, {"spec": wanted})


def patched(obj: Json, ops: Any) -> Json:
    new: Json = jsonpatch.apply_patch(deepcopy(obj), list(ops))
    return new


def written(found: Json, wanted: Json, *journal: Entry) -> tuple[Json, Entry | None]:
    change = lines.write(aim(found, wanted), "me", journal, OWNER)
    return (found, None) if change is None else (patched(found, change.body), change.entry)


def taken_back(entry: Entry, found: Json) -> Json:
    change = lines.undo(entry, Ref(VIRTUAL_SERVICE, "shop", "web"), found)
    return found if change is None else patched(found, change.body)


@given(SPECS, SPECS)
def test_what_is_wanted_is_there_afterwards_and_all_else_is_untouched(spec: Json, wanted: Json) -> None:
    before = thing(spec)
    after, _ = written(before, wanted)
    assert not list(differing(after["spec"], wanted))
    for key in spec.keys() - wanted.keys():
        assert after["spec"][key] == spec[key]
    assert written(after, wanted)[1] is None


@given(SPECS, SPECS)
def test_undoing_gives_exactly_the_former_object(spec: Json, wanted: Json) -> None:
    before = thing(spec)
    after, entry = written(before, wanted)
    if entry is not None:
        assert lines.left(entry, after)
        home = taken_back(entry, after)
        assert home == before
        assert not lines.left(entry, home)


@given(SPECS, SPECS, SPECS)
def test_what_the_owner_writes_beside_it_stays(spec: Json, wanted: Json, more: Json) -> None:
    before = thing(spec)
    after, entry = written(before, wanted)
    if entry is not None:
        edited = deepcopy(after)
        edited["spec"]["owner"] = more
        assert taken_back(entry, edited) == thing({**spec, "owner": more})


@given(SPECS, SPECS, SPECS)
def test_what_the_owner_writes_over_it_is_his(spec: Json, wanted: Json, more: Json) -> None:
    _, entry = written(thing(spec), wanted)
    theirs = thing(more)
    if entry is not None:
        home = taken_back(entry, theirs)
        ours = [parsed(it["path"]) for it in entry.undo["fields"]]
        for key in more:
            if not any(path[:2] == ("spec", key) for path in ours):
                assert home["spec"][key] == more[key]
        assert not lines.left(entry, home)


@given(SPECS, SPECS)
def test_written_again_after_somebody_put_it_back_it_still_goes_home(spec: Json, wanted: Json) -> None:
    before = thing(spec)
    _, entry = written(before, wanted)
    if entry is not None:
        again, healed = written(thing(spec, version="3"), wanted, entry)
        assert healed is not None
        assert taken_back(healed, again) == thing(spec, version="3")


@given(SPECS, SPECS, SPECS)
def test_two_instructions_are_undone_one_by_one(spec: Json, first: Json, second: Json) -> None:
    before = thing(spec)
    one, entry = written(before, first)
    change = lines.write(aim(one, second), "other", [entry] if entry else [], OWNER)
    if entry is not None and change is not None and change.entry is not None:
        both = patched(one, change.body)
        assert taken_back(change.entry, both) == one
        assert taken_back(entry, one) == before


def test_a_field_can_be_wanted_gone() -> None:
    before = thing({"labels": {"old": "1"}})
    after, entry = written(before, {"labels": {"old": GONE, "new": "2"}})
    assert after["spec"] == {"labels": {"new": "2"}}
    assert entry is not None
    assert taken_back(entry, after) == before


def test_maps_that_were_made_go_unless_they_are_in_use() -> None:
    before = thing({})
    after, entry = written(before, {"a": {"b": {"c": 1}}})
    assert entry is not None
    assert entry.undo["made"] == ["/spec/a", "/spec/a/b"]
    assert taken_back(entry, after) == before
    after["spec"]["a"]["theirs"] = 2
    assert taken_back(entry, after)["spec"] == {"a": {"theirs": 2}}


@pytest.mark.parametrize(
    ("now", "wanted", "fits"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ([{"a": 1, "default": 0}], [{"a": 1}], True),
        ([{"a": 1}, {"a": 2}], [{"a": 1}], False),
        (True, 1, False),
        (1, 1.0, True),
        ({}, {"a": None}, True),
        ("x", {}, False),
        (GONE, GONE, True),
    ],
)
def test_a_value_covers_what_is_wanted(now: Any, wanted: Any, fits: bool) -> None:
    assert covers(now, wanted) is fits


def test_in_lists_of_istio_more_than_we_wrote_is_somebody_elses_and_elsewhere_a_default() -> None:
    _, entry = written(thing({"http": [1]}), {"http": [{"a": 1}]})
    assert entry is not None
    more = thing({"http": [{"a": 1, "more": 2}]})
    assert not lines.left(entry, more)
    other = Entry("mesh", "gateway.networking.k8s.io/v1", "HTTPRoute", "shop", "web", "", "u", entry.undo)
    assert lines.left(other, more)


def test_somebody_who_puts_it_back_is_told_from_a_write_that_did_not_arrive() -> None:
    found = thing({"a": 1}, generation=4)
    _, entry = written(found, {"a": 2})
    assert entry is not None
    wanted = {"a": 2}
    assert not lines.contested(aim(found, wanted), "me", [entry])
    only_status = thing({"a": 1}, version="9", generation=4)
    assert not lines.contested(aim(only_status, wanted), "me", [entry])
    put_back = thing({"a": 1}, version="9", generation=6)
    assert lines.contested(aim(put_back, wanted), "me", [entry])
    assert not lines.contested(aim(put_back, wanted), "other", [entry])
    namesake = thing({"a": 1}, version="9", generation=6, uid="v")
    assert not lines.contested(aim(namesake, wanted), "me", [entry])


def test_a_created_object_goes_as_a_whole_even_if_it_was_mended() -> None:
    change = lines.write(aim(None, {"a": 1}), "me", [], OWNER)
    assert change is not None
    assert change.entry is not None
    assert isinstance(change.body, dict)
    made = change.body | {"metadata": {**change.body["metadata"], "uid": "u", "resourceVersion": "1"}}
    made["spec"] = {"a": 2}
    assert lines.contested(aim(made, {"a": 1}), "me", [change.entry])
    mended = lines.write(aim(made, {"a": 1}), "me", [change.entry], OWNER)
    assert mended is not None
    assert mended.entry is None
    gone = lines.undo(change.entry, change.ref, made)
    assert gone is not None
    assert (gone.op, gone.guard is not None) == ("delete", True)
    made["metadata"]["deletionTimestamp"] = "now"
    assert lines.undo(change.entry, change.ref, made) is None


def test_labels_of_a_manifest_count_before_those_of_the_run() -> None:
    wanted = {"metadata": {"labels": {"plan": "mine"}, "annotations": {"a": "b"}}, "spec": {}}
    change = lines.write(Aim(Ref(NAMESPACE, "", "n"), "made", None, wanted), "me", [], OWNER)
    assert change is not None
    assert isinstance(change.body, dict)
    assert change.body["metadata"]["labels"] == {"plan": "mine"}
    assert change.body["metadata"]["annotations"] == {"a": "b", RUN_UID: "run"}


def test_pointers_are_escaped() -> None:
    path = ("metadata", "labels", "a/b~c")
    assert pointer(path) == "/metadata/labels/a~1b~0c"
    assert parsed(pointer(path)) == path
    assert at({"a": {"b": 1}}, ("a", "b", "c")) is GONE
    assert changing({}, [(("a", "b"), GONE)]) == []
