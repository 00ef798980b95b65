"""What the in-memory API server adds to objects and what it refuses: defaults, validation, immutable fields.

As much as our own code can trip over on a real server, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from rollout.errors import Rejected
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    CHANGE_FREEZE,
    DEPLOYMENT,
    JOB,
    MESH_ADOPTION_PLAN,
    METRIC_TEMPLATE,
    NOTIFICATION_CHANNEL,
    PLAN_DECISION,
    PLAN_RUN,
    POD,
    REPLICASET,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.plan.objects import (
    CanaryPlan,
    ChangeFreeze,
    MeshAdoptionPlan,
    MetricTemplate,
    NotificationChannel,
    PlanDecision,
)
from rollout.plan.run import RUN_SPEC

STATUS_SUBRESOURCE: Final = frozenset(
    {"Deployment", "ReplicaSet", "Pod", "Service", "CanaryPlan", "PlanRun", "HorizontalPodAutoscaler"}
    | {"PodDisruptionBudget", "VirtualService", "DestinationRule"}
    | {"HTTPRoute", "GRPCRoute", "ServiceResolver", "ServiceSplitter", "ServiceRouter", "ServiceDefaults"}
    | {"StatefulSet", "DaemonSet", "Job", "CronJob", "MeshAdoptionPlan", "NotificationChannel"}
)
"""Kinds whose status is written apart from the rest."""

_IMMUTABLE_SPEC: Final = frozenset({"PlanRun", "PlanDecision"})

_MODELS: Final[Mapping[Kind, Callable[[Json], object]]] = {
    CANARY_PLAN: CanaryPlan.model_validate,
    MESH_ADOPTION_PLAN: MeshAdoptionPlan.model_validate,
    METRIC_TEMPLATE: MetricTemplate.model_validate,
    NOTIFICATION_CHANNEL: NotificationChannel.model_validate,
    CHANGE_FREEZE: ChangeFreeze.model_validate,
    PLAN_DECISION: PlanDecision.model_validate,
    PLAN_RUN: lambda obj: RUN_SPEC.validate_python(obj["spec"]),
}


def _default_container(container: Json) -> Json:
    image = container.get("image", "")
    floating = ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest")
    defaults: Json = {
        "imagePullPolicy": "Always" if floating else "IfNotPresent",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    if ports := container.get("ports"):
        container = {**container, "ports": [{"protocol": "TCP", **port} for port in ports]}
    return {**defaults, **container}


def _default_template(template: Json) -> Json:
    spec = template.get("spec", {})
    containers = [_default_container(container) for container in spec.get("containers", ())]
    defaults = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
    }
    return {**template, "spec": {**defaults, **spec, "containers": containers}}


def _default_deployment(obj: Json) -> Json:
    spec = {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate"},
        **obj["spec"],
    }
    if spec["strategy"].get("type", "RollingUpdate") == "RollingUpdate":
        rolling = {"maxSurge": "25%", "maxUnavailable": "25%", **spec["strategy"].get("rollingUpdate", {})}
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    if not spec.get("paused", True):
        del spec["paused"]
    spec["template"] = _default_template(spec.get("template", {}))
    return {**obj, "spec": spec}


def _default_stateful_set(obj: Json) -> Json:
    own = {"replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, **obj["spec"]}
    strategy = {"type": "RollingUpdate", **own.get("updateStrategy", {})}
    if strategy["type"] == "RollingUpdate":
        strategy["rollingUpdate"] = {"partition": 0, **strategy.get("rollingUpdate", {})}
    return {**obj, "spec": {**own, "updateStrategy": strategy, "template": _default_template(own["template"])}}


def _default_daemon_set(obj: Json) -> Json:
    own = {"revisionHistoryLimit": 10, **obj["spec"]}
    strategy = {"type": "RollingUpdate", **own.get("updateStrategy", {})}
    if strategy["type"] == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1, **strategy.get("rollingUpdate", {})}
    return {**obj, "spec": {**own, "updateStrategy": strategy, "template": _default_template(own["template"])}}


def _default_job_spec(spec: Json) -> Json:
    own = {"backoffLimit": 6, "completions": 1, "parallelism": 1, "suspend": False, **spec}
    return {**own, "template": _default_template(own["template"])}


def _default_job(obj: Json) -> Json:
    return {**obj, "spec": _default_job_spec(obj["spec"])}


def _default_cron_job(obj: Json) -> Json:
    limits = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    own = {"concurrencyPolicy": "Allow", "suspend": False, **limits, **obj["spec"]}
    template = own["jobTemplate"]
    return {**obj, "spec": {**own, "jobTemplate": {**template, "spec": _default_job_spec(template["spec"])}}}


def _default_service(obj: Json) -> Json:
    spec = {"type": "ClusterIP", "sessionAffinity": "None", **obj.get("spec", {})}
    spec["ports"] = [{"protocol": "TCP", "targetPort": port["port"], **port} for port in spec.get("ports", ())]
    return {**obj, "spec": spec}


_DEFAULTS: Final[Mapping[str, Callable[[Json], Json]]] = {
    "Deployment": _default_deployment,
    "StatefulSet": _default_stateful_set,
    "DaemonSet": _default_daemon_set,
    "Job": _default_job,
    "CronJob": _default_cron_job,
    "Service": _default_service,
    "Pod": _default_template,
}


def defaulted(obj: Json) -> Json:
    """The object as a real server would give it back: defaults filled in, empty metadata maps left out."""
    if default := _DEFAULTS.get(obj["kind"]):
        obj = default(obj)
    meta = obj["metadata"]
    empty = [key for key in ("labels", "annotations", "finalizers", "ownerReferences") if key in meta and not meta[key]]
    if empty:
        obj = {**obj, "metadata": {key: value for key, value in meta.items() if key not in empty}}
    return obj


def validate(kind: Kind, old: Json | None, new: Json) -> None:
    """Refuse what a real server refuses.

    Raises:
        Rejected: says which field and why.
    """
    if old is not None and old.get("spec") == new.get("spec"):
        return
    name = f"{kind} {new['metadata']['name']!r} is invalid"
    if old is not None and kind.name in _IMMUTABLE_SPEC:
        raise Rejected(f"{name}: spec: field is immutable")
    if check := _MODELS.get(kind):
        try:
            check(new)
        except (ValidationError, KeyError) as error:
            raise Rejected(f"{name}: {_words(error)}") from error
    problems = list(_problems(kind, old, new))
    if problems:
        raise Rejected(f"{name}: {'; '.join(problems)}")


def _words(error: ValidationError | KeyError) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]}: field is required"
    return "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())


def _problems(kind: Kind, old: Json | None, new: Json) -> Iterable[str]:
    spec: Json = new.get("spec", {})
    if kind in (DEPLOYMENT, REPLICASET):
        yield from _workload_problems(old, spec)
    elif kind == JOB and old is not None and old["spec"]["template"] != spec["template"]:
        yield "spec.template: field is immutable"
    elif kind == POD and not spec.get("containers"):
        yield "spec.containers: Required value"
    elif kind == SERVICE and not spec.get("ports") and spec.get("clusterIP") != "None":
        yield "spec.ports: Required value"
    elif kind == VIRTUAL_SERVICE:
        yield from _route_problems(spec)


def _workload_problems(old: Json | None, spec: Json) -> Iterable[str]:
    wanted = spec.get("selector", {}).get("matchLabels", {})
    if not wanted:
        yield "spec.selector: Required value"
    template = spec.get("template", {})
    if not matches(template.get("metadata", {}).get("labels"), wanted):
        yield "spec.template.metadata.labels: `selector` does not match template `labels`"
    containers = template.get("spec", {}).get("containers")
    if not containers:
        yield "spec.template.spec.containers: Required value"
    for index, container in enumerate(containers or ()):
        if not container.get("name") or not container.get("image"):
            yield f"spec.template.spec.containers[{index}]: name and image are required"
    replicas = spec.get("replicas", 1)
    if not isinstance(replicas, int) or replicas < 0:
        yield "spec.replicas: must be an integer greater than or equal to 0"
    if old is not None and old["spec"].get("selector") != spec.get("selector"):
        yield "spec.selector: field is immutable"


def _route_problems(spec: Json) -> Iterable[str]:
    for protocol in ("http", "tls", "tcp"):
        for index, route in enumerate(spec.get(protocol, ())):
            for number, backend in enumerate(route.get("route", ())):
                where = f"spec.{protocol}[{index}].route[{number}]"
                if not isinstance(backend.get("weight", 0), int):
                    yield f"{where}.weight: must be of type integer"
                if not backend.get("destination", {}).get("host"):
                    yield f"{where}.destination.host: Required value"


def matches(labels: Mapping[str, Any] | None, wanted: Mapping[str, str]) -> bool:
    """Whether labels have all wanted values."""
    return all((labels or {}).get(key) == value for key, value in wanted.items())
