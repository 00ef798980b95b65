"""The dry run: a Pod of a template, sent through the API server's own admission and the real injector, not stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from rollout.checks.adoption.fixes import several
from rollout.checks.adoption.meshes import Adopted
from rollout.checks.adoption.surroundings import called
from rollout.errors import Forbidden, Rejected, RolloutError, Unavailable
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CRON_JOB, JOB, POD
from rollout.ports.cluster import Cluster
from rollout.ports.mesh import Unit

_INIT: Final = "istio-init"


async def dry_run(cluster: Cluster, unit: Unit, mesh: Adopted) -> tuple[Finding, ...]:
    """What would happen to a pod of this unit that asks for a proxy.

    Raises:
        RolloutError: the API server could not be asked.
    """
    try:
        answer = await cluster.create(pod_of(unit, mesh), dry_run=True)
    except (Forbidden, Rejected, Unavailable) as error:
        return (refused(unit, mesh, error),)
    return tuple(admitted(unit, mesh, answer))


def pod_of(unit: Unit, mesh: Adopted) -> Json:
    """A Pod as the unit's controller would make it from its enrolled template."""
    meta = {
        "generateName": f"{unit.name[:50]}-",
        "namespace": unit.namespace,
        "labels": {**unit.labels, **mesh.labels},
        "annotations": {**unit.annotations, **mesh.annotations},
    }
    spec = {key: value for key, value in unit.spec.items() if key != "nodeName"}
    claims = (unit.raw.get("spec") or {}).get("volumeClaimTemplates") or ()
    if claims:
        made = [_claimed(unit, it["metadata"]["name"]) for it in claims]
        spec["volumes"] = [*(spec.get("volumes") or ()), *made]
    if unit.kind in (JOB, CRON_JOB):
        spec.setdefault("restartPolicy", "Never")
    return {"apiVersion": POD.api_version, "kind": POD.name, "metadata": meta, "spec": spec}


def _claimed(unit: Unit, name: str) -> Json:
    return {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{unit.name}-0"}}


def admitted(unit: Unit, mesh: Adopted, pod: Json) -> Iterator[Finding]:
    """What is wrong with a pod that was let in."""
    starting, running = _names(pod["spec"].get("initContainers")), _names(pod["spec"]["containers"])
    if mesh.proxy not in starting | running:
        marks = several([f"{key}={value}" for key, value in (*mesh.labels.items(), *mesh.annotations.items())])
        text = f"a pod of {called(unit)} that asks for a proxy ({marks}) is admitted without one"
        fix = f"kubectl logs -n {mesh.namespace} -l app=istiod --tail=100 | grep -i inject"
        yield Finding("RO530", Level.ERROR, text, where=str(unit), fix=fix)
        return
    if mesh.cni and _INIT in starting:
        text = f"pods of {called(unit)} still get {_INIT}, although the injector is told to rely on the CNI agent"
        fix = f"kubectl rollout restart deployments -n {mesh.namespace} -l app=istiod"
        yield Finding("RO507", Level.WARNING, text, where=str(unit), fix=fix)
    if unit.kind in (JOB, CRON_JOB) and mesh.proxy in running and mesh.driver == "istio":
        text = f"the injector gives {called(unit)} a proxy that does not end with its work: it never completes"
        fix = "upgrade all nodes to Kubernetes 1.33 or newer with ENABLE_NATIVE_SIDECARS=auto in istiod"
        yield Finding("RO505", Level.ERROR, text, where=str(unit), fix=fix)


def _names(containers: list[dict[str, Any]] | None) -> set[str]:
    return {container["name"] for container in containers or ()}


def refused(unit: Unit, mesh: Adopted, error: RolloutError) -> Finding:
    """What a refusal means, by its words; those of a webhook count before all others.

    Raises:
        RolloutError: the error itself, where it is no refusal of this pod.
    """
    words = str(error)
    for form, tell in _REFUSALS:
        if found := form.search(words):
            return tell(unit, mesh, found)
    if isinstance(error, Unavailable):
        raise error
    text = f"a pod of {called(unit)} with a proxy is refused: {words}"
    fix = error.hint or f"kubectl describe {unit.kind.plural}/{unit.name} -n {unit.namespace}"
    return Finding("RO531", Level.ERROR, text, where=str(unit), fix=fix)


def _webhook_down(unit: Unit, mesh: Adopted, found: re.Match[str]) -> Finding:
    text = f"no pod of {called(unit)} could start: webhook {found[1]} does not answer ({_short(found[2])})"
    if found[1].endswith("sidecar-injector.istio.io"):
        fix = f"kubectl rollout status deployments -n {mesh.namespace} -l app=istiod"
    else:
        fix = f"kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o yaml | grep -B9 {found[1]}"
    return Finding("RO520", Level.ERROR, text, where=str(unit), fix=fix)


def _no_dry_run(unit: Unit, _mesh: Adopted, found: re.Match[str]) -> Finding:
    text = f"webhook {found[1]} has side effects and answers no dry run: a pod of {called(unit)} could not be tried"
    return Finding("RO531", Level.INFO, text, where=str(unit), fix="ask its owner to declare sideEffects: None")


def _pod_security(unit: Unit, mesh: Adopted, found: re.Match[str]) -> Finding:
    level = found[1].partition(":")[0]
    text = f"Pod Security ({level}) refuses a pod of {called(unit)} with a proxy: {_short(found[2])}"
    fix = "install Istio's CNI agent: helm upgrade istiod istio/istiod --reuse-values --set pilot.cni.enabled=true -n "
    return Finding("RO507", Level.ERROR, text, where=str(unit), fix=f"{fix}{mesh.namespace}")


def _quota(unit: Unit, _mesh: Adopted, found: re.Match[str]) -> Finding:
    text = f"a quota refuses a pod of {called(unit)} with a proxy: {_short(found[1])}"
    fix = f"kubectl describe resourcequotas -n {unit.namespace}"
    return Finding("RO518", Level.ERROR, text, where=str(unit), fix=fix)


def _limits(unit: Unit, _mesh: Adopted, found: re.Match[str]) -> Finding:
    text = f"a limit range refuses a pod of {called(unit)} with a proxy: {_short(found[0])}"
    fix = f"kubectl describe limitranges -n {unit.namespace}"
    return Finding("RO518", Level.ERROR, text, where=str(unit), fix=fix)


def _short(words: str, most: int = 300) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


_Tell = Callable[[Unit, Adopted, re.Match[str]], Finding]
_REFUSALS: Final[tuple[tuple[re.Pattern[str], _Tell], ...]] = (
    (re.compile(r'failed calling webhook "([^"]+)": (?:failed to call webhook: )?(.*)', re.DOTALL), _webhook_down),
    (re.compile(r'admission webhook "([^"]+)" does not support dry run'), _no_dry_run),
    (re.compile(r'violates PodSecurity "([^"]+)": (.*)', re.DOTALL), _pod_security),
    (re.compile(r"((?:exceeded|failed) quota: .*)", re.DOTALL), _quota),
    (re.compile(r"(?:maximum|minimum) \S+ usage per (?:Container|Pod).*|\S+ max limit to request ratio.*"), _limits),
)
"""How the API server's words of refusal begin, most telling first."""
