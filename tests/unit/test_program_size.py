"""How large the program of an adoption may get, and what is made of one that is damaged."""

from __future__ import annotations

import zlib
from base64 import b64encode
from dataclasses import replace

import orjson
import pytest

from rollout.adapters.mesh.istio import Istio
from rollout.plan.gate import MetricLabels
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import from_object
from rollout.plan.program import Adoption, Program, UnitName
from rollout.plan.stored import PROGRAM, dump
from rollout.plan.strategy import MeshFacts, UnitFact
from strategies.mesh_adoption import MeshAdoption

GUARDS = Istio().guards(Adoption("shop", "shop-1"), MetricLabels(), None)


def program(count: int) -> Program:
    """The classic stages for so many workloads."""
    meta = {"name": "shop", "namespace": "shop"}
    kind = "MeshAdoptionPlan"
    plan = from_object({"apiVersion": "meshrollout.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": {}})
    assert isinstance(plan, MeshAdoptionPlan)
    names = [UnitName("Deployment", f"service-of-a-team-{number:03d}") for number in range(count)]
    units = tuple(UnitFact(name, labels={"app": name.name}, pods=2) for name in names)
    return MeshAdoption().compile(plan, MeshFacts(run="shop-1", units=units, guards=GUARDS))


def test_a_small_program_is_stored_for_people_to_read() -> None:
    made = replace(program(1), steps=program(1).steps[:3])
    stored = dump(made)
    assert isinstance(stored["steps"], list)
    assert PROGRAM.validate_python(stored) == made


def test_the_program_of_three_hundred_workloads_fits_a_run_with_room_for_its_journal() -> None:
    made = program(300)
    assert len(made.steps) > 900
    stored = orjson.dumps(dump(made))
    assert len(stored) < 48 * 1024
    assert PROGRAM.validate_python(orjson.loads(stored)) == made


@pytest.mark.parametrize("steps", ["", "x", "!!", b64encode(zlib.compress(b"[]")).decode(), "eJw="])
def test_packed_steps_that_are_damaged_are_told(steps: str) -> None:
    stored = dump(program(100))
    assert isinstance(stored["steps"], str)
    with pytest.raises(ValueError, match="steps"):
        PROGRAM.validate_python({**stored, "steps": steps})


def test_packed_steps_are_never_unpacked_without_end() -> None:
    bomb = b64encode(zlib.compress(b'"' + b"a" * (64 * 1024 * 1024) + b'"')).decode()
    with pytest.raises(ValueError, match="cut off, or more than"):
        PROGRAM.validate_python({**dump(program(100)), "steps": bomb})
