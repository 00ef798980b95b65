"""The CustomResourceDefinitions, made from the models: never edited by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import BaseModel

from rollout.plan.adoption import AdoptionSpec
from rollout.plan.base import Json
from rollout.plan.canary import CanarySpec
from rollout.plan.channel import ChannelSpec, ChannelStatus
from rollout.plan.described import Described, json_schema
from rollout.plan.freeze import FreezeSpec
from rollout.plan.gate import TemplateSpec
from rollout.plan.kinds import (
    CANARY_PLAN,
    CHANGE_FREEZE,
    MESH_ADOPTION_PLAN,
    METRIC_TEMPLATE,
    NOTIFICATION_CHANNEL,
    PLAN_DECISION,
    PLAN_RUN,
    Kind,
)
from rollout.plan.objects import (
    CanaryPlan,
    ChangeFreeze,
    DecisionSpec,
    MeshAdoptionPlan,
    MetricTemplate,
    NotificationChannel,
    PlanDecision,
)
from rollout.plan.run import RUN_SPEC
from rollout.plan.status import AdoptionStatus, PlanStatus, RunStatus
from rollout.plan.structural import structural

CATEGORY: Final = "rollout-mesh"
"""`kubectl get rollout-mesh` lists all our kinds. Never `all`."""
_HEADER: Final = "# Generated from the models in rollout/plan: change those, then run `rollout crds print`.\n"
_IMMUTABLE: Final[Json] = {"rule": "self == oldSelf", "message": "spec is immutable"}
_OPAQUE: Final[Json] = {"x-kubernetes-preserve-unknown-fields": True}
"""What only we write and read.  The API server judges an object whole at every write of its status: with rules for each
step and gate of a program of fifty steps a write cost it 150 ms of CPU; with an opaque program it is 16, with a packed
one (see `plan.stored`) 10, and with an opaque state 8.  Without a type: of an object its `==`, by which the program
never changes, misses a key that was swapped for another one."""
_WHOLE: Final[Json] = _OPAQUE | {"type": "object", "x-kubernetes-map-type": "atomic"}
"""What is opaque and only ever written whole: nobody's ownership is kept field by field."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; `wide` ones show with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""

    def json(self) -> Json:
        """Its form in a CRD."""
        column: Json = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            column["description"] = self.description
        if self.wide:
            column["priority"] = 1
        return column


_AGE: Final = Column("AGE", ".metadata.creationTimestamp", "date")
_STEP: Final = Column("STEP", ".status.step", description="The current step and the number of all")
_READY: Final = Column("READY", '.status.conditions[?(@.type=="Ready")].status')
_WEIGHT: Final = Column("WEIGHT", ".status.weight", "number", description="Percent of the requests for the candidate")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a CRD says beyond its schema."""

    kind: Kind
    short: str
    text: str
    spec: Json
    columns: Sequence[Column]
    status: Json | None = None
    immutable: bool = False

    def document(self) -> Json:
        """The CustomResourceDefinition."""
        kind = self.kind
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{kind.plural}.{kind.group}"},
            "spec": {
                "group": kind.group,
                "scope": "Namespaced",
                "names": {
                    "kind": kind.name,
                    "listKind": f"{kind.name}List",
                    "plural": kind.plural,
                    "singular": kind.name.lower(),
                    "shortNames": [self.short],
                    "categories": [CATEGORY],
                },
                "versions": [self._version()],
            },
        }

    def _version(self) -> Json:
        version: Json = {
            "name": self.kind.version,
            "served": True,
            "storage": True,
            "additionalPrinterColumns": [column.json() for column in self.columns],
            "schema": {"openAPIV3Schema": self._schema()},
        }
        if self.status is not None:
            version["subresources"] = {"status": {}}
        return version

    def _schema(self) -> Json:
        spec = dict(self.spec)
        if self.immutable:
            spec["x-kubernetes-validations"] = [*spec.get("x-kubernetes-validations", ()), _IMMUTABLE]
        properties: Json = {
            "apiVersion": {"type": "string", "description": "The version of the schema of this object."},
            "kind": {"type": "string", "description": f"Always {self.kind.name}."},
            "metadata": {"type": "object"},
            "spec": spec,
        }
        if self.status is not None:
            properties["status"] = self.status
        return {"type": "object", "description": self.text, "required": ["spec"], "properties": properties}


def crd_documents() -> list[Json]:
    """All CustomResourceDefinitions, ready to be created."""
    return [definition.document() for definition in _definitions()]


def render() -> dict[str, str]:
    """The files of `crds/`: name and text."""
    return {
        f"{document['spec']['names']['plural']}.yaml": _HEADER
        + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
        for document in crd_documents()
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: equal parts are written out, as people and other tools expect of a CRD."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _definitions() -> tuple[Definition, ...]:
    return (
        _canary_plan(),
        _mesh_adoption_plan(),
        _plan_run(),
        _plan_decision(),
        _metric_template(),
        _channel(),
        _freeze(),
    )


def _canary_plan() -> Definition:
    return Definition(
        CANARY_PLAN,
        "cplan",
        _text(CanaryPlan),
        _written(CanarySpec),
        (
            Column("STRATEGY", ".spec.strategy"),
            Column("PHASE", ".status.phase"),
            _STEP,
            _WEIGHT,
            _READY,
            _AGE,
            Column("REASON", ".status.reason", wide=True),
            Column("RUN", ".status.run", wide=True),
        ),
        status=structural(json_schema(PlanStatus), defaults=False),
    )


def _mesh_adoption_plan() -> Definition:
    return Definition(
        MESH_ADOPTION_PLAN,
        "mplan",
        _text(MeshAdoptionPlan),
        _written(AdoptionSpec),
        (
            Column("MESH", ".spec.mesh.driver"),
            Column("PHASE", ".status.phase"),
            Column("STAGE", ".status.stage"),
            _STEP,
            Column("UNITS", ".status.units", description="Workloads that the stage is done with, and all of it"),
            _READY,
            _AGE,
            Column("DOING", ".status.doing", wide=True),
            Column("BLOCKERS", ".status.blockers", wide=True, description="Who still blocks STRICT"),
            Column("MESSAGE", ".status.message", wide=True),
            Column("RUN", ".status.run", wide=True),
        ),
        status=structural(json_schema(AdoptionStatus), defaults=False),
    )


def _plan_run() -> Definition:
    return Definition(
        PLAN_RUN,
        "prun",
        "The record of one attempt of a plan: an immutable snapshot of what it does, and how far it got.",
        _run_spec(),
        (
            Column("PLAN", ".spec.plan"),
            Column("PHASE", ".status.phase"),
            _STEP,
            _WEIGHT,
            Column("OUTCOME", ".status.outcome"),
            _AGE,
        ),
        status=_run_status(),
        immutable=True,
    )


def _plan_decision() -> Definition:
    return Definition(
        PLAN_DECISION,
        "pdec",
        _text(PlanDecision),
        _written(DecisionSpec),
        (
            Column("RUN", ".spec.run"),
            Column("VERB", ".spec.verb"),
            Column("BY", ".spec.by"),
            _AGE,
            Column("REASON", ".spec.reason", wide=True),
        ),
        immutable=True,
    )


def _metric_template() -> Definition:
    return Definition(
        METRIC_TEMPLATE,
        "mtpl",
        _text(MetricTemplate),
        _written(TemplateSpec),
        (Column("UNIT", ".spec.unit"), _AGE, Column("DESCRIPTION", ".spec.description", wide=True)),
    )


def _channel() -> Definition:
    return Definition(
        NOTIFICATION_CHANNEL,
        "nchan",
        _text(NotificationChannel),
        _written(ChannelSpec),
        (
            Column("TYPE", ".spec.type"),
            _READY,
            Column("SENT", ".status.sent", "integer"),
            Column("MISSED", ".status.missed", "integer", description="Events that could not be told"),
            _AGE,
            Column("MESSAGE", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        ),
        status=structural(json_schema(ChannelStatus), defaults=False),
    )


def _freeze() -> Definition:
    return Definition(
        CHANGE_FREEZE,
        "cfrz",
        _text(ChangeFreeze),
        _written(FreezeSpec),
        (
            Column("SINCE", ".spec.since"),
            Column("UNTIL", ".spec.until"),
            Column("REASON", ".spec.reason"),
            _AGE,
            Column("NAMESPACES", ".spec.namespaces", wide=True),
        ),
    )


def _written(model: type[BaseModel]) -> Json:
    return structural(json_schema(model))


def _text(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _run_spec() -> Json:
    """The schema of a run's spec; its program is ours."""
    return _with(_OPAQUE, "Program", RUN_SPEC.json_schema(by_alias=True, schema_generator=Described))


def _run_status() -> Json:
    """The schema of a run's status; what the engine remembers is ours."""
    return _with(_WHOLE, "State", json_schema(RunStatus))


def _with(opaque: Json, name: str, schema: Json) -> Json:
    described = opaque | {"description": schema["$defs"][name]["description"]}
    return structural(schema | {"$defs": schema["$defs"] | {name: described}}, defaults=False)
