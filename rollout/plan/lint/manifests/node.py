"""A value in a manifest that may be wrong in every way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from rollout.plan.base import seconds
from rollout.plan.located import spell_path
from rollout.plan.positions import Path

_DURATION: Final = re.compile(r"([0-9]+(\.[0-9]*)?(ms|s|m|h))+")
_LARGEST: Final = 1e15


@dataclass(frozen=True, slots=True)
class Node:
    """Looks into a manifest: what is not there, or of another type than asked for, reads as nothing."""

    value: Any
    at: Path = ()

    def get(self, *keys: str) -> Node:
        """What is below, key by key."""
        node = self
        for key in keys:
            node = Node(node.value.get(key) if isinstance(node.value, dict) else None, (*node.at, key))
        return node

    @property
    def path(self) -> str:
        """In words: `spec.http[0].route`."""
        return spell_path(self.at)

    @property
    def there(self) -> bool:
        """Whether it has a value."""
        return self.value is not None

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list."""
        listed = self.value if isinstance(self.value, list) else ()
        return tuple(Node(item, (*self.at, index)) for index, item in enumerate(listed))

    @property
    def entries(self) -> tuple[tuple[str, Node], ...]:
        """The entries of a mapping."""
        mapped = self.value if isinstance(self.value, dict) else {}
        return tuple((key, Node(below, (*self.at, key))) for key, below in mapped.items())

    @property
    def texts(self) -> dict[str, str]:
        """A map of texts, such as labels; other values are left out."""
        return {key: below.value for key, below in self.entries if isinstance(below.value, str)}

    @property
    def text(self) -> str:
        """A text."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def number(self) -> float | None:
        """A number that can be reckoned with."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return None
        return self.value if abs(self.value) <= _LARGEST else None

    @property
    def seconds(self) -> float | None:
        """A duration as Istio writes it: `1m30s`."""
        return seconds(self.text) if _DURATION.fullmatch(self.text) else None
