"""What a server's proxy does with a connection: Istio's PeerAuthentications and AuthorizationPolicies in small.  Pure.

Written from Istio's documents and apart from the driver that it proves: what the two think the same is tested against
a real istiod elsewhere.  A `when` is taken to hold; CUSTOM and AUDIT do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.adapters.memory.rules import matches
from rollout.plan.base import Json

ROOT_NAMESPACE: Final = "istio-system"
DRY_RUN: Final = "istio.io/dry-run"
_DEFAULT: Final = "PERMISSIVE"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What policies look at."""

    port: int
    """The container's."""
    tcp: bool
    principal: str = ""
    """Without `spiffe://`; empty for a peer without mTLS."""
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the authorization policies say."""

    allowed: bool = True
    enforced: bool = False
    """Whether there is a policy in force at all."""
    trial: Mapping[str, bool] = field(default_factory=dict)
    """By the action of the policies under trial (`deny`, `allow`): whether they would allow it."""


def mode_at(pod: Json, port: int, policies: Iterable[Json]) -> str:
    """The mTLS mode at a container port of a pod: of the port, the workload, the namespace, the mesh."""
    namespace, labels = pod["metadata"]["namespace"], pod["metadata"].get("labels")
    mesh = whole = narrow = None
    for policy in sorted(policies, key=_age, reverse=True):  # the oldest is looked at last, and stays
        home, wanted = policy["metadata"]["namespace"], _selected(policy)
        if home == ROOT_NAMESPACE and not wanted:
            mesh = policy
        elif home == namespace and not wanted:
            whole = policy
        elif home == namespace and matches(labels, wanted):
            narrow = policy
    levels = ((narrow or {}).get("spec") or {}).get("portLevelMtls") or {}
    said = [_mode(levels.get(str(port)) or levels.get(port))]
    said += [_mode(((policy or {}).get("spec") or {}).get("mtls")) for policy in (narrow, whole, mesh)]
    return next((mode for mode in said if mode), _DEFAULT)


def judge(pod: Json, attempt: Attempt, policies: Iterable[Json]) -> Verdict:
    """DENY counts before ALLOW; where there is an ALLOW, what none of them matches is refused."""
    mine = [policy for policy in policies if _concerns(policy, pod)]
    deny, allow = ([it for it in mine if _action(it) == action] for action in ("DENY", "ALLOW"))
    trial: dict[str, bool] = {}
    if tried := [it for it in deny if _dry(it)]:
        trial["deny"] = not _any(tried, attempt)
    force = [it for it in deny if not _dry(it)]
    if _any(force, attempt):
        return Verdict(allowed=False, enforced=True, trial=trial)
    if tried := [it for it in allow if _dry(it)]:
        trial["allow"] = _any(tried, attempt)
    granting = [it for it in allow if not _dry(it)]
    return Verdict(not granting or _any(granting, attempt), bool(force or granting), trial)


def _concerns(policy: Json, pod: Json) -> bool:
    home = policy["metadata"]["namespace"]
    return home in (pod["metadata"]["namespace"], ROOT_NAMESPACE) and matches(
        pod["metadata"].get("labels"), _selected(policy)
    )


def _any(policies: Iterable[Json], attempt: Attempt) -> bool:
    return any(
        _matches(rule, attempt, _action(it)) for it in policies for rule in (it.get("spec") or {}).get("rules") or ()
    )


def _matches(rule: Mapping[str, Any] | None, attempt: Attempt, action: str) -> bool:
    rule = rule or {}
    sources, operations = rule.get("from"), rule.get("to")
    from_ = not sources or any(_is_source(it.get("source") or {}, attempt) for it in sources)
    return from_ and (
        not operations or any(_is_operation(it.get("operation") or {}, attempt, action) for it in operations)
    )


def _is_source(source: Mapping[str, Any], attempt: Attempt) -> bool:
    _, _, rest = attempt.principal.partition("/ns/")
    namespace, _, account = rest.partition("/sa/")
    accounts = (f"{namespace}/{account}", account) if account else ("",)
    known = {"principals": (attempt.principal,), "namespaces": (namespace,), "serviceAccounts": accounts}
    for part, values in known.items():
        if part in source and not _fits(source[part], values):
            return False
        no = f"not{part[0].upper()}{part[1:]}"
        if no in source and _fits(source[no], values):
            return False
    return True


def _is_operation(operation: Mapping[str, Any], attempt: Attempt, action: str) -> bool:
    known = {"ports": str(attempt.port), "paths": attempt.path, "methods": "GET"}
    for part, value in known.items():
        no = f"not{part[0].upper()}{part[1:]}"
        if attempt.tcp and part != "ports":
            # bytes have neither path nor method: such an ALLOW never matches, a DENY forgets that part
            if action == "ALLOW" and (part in operation or no in operation):
                return False
            continue
        if part in operation and not _fits(operation[part], (value,)):
            return False
        if no in operation and _fits(operation[no], (value,)):
            return False
    return True


def _fits(patterns: Sequence[str], values: Sequence[str]) -> bool:
    """Whether one value is one of the texts; `*` stands for anything that is there, at the end or the beginning."""
    return any(value and _text(str(pattern), value) for pattern in patterns for value in values)


def _text(pattern: str, value: str) -> bool:
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return value.endswith(pattern[1:]) if pattern.startswith("*") else value == pattern


def _action(policy: Json) -> str:
    return str((policy.get("spec") or {}).get("action") or "ALLOW")


def _dry(policy: Json) -> bool:
    return (policy["metadata"].get("annotations") or {}).get(DRY_RUN) == "true"


def _selected(policy: Json) -> Mapping[str, str]:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def _mode(mtls: Mapping[str, Any] | None) -> str:
    said = str((mtls or {}).get("mode") or "UNSET")
    return "" if said == "UNSET" else said


def _age(policy: Json) -> tuple[str, str]:
    return policy["metadata"].get("creationTimestamp", ""), policy["metadata"]["name"]
