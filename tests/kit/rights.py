"""The simulated API server as one account has it: with the rights that an installation prints, and no others.

It remembers which right was used and which was missing, verb by verb.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.store import MemoryCluster
from rollout.install.options import CONTROLLER, Options
from rollout.install.rbac import rbac
from rollout.plan.base import Json
from rollout.plan.kinds import Kind

STATUS = "status"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource; `scope` is a namespace, or empty for the whole cluster."""

    scope: str
    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        where = f" in {self.scope}" if self.scope else ""
        return f"{self.verb} {self.resource}.{self.group or 'core'}{where}"


class Bound(MemoryCluster):
    """Refuses what is not granted."""

    def __init__(self, server: ApiServer, granted: Iterable[Right]) -> None:
        super().__init__(server=server)
        self.granted = frozenset(granted)
        self.used: set[Right] = set()
        """What is granted, and was needed."""
        self.asked: set[Right] = set()
        """What was needed, in the namespace where it was."""
        self.lacked: set[Right] = set()
        self.denied: set[Right] = set()
        """What it asked about, and learnt that it may not."""
        self.late: set[Kind] = set()
        """Kinds whose watches have told nothing yet."""

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """See `ports.cluster.Cluster.allowed`. To ask is not to use."""
        wanted = _right(verb, kind, namespace)
        if self._found(wanted) is None:
            self.denied.add(wanted)
        return wanted not in self.denied

    def may(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Whether it is granted here, or everywhere."""
        wanted = _right(verb, kind, namespace)
        if kind in self.late and verb in ("list", "watch"):
            return False
        found = self._found(wanted)
        if found is None:
            self.lacked.add(wanted)
            return False
        self.used.add(found)
        self.asked.add(wanted)
        return True

    def _found(self, wanted: Right) -> Right | None:
        return next((it for it in (wanted, replace(wanted, scope="")) if it in self.granted), None)


def _right(verb: str, kind: Kind, namespace: str) -> Right:
    # the port writes a status by an update, the adapter for Kubernetes by a patch of the subresource
    if verb == "update":
        return Right(namespace, kind.group, f"{kind.plural}/{STATUS}", "patch")
    return Right(namespace, kind.group, kind.plural, verb)


def printed(options: Options) -> frozenset[Right]:
    """What `rollout install` gives the controller's account by name."""
    return frozenset(_printed(rbac(options)))


def _printed(documents: list[Json]) -> Iterator[Right]:
    where = {(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]): it for it in documents}
    for binding in documents:
        if not any(it.get("name") == CONTROLLER for it in binding.get("subjects", ())):
            continue
        scope = binding["metadata"].get("namespace")
        role = where[binding["roleRef"]["kind"], scope, binding["roleRef"]["name"]]
        for rule in role["rules"]:
            for resource in rule["resources"]:
                yield from (Right(scope or "", rule["apiGroups"][0], resource, verb) for verb in rule["verbs"])
