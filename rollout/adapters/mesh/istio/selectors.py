"""Label selectors, as the API server and Istio read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (`matchLabels`, `matchExpressions`) matches; an empty one matches everything."""
    selector = selector or {}
    equal = (selector.get("matchLabels") or {}).items()
    return equal <= labels.items() and all(_holds(it, labels) for it in selector.get("matchExpressions") or ())


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values  # a label that is not there is in no list
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
