"""The CRDs follow from the models, and what has no honest form in Kubernetes is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from rollout.controller.status import plan_status, run_status
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CHANGE_FREEZE,
    METRIC_TEMPLATE,
    NOTIFICATION_CHANNEL,
    PLAN_DECISION,
    PLAN_RUN,
    PLANS,
)
from rollout.plan.program import Backends, Program, Side
from rollout.plan.run import Phase, RunSpec, State
from rollout.plan.schema import crd_documents, render
from rollout.plan.status import AdoptionStatus, PlanStatus, RunStatus
from rollout.plan.structural import NotStructuralError, structural

CRDS = Path(__file__).parents[2] / "crds"


def schemas() -> dict[str, Json]:
    return {
        document["spec"]["names"]["kind"]: document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for document in crd_documents()
    }


def walk(schema: Json) -> Iterator[Json]:
    yield schema
    for below in schema.get("properties", {}).values():
        yield from walk(below)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from walk(schema[key])


def test_the_files_are_what_the_models_say() -> None:
    written = {path.name: path.read_text() for path in CRDS.glob("*.yaml")}
    assert written == render(), "crds/ is stale: write render() there"


def test_the_files_have_no_anchors_and_say_that_they_are_generated() -> None:
    for text in render().values():
        assert text.startswith("# Generated")
        assert not any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))


def test_every_kind_that_is_stored_has_a_definition() -> None:
    names = {document["metadata"]["name"] for document in crd_documents()}
    kinds = (*PLANS, PLAN_RUN, PLAN_DECISION, METRIC_TEMPLATE, NOTIFICATION_CHANNEL, CHANGE_FREEZE)
    assert names == {f"{kind.plural}.{kind.group}" for kind in kinds}


def test_no_short_name_is_taken_by_others() -> None:
    short = [name for document in crd_documents() for name in document["spec"]["names"]["shortNames"]]
    assert short == ["cplan", "mplan", "prun", "pdec", "mtpl", "nchan", "cfrz"]


def test_every_field_that_people_write_is_explained() -> None:
    for kind in (
        "CanaryPlan",
        "MeshAdoptionPlan",
        "PlanDecision",
        "MetricTemplate",
        "NotificationChannel",
        "ChangeFreeze",
    ):
        for schema in walk(schemas()[kind]["properties"]["spec"]):
            for name, field in schema.get("properties", {}).items():
                assert field.get("description"), f"{kind}: {name} has no docstring"


def test_descriptions_are_one_line() -> None:
    for schema in schemas().values():
        for part in walk(schema):
            assert "\n" not in part.get("description", "")


def test_every_schema_is_structural() -> None:
    for schema in schemas().values():
        for part in walk(schema):
            assert not part.keys() & {"$ref", "anyOf", "oneOf", "const", "title", "prefixItems", "discriminator"}
            assert not {"properties", "additionalProperties"} <= part.keys()
            assert part.get("default", ...) is not None
            assert "type" in part or part.get("x-kubernetes-preserve-unknown-fields")


def test_records_have_no_defaults_of_the_server() -> None:
    assert not any("default" in part for part in walk(schemas()["PlanRun"]))


def test_the_api_server_does_not_judge_each_step_of_a_stored_program() -> None:
    rules = [
        part["x-kubernetes-validations"] for part in walk(schemas()["PlanRun"]) if "x-kubernetes-validations" in part
    ]
    assert rules == [[{"rule": "self == oldSelf", "message": "spec is immutable"}]]


def test_the_api_server_does_not_judge_what_the_engine_remembers() -> None:
    state = schemas()["PlanRun"]["properties"]["status"]["properties"]["state"]
    assert (state["type"], state["x-kubernetes-map-type"]) == ("object", "atomic")
    assert state["x-kubernetes-preserve-unknown-fields"]
    assert "properties" not in state


def test_bounds_are_written_as_openapi_3_has_them() -> None:
    step = schemas()["CanaryPlan"]["properties"]["spec"]["properties"]["linear"]["properties"]["step"]
    assert (step["minimum"], step["exclusiveMinimum"], step["maximum"]) == (0, True, 100)


@pytest.mark.parametrize("phase", list(Phase))
def test_what_is_written_into_a_status_is_in_its_schema(phase: Phase) -> None:
    program = Program("canary", "web", Backends("shop", "web", "web-1", Side("web"), Side("web-canary")), ())
    state = State(phase=phase, started=1.0, ended=2.0, reason="Why", message="because")
    spec = RunSpec("web", "uid", 1, 1, program)
    owner = {"metadata": {"generation": 2}}
    PlanStatus.model_validate(plan_status(owner, "web-1", spec, state, 3.0), by_alias=True, by_name=False)
    RunStatus.model_validate(run_status(owner, spec, state, 3.0), by_alias=True, by_name=False)


def test_the_status_of_an_adoption_says_all_that_any_plan_says_and_more() -> None:
    status = schemas()["MeshAdoptionPlan"]["properties"]["status"]["properties"]
    canary = schemas()["CanaryPlan"]["properties"]["status"]["properties"]
    assert canary.items() <= status.items()
    assert status.keys() - canary.keys() == {"stage", "doing", "units", "blockers"}
    said = {"stage": "strict", "doing": "strict-deployment-web", "units": "3/7", "blockers": ["CronJob/report"]}
    AdoptionStatus.model_validate(said, by_alias=True, by_name=False)


class Node(BaseModel):
    below: list[Node]


class Either(BaseModel):
    it: list[str] | dict[str, str]


class Mixed(BaseModel):
    pair: tuple[int, str]


@pytest.mark.parametrize("model", [Node, Either, Mixed])
def test_what_kubernetes_has_no_form_for_is_an_error(model: type[BaseModel]) -> None:
    with pytest.raises(NotStructuralError):
        structural(model.model_json_schema())


def test_variants_that_disagree_about_a_field_are_an_error() -> None:
    def variant(name: str, value: Any) -> Json:
        return {"type": "object", "properties": {"kind": {"const": name}, "value": {"type": value}}}

    union = {"oneOf": [variant("a", "string"), variant("b", "integer")], "discriminator": {"propertyName": "kind"}}
    with pytest.raises(NotStructuralError, match="value differs"):
        structural(union)


def test_an_integer_or_a_text_is_what_kubernetes_calls_int_or_string() -> None:
    class Port(BaseModel):
        port: int | str

    assert structural(Port.model_json_schema())["properties"]["port"] == {"x-kubernetes-int-or-string": True}
