"""What pydantic says about a document, said so that its author knows what to type instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollout.plan.base import NAME
from rollout.plan.located import spell_path
from rollout.plan.positions import Path, excerpt

READING: Final[Mapping[str, str]] = {
    "RO110": "the text cannot be read as YAML or JSON, or holds no document of ours",
    "RO111": "the kind is not one of ours",
    "RO112": "there is no such field",
    "RO113": "a value has the wrong type",
    "RO114": "a value is outside its limits, or none of those that are allowed",
    "RO115": "a required field is missing",
    "RO116": "a key is given twice",
}
"""The codes of everything that can be wrong before a document is understood; all are errors."""

_TYPES: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "absent",
}
_LIMITS: Final = {
    "greater_than_equal": ("ge", "is under"),
    "greater_than": ("gt", "is not over"),
    "less_than_equal": ("le", "is over"),
    "less_than": ("lt", "is not under"),
}
_LENGTHS: Final = {
    "too_long": ("max_length", "more than {} items"),
    "too_short": ("min_length", "fewer than {} items"),
    "string_too_long": ("max_length", "more than {} characters"),
    "string_too_short": ("min_length", "fewer than {} characters"),
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, at a path in words."""

    code: str
    path: str
    message: str
    fix: str = ""


def mistakes(error: ValidationError, model: type[BaseModel], scalars: Mapping[str, str]) -> Iterator[Mistake]:
    """Every error in it.  `scalars` has the values as they were written, by path: YAML reads `on` as true."""
    for details in error.errors(include_url=False):
        if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
            continue  # a list whose items are wrong counts as empty: that is no mistake of its own
        yield _mistake(details, model, scalars.get(spell_path(_written(details["loc"]))))


def nulls(value: Any, path: Path) -> Iterator[Mistake]:
    """Fields without a value: the API server refuses them or drops them, so they say nothing."""
    if value is None:
        yield Mistake("RO113", spell_path(path), "the field has no value", "give it one, or leave the field out")
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from nulls(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from nulls(below, (*path, index))


def closest(word: str, words: Iterable[str]) -> str:
    """`did you mean steps?`, or what there is to choose from."""
    choice = sorted(words)
    # without regard to case: minrequests, MinRequests and min_requests are all minRequests
    folded = {one.lower(): one for one in choice}
    near = difflib.get_close_matches(word.lower().replace("_", "").replace("-", ""), list(folded), n=1, cutoff=0.6)
    return f"did you mean {folded[near[0]]}?" if near else f"one of: {', '.join(choice)}"


def _mistake(details: ErrorDetails, model: type[BaseModel], written: str | None) -> Mistake:
    kind, loc, value = details["type"], details["loc"], details["input"]
    context = details.get("ctx", {})
    path = spell_path(_written(loc))
    shown = excerpt(written) if written is not None else _shown(value)
    if kind == "extra_forbidden":
        return Mistake("RO112", path, f"there is no field {loc[-1]} here", closest(str(loc[-1]), _fields(model, loc)))
    if kind == "union_tag_invalid":
        choice = [word.strip(" '") for word in context["expected_tags"].split(",")]
        said = f"{excerpt(str(context['tag']))} is not {', '.join(choice[:-1])} or {choice[-1]}"
        return Mistake(
            "RO114", f"{path}.{context['discriminator'].strip(chr(39))}", said, closest(context["tag"], choice)
        )
    if kind == "missing":
        return Mistake("RO115", path, f"{loc[-1]} is missing")
    if kind == "rule":
        return Mistake(context["code"], path, context["message"])
    if value is None and kind != "missing":
        return next(nulls(value, loc))
    if kind in {"duration", "limit"}:
        return Mistake("RO113", path, f"{shown}: {details['msg']}", _unit(kind, loc, value) or _quotes(value, written))
    if kind == "literal_error":
        expected = context["expected"].replace("'", "")
        choice = expected.replace(" or ", ", ").split(", ")
        return Mistake("RO114", path, f"{shown} is not {expected}", closest(shown, choice) if len(choice) > 1 else "")
    if kind in _LIMITS:
        limit, relation = _LIMITS[kind]
        return Mistake("RO114", path, f"{shown} {relation} {context[limit]:g}")
    if kind in _LENGTHS:
        limit, text = _LENGTHS[kind]
        return Mistake("RO114", path, text.format(context[limit]))
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        what = "is no name: use lower-case letters, digits, - and ." if pattern == NAME else f"does not match {pattern}"
        return Mistake("RO114", path, f"{shown} {what}")
    if kind in _TYPES:
        return Mistake(
            "RO113", path, f"{shown} is not {_TYPES[kind]}", _quotes(value, written, text=kind == "string_type")
        )
    return Mistake("RO113", path, f"{shown}: {details['msg']}")


def _written(loc: Path) -> Path:
    """A path without what pydantic puts into it: the type of a gate, which is no field."""
    return tuple(part for index, part in enumerate(loc) if not _is_type(loc, index))


def _is_type(loc: Path, index: int) -> bool:
    return index >= 2 and loc[index - 2] == "gates" and isinstance(loc[index - 1], int)


def _shown(value: Any) -> str:
    match value:
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case _:
            return excerpt(str(value))


def _quotes(value: Any, written: str | None, *, text: bool = False) -> str:
    """The classic traps of YAML: words that are no text, and texts that look like numbers. `text`: one is wanted."""
    if written is None:
        return ""
    if isinstance(value, bool) and written.lower() not in {"true", "false"}:
        return f"YAML reads {written} as {str(value).lower()}: write it in quotes if a text is meant"
    if isinstance(value, str) and _is_number(value):
        return "write it without quotes"
    if text and isinstance(value, int | float) and not isinstance(value, bool):
        return f'YAML reads {written} as a number: "{written}" in quotes is a text'
    return ""


def _unit(kind: str, loc: Path, value: Any) -> str:
    """A bare number where a duration belongs is most likely meant in seconds; a latency, in milliseconds."""
    if kind != "duration" or isinstance(value, bool) or not _is_number(str(value)):
        return ""
    return f"did you mean {value}{'ms' if loc[-1] == 'slowerThan' else 's'}?"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fields(model: type[BaseModel], loc: Path) -> Iterator[str]:
    """The fields that the mapping around an unknown one has."""
    here: type[BaseModel] | None = model
    models: list[type[BaseModel]] = []
    for index, part in enumerate(loc[:-1]):
        if not isinstance(part, str) or here is None:
            continue
        if _is_type(loc, index):
            here = next((it for it in models if part in get_args(it.model_fields["type"].annotation)), None)
            continue
        field = next((it for name, it in here.model_fields.items() if part in (it.alias, name)), None)
        models = list(_models_in(field.annotation)) if field else []
        here = models[0] if models else None
    if here is not None:
        yield from (field.alias or name for name, field in here.model_fields.items())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside `tuple[Model, ...] | None` and its like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
