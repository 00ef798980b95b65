"""Manifests of meshes, as people copy them: each rule is broken at the right place, and by nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollout.cli.render import findings as render
from rollout.plan.finding import Finding, Level
from rollout.plan.lint import lint_manifests
from rollout.plan.lint.manifests import rules
from rollout.plan.lint.manifests.fields import fields_of, odd_fields
from rollout.plan.lint.manifests.tables import DEPRECATED, KINDS, MISTAKEN
from rollout.plan.lint.manifests.versions import SERVED
from rollout.plan.parse import contents
from tests.kit.copied import COPIED, Copied
from tests.kit.manifests import SERVICE, files, peers, route

GOLDEN = Path(__file__).parents[1] / "golden"


def findings(*texts: str) -> tuple[Finding, ...]:
    """What lint says of files that are given together; they can all be read."""
    read = [contents(text, f"{number}.yaml") for number, text in enumerate(texts)]
    assert not any(one.findings for one in read), read
    return lint_manifests([manifest for one in read for manifest in one.manifests])


@pytest.mark.parametrize("copied", COPIED, ids=lambda copied: f"{copied.code}-{copied.path}")
def test_a_broken_rule_is_found_where_it_is_broken(copied: Copied) -> None:
    found = findings(copied.broken)
    assert [(finding.code, finding.path) for finding in found] == [(copied.code, copied.path)], found
    (finding,) = found
    assert finding.where.startswith("0.yaml:")
    assert finding.fix
    assert copied.said in f"{finding.message} {finding.fix}"


@pytest.mark.parametrize("copied", COPIED, ids=lambda copied: f"{copied.code}-{copied.path}")
def test_a_sound_neighbour_breaks_no_rule(copied: Copied) -> None:
    assert findings(copied.sound) == ()


def test_every_rule_has_files_that_break_it() -> None:
    assert {rule.code for rule in rules()} == {copied.code for copied in COPIED}


def test_every_kind_with_a_table_is_understood_whole() -> None:
    for kind, text in KINDS.items():
        fields = fields_of(kind)
        assert fields, kind
        assert text.count("{") == text.count("}"), kind


def test_what_tables_say_about_fields_is_about_fields_that_are_or_are_not_there() -> None:
    kinds = {kind: fields_of(kind) for kind in KINDS}
    for said in MISTAKEN:
        kind, _, field = said.partition("/")
        assert field not in (kinds[kind] or {}), said
    assert SERVED.keys() <= KINDS.keys()
    assert {rule.level for rule in rules() if rule.code in {"RO183", "RO184"}} == {Level.WARNING}
    assert all(why and fix for why, fix in DEPRECATED.values())


def test_a_finding_points_at_line_and_column_and_names_the_manifest() -> None:
    (finding,) = findings(files(SERVICE, route("retry: {attempts: 2}\nroute: [{destination: {host: reviews}}]")))
    assert str(finding) == (
        "Warning [RO183] (VirtualService reviews.shop) 0.yaml:12:5 spec.http[0].retry: there is no field retry here: "
        "kubectl apply refuses it, other clients' writes lose it"
    )


def test_files_are_judged_together() -> None:
    strict, permissive = peers("STRICT"), peers("PERMISSIVE")
    assert [finding.code for finding in findings(strict)] == ["RO189"]
    assert findings(permissive, strict) == ()


def test_a_kind_without_rules_is_named_once_per_file() -> None:
    one = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\n"
    found = findings(files(one, one, one), one)
    assert [(finding.level, finding.where, finding.message) for finding in found] == [
        (Level.INFO, "0.yaml:2:1", "passed over, as 2 more of this kind"),
        (Level.INFO, "1.yaml:2:1", "passed over"),
    ]


def test_namesakes_of_other_groups_are_left_alone() -> None:
    text = "apiVersion: policy.linkerd.io/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {x: 1}\n"
    assert [finding.code for finding in findings(text)] == ["RO199"]
    assert list(odd_fields("AuthorizationPolicy.policy.linkerd.io", {"x": 1})) == []


def test_a_path_below_a_map_is_the_map_s_key() -> None:
    (odd,) = odd_fields("PeerAuthentication.security.istio.io", {"portLevelMtls": {"80": {"mod": "STRICT"}}})
    assert odd.path == ("spec", "portLevelMtls", "80", "mod")
    assert set(odd.siblings) == {"mode"}


def test_a_tutorial_in_one_file_is_told_all_its_faults() -> None:
    """UPDATE_GOLDEN=1 writes the file anew."""
    found = findings((GOLDEN / "tutorial.yaml").read_text(encoding="utf-8"))
    text = render.findings(found, "1 file").plain + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / "lint.txt").write_text(text, encoding="utf-8")
    assert text == (GOLDEN / "lint.txt").read_text(encoding="utf-8")
