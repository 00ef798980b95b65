"""FILE|PLAN: plans from files and from the cluster."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from rollout.cli.exit import UsageError
from rollout.cli.naming import is_named, missing, stored
from rollout.errors import InvalidInput
from rollout.plan.base import Json
from rollout.plan.gate import TemplateSpec
from rollout.plan.kinds import METRIC_TEMPLATE, Kind, Ref, kind_of, ref_of
from rollout.plan.located import Located, live
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan, MetricTemplate, Plan
from rollout.plan.parse import from_object, parse
from rollout.ports.cluster import Cluster

T = TypeVar("T", bound=CanaryPlan | MeshAdoptionPlan | MetricTemplate)


@dataclass(frozen=True, slots=True)
class Given:
    """The one plan that was named, and the templates that came along in its file."""

    plan: Plan
    raw: Json
    """The object as people wrote it."""
    where: str
    """The file; empty for a plan of the cluster."""
    templates: dict[str, TemplateSpec] = field(default_factory=dict)
    objects: tuple[Json, ...] = ()
    """The templates as objects."""
    documents: tuple[Located, ...] = ()
    """Plan and templates with their places, for lint."""

    @property
    def kind(self) -> Kind:
        """The plan's."""
        return kind_of(self.raw)

    @property
    def ref(self) -> Ref:
        """The plan's name."""
        return ref_of(self.raw)

    @property
    def canary(self) -> CanaryPlan:
        """The plan, for what is only asked of a CanaryPlan.

        Raises:
            InvalidInput: it is another one.
        """
        if not isinstance(self.plan, CanaryPlan):
            raise InvalidInput(
                f"{self.plan.kind} {self.plan.metadata.name} has no version of a workload", hint="name a CanaryPlan"
            )
        return self.plan


def is_file(source: str) -> bool:
    """Whether a FILE|PLAN argument means a file."""
    if is_named(source) and not Path(source).is_file():
        return False
    return source == "-" or "/" in source or source.endswith((".yaml", ".yml", ".json")) or Path(source).is_file()


def read_text(file: str) -> str:
    """What is in a file or comes by stdin.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), where=file, hint="give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("is not UTF-8 text", where=file, hint="give the path of a YAML file") from error


def from_file(file: str, explicit: str | None, default: str | None = None) -> Given:
    """The plan in a file; its namespace is the file's, else the explicit one, else the default.

    Raises:
        InvalidInput: no plan in it, several, or mistakes.
        UsageError: the file names another namespace.
    """
    located = parse(read_text(file), file)
    plans = [it.document for it in located if isinstance(it.document, CanaryPlan | MeshAdoptionPlan)]
    if len(plans) != 1:
        raise InvalidInput(f"has {len(plans)} plans", where=file, hint="start one plan at a time, each by its file")
    plan = _placed(plans[0], explicit or default)
    if explicit and plan.metadata.namespace != explicit:
        raise UsageError(
            f"{file} says namespace {plan.metadata.namespace}, -n says {explicit}", hint="leave one of them out"
        )
    templates = [_placed(t, plan.metadata.namespace) for t in _templates(located)]
    return Given(
        plan,
        _raw(plan),
        "stdin" if file == "-" else file,
        {t.metadata.name: t.spec for t in templates},
        tuple(_raw(t) for t in templates),
        tuple(located),
    )


def image_option(option: str) -> tuple[str, str]:
    """Container and image of `--image C=IMAGE`.

    Raises:
        UsageError: one of them is missing.
    """
    container, equals, image = option.partition("=")
    if not (container and equals and image):
        raise UsageError(
            f"--image {option} names no container and image", hint="write it as --image app=shop/web:1.5.0"
        )
    return container, image


async def from_cluster(cluster: Cluster, namespace: str, name: str) -> Given:
    """The plan of this name, which may say its kind: `mplan/shop`.

    Raises:
        NotFound: there is none.
        UsageError: there are two, of two kinds.
    """
    raw = await stored(cluster, namespace, name)
    if raw is None:
        raise missing(namespace, name)
    document = from_object(raw)
    assert isinstance(document, CanaryPlan | MeshAdoptionPlan), "it was asked for by these kinds"
    templates = await templates_in(cluster, namespace)
    return Given(document, raw, "", templates, documents=(live(document),))


async def templates_in(cluster: Cluster, namespace: str) -> dict[str, TemplateSpec]:
    """The namespace's MetricTemplates by name."""
    found = [from_object(raw) for raw in await cluster.list(METRIC_TEMPLATE, namespace)]
    return {t.metadata.name: t.spec for t in found if isinstance(t, MetricTemplate)}


def _templates(located: list[Located]) -> list[MetricTemplate]:
    return [it.document for it in located if isinstance(it.document, MetricTemplate)]


def _placed(document: T, namespace: str | None) -> T:
    if document.metadata.namespace or not namespace:
        return document
    meta = document.metadata.model_copy(update={"namespace": namespace})
    return cast("T", document.model_copy(update={"metadata": meta}))


def _raw(document: Plan | MetricTemplate) -> Json:
    """The object with what was written and nothing of our defaults."""
    raw: Json = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    namespace = document.metadata.namespace
    return {**raw, "metadata": {**raw["metadata"], **({"namespace": namespace} if namespace else {})}}
