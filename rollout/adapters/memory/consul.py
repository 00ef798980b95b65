"""Consul in small: which instances a subset has, and the controller that says of each object that it was taken.

A splitter that names a subset that no resolver has is refused, and tried again later, as the real one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.objects import rfc3339
from rollout.plan.base import Json
from rollout.plan.kinds import SERVICE_DEFAULTS, SERVICE_RESOLVER, SERVICE_ROUTER, SERVICE_SPLITTER, ref_of
from rollout.ports.cluster import guard_of

CONSULS: Final = (SERVICE_RESOLVER, SERVICE_SPLITTER)
"""Kinds that say where requests go."""
_ALL: Final = (*CONSULS, SERVICE_ROUTER, SERVICE_DEFAULTS)
_META: Final = "consul.hashicorp.com/service-meta-"
_TERM: Final = re.compile(r'Service\.Meta(?:\.(\w+)|\["([^"]+)"\]) (==|matches) "?([^"]*?)"?')


def divided(splitter: Json, objects: Sequence[Json]) -> Iterator[tuple[str, Fraction, str | None]]:
    """The service, the weight and the filter of each destination; None for a filter that nobody defines."""
    name, home = splitter["metadata"]["name"], splitter["metadata"]["namespace"]
    for entry in splitter["spec"]["splits"]:
        service, subset = entry.get("service") or name, entry.get("serviceSubset", "")
        known = {"": {"filter": ""}, **_subsets(objects, home, service)}
        found = known.get(subset)
        yield service, Fraction(str(entry.get("weight", 0))), None if found is None else found.get("filter", "")


def selects(text: str, pod: Json) -> bool:
    """Whether a filter selects a pod, by the meta data that Consul has of it."""
    meta = pod["metadata"]
    notes: Mapping[str, str] = meta.get("annotations") or {}
    known = {key.removeprefix(_META): value for key, value in notes.items() if key.startswith(_META)}
    known |= {"pod-name": meta["name"], "k8s-namespace": meta["namespace"]}
    return all(_holds(term, known) for term in text.split(" and ") if term)


def _holds(term: str, known: Mapping[str, str]) -> bool:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"no filter as Consul reads it: {term}")
    value = known.get(found[1] or found[2], "")
    return value == found[4] if found[3] == "==" else re.search(found[4], value) is not None


def _subsets(objects: Sequence[Json], home: str, service: str) -> dict[str, Json]:
    for obj in objects:
        meta = obj["metadata"]
        if (obj["kind"], meta["namespace"], meta["name"]) == (SERVICE_RESOLVER.name, home, service):
            return dict(obj["spec"].get("subsets") or {})
    return {}


class ConsulController:
    """It tells Consul of each object a moment after it was written, and says in its status what Consul answered."""

    def __init__(self, server: ApiServer) -> None:
        self.away = False
        """It does not work at the moment: nothing that is written is looked at."""
        self._server = server

    def tick(self) -> None:
        """Look at everything."""
        if self.away:
            return
        resolvers = self._server.objects.of(SERVICE_RESOLVER)
        for kind in _ALL:
            for obj in self._server.objects.of(kind):
                wrong = kind == SERVICE_SPLITTER and any(it[2] is None for it in divided(obj, resolvers))
                answer = {"type": "Synced", "status": "False" if wrong else "True"}
                if wrong:
                    answer |= {"reason": "ConsulAgentError", "message": "a subset that is named is not defined"}
                if [_said(it) for it in (obj.get("status") or {}).get("conditions", ())] != [answer]:
                    stamp = {"lastTransitionTime": rfc3339(self._server.objects.now())}
                    self._server.put_status(ref_of(obj), {"conditions": [answer | stamp]}, guard_of(obj))


def _said(condition: Json) -> Json:
    return {key: value for key, value in condition.items() if key != "lastTransitionTime"}
