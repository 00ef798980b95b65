"""What makes pods is a unit, and has the pods that it made, however many controllers lie between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollout.observe.units import units
from rollout.plan.base import Json
from rollout.plan.kinds import CRON_JOB, DEPLOYMENT, JOB, POD, REPLICASET, STATEFUL_SET, Kind
from rollout.ports.mesh import Unit

TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app"}]}}


def thing(kind: Kind, name: str, owner: Json | None = None, **parts: Any) -> Json:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{kind}-{name}"}
    if owner is not None:
        meta |= {"ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}]}  # type: ignore[dict-item]
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": {"template": TEMPLATE}} | parts


def found(*objects: Json) -> tuple[Unit, ...]:
    by_kind: dict[Kind, Sequence[Json]] = {}
    for kind in (DEPLOYMENT, REPLICASET, STATEFUL_SET, CRON_JOB, JOB, POD):
        by_kind[kind] = [obj for obj in objects if obj["kind"] == kind.name]
    return units(by_kind)


def test_the_pods_of_a_deployment_are_found_over_its_replica_sets() -> None:
    web = thing(DEPLOYMENT, "web")
    sets = [thing(REPLICASET, f"web-{n}", web) for n in (1, 2)]
    pods = [thing(POD, f"web-{n}-x", rs, spec=TEMPLATE["spec"]) for n, rs in enumerate(sets)]
    (unit,) = found(web, *sets, *reversed(pods))
    assert (unit.kind, unit.name, unit.labels) == (DEPLOYMENT, "web", {"app": "a"})
    assert [pod["metadata"]["name"] for pod in unit.pods] == ["web-0-x", "web-1-x"]


def test_a_cron_job_is_a_unit_between_its_jobs_too_and_pods_that_are_over_are_not_its_pods() -> None:
    cron = thing(CRON_JOB, "report", spec={"schedule": "@monthly", "jobTemplate": {"spec": {"template": TEMPLATE}}})
    job = thing(JOB, "report-1", cron)
    done = thing(POD, "report-1-a", job, spec=TEMPLATE["spec"], status={"phase": "Succeeded"})
    busy = thing(POD, "report-1-b", job, spec=TEMPLATE["spec"], status={"phase": "Running"})
    (between,) = found(cron)
    (during,) = found(cron, job, done, busy)
    assert (between.pods, between.labels) == ((), {"app": "a"})
    assert during.pods == (busy,)


def test_what_nobody_controls_is_a_unit_by_itself_until_it_is_over() -> None:
    pod = thing(POD, "debug", spec=TEMPLATE["spec"])
    over = thing(POD, "old", spec=TEMPLATE["spec"], status={"phase": "Failed"})
    job = thing(JOB, "once", status={"conditions": [{"type": "Complete", "status": "True"}]})
    empty = thing(REPLICASET, "leftover", spec={"replicas": 0, "template": TEMPLATE})
    assert [unit.name for unit in found(pod, over, job, empty)] == ["debug"]


def test_a_pod_of_a_controller_that_we_do_not_know_is_a_unit_by_itself() -> None:
    foreign = thing(POD, "node-agent", {"metadata": {"uid": "uid-Something"}}, spec=TEMPLATE["spec"])
    (unit,) = found(foreign)
    assert (unit.kind, unit.pods, unit.spec) == (POD, (foreign,), TEMPLATE["spec"])


def test_sidecars_among_the_init_containers_stay_as_the_others_do() -> None:
    spec = {
        "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
        "containers": [{"name": "app"}],
    }
    (unit,) = found(thing(STATEFUL_SET, "db", spec={"template": {"spec": spec}}))
    assert [container["name"] for container in unit.containers] == ["proxy", "app"]


def test_units_are_sorted_by_namespace_kind_and_name() -> None:
    things = [thing(STATEFUL_SET, "a"), thing(DEPLOYMENT, "z"), thing(DEPLOYMENT, "b")]
    assert [str(unit) for unit in found(*things)] == [
        "Deployment/b in shop", "Deployment/z in shop", "StatefulSet/a in shop"
    ]  # fmt: skip
