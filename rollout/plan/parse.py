"""Files and live objects into documents.  Every mistake of a file is found at once, with its line and column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from rollout.errors import InvalidInput
from rollout.plan.base import GROUP
from rollout.plan.finding import Finding, Level
from rollout.plan.located import Located, Manifest, Place, spell_path
from rollout.plan.mistakes import Mistake, closest, mistakes, nulls
from rollout.plan.objects import (
    CanaryPlan,
    ChangeFreeze,
    Document,
    MeshAdoptionPlan,
    MetricTemplate,
    NotificationChannel,
    PlanDecision,
)
from rollout.plan.positions import Mark, Source, read

_MODELS: Final[Mapping[str, type[Document]]] = {
    model.__name__: model
    for model in (CanaryPlan, MeshAdoptionPlan, MetricTemplate, NotificationChannel, ChangeFreeze, PlanDecision)
}


class InvalidDocument(InvalidInput):
    """One or more mistakes in a file or an object; `findings` has all of them, `where` is the first one's place."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        lines = "\n".join(str(finding) for finding in findings)
        super().__init__(lines, hint=findings[0].fix)
        self.findings = tuple(findings)
        self.where = findings[0].where


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a text holds."""

    documents: tuple[Located, ...]
    """Those of ours that can be read."""
    manifests: tuple[Manifest, ...]
    """Those of other API groups."""
    findings: tuple[Finding, ...]
    """Every mistake of the text; there is one when it holds nothing at all."""


def contents(text: str, source: str = "-") -> Contents:
    """What is in a YAML or JSON text, and what is wrong with it."""
    documents: list[Located] = []
    manifests: list[Manifest] = []
    findings: list[Finding] = []
    for written in read(text):
        if not written.problems and _foreign(written.value):
            manifests.append(Manifest(written.value, _place(written.value, source, _marks(written))))
            continue
        try:
            documents.append(_document(written, source))
        except InvalidDocument as error:
            findings += error.findings
    if not documents and not manifests and not findings:
        findings.append(_nothing(source))
    return Contents(tuple(documents), tuple(manifests), tuple(findings))


def parse(text: str, source: str = "-") -> list[Located]:
    """The documents of ours in a YAML or JSON text.  Documents of other API groups are left out.

    Raises:
        InvalidDocument: with every mistake of the text, or because there is no document of ours in it.
    """
    found = contents(text, source)
    if found.findings:
        raise InvalidDocument(found.findings)
    if not found.documents:
        raise InvalidDocument([_nothing(source)])
    return list(found.documents)


def from_object(raw: Mapping[str, Any]) -> Document:
    """A live object as a document.

    Raises:
        InvalidDocument: with every mistake; `where` is like `CanaryPlan/web spec.steps[0]`.
    """
    place = _place(raw, "", {})
    return _validated(raw, place, {})


def _foreign(value: Any) -> bool:
    """Whether a document belongs to somebody else: neither its group nor its kind is ours."""
    if not isinstance(value, dict) or not {"apiVersion", "kind"} <= value.keys():
        return False
    return not str(value["apiVersion"]).startswith(f"{GROUP}/") and str(value["kind"]) not in _MODELS


def _nothing(source: str) -> Finding:
    return Finding("RO110", Level.ERROR, f"there is no {' or '.join(_MODELS)} in it", where=f"{source}:1:1")


def _marks(written: Source) -> dict[str, Mark]:
    return {spell_path(path): mark for path, mark in written.marks.items()}


def _document(written: Source, source: str) -> Located:
    place = _place(written.value if isinstance(written.value, dict) else {}, source, _marks(written))
    if written.problems:
        raise InvalidDocument(_problems(place, source, written))
    scalars = {spell_path(path): scalar for path, scalar in written.scalars.items()}
    return Located(_validated(written.value, place, scalars), place)


def _problems(place: Place, source: str, written: Source) -> list[Finding]:
    return [
        Finding(
            "RO116" if problem.duplicate else "RO110",
            Level.ERROR,
            problem.message,
            where=f"{source}:{problem.mark[0]}:{problem.mark[1]}",
            subject=place.subject,
            path=spell_path(problem.path),
        )
        for problem in written.problems
    ]


def _place(raw: Mapping[str, Any], source: str, marks: Mapping[str, Mark]) -> Place:
    """The place of a document that may be wrong in every way."""
    meta = raw.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    return Place(
        kind=str(raw.get("kind") or "document"),
        name=str(meta.get("name") or ""),
        namespace=str(meta.get("namespace") or ""),
        source=source,
        marks=marks,
    )


def _validated(raw: Any, place: Place, scalars: Mapping[str, str]) -> Document:
    """The document, or an exception with everything that is wrong with it."""
    wrong = list(_head(raw))
    if not wrong:
        model = _MODELS[raw["kind"]]
        try:
            # JSON mode is strict as the API server is: "10" is no number, a list is a tuple
            document = model.model_validate_json(
                json.dumps(raw, default=str), strict=True, by_alias=True, by_name=False
            )
        except ValidationError as error:
            wrong = list(mistakes(error, model, scalars))
        else:
            wrong = list(nulls(raw.get("spec"), ("spec",)))
            if not wrong:
                return document
    raise InvalidDocument([place.finding(it.code, Level.ERROR, it.path, it.message, it.fix) for it in wrong])


def _head(raw: Any) -> Iterator[Mistake]:
    """What is wrong before it is even known which model applies."""
    if not isinstance(raw, dict):
        yield Mistake("RO110", "", "a document is a mapping with apiVersion, kind, metadata and spec")
        return
    for field in ("apiVersion", "kind"):
        if field not in raw:
            yield Mistake("RO115", field, f"{field} is missing")
    kind = raw.get("kind")
    if "kind" in raw and str(kind) not in _MODELS:
        said = f"{kind} is not a kind that people write"
        yield Mistake("RO111", "kind", said, closest(str(kind), _MODELS))
