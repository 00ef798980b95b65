"""DestinationRules by which callers in the mesh do not speak its mTLS: they break when a server becomes STRICT.

A rule may be hidden by one that is nearer to the caller; it is told all the same, for the nearer one may go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rollout.plan.base import Json
from rollout.plan.kinds import ref_of
from rollout.ports.mesh import ClientRule

OTHER: Final = ("DISABLE", "SIMPLE", "MUTUAL")
"""Everything but the mesh's own: `ISTIO_MUTUAL`, and nothing at all."""
_SUFFIX: Final = ".svc.cluster.local"


def client_rules(services: Sequence[Json], rules: Iterable[Json]) -> tuple[ClientRule, ...]:
    """The rules about these Services that turn the mesh's mTLS off, by namespace, name and field."""
    names = {f"{it['metadata']['name']}.{it['metadata']['namespace']}{_SUFFIX}" for it in services}
    found = [
        ClientRule(ref_of(rule), mode, path, _callers(rule))
        for rule in rules
        if any(_covers(rule, name) for name in names)
        for path, mode in _modes(rule)
    ]
    return tuple(sorted(found, key=lambda it: (it.ref, it.path)))


def _covers(rule: Json, name: str) -> bool:
    host = str(rule["spec"].get("host", ""))
    if host.startswith("*"):
        return name.endswith(host[1:])
    if "." not in host:
        host = f"{host}.{rule['metadata']['namespace']}"
    return name == host or name.removesuffix(_SUFFIX) == host or name.removesuffix(".cluster.local") == host


def _modes(rule: Json) -> Iterator[tuple[str, str]]:
    """The fields that say how to speak, with what they say."""
    yield from _of_policy("spec.trafficPolicy", rule["spec"].get("trafficPolicy"))
    for number, subset in enumerate(rule["spec"].get("subsets") or ()):
        yield from _of_policy(f"spec.subsets[{number}].trafficPolicy", subset.get("trafficPolicy"))


def _of_policy(path: str, policy: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    policy = policy or {}
    ports = enumerate(policy.get("portLevelSettings") or ())
    parts = [(path, policy), *((f"{path}.portLevelSettings[{number}]", it) for number, it in ports)]
    for where, part in parts:
        mode = (part.get("tls") or {}).get("mode", "DISABLE" if "tls" in part else "")
        if mode in OTHER:
            yield f"{where}.tls", mode


def _callers(rule: Json) -> str:
    """A rule that is exported nowhere, or selects workloads, is for its own namespace."""
    home: str = rule["metadata"]["namespace"]
    export = set(rule["spec"].get("exportTo") or ["*"])
    return home if rule["spec"].get("workloadSelector") or export <= {".", home} else ""
