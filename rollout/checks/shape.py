"""The target: it exists, and two versions of it can run side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from rollout.checks.rivals import look_ahead
from rollout.checks.subject import Checker, Subject, listed
from rollout.errors import Forbidden
from rollout.plan.base import RUN_UID, Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import DEPLOYMENT, HPA, PDB, PVC, Kind, Ref

_PULLS: Final = re.compile(r"(KAFKA|AMQP|RABBIT|SQS|PUBSUB|NATS|QUEUE|CONSUMER|CELERY|LEADER_?ELECT)")
_CONSUMES: Final = re.compile(r"\b(celery|sidekiq|resque|dramatiq|rqworker|rq worker|delayed_job|queue:work)\b")
"""Words in a command that start who does nothing but pull work."""


async def exists(subject: Subject) -> Sequence[Finding]:
    """Whether there is such a Deployment."""
    if subject.plan is None or subject.plan.spec.target is None or subject.deployment is not None:
        return []
    fix = "create it, or correct spec.target.name"
    return [Finding("RO220", Level.ERROR, f"{subject.where} does not exist", where=subject.where, fix=fix)]


async def settled(subject: Subject) -> Sequence[Finding]:
    """Whether exactly one revision has pods."""
    if subject.deployment is None or subject.stable is not None:
        return []
    text = "is in mid-roll, or has no pods: there is no stable version to go back to"
    fix = "wait for kubectl rollout status, or scale it up; then start again"
    return [Finding("RO221", Level.ERROR, f"{subject.where} {text}", where=subject.where, fix=fix)]


async def shape(subject: Subject) -> Sequence[Finding]:
    """Shapes of which two versions cannot run side by side."""
    if subject.deployment is None:
        return []
    return [*_refused(subject, subject.deployment["spec"]), *await _claims(subject)]


def _refused(subject: Subject, spec: Json) -> Iterator[Finding]:
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        text = "strategy Recreate says that two versions must not run at the same time"
        yield _error("RO222", subject, text, "use RollingUpdate if they may, else do not canary it")
    for name, port in _host_ports(spec["template"]["spec"]):
        text = f"container {name} takes hostPort {port}: two versions on a node would fight for it"
        yield _error("RO223", subject, text, "use a Service instead of the hostPort")


def _host_ports(pod: Json) -> Iterator[tuple[str, int]]:
    for container in pod.get("containers", ()):
        for port in container.get("ports", ()):
            if port.get("hostPort"):
                yield container["name"], port["hostPort"]


async def _claims(subject: Subject) -> list[Finding]:
    found: list[Finding] = []
    pod = (subject.deployment or {})["spec"]["template"]["spec"]
    names = [v["persistentVolumeClaim"]["claimName"] for v in pod.get("volumes", ()) if "persistentVolumeClaim" in v]
    for name in names:
        claim = await subject.world.cluster.get(Ref(PVC, subject.namespace, name))
        modes = set((claim or {}).get("spec", {}).get("accessModes", ()))
        if modes and modes <= {"ReadWriteOnce", "ReadWriteOncePod"}:
            text = f"claim {name} is {', '.join(sorted(modes))}: the candidate could not mount it, or both would write"
            found.append(_error("RO224", subject, text, "use ReadWriteMany, or keep the state out of the Deployment"))
    return found


async def pulls_work(subject: Subject) -> Sequence[Finding]:
    """Signs that the workload pulls work: weights bound requests, nothing else."""
    if subject.deployment is None:
        return []
    containers = subject.deployment["spec"]["template"]["spec"].get("containers", ())
    commands = (" ".join([*(c.get("command") or ()), *(c.get("args") or ())]) for c in containers)
    runs = sorted({word for command in commands for word in _CONSUMES.findall(command)})
    hints = sorted({e["name"] for c in containers for e in c.get("env", ()) if _PULLS.search(e["name"])})
    if not runs and not hints:
        return []
    seems = "pulls work, by its command" if runs else "seems to pull work"
    text = f"{', '.join(runs or hints)}: it {seems}; the candidate takes its share of that when it starts"
    fix = "weights bound requests only; make the new version safe for old messages, or give it a queue of its own"
    level = Level.INFO
    if subject.plan is not None and subject.plan.spec.candidate.pulls_work == "refuse":
        level = Level.ERROR if runs else Level.WARNING
        fix += "; then say so in the plan (candidate.pullsWork: allow)"
    return [Finding("RO225", level, text, where=subject.where, fix=fix)]


async def scaling(subject: Subject) -> Sequence[Finding]:
    """Autoscalers and disruption budgets that will see the candidate."""
    if subject.deployment is None:
        return []
    found: list[Finding] = []
    name = subject.deployment["metadata"]["name"]
    for hpa in await _seen(subject, HPA, "RO226", found):
        target: dict[str, Any] = hpa["spec"].get("scaleTargetRef", {})
        if target.get("kind") == "Deployment" and target.get("name") == name:
            text = f"HorizontalPodAutoscaler/{hpa['metadata']['name']} scales stable; the candidate's size is fixed"
            found.append(Finding("RO226", Level.INFO, text, where=subject.where))
    labels = subject.deployment["spec"]["template"]["metadata"].get("labels") or {}
    for pdb in await _seen(subject, PDB, "RO227", found):
        wanted = (pdb["spec"].get("selector") or {}).get("matchLabels") or {}
        if wanted and wanted.items() <= labels.items() and pdb["spec"].get("maxUnavailable") in (0, "0%"):
            text = f"PodDisruptionBudget/{pdb['metadata']['name']} allows no disruption; it covers the candidate too"
            found.append(Finding("RO227", Level.INFO, text, where=subject.where))
    return found


async def _seen(subject: Subject, kind: Kind, code: str, found: list[Finding]) -> list[Json]:
    """What is there; that it may not be seen is told, and no reason to stop."""
    try:
        return await listed(subject, kind)
    except Forbidden:
        text = f"you may not list {kind.plural}, so what they say about the candidate is not known"
        found.append(Finding(code, Level.INFO, text, where=subject.where, fix=f"allow list on {kind.plural}"))
        return []


async def candidate(subject: Subject) -> Sequence[Finding]:
    """Whether the candidate's name is free."""
    if subject.deployment is None or subject.program is None:
        return []
    name = subject.program.split.candidate.workload
    found = await subject.world.cluster.get(Ref(DEPLOYMENT, subject.namespace, name))
    if found is None or RUN_UID in (found["metadata"].get("annotations") or {}):
        return []
    text = f"Deployment/{name} exists and is not ours; the candidate needs this name"
    return [_error("RO231", subject, text, "rename or delete it")]


async def alone(subject: Subject) -> Sequence[Finding]:
    """Whether the plan is the one that acts on its target."""
    first = await look_ahead(subject.world, subject.plan) if subject.plan is not None else None
    if first is None:
        return []
    at = f"-n {subject.namespace}"
    mine = subject.plan.metadata.name if subject.plan else ""
    fix = f"rollout watch {first.plan} {at}" if first.run else f"delete one of both: kubectl delete cplan {mine} {at}"
    return [_error("RO232", subject, str(first), fix)]


def _error(code: str, subject: Subject, text: str, fix: str) -> Finding:
    return Finding(code, Level.ERROR, text, where=subject.where, fix=fix)


CHECKERS: Final = (
    Checker("target-exists", "target", "the target exists", exists, fatal=True),
    Checker("target-settled", "target", "one version has the pods", settled),
    Checker("target-shape", "target", "two versions can run side by side", shape),
    Checker("target-work", "target", "work comes as requests", pulls_work),
    Checker("target-scaling", "target", "autoscalers and budgets fit", scaling),
    Checker("target-candidate", "target", "the candidate's name is free", candidate),
    Checker("target-alone", "target", "no other plan has this target", alone),
)
