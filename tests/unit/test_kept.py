"""What is kept of watched objects: all that the engine reads, and not more."""

from __future__ import annotations

from copy import deepcopy

from rollout.adapters.memory.behaviour import Behaviour
from rollout.observe.candidate import parse
from rollout.observe.kept import LAST_APPLIED, kept
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, PLAN_RUN, POD, VIRTUAL_SERVICE
from rollout.plan.run import RUN_SPEC, dump_spec
from tests.kit.builders import run
from tests.kit.sim import BAD, CRASHING, GOOD, Sim


def test_a_pod_loses_its_spec_and_keeps_where_and_how_it_is() -> None:
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "x",
            "namespace": "shop",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"a": "b"},
            "annotations": {"long": "x" * 1000},
            "managedFields": [{}],
        },
        "spec": {"containers": [{"name": "app"}], "nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [], "containerStatuses": [{"ready": True}], "podIP": "10.0.0.1"},
    }
    assert kept(pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "namespace": "shop", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "conditions": [], "containerStatuses": [{"ready": True}]},
    }
    assert "spec" not in kept({**pod, "spec": {"containers": []}})


def test_of_other_objects_only_bulk_is_dropped_and_the_original_is_left_alone() -> None:
    notes = {LAST_APPLIED: "{...}", "mine": "yes"}
    obj: Json = {
        "apiVersion": VIRTUAL_SERVICE.api_version,
        "kind": "VirtualService",
        "metadata": {"name": "x", "annotations": notes, "managedFields": [{}]},
        "spec": {"hosts": ["web"]},
        "status": {"a": 1},
    }
    before = deepcopy(obj)
    small = kept(obj)
    assert obj == before
    assert small["metadata"] == {"name": "x", "annotations": {LAST_APPLIED: "", "mine": "yes"}}
    assert (small["spec"], small["status"]) == (obj["spec"], obj["status"])
    assert kept(small) == small


def test_a_run_is_read_the_same_with_its_steps_packed() -> None:
    raw: Json = {
        "apiVersion": PLAN_RUN.api_version,
        "kind": "PlanRun",
        "metadata": {"name": "web-bbbbb-1", "namespace": "shop"},
        "spec": dump_spec(run(10.0, 50.0)),
    }
    small = kept(raw)
    assert isinstance(small["spec"]["program"]["steps"], bytes)
    assert RUN_SPEC.validate_python(small["spec"]) == RUN_SPEC.validate_python(raw["spec"]) == run(10.0, 50.0)
    assert kept(small) == small
    damaged = {**raw, "spec": {**raw["spec"], "program": "none"}}
    assert kept(damaged) == damaged, "who reads it says what is wrong"


def test_an_object_without_annotations_stays_so() -> None:
    """How a patch adds one depends on it."""
    bare: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}}
    assert kept(bare) == bare
    empty: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "annotations": None}}
    assert kept(empty) == empty


def test_what_is_read_of_a_candidate_is_the_same_with_and_without_the_rest() -> None:
    """Healthy pods, crashing ones, and an image that is not there."""
    for image, behaviour in (
        (GOOD, None),
        (BAD, None),
        (CRASHING, None),
        ("shop/web:none", Behaviour(image_pull_error=True)),
    ):
        sim = Sim(image=image)
        if behaviour is not None:
            sim.memory.behaviour(image, behaviour)
        sim.memory.set_image("web", image)
        sim.memory.run(20)
        deployment = sim.memory.get(DEPLOYMENT, "web")
        pods = [obj for ref, obj in sim.memory.objects if ref.kind == POD]
        assert pods
        assert parse(kept(deployment), [kept(pod) for pod in pods], "u") == parse(deployment, pods, "u")
