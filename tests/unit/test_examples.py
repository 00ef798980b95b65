"""Every example is read, is clean, and compiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli.lint import known
from rollout.notify.composing import problems
from rollout.plan.journey import stage_of
from rollout.plan.lint import lint
from rollout.plan.located import Located
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan, MetricTemplate, NotificationChannel
from rollout.plan.parse import parse
from rollout.plan.program import Program, UnitName
from rollout.plan.strategy import Facts, MeshFacts, UnitFact
from rollout.registry import channels, strategies
from strategies.mesh_adoption import MeshAdoption

EXAMPLES = Path(__file__).parents[2] / "examples"
STORIES = sorted(path.name for path in EXAMPLES.iterdir() if any(path.glob("canary.yaml")))
ADOPTIONS = sorted(f"mesh-adoption/{path.parent.name}" for path in EXAMPLES.glob("mesh-adoption/*/adoption.yaml"))
STAGES = {
    "enrol": ["enrol"],
    "permissive": ["permissive"],
    "traffic": ["traffic"],
    "shadow-strict": ["shadowStrict"],
    "strict": ["permissive", "shadowStrict", "strict"],
    "authorize": ["permissive", "shadowStrict", "strict", "authorize"],
    "journey": ["enrol", "permissive", "traffic", "shadowStrict", "strict", "authorize"],
}
SHOP = MeshFacts(
    units=(
        UnitFact(UnitName("Deployment", "web"), pods=2, ports=(8080, 9090), labels={"app": "web"}),
        UnitFact(UnitName("Deployment", "orders"), callers=(UnitName("Deployment", "web"),), labels={"app": "orders"}),
        UnitFact(UnitName("StatefulSet", "db"), callers=(UnitName("Deployment", "orders"),)),
        UnitFact(UnitName("CronJob", "report"), serves=False, longest_pause=86400.0),
    )
)


def documents(story: str) -> list[Located]:
    texts = [path.read_text() for path in sorted((EXAMPLES / story).glob("*.yaml"))]
    return parse("\n---\n".join(texts), story)


def test_there_are_stories() -> None:
    assert set(STORIES) >= {"first-canary", "linear", "approval", "own-metrics", "traffic-only"}


@pytest.mark.parametrize("story", [*STORIES, *ADOPTIONS, "freeze"])
def test_an_example_has_nothing_to_complain_about(story: str) -> None:
    assert lint(documents(story)) == ()


def test_the_channels_have_nothing_to_complain_about() -> None:
    found = documents("notifications")
    assert lint(found, known()) == ()
    kinds = channels()
    for located in found:
        assert isinstance(located.document, NotificationChannel)
        foreign = located.document.metadata.namespace != "rollout-system"
        assert list(problems(located.document.spec, kinds, foreign=foreign)) == []


@pytest.mark.parametrize("story", STORIES)
def test_an_example_compiles_and_ends_by_leaving_no_trace(story: str) -> None:
    found = [located.document for located in documents(story)]
    facts = Facts(templates={it.metadata.name: it.spec for it in found if isinstance(it, MetricTemplate)})
    plans = [it for it in found if isinstance(it, CanaryPlan)]
    assert plans
    for plan in plans:
        assert strategies()[plan.spec.strategy].compile(plan, facts).steps[-1].name == "conclude"


def adopted(story: str) -> Program:
    (located,) = documents(story)
    assert isinstance(located.document, MeshAdoptionPlan)
    return MeshAdoption().compile(located.document, SHOP)


def test_every_stage_of_an_adoption_has_a_story() -> None:
    assert sorted(f"mesh-adoption/{name}" for name in STAGES) == ADOPTIONS


@pytest.mark.parametrize("name", STAGES)
def test_an_adoption_compiles_to_its_stages(name: str) -> None:
    steps = adopted(f"mesh-adoption/{name}").steps
    stages = [stage_of(steps, place) for place in range(len(steps))]
    assert list(dict.fromkeys(stages)) == [*STAGES[name], None]
    assert steps[-1].name == "conclude"


@pytest.mark.parametrize("story", [*STORIES, *ADOPTIONS, "mesh-adoption", "notifications"])
def test_an_example_tells_its_story(story: str) -> None:
    assert (EXAMPLES / story / "README.md").read_text().startswith("# ")
