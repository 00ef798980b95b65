"""Injector: there is one, it can be relied on, and no other has the same pods (PF20, PF21)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollout.checks.adoption.fixes import patch, template
from rollout.checks.adoption.meshes import ISTIO, PROXIES, REFUSED, REVISION, WANTED, Mark
from rollout.checks.adoption.selectors import in_labels, selects
from rollout.checks.adoption.surroundings import Checker, Look, Surroundings, called
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import DEPLOYMENT, MUTATING_WEBHOOK, NAMESPACE, PDB, POD, Ref, ref_of
from rollout.ports.mesh import Unit

INJECTOR: Final = "sidecar-injector.istio.io"
"""How the names of Istio's injection webhooks end."""


def reliable(s: Surroundings) -> Iterator[Finding]:
    """PF20: a webhook takes in the pods of this namespace, and has more than one pod behind it."""
    hooks = [it for it in webhooks(s.of(MUTATING_WEBHOOK, "everywhere")) if takes(it, s, s.adopted.labels)]
    if not hooks:
        marks = ", ".join(f"{key}={value}" for key, value in s.adopted.labels.items())
        text = (
            f"no webhook of an injector takes in pods of {s.name} with the labels {marks}: they would start without "
            "proxy"
        )
        fix = f"install one, or name its revision (istioctl tag list): rollout check --mesh -n {s.name} --revision NAME"
        yield Finding("RO520", Level.ERROR, text, where=f"Namespace/{s.name}", fix=fix)
        return
    if any(it.get("failurePolicy", "Fail") == "Ignore" for it in hooks):
        text = "the injector's webhook has failurePolicy Ignore: while it is down, pods start without proxy unnoticed"
        yield Finding("RO520", Level.WARNING, text, where=hooks[0]["name"], fix=_fail(s, hooks[0]["name"]))
    else:
        yield from _behind(s)


def webhooks(configurations: Any) -> Iterator[Json]:
    """The injection webhooks of Istio."""
    for configuration in configurations:
        yield from (it for it in configuration.get("webhooks") or () if it["name"].endswith(INJECTOR))


def takes(webhook: Json, s: Surroundings, labels: Mapping[str, str]) -> bool:
    """Whether a webhook is called for pods with these labels in this namespace; absent selectors select everything."""
    space = {"kubernetes.io/metadata.name": s.name, **s.labels}
    chosen = ((webhook.get("namespaceSelector"), space), (webhook.get("objectSelector"), labels))
    return all(selects(selector or {}, of) for selector, of in chosen)


def _fail(s: Surroundings, name: str) -> str:
    for it in s.of(MUTATING_WEBHOOK, "everywhere"):
        for number, hook in enumerate(it.get("webhooks") or ()):
            if hook["name"] == name:
                path = f"/webhooks/{number}/failurePolicy"
                return patch(ref_of(it), [{"op": "add", "path": path, "value": "Fail"}])
    raise KeyError(name)


def _behind(s: Surroundings) -> Iterator[Finding]:
    """What stands behind a webhook without which no pod starts."""
    for deployment in s.of(DEPLOYMENT, "mesh"):
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        where = f"Deployment/{name} in {s.adopted.namespace}"
        if s.adopted.revision and not in_labels({REVISION: s.adopted.revision}, labels):
            continue
        if not (deployment.get("status") or {}).get("readyReplicas"):
            text = f"no pod of the injector ({where}) is ready: with failurePolicy Fail no enrolled pod starts"
            fix = f"kubectl describe pods -n {s.adopted.namespace} -l app=istiod"
            yield Finding("RO520", Level.ERROR, text, where=where, fix=fix)
        elif spec.get("replicas", 1) < 2:
            text = (
                f"the injector ({where}) has one pod: while it is away, failurePolicy Fail keeps every new pod from "
                "starting"
            )
            fix = patch(Ref(DEPLOYMENT, s.adopted.namespace, name), {"spec": {"replicas": 2}})
            yield Finding("RO520", Level.WARNING, text, where=where, fix=fix)
        elif not any(selects(it["spec"].get("selector"), labels) for it in s.of(PDB, "mesh")):
            text = f"the injector ({where}) has no PodDisruptionBudget: drained nodes may take all of its pods at once"
            fix = f"kubectl create pdb {name} -n {s.adopted.namespace} --selector=app=istiod --min-available=1"
            yield Finding("RO520", Level.WARNING, text, where=where, fix=fix)


def single(s: Surroundings) -> Iterator[Finding]:
    """PF21: no pod is asked for, or taken, by another mesh."""
    yield from _namespace(s)
    for unit in s.joining:
        for mark in WANTED:
            for part, keys in (("labels", unit.labels), ("annotations", unit.annotations)):
                # a revision alone asks nobody for a proxy, and of two marks of one mesh the mesh itself decides
                if mark.mesh != s.adopted.driver and mark.on(keys):
                    text = f"{called(unit)} also asks {mark.mesh} for a proxy ({mark}): both redirect its traffic"
                    fix = template(unit, {"metadata": {part: {mark.key: None}}})
                    yield Finding("RO521", _badness(mark), text, where=str(unit), fix=fix)
        yield from _present(s, unit)


def _badness(mark: Mark) -> Level:
    # Istio's node agent leaves pods alone that have a sidecar
    return Level.WARNING if mark.mesh == "istio ambient" else Level.ERROR


def _present(s: Surroundings, unit: Unit) -> Iterator[Finding]:
    """Proxies that are there: of another mesh, or written into the template."""
    # a bare Pod is its own template, with whatever was put into it
    own = set() if unit.kind == POD else {container["name"] for container in unit.containers}
    live = {
        c["name"] for pod in unit.pods for c in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    }
    for name in sorted((own | live) & PROXIES.keys()):
        mesh = PROXIES[name]
        if mesh == s.adopted.driver and name not in own:
            continue
        if mesh != s.adopted.driver:
            where = "the template" if name in own else "the pods"
            text = f"the container {name} of {mesh} is in {where} of {called(unit)}: two proxies would have its traffic"
            level = Level.WARNING if name == "envoy" else Level.ERROR
        else:
            text = (
                f"the template of {called(unit)} has {name} written into it: it keeps the version that it was made with"
            )
            level = Level.WARNING
        gone = {"$patch": "delete", "name": name}
        fix = template(unit, {"spec": {"containers": [gone]}}) if name in own else _leave(unit, mesh)
        yield Finding("RO521", level, text, where=str(unit), fix=fix)


def _leave(unit: Unit, mesh: str) -> str:
    mark = next((it for it in REFUSED if it.mesh == mesh), None)
    if mark is None:
        return (
            f"take it out of {mesh} first, then: kubectl rollout restart {unit.kind.plural}/{unit.name} -n "
            f"{unit.namespace}"
        )
    return template(unit, {"metadata": {"annotations": {mark.key: mark.value}}})


def _namespace(s: Surroundings) -> Iterator[Finding]:
    notes = s.namespace["metadata"].get("annotations") or {}
    ref = Ref(NAMESPACE, "", s.name)
    for mark in WANTED:
        for part, keys in (("labels", s.labels), ("annotations", notes)):
            if mark.mesh != s.adopted.driver and mark.on(keys):
                text = f"namespace {s.name} also asks {mark.mesh} for proxies ({mark}): both redirect the same traffic"
                fix = patch(ref, {"metadata": {part: {mark.key: None}}})
                yield Finding("RO521", _badness(mark), text, where=str(ref), fix=fix)
    if "istio-injection" in s.labels and REVISION in s.labels and s.adopted.driver == "istio":
        text = (
            f"namespace {s.name} has both istio-injection and {REVISION}: the former wins, and the revision is ignored"
        )
        fix = patch(ref, {"metadata": {"labels": {"istio-injection": None}}})
        yield Finding("RO521", Level.WARNING, text, where=str(ref), fix=fix)


CHECKERS: Final = (
    Checker(
        "PF20",
        "injector",
        "the injector is there when pods start",
        reliable,
        (Look(MUTATING_WEBHOOK, "everywhere"), Look(DEPLOYMENT, "mesh"), Look(PDB, "mesh")),
        ISTIO,
    ),
    Checker("PF21", "injector", "no other mesh has the same pods", single, (Look(NAMESPACE),)),
)
