"""Each rule is broken by a plan of its own, at the right place, and by no example."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan.finding import Finding, Level
from rollout.plan.lint import Known, lint, manifests, rules
from rollout.plan.lint.gates import EDGES_MS
from rollout.plan.located import live
from rollout.plan.mistakes import READING
from rollout.plan.parse import InvalidDocument, from_object, parse
from tests.kit import adoptions, frosts, wired
from tests.kit.plans import BROKEN, CLEAN, SLOW, STEPS, TRAFFIC, Broken, gate, steps, text


def findings(source: str, known: Known | None = None) -> tuple[Finding, ...]:
    """What reading and lint say about a file."""
    try:
        return lint(parse(source, "canary.yaml"), known)
    except InvalidDocument as error:
        return error.findings


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.code)
def test_a_broken_rule_is_found_where_it_is_broken(broken: Broken) -> None:
    found = findings(text(broken.spec, broken.name), broken.known)
    assert (broken.code, broken.path) in {(finding.code, finding.path) for finding in found}
    assert {finding.code for finding in found} == {broken.code}, "nothing else is found"
    assert all(finding.where.startswith("canary.yaml:") and finding.message for finding in found)


@pytest.mark.parametrize("broken", wired.BROKEN, ids=lambda broken: broken.code)
def test_a_broken_rule_of_a_channel_is_found_where_it_is_broken(broken: Broken) -> None:
    found = findings(wired.text(broken.spec), broken.known)
    assert {(finding.code, finding.path) for finding in found} == {(broken.code, broken.path)}


def test_a_sound_channel_breaks_no_rule() -> None:
    assert findings(wired.text(wired.CLEAN), wired.KNOWN) == ()


@pytest.mark.parametrize("broken", frosts.BROKEN, ids=lambda broken: broken.code)
def test_a_broken_rule_of_a_freeze_is_found_where_it_is_broken(broken: Broken) -> None:
    found = findings(frosts.text(broken.spec))
    assert {(finding.code, finding.path) for finding in found} == {(broken.code, broken.path)}


def test_a_sound_freeze_breaks_no_rule() -> None:
    assert findings(frosts.text(frosts.CLEAN)) == ()


def test_every_rule_has_a_plan_that_breaks_it() -> None:
    by_the_text_itself = {"RO110", "RO111", "RO116"}  # broken in test_parse: these are no plans
    by_decisions = {"RO170", "RO171", "RO172"}  # broken in test_orders
    by_manifests = {rule.code for rule in manifests.rules()}  # broken in test_lint_manifests
    by_plans = {broken.code for broken in (*BROKEN, *adoptions.BROKEN, *wired.BROKEN, *frosts.BROKEN)}
    assert {rule.code for rule in rules()} == by_plans | by_the_text_itself | by_decisions | by_manifests


@pytest.mark.parametrize("spec", [CLEAN, TRAFFIC], ids=["workload", "traffic"])
def test_a_sound_plan_breaks_no_rule(spec: dict[str, Any]) -> None:
    known = Known({"istio": frozenset({"subsets"})}, {}, frozenset({"canary"}), {})
    assert findings(text(spec), known) == ()


def test_rules_are_listed_once_each_with_a_sentence() -> None:
    codes = [rule.code for rule in rules()]
    assert codes == sorted(set(codes))
    assert all(rule.text and not rule.text.endswith(".") for rule in rules())
    assert set(READING) <= set(codes)


def test_lint_rules_say_what_to_do() -> None:
    assert all(rule.fix for rule in rules() if rule.check is not None)


def test_unit_mistakes_get_what_was_meant() -> None:
    (finding,) = findings(text(gate(name="a", metric="success", min=99)))
    assert (finding.message, finding.fix) == ("99 is no share between 0 and 1", "did you mean 99%?")
    assert finding.level is Level.ERROR


@given(st.floats(0.001, 7200))
def test_the_next_bucket_edge_is_named(wanted: float) -> None:
    slower = f"{wanted:.3f}s"
    found = findings(text(gate(**(SLOW | {"slowerThan": slower}))))
    milliseconds = round(float(slower[:-1]) * 1000, 6)
    edge = next((edge for edge in EDGES_MS if edge >= milliseconds), None)
    if edge == milliseconds:
        assert found == ()
    else:
        (finding,) = found
        assert (f"the next edge, {edge:g}ms," if edge else "over the last edge") in finding.message


def test_templates_of_the_same_file_and_namespace_are_known() -> None:
    template = "---\napiVersion: meshrollout.dev/v1alpha1\nkind: MetricTemplate\n"
    here = template + "metadata: {name: there, namespace: shop}\nspec: {query: up}\n"
    elsewhere = template + "metadata: {name: there, namespace: other}\nspec: {query: up}\n"
    plan = text(gate(name="a", template="there", min=1))
    assert findings(plan + here) == ()
    assert {finding.code for finding in findings(plan + elsewhere, Known(templates={}))} == {"RO144"}
    assert findings(plan) == (), "nothing is known of templates"


def test_a_shared_gate_is_reported_once() -> None:
    found = findings(text(gate(**(SLOW | {"slowerThan": "300ms"})) | {"steps": [*STEPS, {"weight": 70}]}))
    assert len(found) == 1


def test_a_live_plan_is_linted_by_name_and_field() -> None:
    document = from_object(yaml.safe_load(text(steps({"weight": 30}, {"weight": 20}))))
    (finding,) = lint([live(document)])
    assert str(finding) == (
        "Error [RO101] CanaryPlan/web spec.steps[1].weight: 20 is less than the 30 of the step before"
    )


def test_a_finding_in_a_file_points_at_the_line() -> None:
    (finding,) = findings(text(steps({"weight": 30}, {"weight": 20})))
    assert str(finding).startswith("Error [RO101] (CanaryPlan web.shop) canary.yaml:11:5 spec.steps[1].weight:")
