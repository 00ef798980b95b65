"""Topology: how pods are found, restarted and told apart (PF10, PF17, PF19)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from rollout.checks.adoption.fixes import patch, several, template
from rollout.checks.adoption.meshes import LINKERD
from rollout.checks.adoption.ports import numbered, ports
from rollout.checks.adoption.selectors import selects
from rollout.checks.adoption.sizes import missing, recreates, size
from rollout.checks.adoption.surroundings import Checker, Look, Surroundings, called
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    HPA,
    PDB,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Ref,
    ref_of,
)
from rollout.ports.mesh import Unit


def headless(s: Surroundings) -> Iterator[Finding]:
    """PF10: callers come by the Service's address, not by those of pods."""
    for unit in s.joining:
        for service in s.services(unit):
            meta, spec = service["metadata"], service["spec"]
            where = f"Service/{meta['name']}"
            if spec.get("publishNotReadyAddresses"):
                text = (
                    f"{where} sends to pods of {called(unit)} that are not ready: while they restart, callers meet "
                    "a proxy "
                    "that is not configured yet"
                )
                fix = patch(ref_of(service), {"spec": {"publishNotReadyAddresses": False}})
                yield Finding("RO510", Level.WARNING, text, where=where, fix=fix)
            if spec.get("clusterIP") == "None":
                yield from _undeclared(s, unit, service)


def _undeclared(s: Surroundings, unit: Unit, service: Json) -> Iterator[Finding]:
    """A headless Service: calls to ports of its pods that it does not declare bypass every rule of the mesh."""
    known = {port.container for port in ports(s, unit)}
    lacking = sorted({port["containerPort"] for _, port in numbered(unit)} - known)
    where = f"Service/{service['metadata']['name']}"
    if lacking:
        text = (
            f"{where} is headless, so callers use the addresses of {called(unit)}'s pods, and no Service declares port "
            f"{', '.join(map(str, lacking))}: calls there pass through as plaintext, which STRICT refuses"
        )
        added = [{"op": "add", "path": "/spec/ports/-", "value": {"name": f"tcp-{n}", "port": n}} for n in lacking]
        yield Finding("RO510", Level.WARNING, text, where=where, fix=patch(ref_of(service), added))
    elif unit.kind == STATEFUL_SET:
        text = f"callers use the addresses of {called(unit)}'s pods ({where} is headless): enrol it pod by pod"
        fix = patch(_ref(unit), {"spec": {"updateStrategy": {"rollingUpdate": {"partition": max(size(unit) - 1, 0)}}}})
        yield Finding("RO510", Level.INFO, text, where=where, fix=fix)


def restarts(s: Surroundings) -> Iterator[Finding]:
    """PF17: pods can be replaced while others serve."""
    for unit in s.joining:
        if unit.kind not in (DEPLOYMENT, STATEFUL_SET) or not size(unit) or not s.services(unit):
            continue
        yield from _replacing(unit)
        yield from _disruptions(s, unit)
        if not any(container.get("readinessProbe") for container in unit.containers):
            text = f"no container of {called(unit)} has a readiness probe: new pods get requests before they can answer"
            port = next((port["containerPort"] for _, port in numbered(unit)), 8080)
            probe = {"name": unit.spec["containers"][0]["name"], "readinessProbe": {"tcpSocket": {"port": port}}}
            fix = template(unit, {"spec": {"containers": [probe]}})
            yield Finding("RO517", Level.WARNING, text, where=str(unit), fix=fix)


def _replacing(unit: Unit) -> Iterator[Finding]:
    pods, gone = size(unit), missing(unit)
    if recreates(unit):
        text = f"{called(unit)} has the strategy Recreate: each restart, and enrolling is one, is an outage"
        change = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}}}
        fix = f"if two versions may run side by side: {patch(_ref(unit), change)}"
        yield Finding("RO517", Level.ERROR, text, where=str(unit), fix=fix)
    elif gone >= pods:
        which = "the only pod" if pods == 1 else f"all {pods} pods"
        text = f"{which} of {called(unit)} may be gone at once while it restarts: enrolling is an outage"
        alone = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}}
        more = {"spec": {"replicas": pods + 1}}
        second = f"if it can have one pod more, else enrol it while nobody needs it: {patch(_ref(unit), more)}"
        fix = patch(_ref(unit), alone) if unit.kind == DEPLOYMENT else second
        yield Finding("RO517", Level.ERROR, text, where=str(unit), fix=fix)
    elif pods < 2:
        text = f"{called(unit)} has one pod: when the new one is slow or its node fails, nobody answers"
        yield Finding("RO517", Level.WARNING, text, where=str(unit), fix=patch(_ref(unit), {"spec": {"replicas": 2}}))


def _disruptions(s: Surroundings, unit: Unit) -> Iterator[Finding]:
    budgets = [it for it in s.of(PDB) if selects(it["spec"].get("selector"), unit.labels)]
    if not budgets and size(unit) > 1:
        text = f"{called(unit)} has no PodDisruptionBudget: a drained node may take the pods that a restart left"
        fix = f"kubectl create pdb {unit.name} -n {s.name} --selector={_flat(unit)} --max-unavailable=1"
        yield Finding("RO517", Level.INFO, text, where=str(unit), fix=fix)
    for budget in budgets:
        if _blocks(budget["spec"], size(unit)):
            name = budget["metadata"]["name"]
            text = (
                f"PodDisruptionBudget/{name} lets no pod of {called(unit)} be evicted: nodes cannot be drained "
                "meanwhile"
            )
            fix = patch(ref_of(budget), {"spec": {"minAvailable": None, "maxUnavailable": 1}})
            yield Finding("RO517", Level.WARNING, text, where=f"PodDisruptionBudget/{name}", fix=fix)


def _blocks(spec: Json, pods: int) -> bool:
    least = spec.get("minAvailable")
    if least is None:
        return spec.get("maxUnavailable") in (0, "0%")
    return least == "100%" or (isinstance(least, int) and least >= pods)


def scalers(s: Surroundings) -> Iterator[Finding]:
    """PF17: autoscalers measure the application, not the proxy with it."""
    for unit in s.joining:
        for hpa in s.of(HPA):
            target = hpa["spec"].get("scaleTargetRef") or {}
            if (target.get("kind"), target.get("name")) != (unit.kind.name, unit.name):
                continue
            for number, metric in enumerate(hpa["spec"].get("metrics") or ()):
                used = metric.get("resource") or {}
                if metric.get("type") == "Resource" and "averageUtilization" in (used.get("target") or {}):
                    yield _diluted(unit, hpa, number, used)


def _diluted(unit: Unit, hpa: Json, number: int, used: Json) -> Finding:
    name = hpa["metadata"]["name"]
    text = (
        f"HorizontalPodAutoscaler/{name} scales {called(unit)} by {used['name']} in percent of what its pods "
        "request, and "
        "the proxy adds to both: it scales at another load than before"
    )
    own = {"name": used["name"], "container": unit.spec["containers"][0]["name"], "target": used["target"]}
    value = {"type": "ContainerResource", "containerResource": own}
    fix = patch(ref_of(hpa), [{"op": "replace", "path": f"/spec/metrics/{number}", "value": value}])
    return Finding("RO517", Level.WARNING, text, where=f"HorizontalPodAutoscaler/{name}", fix=fix)


def identities(s: Surroundings) -> Iterator[Finding]:
    """PF19: each unit has an identity of its own."""
    by_account: dict[str, list[Unit]] = defaultdict(list)
    for unit in s.joining:
        by_account[unit.spec.get("serviceAccountName") or "default"].append(unit)
    for account, members in sorted(by_account.items()):
        if account == "default" or len(members) > 1:
            who = several([called(unit) for unit in members])
            many = "s" if len(members) == 1 else ""
            text = f"{who} use{many} the service account {account}: authorization policies cannot tell callers apart"
            yield Finding("RO519", Level.WARNING, text, where=f"ServiceAccount/{account}", fix=_account(members[0]))


def _account(unit: Unit) -> str:
    create = f"kubectl create serviceaccount {unit.name} -n {unit.namespace}"
    return f"{create} && {template(unit, {'spec': {'serviceAccountName': unit.name}})}"


def tokens(s: Surroundings) -> Iterator[Finding]:
    """PF19: pods get a token, where the mesh takes it from the usual place."""
    accounts = {it["metadata"]["name"]: it for it in s.of(SERVICE_ACCOUNT)}
    for unit in s.joining:
        own = unit.spec.get("automountServiceAccountToken")
        account = accounts.get(unit.spec.get("serviceAccountName") or "default", {})
        if own is False or (own is None and account.get("automountServiceAccountToken") is False):
            text = f"{called(unit)} mounts no service account token: its injection is skipped without a word"
            fix = template(unit, {"spec": {"automountServiceAccountToken": True}})
            yield Finding("RO519", Level.ERROR, text, where=str(unit), fix=fix)


def _flat(unit: Unit) -> str:
    labels = ((unit.raw["spec"].get("selector") or {}).get("matchLabels") or unit.labels).items()
    return ",".join(f"{key}={value}" for key, value in sorted(labels))


def _ref(unit: Unit) -> Ref:
    return Ref(unit.kind, unit.namespace, unit.name)


_SERVICES: Final = (Look(SERVICE), Look(ENDPOINT_SLICE))
CHECKERS: Final = (
    Checker("PF10", "topology", "callers come by the Service's address", headless, _SERVICES),
    Checker("PF17", "topology", "pods can be replaced while others serve", restarts, (*_SERVICES, Look(PDB))),
    Checker("PF17-scaling", "topology", "autoscalers measure the application alone", scalers, (Look(HPA),)),
    Checker("PF19", "topology", "each unit has an identity of its own", identities),
    Checker("PF19-tokens", "topology", "pods have a token", tokens, (Look(SERVICE_ACCOUNT),), LINKERD),
)
