"""How a caller and a pod meet: over which protocol, with mTLS or without, and what the server's proxy makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.adapters.memory.injector import carried
from rollout.adapters.memory.mesh import Caller, Cause, Snapshot, client_tls, service_of
from rollout.adapters.memory.policies import Attempt, judge, mode_at
from rollout.adapters.memory.rolling import HASH_LABEL
from rollout.adapters.memory.telemetry import UNKNOWN, Flow, Party
from rollout.plan.base import Json
from rollout.plan.kinds import ref_of

_BYPASSED: Final = "traffic.sidecar.istio.io/excludeInboundPorts"
_OWN_TLS: Final = ("", "ISTIO_MUTUAL")
_TRUST: Final = "cluster.local"
Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One caller and one pod."""

    source: Party
    """As the caller itself would say."""
    target: Party
    host: str
    protocol: str
    secure: bool = False
    """mTLS."""
    called: bool = False
    """The server's proxy sees the requests."""
    calls: bool = False
    """The caller's proxy sees them."""
    cause: Cause | None = None
    """Why no application will answer."""
    tags: tuple[Tags, ...] = field(default=())
    """Of Envoy's counters of what authorization policies say."""

    def seen(self, reporter: str, code: str, flags: str = "-") -> Flow:
        """What one side counts. A peer without mTLS has a name only if both sides exchange theirs over HTTP."""
        named = reporter == "source" or (self.calls and (self.secure or self.protocol != "tcp"))
        source = self.source if self.secure else self.source._replace(principal=UNKNOWN)
        security = UNKNOWN if reporter == "source" else "mutual_tls" if self.secure else "none"
        ends = (source if named else Party(), self.target)
        return Flow(reporter, *ends, self.host, self.protocol, security, code, flags)


def link(seen: Snapshot, caller: Caller, host: str, pod: Json, subset: str = "") -> Link:
    """What becomes of a caller's requests to a pod, by the policies of a moment."""
    port, protocol = _port(seen, caller, host, pod)
    source = Party(caller.namespace, caller.workload, _principal(caller.namespace, caller.account))
    meta = pod["metadata"]
    account = pod["spec"].get("serviceAccountName") or "default"
    target = Party(meta["namespace"], workload_of(pod), _principal(meta["namespace"], account))
    if not seen.guarded:
        both = caller.meshed
        return Link(source, target, host, protocol, secure=both, called=both, calls=both)
    called = carried(pod) and str(port) not in _bypassed(pod)
    mode = mode_at(pod, port, seen.peer_authentications) if called else "DISABLE"
    asks = client_tls(seen, caller, host, subset) in _OWN_TLS
    secure = called and caller.meshed and asks and mode != "DISABLE"
    found = Link(source, target, host, protocol, secure, called, caller.meshed)
    if not called:
        return found
    if mode == "STRICT" and not secure:
        return _with(found, Cause.REFUSED)
    tcp = protocol == "tcp"
    principal = source.principal.removeprefix("spiffe://") if secure else ""
    verdict = judge(pod, Attempt(port, tcp, principal, caller.path), seen.authorization_policies)
    prefix = ("tcp_prefix", "rbac") if tcp else ("http_conn_manager_prefix", f"inbound_0.0.0.0_{port}")
    tags: list[Tags] = [
        (("authz_dry_run_action", action), ("authz_dry_run_result", "allowed" if good else "denied"), prefix)
        for action, good in verdict.trial.items()
    ]
    if verdict.enforced:
        tags.append((("authz_enforce_result", "allowed" if verdict.allowed else "denied"), prefix))
    return _with(found, None if verdict.allowed else Cause.DENIED, tuple(tags))


def accepts_plaintext(pod: Json, port: int, modes: Sequence[Json]) -> bool:
    """Whether somebody without mTLS gets through to a container port."""
    called = carried(pod) and str(port) not in _bypassed(pod)
    return not called or mode_at(pod, port, modes) != "STRICT"


def workload_of(pod: Json) -> str:
    """The name of the workload behind a pod, as the mesh's metrics have it: a CronJob's, not that of its Jobs."""
    owners = pod["metadata"].get("ownerReferences", ())
    hash_ = pod["metadata"].get("labels", {}).get(HASH_LABEL, "")
    name: str = owners[0]["name"] if owners else ref_of(pod).name
    if owners and owners[0]["kind"] == "Job":
        stem, _, minute = name.rpartition("-")
        return stem if len(minute) >= 8 and minute.isdecimal() else name
    return name.removesuffix(f"-{hash_}") if hash_ else name


def _with(found: Link, cause: Cause | None, tags: tuple[Tags, ...] = ()) -> Link:
    return Link(
        found.source, found.target, found.host, found.protocol, found.secure, found.called, found.calls, cause, tags
    )


def _principal(namespace: str, account: str) -> str:
    return f"spiffe://{_TRUST}/ns/{namespace}/sa/{account}"


def _port(seen: Snapshot, caller: Caller, host: str, pod: Json) -> tuple[int, str]:
    """The container port and the protocol behind the port of the Service that is called."""
    service = service_of(seen, host)
    ports: Sequence[Json] = service["spec"].get("ports") or () if service is not None else ()
    chosen = next((it for it in ports if it.get("name") == caller.port), ports[0] if ports else {"port": 80})
    target: Any = chosen.get("targetPort", chosen["port"])
    if isinstance(target, str):
        declared = [it for container in pod["spec"]["containers"] for it in container.get("ports") or ()]
        target = next((it["containerPort"] for it in declared if it.get("name") == target), 0)
    said = str(chosen.get("appProtocol") or str(chosen.get("name", "")).partition("-")[0]).lower()
    return int(target), {"grpc": "grpc", "tcp": "tcp"}.get(said, "http")


def _bypassed(pod: Json) -> Sequence[str]:
    notes: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    return [part.strip() for part in notes.get(_BYPASSED, "").split(",")]
