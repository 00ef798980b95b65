"""Reading files and live objects: every mistake, at its place, with a way out."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import InvalidInput
from rollout.plan.finding import Finding, Level
from rollout.plan.objects import CanaryPlan, MetricTemplate, PlanDecision
from rollout.plan.parse import InvalidDocument, contents, from_object, parse

HEAD = """\
apiVersion: meshrollout.dev/v1alpha1
kind: CanaryPlan
metadata: {name: checkout, namespace: shop}
spec:
  target: {name: checkout}
"""
GOOD = HEAD + "  steps: [{weight: 10}]\n"


def mistakes(text: str) -> list[Finding]:
    with pytest.raises(InvalidDocument) as caught:
        parse(text, "canary.yaml")
    return list(caught.value.findings)


def test_a_plan_is_read() -> None:
    (located,) = parse(GOOD, "canary.yaml")
    assert isinstance(located.document, CanaryPlan)
    assert located.document.spec.steps is not None
    assert located.document.spec.steps[0].weight == 10
    assert located.position("spec.steps[0].weight") == "canary.yaml:6:12"


def test_a_line_names_level_code_document_place_field_and_what_is_wrong() -> None:
    (finding,) = mistakes(HEAD + "  steps:\n    - weight: 5\n    - weight: 120\n")
    assert str(finding) == (
        "Error [RO114] (CanaryPlan checkout.shop) canary.yaml:8:7 spec.steps[1].weight: 120 is over 100"
    )


def test_all_mistakes_of_all_documents_are_found_at_once() -> None:
    text = HEAD + "  steps: [{wieght: 1}, {weight: -1}]\n  hisory: 3\n---\n" + GOOD + "  analysis: {interval: soon}\n"
    found = {(finding.code, finding.where, finding.path) for finding in mistakes(text)}
    assert found == {
        ("RO112", "canary.yaml:6:12", "spec.steps[0].wieght"),
        ("RO114", "canary.yaml:6:25", "spec.steps[1].weight"),
        ("RO112", "canary.yaml:7:3", "spec.hisory"),
        ("RO113", "canary.yaml:15:14", "spec.analysis.interval"),
    }


def test_the_exception_is_invalid_input_with_the_first_place_and_every_line() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(HEAD + "  stepz: 1\n  linear: {step: 0, every: 1m}\n", "canary.yaml")
    assert caught.value.where.startswith("canary.yaml:")
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("field", "meant"),
    [("step", "steps"), ("Target", "target"), ("rollback_window", "rollbackWindow"), ("promtion", "promotion")],
)
def test_an_unknown_field_gets_the_nearest_name(field: str, meant: str) -> None:
    fixes = {finding.path: finding.fix for finding in mistakes(GOOD + f"  {field}: {{}}\n")}
    assert fixes[f"spec.{field}"] == f"did you mean {meant}?"


def test_an_unknown_field_near_nothing_gets_the_choice() -> None:
    (finding,) = mistakes(HEAD + "  steps: [{weight: 1, zzzzzz: 2}]\n")
    assert finding.fix == "one of: approve, deadline, gates, hold, mirror, name, onFailure, weight"


@pytest.mark.parametrize(
    ("line", "code", "message", "fix"),
    [
        ("hold: 30", "RO113", "30: a duration is a number with its unit", "did you mean 30s?"),
        ("hold: 1:30", "RO113", "1:30: a duration is a number with its unit", ""),
        ("hold: on", "RO113", "on: a duration", "YAML reads on as true"),
        ("name: no", "RO113", "no is not a text", "YAML reads no as false"),
        ("name: 12", "RO113", "12 is not a text", '"12" in quotes is a text'),
        ('weight: "10"', "RO113", "10 is not a number", "without quotes"),
        ("weight: yes", "RO113", "yes is not a number", "YAML reads yes as true"),
        ("hold:", "RO113", "the field has no value", "leave the field out"),
        ("name: A_b", "RO114", "A_b is no name", ""),
        ("onFailure: rolback", "RO114", "rolback is not rollback or hold", "did you mean rollback?"),
        ("name: Null", "RO113", "the field has no value", "leave the field out"),
        ("gates: {name: x}", "RO113", "a mapping is not a list", ""),
    ],
)
def test_the_traps_of_yaml_are_explained(line: str, code: str, message: str, fix: str) -> None:
    step = f"    - {'' if line.startswith('weight') else 'weight: 1'}\n      {line}\n"
    (finding,) = mistakes(HEAD + "  steps:\n" + step.replace("- \n     ", "-"))
    assert finding.code == code
    assert message in finding.message
    assert fix in finding.fix


def test_a_latency_without_unit_is_meant_in_milliseconds() -> None:
    gates = "  analysis: {gates: [{name: a, metric: slow, slowerThan: 500, max: 5%}]}\n"
    (finding,) = mistakes(GOOD + gates)
    assert finding.fix == "did you mean 500ms?"


def test_a_required_field_without_a_value_has_no_value() -> None:
    (finding,) = mistakes(GOOD.replace("target: {name: checkout}", "target: {name: }"))
    assert (finding.code, finding.path, finding.message) == ("RO113", "spec.target.name", "the field has no value")


def test_a_fraction_where_a_whole_number_belongs_is_no_matter_of_quotes() -> None:
    (finding,) = mistakes(GOOD + "  history: 1.5\n")
    assert (finding.message, finding.fix) == ("1.5 is not a whole number", "")


@pytest.mark.parametrize(
    ("limit", "fix"), [("yes", "YAML reads yes as true"), ('"99"', "without quotes"), ("[1]", ""), (".nan", "")]
)
def test_a_limit_is_a_number_or_a_percent(limit: str, fix: str) -> None:
    gates = f"  analysis: {{gates: [{{name: a, metric: success, min: {limit}}}]}}\n"
    (finding,) = mistakes(GOOD + gates)
    assert finding.path == "spec.analysis.gates[0].min"
    assert fix in finding.fix


def test_a_key_given_twice_is_refused() -> None:
    (finding,) = mistakes(GOOD + "  target: {name: other}\n")
    assert (finding.code, finding.where) == ("RO116", "canary.yaml:7:3")
    assert "line 5" in finding.message


def test_anchors_and_merge_keys_work_and_own_keys_win() -> None:
    text = HEAD + "  steps:\n    - &first {weight: 10, hold: 5m}\n    - {<<: *first, weight: 20}\n"
    plan = parse(text)[0].document
    assert isinstance(plan, CanaryPlan)
    assert plan.spec.steps is not None
    assert (plan.spec.steps[1].weight, plan.spec.steps[1].hold) == (20, "5m")


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (finding,) = mistakes("\n".join(lines))
    assert "more than 100000 values" in finding.message


def test_an_alias_of_itself_is_refused() -> None:
    assert any("contain itself" in finding.message for finding in mistakes("a: &x [*x]"))


@pytest.mark.parametrize(
    ("text", "where"),
    [("spec: [", "canary.yaml:1:8"), ("a: 1\nb: *nothing\n", "canary.yaml:2:4"), ("a: \x00", "canary.yaml:1:4")],
)
def test_broken_yaml_has_a_place(text: str, where: str) -> None:
    (finding,) = mistakes(text)
    assert (finding.code, finding.where) == ("RO110", where)


def test_json_is_read_tabs_included() -> None:
    text = json.dumps(yaml.safe_load(GOOD), indent="\t")
    assert isinstance(parse(text)[0].document, CanaryPlan)


def test_timestamps_stay_texts() -> None:
    text = dedent("""\
        apiVersion: meshrollout.dev/v1alpha1
        kind: PlanDecision
        metadata: {name: go, namespace: shop}
        spec: {plan: web, run: web-1, runUid: abc, verb: promote, expires: 2026-01-01T00:00:00Z}
        """)
    decision = parse(text)[0].document
    assert isinstance(decision, PlanDecision)
    assert decision.spec.expires == "2026-01-01T00:00:00Z"


def test_documents_of_others_are_left_out() -> None:
    other = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n"
    template = GOOD.replace("CanaryPlan", "MetricTemplate").partition("spec:")[0] + "spec: {query: up}\n"
    documents = [located.document for located in parse(f"{other}{GOOD}---\n# nothing\n---\n{template}")]
    assert [type(document) for document in documents] == [CanaryPlan, MetricTemplate]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "apiVersion: v1\nkind: Service\n"])
def test_a_text_without_a_document_of_ours_is_refused(text: str) -> None:
    (finding,) = mistakes(text)
    assert finding.code == "RO110"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("v1alpha1", "v2", "RO114"),
        ("meshrollout.dev", "meshrolout.dev", "RO114"),
        ("CanaryPlan", "CanaryPlam", "RO111"),
        ("kind: CanaryPlan\n", "", "RO115"),
        ("name: checkout, ", "", "RO115"),
    ],
)
def test_a_wrong_head_is_refused(old: str, new: str, code: str) -> None:
    assert [finding.code for finding in mistakes(GOOD.replace(old, new, 1))] == [code]


@pytest.mark.parametrize("key", ["a]", "[", "..", "a[0", "]]."])
def test_a_place_is_found_around_any_key(key: str) -> None:
    (located,) = parse(GOOD, "canary.yaml")
    assert located.position(f"spec.{key}") == "canary.yaml:4:1"


def test_contents_keep_manifests_of_others_with_their_places() -> None:
    found = contents("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n" + GOOD, "all.yaml")
    (service,), (plan,) = found.manifests, found.documents
    assert (service.raw["kind"], service.place.position("metadata")) == ("Service", "all.yaml:3:1")
    assert (plan.document.kind, found.findings) == ("CanaryPlan", ())
    assert [finding.code for finding in contents("# nothing").findings] == ["RO110"]


def test_a_live_object_is_read_with_all_that_the_server_adds() -> None:
    raw: dict[str, Any] = yaml.safe_load(GOOD)
    raw["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 2, "managedFields": [{}]}
    raw["status"] = {"phase": "Idle"}
    document = from_object(raw)
    assert document.metadata.uid == "u"


def test_a_live_object_has_no_lines_but_a_name_and_a_field() -> None:
    raw: dict[str, Any] = yaml.safe_load(GOOD.replace("weight: 10", "weight: 101"))
    with pytest.raises(InvalidDocument) as caught:
        from_object(raw)
    assert caught.value.where == "CanaryPlan/checkout spec.steps[0].weight"


def outcome(text: str) -> tuple[Finding, ...]:
    """The findings; none when there are documents. Anything else that is raised fails the test."""
    try:
        documents = parse(text)
    except InvalidDocument as error:
        return error.findings or (Finding("", Level.ERROR, "an exception without findings"),)
    assert documents
    return ()


@given(st.text(max_size=200))
def test_no_text_makes_anything_but_documents_or_findings(text: str) -> None:
    assert all(finding.where for finding in outcome(text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    )
)
def test_no_spec_makes_anything_but_a_plan_or_findings(spec: Any) -> None:
    raw = yaml.safe_load(GOOD) | {"spec": spec}
    assert all(finding.where for finding in outcome(yaml.safe_dump(raw)))
