"""Every example is read, is clean, and compiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.plan.lint import lint
from rollout.plan.located import Located
from rollout.plan.objects import CanaryPlan, MetricTemplate
from rollout.plan.parse import parse
from rollout.plan.strategy import Facts
from strategies.canary import Canary

EXAMPLES = Path(__file__).parents[2] / "examples"
STORIES = sorted(path.name for path in EXAMPLES.iterdir() if any(path.glob("canary.yaml")))


def documents(story: str) -> list[Located]:
    texts = [path.read_text() for path in sorted((EXAMPLES / story).glob("*.yaml"))]
    return parse("\n---\n".join(texts), story)


def test_there_are_stories() -> None:
    assert set(STORIES) >= {"first-canary", "linear", "approval", "own-metrics", "traffic-only"}


@pytest.mark.parametrize("story", STORIES)
def test_an_example_has_nothing_to_complain_about(story: str) -> None:
    assert lint(documents(story)) == ()


@pytest.mark.parametrize("story", STORIES)
def test_an_example_compiles_and_ends_by_leaving_no_trace(story: str) -> None:
    found = [located.document for located in documents(story)]
    facts = Facts(templates={it.metadata.name: it.spec for it in found if isinstance(it, MetricTemplate)})
    (plan,) = (it for it in found if isinstance(it, CanaryPlan))
    assert Canary().compile(plan, facts).steps[-1].name == "conclude"


@pytest.mark.parametrize("story", STORIES)
def test_an_example_tells_its_story(story: str) -> None:
    assert (EXAMPLES / story / "README.md").read_text().startswith("# ")
