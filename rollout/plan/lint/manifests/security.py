"""RO189 to RO193: who may talk to whom, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.plan.finding import Level
from rollout.plan.lint.manifests.files import (
    AUTHORIZATION_POLICY,
    DESTINATION_RULE,
    NAMESPACE,
    PEER_AUTHENTICATION,
    SERVICE,
    WORKLOADS,
    Files,
    Given,
    host_of,
    mesh_wide,
    near,
)
from rollout.plan.lint.manifests.node import Node
from rollout.plan.lint.manifests.rule import Case, rule
from rollout.plan.lint.rule import Hit

_IDENTITIES: Final = ("principals", "namespaces", "serviceAccounts", "trustDomains")
"""Sources that only mTLS proves."""
_PLAINTEXT: Final = {
    "DISABLE": "callers send plaintext, which STRICT refuses",
    "SIMPLE": "callers show no certificate, which STRICT asks for",
}


@rule(
    "RO189",
    Level.WARNING,
    "mTLS becomes STRICT in one step: every caller without a sidecar is cut off at once",
    "begin with mode PERMISSIVE, see who still sends plaintext, then make one workload after the other STRICT",
    PEER_AUTHENTICATION,
)
def strict_at_once(case: Case) -> Iterator[Hit]:
    """STRICT for a whole namespace or mesh, with nothing before it."""
    mode = case.spec.get("mtls", "mode")
    if mode.text != "STRICT" or case.spec.get("selector", "matchLabels").texts:
        return
    whole = mesh_wide(case.given)
    scope = "the whole mesh" if whole else f"namespace {case.namespace}" if case.namespace else "the whole namespace"
    if (injected := _injected(case.files, "" if whole else case.namespace)) is not None:
        what = f"{injected.kind.partition('.')[0]} {injected.name}"
        yield Hit(mode.path, f"{scope} becomes STRICT in the same step in which {what} gets its sidecars")
    elif not any(_permissive(it, case.given) for it in case.files.of(PEER_AUTHENTICATION)):
        yield Hit(mode.path, f"{scope} becomes STRICT, and nothing in these files is PERMISSIVE before it")


def _permissive(other: Given, strict: Given) -> bool:
    """Whether a policy is a stage before STRICT, for the same scope or a wider one."""
    mode, selector = other.spec.get("mtls", "mode").text, other.spec.get("selector", "matchLabels").texts
    return mode == "PERMISSIVE" and not selector and (mesh_wide(other) or near(other.namespace, strict.namespace))


def _injected(files: Files, namespace: str) -> Given | None:
    """What these files inject: a namespace by its label, or pods by theirs. An empty namespace means any."""
    for given in files.of(NAMESPACE):
        enabled = given.labels.get("istio-injection") == "enabled" or "istio.io/rev" in given.labels
        if enabled and near(given.name, namespace):
            return given
    for given in files.of(*WORKLOADS):
        labels = given.template.get("metadata", "labels").texts
        enabled = labels.get("sidecar.istio.io/inject") == "true" or "istio.io/rev" in labels
        if enabled and near(given.namespace, namespace):
            return given
    return None


@rule(
    "RO190",
    Level.ERROR,
    "An mTLS mode for a port that does not apply",
    "name the container's port, in a PeerAuthentication with a selector",
    PEER_AUTHENTICATION,
)
def idle_port_mode(case: Case) -> Iterator[Hit]:
    """Without a selector Istio refuses it; the port of a Service is not the port of its pods."""
    ports = case.spec.get("portLevelMtls")
    selector = case.spec.get("selector", "matchLabels").texts
    if not ports.entries:
        return
    if not selector:
        yield Hit(ports.path, "a mode for a port needs a selector: Istio refuses it for a whole namespace or mesh")
        return
    for port, below in ports.entries:
        for service, target in _service_ports(case, selector, port):
            said = f"{port} is the port of Service {service}, and its pods listen on {target}"
            yield Hit(below.path, f"{said}: this mode applies to nothing", f"write {target}")


def _service_ports(case: Case, selector: dict[str, str], port: str) -> Iterator[tuple[str, str]]:
    """Services that have this port in front of another one of their pods, which none listens on; with that other."""
    for service in case.files.of(SERVICE):
        chosen = service.spec.get("selector").texts
        related = chosen and (selector.items() <= chosen.items() or chosen.items() <= selector.items())
        if not related or not near(service.namespace, case.namespace):
            continue
        targets = {
            str(it.get("port").value): _target(case.files, service, it) for it in service.spec.get("ports").items
        }
        target = targets.get(port)
        if target is not None and port not in targets.values() and None not in targets.values():
            yield service.name, target


def _target(files: Files, service: Given, port: Node) -> str | None:
    """The number of the port that the pods listen on; None when the files do not say."""
    target = port.get("targetPort") if port.get("targetPort").there else port.get("port")
    if not target.text or target.text.isdigit():
        return str(target.value)
    for workload in files.pods_of(service):
        for container in workload.template.get("spec", "containers").items:
            for listed in container.get("ports").items:
                if listed.get("name").text == target.text:
                    return str(listed.get("containerPort").value)
    return None


@rule(
    "RO191",
    Level.ERROR,
    "Callers are told not to use mTLS with a host that is STRICT",
    "remove tls from the DestinationRule: Istio then chooses mTLS by itself",
    DESTINATION_RULE,
)
def strict_without_mtls(case: Case) -> Iterator[Hit]:
    """A DestinationRule wins over automatic mTLS, and every meshed caller is refused."""
    host = host_of(case.spec.get("host").text, case.namespace)
    strict = next((it for it in case.files.mtls(host) if it.spec.get("mtls", "mode").text == "STRICT"), None)
    if strict is None:
        return
    excepted = bool(strict.spec.get("portLevelMtls").entries)
    policies = [case.spec.get("trafficPolicy")]
    policies += [it.get("trafficPolicy") for it in case.spec.get("subsets").items]
    for policy in policies:
        for one in (policy, *(() if excepted else policy.get("portLevelSettings").items)):
            mode = one.get("tls", "mode")
            if mode.text in _PLAINTEXT:
                yield Hit(mode.path, f"PeerAuthentication {strict.name} is STRICT: {_PLAINTEXT[mode.text]}")


@rule(
    "RO192",
    Level.WARNING,
    "An AuthorizationPolicy denies every request",
    "add the policies that allow what is needed first, and this one last",
    AUTHORIZATION_POLICY,
)
def denies_all(case: Case) -> Iterator[Hit]:
    """No rules allow nothing; an empty rule denies everything."""
    action = case.spec.get("action").text or "ALLOW"
    rules = case.spec.get("rules")
    if _dry(case.given):
        return
    if action == "ALLOW" and not rules.value and not case.spec.get("provider").there:
        others = any(it is not case.given and _allows(it, case.given) for it in case.files.of(AUTHORIZATION_POLICY))
        said = "it has no rules, so it allows nothing"
        if not others:
            yield Hit("spec", f"{said}, and no policy among these files allows anything")
    elif action == "DENY" and any(it.value == {} for it in rules.items):
        yield Hit(rules.path, "an empty rule matches every request, and the action is DENY")


def _allows(other: Given, nothing: Given) -> bool:
    allows = (other.spec.get("action").text or "ALLOW") == "ALLOW" and bool(other.spec.get("rules").items)
    return allows and (mesh_wide(nothing) or near(other.namespace, nothing.namespace))


def _dry(policy: Given) -> bool:
    return policy.root.get("metadata", "annotations").texts.get("istio.io/dry-run") == "true"


@rule(
    "RO193",
    Level.WARNING,
    "An identity is asked for while plaintext is allowed",
    "go STRICT first, or keep the policy in dry-run (annotation istio.io/dry-run) until every caller has a sidecar",
    AUTHORIZATION_POLICY,
)
def identity_over_plaintext(case: Case) -> Iterator[Hit]:
    """Under PERMISSIVE a caller without a sidecar has no identity, so an ALLOW by identity refuses it."""
    policies = [it for it in case.files.of(PEER_AUTHENTICATION) if mesh_wide(it) or near(it.namespace, case.namespace)]
    modes = {it.spec.get("mtls", "mode").text for it in policies}
    if (case.spec.get("action").text or "ALLOW") != "ALLOW" or _dry(case.given):
        return
    if "PERMISSIVE" not in modes or "STRICT" in modes:
        return
    for one in case.spec.get("rules").items:
        for origin in one.get("from").items:
            for identity in _IDENTITIES:
                asked = origin.get("source", identity)
                if asked.items:
                    said = f"callers without a sidecar have no {identity}, and PERMISSIVE lets them come: they get 403"
                    yield Hit(asked.path, said)
