"""What all our kinds share: names, the model base, and the scalar types of the YAML that people write.

Pure. Field docstrings become descriptions in the CRD, so `kubectl explain cplan.spec.steps` prints them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

GROUP: Final = "meshrollout.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "meshrollout.dev/v1alpha1"
FIELD_MANAGER: Final = "rollout"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
_PERCENT: Final = r"^[0-9]+(\.[0-9]+)?%$"


def _duration(value: Any) -> Any:
    if not (isinstance(value, str) and re.fullmatch(_DURATION, value)):
        raise PydanticCustomError("duration", "a duration is a number with its unit (ms, s, m, h, d): 30s, 1m30s")
    return value


def _limit(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number or (isinstance(value, str) and re.fullmatch(_PERCENT, value))):
        raise PydanticCustomError("limit", "a limit is a number without quotes, such as 0.99, or a percent such as 99%")
    return value


def _moment(value: Any) -> Any:
    try:
        if isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None:
            return value
    except ValueError:
        pass
    raise PydanticCustomError("moment", "a time has a date and its distance from UTC, such as 2026-01-31T12:00:00Z")


# the validator last: a pattern that follows one is not in the schema
Duration = Annotated[str, Field(pattern=_DURATION, max_length=32), BeforeValidator(_duration)]
"""A length of time as Kubernetes people write it: `30s`, `1m30s`, `2h`."""

Percent = Annotated[str, Field(pattern=_PERCENT, max_length=16)]
"""A share as people write it: `99.5%`."""

Tolerance = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(pp|%)$", max_length=16)]
"""A difference: of shares in points (`1pp`), or of something as a part of it (`25%`)."""

Limit = Annotated[float | Percent, BeforeValidator(_limit)]
"""A limit for a metric: a number, or a share as a percent."""

NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

Name = Annotated[str, Field(pattern=NAME, min_length=1, max_length=253)]
"""The name of a Kubernetes object."""


Moment = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"}), BeforeValidator(_moment)]
"""A moment in RFC 3339: `2026-01-31T12:00:00Z`."""


def epoch(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def seconds(duration: str) -> float:
    """Seconds in a `Duration`.

    >>> seconds("1m30s")
    90.0
    """
    return sum(float(n) * _UNITS[u] for n, u in re.findall(r"([0-9.]+)(ms|s|m|h|d)", duration))


def ratio(percent: str) -> float:
    """The share 0..1 behind a `Percent`, or behind a `Tolerance` in points."""
    return float(percent.removesuffix("%").removesuffix("pp")) / 100


def number(limit: float | str) -> float:
    """The number behind a `Limit`.

    >>> number("5%"), number(0.05)
    (0.05, 0.05)
    """
    return ratio(limit) if isinstance(limit, str) else limit


def spell(length: float) -> str:
    """A number of seconds in words that `seconds` reads back: `90` gives `1m30s`. Whole seconds from one second on."""
    milliseconds = round(length * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds > 0 else "0s"
    whole = round(length)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def rfc3339(moment: float) -> str:
    """A time as Kubernetes writes it, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold between the fields of one model: in CEL for the API server, in Python for files.

    Both say the same; the tests of the CRDs break each rule on a real API server.
    """

    code: str
    """Its lint code."""
    cel: str
    message: str
    """What is required, as a sentence without a full stop."""
    holds: Callable[[Any], bool]
    """The same as `cel`, on an instance of the model."""


class Model(BaseModel):
    """Base of everything people write: camelCase in YAML, unknown fields refused, immutable, obeying its rules."""

    rules: ClassVar[tuple[Rule, ...]] = ()

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
    )

    @model_validator(mode="after")
    def _obeys(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message, "code": rule.code})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.rules:
            validations = [{"rule": rule.cel, "message": rule.message} for rule in cls.rules]
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = validations
        return schema

    def __hash__(self) -> int:
        """By content: models with maps in them are keys too (equal questions are asked once)."""
        return hash((type(self), self.model_dump_json()))


class ObjectMeta(BaseModel):
    """The part of Kubernetes' metadata that we read; everything else is kept by the API server."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    deletion_timestamp: str | None = None


def label(name: str) -> str:
    """A label or annotation key of ours."""
    return f"{GROUP}/{name}"


def label_value(name: str) -> str:
    """An object's name as the value of a label, which may be shorter; names with one beginning share it.

    >>> label_value("a" * 62 + ".b")
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
    """
    return name[:63].rstrip("-._")


RUN_LABEL: Final = label("run")
"""On every object we create and on the candidate's pods: the name of the run it belongs to."""
ROLE_LABEL: Final = label("role")
"""On the candidate's pods: `canary`."""
PLAN_LABEL: Final = label("plan")
"""On runs: the name of their plan."""
TARGET_LABEL: Final = label("target")
"""On runs: the name of the Deployment they act on, or of the Service whose traffic they shift."""
RUN_UID: Final = label("run-uid")
"""Annotation on every object we create: the UID of the run, so that leftovers can be told and swept."""
LABELS_AT_START: Final = label("plan-labels")
"""Annotation of runs: their plan's labels when they began, as JSON. By them a controller's selector knows its runs;
where it was taken off, the labels that the plan has now decide."""
HOLD_LABEL: Final = label("hold")
"""On a Deployment: hold every new revision until it is released (value: the plan's name)."""
HELD: Final = label("held")
"""Annotation, written by the hold policy while a new revision is being held; see `plan.holdpolicy.MARKS`."""
RELEASE: Final = label("release")
"""Annotation: a new value, written by someone with the verb `release`, lets the held revision roll."""

Json = dict[str, Any]
