"""The cluster: raw objects in, raw objects out.

Objects are plain JSON dicts as the API server has them; we parse only what we use, in `observe/`.  Every write is
guarded by the UID and resourceVersion that were read before it was journalled: a leader that wakes late must fail
rather than write.

Errors (see `rollout.errors`): `NotFound`, `AlreadyExists`, `Conflict` (guard or resourceVersion did not match),
`Forbidden`, `Rejected`, `Unsupported` (the kind is not served), `Unavailable`, `OutcomeUnknown`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still be true of an object when the write arrives. An empty `version` does not bind the version."""

    uid: str
    version: str = ""


def guard_of(obj: Mapping[str, Any]) -> Guard:
    """The guard that a write based on this read needs."""
    meta = obj["metadata"]
    return Guard(meta["uid"], meta.get("resourceVersion", ""))


class Cluster(Protocol):
    """One Kubernetes cluster, with one person's rights."""

    async def get(self, ref: Ref) -> Json | None:
        """The object, or None when there is none."""
        ...

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        """All objects of a kind; `namespace` empty means all namespaces. A kind that is not served: `Unsupported`.

        `about`: only what may concern these Services (`name.namespace`) is of interest; more may come.
        """
        ...

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """Create and return the stored object."""
        ...

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """Apply an RFC 6902 JSON patch to the object that the guard describes; return the stored object."""
        ...

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """Replace the status subresource; return the stored object."""
        ...

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """Delete the object that the guard describes; an object that is gone already is no error."""
        ...

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Whether the caller may do this (a SelfSubjectAccessReview)."""
        ...

    async def serves(self, kind: Kind) -> bool:
        """Whether the API server knows this kind and version."""
        ...

    async def version(self) -> str:
        """The API server's version, `v1.36.3`."""
        ...
