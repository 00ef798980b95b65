"""`MemoryCluster`: the port `Cluster` on the in-memory API server, with one person's rights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.objects import EPOCH, Objects, clone
from rollout.adapters.memory.rules import matches
from rollout.errors import Forbidden
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref
from rollout.ports.cluster import Guard

_ANY: Final = "*"


class MemoryCluster:
    """A Kubernetes API in memory: deterministic, no wall clock, no network.

    Everything is allowed unless `deny` took it away.  `as_somebody_else` is a second person on the same cluster.
    """

    def __init__(
        self,
        now: Callable[[], float] = lambda: EPOCH,
        *,
        seed: int = 0,
        unserved: Iterable[Kind] = (),
        server: ApiServer | None = None,
    ) -> None:
        self.server = server or ApiServer(Objects(now, seed), unserved)
        self.objects = self.server.objects
        self._denied: set[tuple[str, Kind, str]] = set()

    def deny(self, verb: str, kind: Kind, namespace: str = _ANY) -> None:
        """Take a right away; `update` covers patches of the status, `patch` those of the object."""
        self._denied.add((verb, kind, namespace))

    def permit(self, verb: str, kind: Kind, namespace: str = _ANY) -> None:
        """Give back what `deny` took."""
        self._denied.discard((verb, kind, namespace))

    def as_somebody_else(self) -> MemoryCluster:
        """The same cluster for another person, who has every right so far."""
        return MemoryCluster(server=self.server)

    async def get(self, ref: Ref) -> Json | None:
        """See `ports.cluster.Cluster.get`. A kind that is not served gives None."""
        self._authorize("get", ref.kind, ref.namespace)
        obj = self.objects.get(ref) if self.server.served(ref.kind) else None
        return None if obj is None else clone(obj)

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        """See `ports.cluster.Cluster.list`. Sorted by namespace and name, as a real server does."""
        self._authorize("list", kind, namespace)
        self.server.require(kind)
        found = self.objects.of(kind, namespace)
        if labels:
            found = [obj for obj in found if matches(obj["metadata"].get("labels"), labels)]
        found.sort(key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        return [clone(obj) for obj in found]

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.create`."""
        self._authorize("create", self.server.kind_of(obj), obj.get("metadata", {}).get("namespace", ""))
        return clone(self.server.create(obj, self.may, dry_run=dry_run))

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """See `ports.cluster.Cluster.patch`."""
        self._authorize("patch", ref.kind, ref.namespace)
        return clone(self.server.patch(ref, ops, guard, self.may, dry_run=dry_run))

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """See `ports.cluster.Cluster.put_status`."""
        self._authorize("update", ref.kind, ref.namespace)
        return clone(self.server.put_status(ref, status, guard))

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """See `ports.cluster.Cluster.delete`."""
        self._authorize("delete", ref.kind, ref.namespace)
        self.server.delete(ref, guard, foreground=foreground)

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `ports.cluster.Cluster.allowed`."""
        return self.may(verb, kind, namespace)

    async def serves(self, kind: Kind) -> bool:
        """See `ports.cluster.Cluster.serves`."""
        return self.server.served(kind)

    async def version(self) -> str:
        """See `ports.cluster.Cluster.version`."""
        return self.server.version

    def may(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Whether this person has the right."""
        return (verb, kind, namespace) not in self._denied and (verb, kind, _ANY) not in self._denied

    def _authorize(self, verb: str, kind: Kind, namespace: str) -> None:
        if not self.may(verb, kind, namespace):
            where = f' in the namespace "{namespace}"' if namespace else ""
            raise Forbidden(
                f'cannot {verb} resource "{kind.plural}" in API group "{kind.group}"{where}',
                hint=f"ask for the right to {verb} {kind.plural}",
            )
