"""Fuzzing of manifests: whatever people copied, lint has findings to say about it, and never fails itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan.lint import lint_manifests
from rollout.plan.located import Manifest, Place
from rollout.plan.parse import contents
from tests.kit.copied import COPIED
from tests.kit.mutations import examples, mutated

pytestmark = pytest.mark.timeout(600)  # a hunt with ROLLOUT_FUZZ takes its time

TOGETHER: list[list[dict[str, Any]]] = [
    list(yaml.safe_load_all(text)) for copied in COPIED for text in (copied.broken, copied.sound)
]
"""Files that were given together, as values."""
FILES = st.sampled_from(TOGETHER)


def place(raw: dict[str, Any]) -> Place:
    """What reading makes of a head that may be wrong."""
    return Place(str(raw.get("kind")), "", source="copied.yaml")


@examples(300)
@given(FILES.flatmap(lambda some: mutated(some, least=1, most=4)))
def test_lint_says_something_about_any_manifest_and_never_fails(raws: list[Any]) -> None:
    found = lint_manifests([Manifest(raw, place(raw)) for raw in raws if isinstance(raw, dict)])
    assert all(it.code.startswith(("RO18", "RO19")) and it.message and it.fix for it in found)


@examples(100)
@given(FILES.flatmap(lambda some: mutated(some, most=2)))
def test_reading_and_lint_end_in_places_of_the_file(raws: list[Any]) -> None:
    read = contents("\n---\n".join(json.dumps(raw) for raw in raws), "copied.yaml")
    found = (*read.findings, *lint_manifests(read.manifests))
    assert all(it.where.startswith("copied.yaml:") for it in found)
    assert read.manifests or read.documents or read.findings
