"""Plans of adoption as people write them: each rule is broken by a plan of its own, and by no sound one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cel
import pytest

from rollout.plan.adoption import AdoptionSpec
from rollout.plan.finding import Finding, Level
from rollout.plan.lint import Known, lint, rules
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import InvalidDocument, parse
from rollout.plan.structural import structural
from rollout.plan.written import Manifest, Policy
from tests.kit.adoptions import (
    BROKEN,
    CLASSIC,
    JOURNEY,
    LOCKED,
    MESH,
    PORT,
    WHOLE,
    adoption,
    apply,
    authorize,
    manifest,
    policy,
    stages,
)
from tests.kit.plans import Broken

KNOWN = Known(compilers=frozenset({"mesh-adoption"}), meshes=MESH, templates={})


def findings(source: str, known: Known | None = None) -> tuple[Finding, ...]:
    try:
        return lint(parse(source, "adoption.yaml"), known)
    except InvalidDocument as error:
        return error.findings


def plan(**spec: Any) -> MeshAdoptionPlan:
    (located,) = parse(adoption(spec))
    assert isinstance(located.document, MeshAdoptionPlan)
    return located.document


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.code)
def test_a_broken_rule_is_found_where_it_is_broken(broken: Broken) -> None:
    found = findings(adoption(broken.spec, broken.name), broken.known)
    assert {(finding.code, finding.path) for finding in found} == {(broken.code, broken.path)}, "nothing else is found"
    assert all(finding.where.startswith("adoption.yaml:") and finding.message for finding in found)


@pytest.mark.parametrize(
    "spec", [CLASSIC, {}, JOURNEY, stages(**LOCKED)], ids=["classic", "empty", "journey", "strict"]
)
def test_a_sound_plan_breaks_no_rule(spec: dict[str, Any]) -> None:
    assert findings(adoption(spec), KNOWN) == ()


def test_a_short_window_is_a_hint_and_no_warning() -> None:
    (found,) = findings(adoption(stages(shadowStrict={"window": "1h"}, strict={})))
    assert found.level is Level.INFO


def test_a_mesh_that_nobody_knows_is_not_asked_what_it_can() -> None:
    (found,) = findings(adoption(stages(**LOCKED) | {"mesh": {"driver": "osm"}}), KNOWN)
    assert (found.code, found.fix) == ("RO251", "one of: istio")


def test_what_a_mesh_cannot_do_is_named() -> None:
    found = findings(adoption(stages(**LOCKED)), Known(meshes={"istio": frozenset()}))
    said = ["mesh driver istio is not capable of shadow-strict", "mesh driver istio is not capable of live-policy"]
    assert [it.message for it in found] == said
    assert [it.message for it in findings(adoption(CLASSIC), Known(meshes={"istio": frozenset()}))] == said


def test_a_label_that_stays_away_harms_no_exception() -> None:
    assert findings(adoption({"exceptions": [WHOLE]} | stages(enrol={"labelNamespace": False}))) == ()
    assert findings(adoption({"exceptions": [WHOLE]} | stages(**LOCKED))) == (), "nobody is enrolled"


def test_a_manifest_may_name_the_namespace_of_its_plan() -> None:
    here = manifest("DestinationRule", "web", {"host": "web"}, namespace="shop")
    assert findings(adoption(apply(here))) == ()
    assert findings(adoption(apply(here), namespace="")) == (), "it is not known yet"


def test_a_manifest_in_a_plan_is_judged_as_any_other() -> None:
    (found,) = findings(adoption(apply(manifest("DestinationRule", "web", {"host": "web", "subsetz": []}))))
    assert (found.code, found.path, found.subject) == ("RO183", "spec.subsetz", "DestinationRule web.shop")
    text = adoption(apply(manifest("DestinationRule", "web", {"host": "web", "subsetz": []}))).splitlines()
    line = next(number for number, it in enumerate(text, 1) if "subsetz" in it)
    assert found.where.startswith(f"adoption.yaml:{line}:")


def test_policies_of_different_workloads_or_actions_do_not_meet() -> None:
    assert findings(adoption(authorize(policy("a", "a"), policy("b", "b"), policy("none", action="DENY")))) == ()


def test_a_day_may_be_written_without_quotes() -> None:
    text = adoption({"exceptions": [PORT]}).replace("'2027-03-31'", "2027-03-31")
    assert "until: 2027-03-31" in text
    (located,) = parse(text)
    assert isinstance(located.document, MeshAdoptionPlan)
    assert located.document.spec.exceptions[0].until == "2027-03-31"


@pytest.mark.parametrize("day", ["2027-02-30", "2027-3-1", "tomorrow", "2027-03-31T00:00:00Z", 20270331])
def test_a_day_is_one_that_exists(day: Any) -> None:
    (found,) = findings(adoption({"exceptions": [PORT | {"until": day}]}))
    assert found.code == "RO113"
    assert "a day that exists is written like 2027-03-31" in found.message


def test_a_manifest_comes_back_as_it_was_written() -> None:
    written = manifest("DestinationRule", "web", {"host": "web"}, labels={"a": "b"}, annotations={"c": "d"})
    assert Manifest.model_validate(written).raw() == written
    here = manifest("DestinationRule", "web", {"host": "web"}, namespace="shop")
    assert Manifest.model_validate(here).raw() == manifest("DestinationRule", "web", {"host": "web"})
    assert Policy.model_validate(policy("a")).raw() == policy("a")


def test_a_manifest_says_nothing_but_what_the_mesh_reads() -> None:
    (found,) = findings(adoption(apply(manifest("DestinationRule", "web", {}, ownerReferences=[]))))
    assert (found.code, found.path) == ("RO112", "spec.stages.traffic.apply[0].metadata.ownerReferences")


@pytest.mark.parametrize(
    ("version", "ours"),
    [
        ("networking.istio.io/v1", True),
        ("telemetry.istio.io/v1alpha1", True),
        ("gateway.networking.k8s.io/v1", True),
        ("policy.linkerd.io/v1beta3", True),
        ("linkerd.io/v1alpha2", True),
        ("consul.hashicorp.com/v1alpha1", True),
        ("apps/v1", False),
        ("networkingxistio.io/v1", False),
        ("networking.k8s.io/v1", False),
        ("meshrollout.dev/v1alpha1", False),
        ("rbac.authorization.k8s.io/v1", False),
    ],
)
def test_only_kinds_of_meshes_are_applied(version: str, ours: bool) -> None:
    found = findings(adoption(apply({"apiVersion": version, "kind": "It", "metadata": {"name": "a"}, "spec": {}})))
    assert ("RO242" in {it.code for it in found}) is not ours


def test_defaults_are_the_careful_ones() -> None:
    spec = plan(stages={"enrol": {}, "shadowStrict": {}, "strict": {}}).spec
    assert (spec.on_failure, spec.drift, spec.mesh.driver) == ("step", "heal", "istio")
    assert spec.stages.enrol is not None
    assert spec.stages.enrol.label_namespace
    assert spec.stages.strict is not None
    assert spec.stages.strict.pods == 1
    assert spec.stages.shadow_strict is not None
    assert spec.stages.shadow_strict.window == "1d"


def test_what_a_manifest_says_may_be_anything_to_the_api_server() -> None:
    schema = structural(AdoptionSpec.model_json_schema(by_alias=True))
    for path in (("traffic", "apply"), ("authorize", "policies")):
        item = schema["properties"]["stages"]["properties"][path[0]]["properties"][path[1]]["items"]
        spec = item["properties"]["spec"]
        assert spec["type"] == "object"
        assert spec["x-kubernetes-preserve-unknown-fields"] is True
        assert item["properties"]["metadata"]["required"] == ["name"]


def test_the_api_server_knows_a_day() -> None:
    schema = structural(AdoptionSpec.model_json_schema(by_alias=True))
    until = schema["properties"]["exceptions"]["items"]["properties"]["until"]
    assert (until["type"], until["format"], until["maxLength"]) == ("string", "date", 10)


def refusals(schema: Any, value: Any) -> Iterator[str]:
    """The messages of the schema's rules in CEL that a value breaks, as the API server would judge it."""
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        value = {name: field["default"] for name, field in fields.items() if "default" in field} | value
    for rule in schema.get("x-kubernetes-validations", ()):
        if not cel.evaluate(rule["rule"], {"self": value}):
            yield rule["message"]
    if isinstance(value, dict):
        for name, below in schema.get("properties", {}).items():
            if name in value:
                yield from refusals(below, value[name])
    if isinstance(value, list):
        for below in value:
            yield from refusals(schema["items"], below)


SCHEMA = structural(AdoptionSpec.model_json_schema(by_alias=True))
CEL = {rule.code: rule.text for rule in rules() if rule.check is None and rule.code.startswith("RO24")}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.code)
def test_each_rule_says_the_same_in_cel(broken: Broken) -> None:
    said = list(refusals(SCHEMA, broken.spec))
    assert said == ([CEL[broken.code]] if broken.code in CEL else [])


@pytest.mark.parametrize("spec", [CLASSIC, {}, JOURNEY])
def test_a_sound_plan_breaks_no_rule_in_cel(spec: dict[str, Any]) -> None:
    assert list(refusals(SCHEMA, spec)) == []


def test_every_rule_of_the_models_has_a_plan_that_breaks_it() -> None:
    assert set(CEL) == {broken.code for broken in BROKEN if broken.code.startswith("RO24")}
