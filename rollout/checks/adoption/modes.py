"""mTLS modes that PeerAuthentications of the namespace ask for."""

from __future__ import annotations

from rollout.checks.adoption.selectors import selects
from rollout.checks.adoption.surroundings import Surroundings
from rollout.plan.kinds import PEER_AUTHENTICATION
from rollout.ports.mesh import Unit


def mode_of_port(s: Surroundings, unit: Unit, port: int) -> str:
    """The mode of one container port, by what selects this unit; empty where nothing that does says one for it."""
    for obj in s.of(PEER_AUTHENTICATION):
        spec = obj.get("spec") or {}
        if spec.get("selector") and selects(spec["selector"], unit.labels):
            mode = ((spec.get("portLevelMtls") or {}).get(str(port)) or {}).get("mode") or ""
            if mode not in ("", "UNSET"):
                return str(mode)
    return ""
