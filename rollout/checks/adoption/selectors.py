"""Label selectors and references, as the API server reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.plan.base import Json


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a `metav1.LabelSelector` selects these labels. An empty one selects everything, an absent one nothing."""
    if selector is None:
        return False
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _meets(it, labels) for it in selector.get("matchExpressions") or ()
    )


def _meets(requirement: Json, labels: Mapping[str, str]) -> bool:
    key, values = requirement["key"], requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            # the API server stores no other
            return False


def in_labels(wanted: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a plain map of labels, such as a Service's selector, selects; an empty one selects nothing."""
    return wanted.items() <= labels.items() if wanted else False
