"""RO26x: the manifests in plans of adoption; what else is wrong with them, the rules about manifests say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollout.plan import located
from rollout.plan.finding import Level
from rollout.plan.lint.adopted import Adopted, rule
from rollout.plan.lint.rule import Hit, Known
from rollout.plan.located import Place
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.written import Manifest, Policy

_DRY_RUN: Final = "istio.io/dry-run"
_POLICIES: Final = "spec.stages.authorize.policies"


@rule("RO262", Level.ERROR, "A manifest is of another namespace", "leave metadata.namespace out")
def elsewhere(subject: Adopted) -> Iterator[Hit]:
    """A plan changes its own namespace only."""
    here = subject.plan.metadata.namespace
    for path, it in subject.manifests() if here else ():
        if it.metadata.namespace not in (None, here):
            said = f"{it.kind}/{it.metadata.name} is in {it.metadata.namespace}, the plan in {here}"
            yield Hit(f"{path}.metadata.namespace", said)


@rule("RO263", Level.ERROR, "A manifest is given twice", "write what it shall be in the end")
def given_twice(subject: Adopted) -> Iterator[Hit]:
    """The same object, or the name that denyByDefault takes."""
    seen = set()
    for path, it in subject.manifests():
        key = (it.api_version.partition("/")[0], it.kind, it.metadata.name)
        if key in seen:
            yield Hit(f"{path}.metadata.name", f"{it.kind}/{it.metadata.name} is given before")
        seen.add(key)


@rule("RO264", Level.ERROR, "Deny by default, and nothing is allowed", "add policies with action ALLOW and rules")
def nothing_allowed(subject: Adopted) -> Iterator[Hit]:
    """All requests would be refused."""
    stage = subject.spec.stages.authorize
    if (
        stage is not None
        and stage.deny_by_default
        and not any(_allows(it) and it.spec.get("rules") for it in stage.policies)
    ):
        yield Hit("spec.stages.authorize.denyByDefault", "no policy allows anything: every request would be refused")


@rule(
    "RO265",
    Level.WARNING,
    "Two policies allow requests to the same workload: until the second is enforced, it refuses what only that allows",
    "make them one policy with several rules",
)
def half_allowed(subject: Adopted) -> Iterator[Hit]:
    """Policies are enforced one by one."""
    stage = subject.spec.stages.authorize
    seen: list[tuple[Policy, dict[str, Any]]] = []
    for index, it in enumerate(stage.policies if stage else ()):
        if not _allows(it):
            continue
        labels = _selector(it)
        other = next((before for before, known in seen if _overlap(known, labels)), None)
        if other is not None:
            yield Hit(f"{_POLICIES}[{index}]", f"{it.metadata.name} and {other.metadata.name} are about the same pods")
        seen.append((it, labels))


@rule("RO266", Level.WARNING, "The annotation for a dry run has no effect here", "remove it")
def own_dry_run(subject: Adopted) -> Iterator[Hit]:
    """The stage sets it for as long as it only counts, and then enforces."""
    for path, it in subject.manifests():
        if isinstance(it, Policy) and _DRY_RUN in it.metadata.annotations:
            said = f"{it.metadata.name} is counted first and then enforced, whatever it says"
            yield Hit(f"{path}.metadata.annotations.{_DRY_RUN}", said)


def embedded(plan: MeshAdoptionPlan, place: Place) -> tuple[located.Manifest, ...]:
    """The manifests in a plan, each with its own place in the plan's file."""
    return tuple(
        located.Manifest(it.raw(), _place_of(it, path, place)) for path, it in Adopted(plan, Known()).manifests()
    )


def _place_of(manifest: Manifest, path: str, place: Place) -> Place:
    inside = f"{path}."
    marks = {key.removeprefix(inside): mark for key, mark in place.marks.items() if key.startswith(inside)}
    around = place.marks.get(path)
    return Place(
        manifest.kind,
        manifest.metadata.name,
        place.namespace,
        place.source,
        marks if around is None else {"": around} | marks,
    )


def _allows(policy: Policy) -> bool:
    return bool(policy.spec.get("action", "ALLOW") == "ALLOW")


def _selector(policy: Policy) -> dict[str, Any]:
    selector = policy.spec.get("selector")
    labels = selector.get("matchLabels") if isinstance(selector, Mapping) else None
    return dict(labels) if isinstance(labels, Mapping) else {}


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether the same labels are asked for, or one asks for none."""
    return one == other or not one or not other
