"""Pods: nothing in their specs keeps a proxy out, or is broken by one (PF03, PF04, PF06, PF08, PF09, PF11)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from rollout.checks.adoption.fixes import annotate, template
from rollout.checks.adoption.meshes import ISTIO, REFUSED, Mark
from rollout.checks.adoption.selectors import selects
from rollout.checks.adoption.surroundings import Checker, Surroundings, called
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Unit

PROXY_USER: Final = 1337
"""User and group of Istio's proxy, whose traffic is not redirected."""
_PROBES: Final = ("readinessProbe", "livenessProbe", "startupProbe")
_REWRITE: Final = "sidecar.istio.io/rewriteAppHTTPProbers"
_BIND: Final = re.compile(
    r"^-{1,2}(?:b|bind|bind[-_.]?(?:addr|address|host|ip)|(?:http[-_.])?(?:addr|address)|host|hostname"
    r"|listen(?:[-_.]?(?:addr|address|host|ip))?|(?:server|web)[-_.](?:host|address|listen-address))(?:=(?P<value>.*))?$",
    re.IGNORECASE,
)
_LOCAL: Final = re.compile(r"^(?:https?://|tcp://)?(?:127(?:\.\d{1,3}){3}|localhost|\[::1\]|::1)(?::\d+)?/?$")
_TALKS: Final = re.compile(
    r"(?<!\w)(?:curl|wget|nc|ncat|telnet|nslookup|dig|ping|psql|pg_isready|mysql|mysqladmin|redis-cli|mongo|mongosh|kubectl"
    r"|git|aws|gsutil|migrate|migration|migrations|flyway|liquibase|alembic|wait-for|wait-for-it|dockerize"
    r"|grpc_health_probe)(?![\w-])|https?://|tcp://",
    re.IGNORECASE,
)
_OUT_PAST_THE_PROXY: Final = (
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
)


def host_network(s: Surroundings) -> Iterator[Finding]:
    """PF03: no pod shares the node's network."""
    for unit in s.units:
        if unit.spec.get("hostNetwork"):
            text = (
                f"{called(unit)} uses the node's network and never gets a proxy: it stays plaintext, and keeps "
                "whoever it "
                "calls from STRICT"
            )
            fix = template(unit, {"spec": {"hostNetwork": None}})
            yield Finding("RO503", Level.WARNING, text, where=str(unit), fix=fix)


def opted_out(s: Surroundings) -> Iterator[Finding]:
    """PF04: no pod is marked as one to leave alone."""
    for unit in s.joining:
        mark = _refusal(s, unit)
        if mark is not None:
            where = "labels" if mark.key in unit.labels else "annotations"
            text = (
                f"{called(unit)} is left out ({mark}): it stays a plaintext caller, and keeps whoever it calls from "
                "STRICT"
            )
            fix = template(unit, {"metadata": {where: {mark.key: None}}})
            yield Finding("RO504", Level.WARNING, text, where=str(unit), fix=fix)
        elif any(selector and selects(selector, unit.labels) for selector in s.adopted.never_inject):
            text = f"{called(unit)} is left out by a neverInjectSelector of the injector: it stays a plaintext caller"
            fix = template(unit, {"metadata": {"labels": dict(s.adopted.labels)}})
            yield Finding("RO504", Level.WARNING, text, where=str(unit), fix=fix)


def _refusal(s: Surroundings, unit: Unit) -> Mark | None:
    """The mark that keeps this unit out. Of a label and an annotation with one key, the label counts."""
    for mark in REFUSED:
        keys = unit.labels if mark.key in unit.labels else unit.annotations
        if mark.mesh == s.adopted.driver and mark.on(keys):
            return mark
    return None


def init_network(s: Surroundings) -> Iterator[Finding]:
    """PF06: no init container needs the network before the proxy runs."""
    if s.adopted.cni is False:
        return
    for unit in s.joining:
        if s.adopted.starts_first(unit) or any(unit.annotations.get(key) for key in _OUT_PAST_THE_PROXY):
            continue
        for container in unit.spec.get("initContainers") or ():
            if container.get("restartPolicy") == "Always" or _user(unit, container, "runAsUser") == PROXY_USER:
                continue
            if word := _talks(container):
                sure = s.adopted.cni and s.adopted.starts_first(unit) is False
                yield _cut_off(unit, container, word, Level.ERROR if sure else Level.WARNING)


def _cut_off(unit: Unit, container: Json, word: str, level: Level) -> Finding:
    text = (
        f"init container {container['name']} of {called(unit)} seems to use the network ({word}): with Istio's CNI "
        "agent "
        "and without native sidecars its traffic goes to a proxy that does not run yet, and the pod never starts"
    )
    own = {"name": container["name"], "securityContext": {"runAsUser": PROXY_USER}}
    return Finding("RO506", level, text, str(unit), template(unit, {"spec": {"initContainers": [own]}}))


def _talks(container: Json) -> str:
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    found = _TALKS.search(" ".join(map(str, words)))
    return found.group() if found else ""


def proxy_user(s: Surroundings) -> Iterator[Finding]:
    """PF08: no container runs as the proxy's user."""
    for unit in s.joining:
        for container in unit.containers:
            for key in ("runAsUser", "runAsGroup"):
                if container["name"] == s.adopted.proxy or _user(unit, container, key) != PROXY_USER:
                    continue
                text = (
                    f"container {container['name']} of {called(unit)} has {key} {PROXY_USER}, as the proxy has: "
                    "what it "
                    "sends goes past the proxy as plaintext, and is refused by STRICT servers"
                )
                context = {"name": container["name"], "securityContext": {key: 1000}}
                fix = template(unit, {"spec": {"containers": [context]}})
                yield Finding("RO508", Level.ERROR, text, where=str(unit), fix=fix)


def _user(unit: Unit, container: Json, key: str) -> object:
    own = (container.get("securityContext") or {}).get(key)
    return (unit.spec.get("securityContext") or {}).get(key) if own is None else own


def localhost(s: Surroundings) -> Iterator[Finding]:
    """PF09: servers listen where the proxy reaches them, as far as their arguments tell."""
    for unit in s.joining:
        for container in unit.containers:
            if container.get("ports") and (given := _bound(container)):
                text = (
                    f"container {container['name']} of {called(unit)} seems to listen on localhost only ({given}): "
                    "the proxy "
                    "hands requests to the pod's address, where nobody would answer"
                )
                fix = (
                    f"let it listen on 0.0.0.0 instead: kubectl edit {unit.kind.plural}/{unit.name} -n {unit.namespace}"
                )
                yield Finding("RO509", Level.WARNING, text, where=str(unit), fix=fix)


def _bound(container: Json) -> str:
    """The argument that binds to localhost, such as `--bind=127.0.0.1:8080`."""
    words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    words = [part for word in words for part in word.split()]
    for word, after in pairwise([*words, ""]):
        flag = _BIND.match(word)
        value = flag["value"] if flag and flag["value"] is not None else after
        if flag and _LOCAL.match(value):
            return word if flag["value"] is not None else f"{word} {after}"
    return ""


def probes(s: Surroundings) -> Iterator[Finding]:
    """PF11: the kubelet's probes are answered past mTLS."""
    for unit in s.joining:
        own = unit.annotations.get(_REWRITE)
        if own == "true" or (own is None and s.adopted.rewrites_probes):
            continue
        probed = sorted({c["name"] for c in unit.containers for probe in _PROBES if _by_network(c.get(probe))})
        if probed:
            who = f"annotation {_REWRITE}" if own is not None else "the mesh's rewriteAppHTTPProbe"
            text = (
                f"{who} turns the rewriting of probes off, and {', '.join(probed)} of {called(unit)} is probed over "
                "the "
                "network: under STRICT the kubelet is refused, and no pod is ready"
            )
            fix = annotate(unit, {_REWRITE: "true"})
            yield Finding("RO511", Level.ERROR, text, where=str(unit), fix=fix)


def _by_network(probe: Json | None) -> bool:
    return bool(probe) and any(kind in (probe or {}) for kind in ("httpGet", "tcpSocket", "grpc"))


CHECKERS: Final = (
    Checker("PF03", "pods", "no pod shares the network of its node", host_network),
    Checker("PF04", "pods", "no pod is left out by a mark", opted_out),
    Checker("PF06", "pods", "init containers do without the proxy", init_network, meshes=ISTIO),
    Checker("PF08", "pods", "no container runs as the proxy's user", proxy_user, meshes=ISTIO),
    Checker("PF09", "pods", "servers listen on the pod's address", localhost),
    Checker("PF11", "pods", "probes get past mTLS", probes, meshes=ISTIO),
)
