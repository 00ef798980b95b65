"""The mTLS mode that counts at a workload, and which PeerAuthentication it comes from.

A selector's policy counts before its namespace's, that before the mesh's (the one in the root namespace); among several
of one scope the oldest, and of equally old ones the first by name.  What is UNSET is inherited; where nobody says
anything it is PERMISSIVE.  Ports can be set only beside a selector, and a selector means nothing in the root namespace.
Source: istiod's `ComposePeerAuthentication` and its order of policies (1.31).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rollout.plan.base import Json
from rollout.plan.kinds import Ref, ref_of
from rollout.ports.mesh import Mode, Mtls, Setting

DEFAULT: Final = Setting(Mode.PERMISSIVE)


def effective(namespace: str, labels: Mapping[str, str], policies: Sequence[Json], root: str) -> Mtls:
    """The modes of a workload with these pod labels."""
    mesh = _oldest(it for it in policies if _namespace(it) == root and not _labels(it))
    own = [it for it in policies if _namespace(it) == namespace != root]
    whole = _oldest(it for it in own if not _labels(it))
    narrow = _oldest(it for it in own if _labels(it) and _labels(it).items() <= labels.items())
    setting = DEFAULT
    if mesh and (mode := _mode(mesh["spec"].get("mtls"))):
        setting = Setting(mode, "mesh", ref_of(mesh))
    if whole and (mode := _mode(whole["spec"].get("mtls"))):
        setting = Setting(mode, "namespace", ref_of(whole))
    if narrow is None:
        return Mtls(setting)
    if mode := _mode(narrow["spec"].get("mtls")):
        setting = Setting(mode, "workload", ref_of(narrow))
    ports = (narrow["spec"].get("portLevelMtls") or {}).items()
    levels = {int(port): _at_port(mtls, narrow, setting) for port, mtls in ports}
    return Mtls(setting, levels, ref_of(narrow))


def whole(namespace: str, policies: Sequence[Json]) -> Ref | None:
    """The policy that counts for a namespace as a whole; younger ones beside it do not."""
    found = _oldest(it for it in policies if _namespace(it) == namespace and not _labels(it))
    return ref_of(found) if found is not None else None


def _at_port(mtls: Mapping[str, Any] | None, policy: Json, inherited: Setting) -> Setting:
    mode = _mode(mtls)
    return Setting(mode, "port", ref_of(policy)) if mode else inherited


def _oldest(policies: Iterable[Json]) -> Json | None:
    def age(policy: Json) -> tuple[str, str]:
        return policy["metadata"].get("creationTimestamp", ""), policy["metadata"]["name"]

    return min(policies, key=age, default=None)


def _namespace(policy: Json) -> str:
    return str(policy["metadata"]["namespace"])


def _labels(policy: Json) -> Mapping[str, str]:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def _mode(mtls: Mapping[str, Any] | None) -> Mode | None:
    """None for UNSET, however it is written."""
    said: str = (mtls or {}).get("mode", "")
    return Mode(said) if said in Mode.__members__ else None
