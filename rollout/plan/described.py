"""JSON Schema in which the docstrings of fields are their descriptions, as `kubectl explain` prints them.

Pure. Pydantic can do this by itself (`use_attribute_docstrings`), but reads the sources of all models whenever they are
imported, which was a third of the time that any command took to start; here they are read when a schema is asked for.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from rollout.plan.base import Json


class Described(GenerateJsonSchema):
    """Writes the docstring of a field as its description, unless it has one."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Return the schema of a model."""
        return _described(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Return the schema of a dataclass."""
        return _described(super().dataclass_schema(schema), schema["cls"])


def json_schema(model: type[BaseModel]) -> Json:
    """Return the schema of a model, its fields named as in YAML and described by their docstrings."""
    return model.model_json_schema(by_alias=True, schema_generator=Described)


def _described(schema: JsonSchemaValue, kind: type[Any]) -> JsonSchemaValue:
    properties = schema.get("properties", {})
    for base in kind.__mro__:
        for name, text in _docstrings(base).items():
            if (key := to_camel(name)) in properties:
                properties[key].setdefault("description", text)
    return schema


@cache
def _docstrings(kind: type[Any]) -> dict[str, str]:
    """Return the docstrings of the fields that a class declares itself."""
    body = _classes(kind.__module__).get(kind.__qualname__, [])
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


@cache
def _classes(module: str) -> dict[str, list[ast.stmt]]:
    """Return the bodies of a module's classes by their qualified names; of one written in C, none."""
    if module == "builtins":
        return {}
    return dict(_bodies(ast.parse(inspect.getsource(sys.modules[module])).body, ""))


def _bodies(statements: list[ast.stmt], prefix: str) -> Iterator[tuple[str, list[ast.stmt]]]:
    for one in statements:
        if isinstance(one, ast.ClassDef):
            yield prefix + one.name, one.body
            yield from _bodies(one.body, f"{prefix}{one.name}.")
