"""JSON schema, as pydantic makes it, into the structural schema that Kubernetes takes in a CustomResourceDefinition.

The rules of structural schemas: one type per value, no references, no alternatives, no `additionalProperties` beside
`properties`.  What has no honest translation is an error here, when the CRDs are generated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rollout.plan.base import Json

_KEPT: Final = frozenset(
    {
        *("type", "description", "default", "enum", "pattern", "minimum", "maximum", "multipleOf", "minLength"),
        *("maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "required", "nullable"),
        *("exclusiveMinimum", "exclusiveMaximum"),
    }
)
_FORMATS: Final = frozenset({"date", "date-time", "int32", "int64", "double", "float"})
_ANYTHING: Final[Json] = {"x-kubernetes-preserve-unknown-fields": True}
_JSON_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}


class NotStructuralError(ValueError):
    """A schema that Kubernetes has no form for: a fault in a model."""


def structural(schema: Mapping[str, Any], *, defaults: bool = True) -> Json:
    """The structural form of a JSON schema with its `$defs`.

    `defaults=False` leaves defaults out: for records that only we write, and read with our own.

    Raises:
        NotStructuralError: recursion, or an alternative without a discriminator.
    """
    return _Converter(schema.get("$defs", {}), defaults=defaults).convert(schema)


class _Converter:
    def __init__(self, definitions: Mapping[str, Any], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults
        self._open: list[str] = []

    def convert(self, node: Mapping[str, Any]) -> Json:
        """One schema and everything in it."""
        if "$ref" in node:
            return self._reference(node)
        if "oneOf" in node and "discriminator" in node:
            return self._beside(self._union(node["oneOf"], node["discriminator"]["propertyName"]), node)
        if "anyOf" in node:
            return self._beside(self._alternative(node["anyOf"]), node)
        result = self._scalar(node)
        if node.get("type") == "object":
            result |= self._object(node)
        elif node.get("type") == "array":
            result |= self._array(node)
        elif "type" not in result:
            result |= _ANYTHING
        return result

    def _reference(self, node: Mapping[str, Any]) -> Json:
        name = node["$ref"].rpartition("/")[2]
        if name in self._open:
            raise NotStructuralError(f"{name} contains itself")
        self._open.append(name)
        target = self.convert(self._definitions[name])
        self._open.pop()
        return self._beside(target, node)

    def _beside(self, target: Json, node: Mapping[str, Any]) -> Json:
        """What stands beside a reference or an alternative wins over what it leads to."""
        over = {key: value for key, value in self._scalar(node).items() if key != "type"}
        if isinstance(over.get("default"), dict):
            over["default"] = {}  # the API server fills in the fields' own defaults
        return target | over

    def _scalar(self, node: Mapping[str, Any]) -> Json:
        """Everything about the value itself, without what is in it."""
        result: Json = {}
        for key, value in node.items():
            known = key in _KEPT or key.startswith("x-kubernetes-")
            if known or (key == "format" and value in _FORMATS):
                result[key] = value
        if "description" in result:
            result["description"] = " ".join(result["description"].split())
        if "const" in node:
            result["enum"] = [node["const"]]
        if "enum" in result:
            result.setdefault("type", _JSON_TYPES[type(result["enum"][0])])
        for bound in ("Minimum", "Maximum"):
            # draft 2020 has a number here, OpenAPI 3.0 a flag beside the bound
            limit = result.get(f"exclusive{bound}")
            if limit is not None:
                result |= {bound.lower(): limit, f"exclusive{bound}": True}
        if not self._defaults or result.get("default", ()) in (None, [], ()):
            result.pop("default", None)
        return result

    def _object(self, node: Mapping[str, Any]) -> Json:
        if "properties" in node:
            return {"properties": {name: self.convert(value) for name, value in node["properties"].items()}}
        values = node.get("additionalProperties", True)
        if not isinstance(values, dict) or not values:
            return dict(_ANYTHING)
        return {"additionalProperties": self.convert(values)}

    def _array(self, node: Mapping[str, Any]) -> Json:
        if "prefixItems" not in node:
            return {"items": self.convert(node["items"])}
        first, *others = (self.convert(item) for item in node["prefixItems"])
        if any(other != first for other in others):
            raise NotStructuralError("a tuple of different types")
        return {"items": first}

    def _alternative(self, branches: Sequence[Mapping[str, Any]]) -> Json:
        """`X | None` is X; a number or a text has no type, and its checks apply to the type that they are about."""
        given = [self.convert(branch) for branch in branches if branch.get("type") != "null"]
        if len(given) == 1:
            return given[0]
        types = {branch.get("type") for branch in given}
        if types == {"string"} and all("enum" in branch for branch in given):
            return {"type": "string", "enum": [word for branch in given for word in branch["enum"]]}
        if types == {"integer", "string"}:
            return {"x-kubernetes-int-or-string": True}
        if types == {"number", "string"}:
            checks = {key: value for branch in given for key, value in branch.items() if key != "type"}
            # the impossible sizes refuse objects and lists, which the missing type would let in
            sizes = {"minProperties": 1, "maxProperties": 0, "minItems": 1, "maxItems": 0}
            return {**checks, **_ANYTHING, **sizes}
        raise NotStructuralError(f"an alternative without a discriminator: {given}")

    def _union(self, branches: Sequence[Mapping[str, Any]], tag: str) -> Json:
        """Variants merged into one object; CEL says which field goes with which tag. One may need no tag."""
        variants: dict[str, Json] = {}
        for branch in branches:
            variant = self.convert(branch)
            variants[variant["properties"][tag]["enum"][0]] = variant
        default = next((name for name, variant in variants.items() if tag not in variant.get("required", ())), None)
        kind: Json = {"type": "string", "enum": list(variants), **({"default": default} if default else {})}
        if descriptions := [it["properties"][tag].get("description", "") for it in variants.values()]:
            kind |= {"description": " ".join(filter(None, descriptions))} if any(descriptions) else {}
        properties: Json = {tag: kind}
        rules: list[Json] = []
        owners: dict[str, list[str]] = {}
        for name, variant in variants.items():
            rules += [_only(tag, name, rule) for rule in variant.get("x-kubernetes-validations", ())]
            for field, schema in variant["properties"].items():
                if field == tag:
                    continue
                schema = {key: value for key, value in schema.items() if key != "default"}
                if _shape(properties.setdefault(field, schema)) != _shape(schema):
                    raise NotStructuralError(f"{field} differs between the variants of {tag}")
                owners.setdefault(field, []).append(name)
        rules += _belonging(tag, variants, owners)
        common = [it for it in properties if all(it in variant.get("required", ()) for variant in variants.values())]
        return {
            "type": "object",
            "properties": properties,
            "required": common if default else [tag, *(it for it in common if it != tag)],
            "x-kubernetes-validations": rules,
        }


def _only(tag: str, name: str, rule: Json) -> Json:
    """A rule of one variant, for the object that is all of them."""
    return rule | {"rule": f"self.{tag} != '{name}' || ({rule['rule']})"}


def _belonging(tag: str, variants: Mapping[str, Json], owners: Mapping[str, list[str]]) -> list[Json]:
    """What each variant needs, and what belongs to none but some of them."""
    rules = []
    for field, names in owners.items():
        if "type" not in variants[names[0]]["properties"][field]:
            continue  # a number or a text: CEL does not see such a field, and whoever reads the object refuses it
        needing = [name for name in names if field in variants[name].get("required", ())]
        if len(needing) < len(variants):
            rules += [
                {"rule": f"self.{tag} != '{name}' || has(self.{field})", "message": f"{name} needs {field}"}
                for name in needing
            ]
        if len(names) < len(variants):
            words = ", ".join(f"'{name}'" for name in names)
            rule = f"!has(self.{field}) || self.{tag} in [{words}]"
            rules.append({"rule": rule, "message": f"{field} goes with {tag} {' or '.join(names)}"})
    return rules


def _shape(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "description"}
