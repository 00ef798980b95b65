"""Traffic policy: no DestinationRule takes mTLS away from callers in the mesh (PF15)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rollout.checks.adoption.fixes import patch
from rollout.checks.adoption.meshes import ISTIO
from rollout.checks.adoption.surroundings import Checker, Look, Surroundings
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import DESTINATION_RULE, ENDPOINT_SLICE, SERVICE, ref_of

_DOMAIN: Final = "svc.cluster.local"


def explicit_tls(s: Surroundings) -> Iterator[Finding]:
    """PF15: auto-mTLS decides for hosts in the mesh."""
    ours = {str(it["metadata"]["name"]) for unit in s.joining for it in s.services(unit)}
    for rule in s.of(DESTINATION_RULE, "everywhere"):
        meta, spec = rule["metadata"], rule.get("spec") or {}
        host = _full(spec.get("host", ""), meta["namespace"])
        if not any(_covers(host, f"{name}.{s.name}.{_DOMAIN}") for name in ours):
            continue
        for path, tls in _settings(spec):
            if (mode := tls.get("mode", "DISABLE")) != "ISTIO_MUTUAL":
                yield _override(rule, path, mode)


def _override(rule: Json, path: str, mode: str) -> Finding:
    ref = ref_of(rule)
    sent = "plaintext" if mode == "DISABLE" else "TLS without the mesh's identity"
    text = (
        f"{ref} sets tls.mode {mode} for {rule['spec']['host']} ({path[1:].replace('/', '.')}): callers in the mesh "
        "send "
        f"{sent}, which STRICT refuses"
    )
    return Finding("RO515", Level.ERROR, text, where=str(ref), fix=patch(ref, [{"op": "remove", "path": path}]))


def _full(host: str, namespace: str) -> str:
    """A host as Istio completes it: names without a dot are in the rule's namespace."""
    return host if "." in host or host == "*" else f"{host}.{namespace}.{_DOMAIN}"


def _covers(host: str, name: str) -> bool:
    if host.startswith("*"):
        return name.endswith(host[1:])
    return host == name


def _settings(spec: Json) -> Iterator[tuple[str, Json]]:
    """Every `tls` of a rule, with its JSON pointer."""
    yield from _of_policy(spec.get("trafficPolicy"), "/spec/trafficPolicy")
    for number, subset in enumerate(spec.get("subsets") or ()):
        yield from _of_policy(subset.get("trafficPolicy"), f"/spec/subsets/{number}/trafficPolicy")


def _of_policy(policy: Json | None, path: str) -> Iterator[tuple[str, Json]]:
    if not policy:
        return
    if policy.get("tls"):
        yield f"{path}/tls", policy["tls"]
    levels: Sequence[dict[str, Any]] = policy.get("portLevelSettings") or ()
    for number, level in enumerate(levels):
        if level.get("tls"):
            yield f"{path}/portLevelSettings/{number}/tls", level["tls"]


CHECKERS: Final = (
    Checker(
        "PF15",
        "traffic policy",
        "no DestinationRule overrides mTLS",
        explicit_tls,
        (Look(DESTINATION_RULE, "everywhere"), Look(SERVICE), Look(ENDPOINT_SLICE)),
        ISTIO,
    ),
)
