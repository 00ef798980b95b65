"""The controllers of Jobs and CronJobs in the in-memory cluster: one pod for each run, at the times of the schedule."""

from __future__ import annotations

from typing import Final

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.objects import rfc3339
from rollout.adapters.memory.replicasets import controller_of, everything, owner_reference
from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import CRON_JOB, JOB, POD, ref_of
from rollout.ports.clock import Schedules
from rollout.ports.cluster import guard_of

_COMPLETE: Final = "Complete"


class JobController:
    """Runs each Job once."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._objects = server.objects

    def sync(self) -> None:
        """One look at every Job."""
        for job in self._objects.of(JOB):
            if "deletionTimestamp" in job["metadata"] or over(job) or job["spec"].get("suspend"):
                continue
            uid = job["metadata"]["uid"]
            pods = [it for it in self._objects.of(POD, job["metadata"]["namespace"]) if controller_of(it) == uid]
            if not pods:
                self._start(job)
            elif any((it.get("status") or {}).get("phase") == "Succeeded" for it in pods):
                self._end(job)
            elif not (job.get("status") or {}).get("active"):
                status = {"active": 1, "startTime": rfc3339(self._objects.now())}
                self._objects.put({**job, "status": status})

    def _start(self, job: Json) -> None:
        meta, template = job["metadata"], job["spec"]["template"]
        own = template.get("metadata", {})
        labels = {"batch.kubernetes.io/job-name": meta["name"], "batch.kubernetes.io/controller-uid": meta["uid"]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **own,
                "labels": {**own.get("labels", {}), **labels},
                "generateName": f"{meta['name']}-",
                "namespace": meta["namespace"],
                "ownerReferences": [owner_reference(job)],
            },
            "spec": template["spec"],
        }
        try:
            self._server.create(pod, everything)
        except RolloutError:
            return  # it is tried again at the next change

    def _end(self, job: Json) -> None:
        moment = rfc3339(self._objects.now())
        done = {"type": _COMPLETE, "status": "True", "lastTransitionTime": moment, "reason": "CompletionsReached"}
        status = {key: value for key, value in job.get("status", {}).items() if key != "active"}
        self._objects.put({**job, "status": {**status, "succeeded": 1, "completionTime": moment, "conditions": [done]}})


class CronJobController:
    """Makes a Job whenever a schedule says so, and keeps the last few."""

    def __init__(self, server: ApiServer, schedules: Schedules) -> None:
        self._server = server
        self._objects = server.objects
        self._schedules = schedules
        self._due: dict[str, tuple[object, float]] = {}
        """By uid: the schedule, and when it is due next."""

    def sync(self) -> None:
        """One look at every CronJob."""
        now = self._objects.now()
        for cron in self._objects.of(CRON_JOB):
            if "deletionTimestamp" in cron["metadata"]:
                continue
            uid, schedule = cron["metadata"]["uid"], _schedule(cron)
            if self._due.get(uid, (None, 0.0))[0] != schedule:
                self._due[uid] = schedule, self._next(schedule, now)
            due = self._due[uid][1]
            if now >= due:
                self._due[uid] = schedule, self._next(schedule, now + 1)
                if not cron["spec"].get("suspend"):
                    self._run(cron, due)
            self._tidy(cron)

    @property
    def due(self) -> bool:
        """Whether time alone makes it do something."""
        now = self._objects.now()
        return any(now >= moment for _, moment in self._due.values())

    def _next(self, schedule: tuple[str, str], now: float) -> float:
        table = self._schedules(*schedule, now)
        return float("inf") if table is None or table.next is None else table.next

    def _run(self, cron: Json, due: float) -> None:
        meta, spec = cron["metadata"], cron["spec"]
        template = spec["jobTemplate"]
        own = template.get("metadata", {})
        job = {
            "apiVersion": JOB.api_version,
            "kind": JOB.name,
            "metadata": {
                **own,
                "name": f"{meta['name']}-{int(due // 60)}",
                "namespace": meta["namespace"],
                "ownerReferences": [owner_reference(cron)],
            },
            "spec": template["spec"],
        }
        self._server.create(job, everything)
        latest = self._objects.get(ref_of(cron)) or cron
        self._objects.put({**latest, "status": {**latest.get("status", {}), "lastScheduleTime": rfc3339(due)}})

    def _tidy(self, cron: Json) -> None:
        meta = cron["metadata"]
        ended = [it for it in self._objects.of(JOB, meta["namespace"]) if controller_of(it) == meta["uid"] and over(it)]
        keep = cron["spec"].get("successfulJobsHistoryLimit", 3)
        for job in sorted(ended, key=_by_name)[: max(0, len(ended) - keep)]:
            self._server.delete(ref_of(job), guard_of(job))


def over(job: Json) -> bool:
    """Whether a Job has ended."""
    return any(it["type"] == _COMPLETE for it in (job.get("status") or {}).get("conditions") or ())


def _schedule(cron: Json) -> tuple[str, str]:
    return cron["spec"]["schedule"], cron["spec"].get("timeZone") or ""


def _by_name(job: Json) -> str:
    return str(job["metadata"]["name"])
