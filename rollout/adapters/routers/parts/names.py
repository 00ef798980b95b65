"""The names of our subsets: unique to the run, and telling which subset of the owner's they stand for.

`web-7-stable` and `web-7-canary` stand for the whole Service; `web-7-stable-v1` and `web-7-canary-v1` for the owner's
subset `v1`.  The last part is the **tail**.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

Role = Literal["stable", "canary"]
_LABEL: Final = 63
"""A subset's name is one DNS label."""


def _fit(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    return f"{text[: length - 9].rstrip('-')}-{sha256(text.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Names:
    """Names for one run."""

    run: str

    @property
    def _stem(self) -> str:
        return _fit(self.run.replace(".", "-"), 32)

    def tail(self, subset: str) -> str:
        """What stands for the owner's subset in our names; empty for none."""
        return _fit(subset, _LABEL - len(f"{self._stem}-stable-"))

    def subset(self, role: Role, tail: str) -> str:
        """The name of a subset of ours."""
        return f"{self._stem}-{role}-{tail}" if tail else f"{self._stem}-{role}"

    def read(self, subset: str) -> tuple[Role, str] | None:
        """Role and tail of a subset of ours; None for anybody else's."""
        roles: tuple[Role, Role] = ("stable", "canary")
        for role in roles:
            own = f"{self._stem}-{role}"
            if subset == own:
                return role, ""
            if subset.startswith(f"{own}-"):
                return role, subset.removeprefix(f"{own}-")
        return None
