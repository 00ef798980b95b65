"""The controllers of the in-memory cluster together, on virtual time: workloads of all kinds, pods, garbage."""

from __future__ import annotations

from typing import Final

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.behaviour import Behaviours
from rollout.adapters.memory.collector import Collector
from rollout.adapters.memory.deployments import DeploymentController
from rollout.adapters.memory.jobs import CronJobController, JobController
from rollout.adapters.memory.kubelet import Kubelet
from rollout.adapters.memory.replicasets import ReplicaSetController
from rollout.adapters.memory.rolling import timed_out
from rollout.adapters.memory.sets import DaemonSetController, StatefulSetController
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CONFIGMAP,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    REPLICASET,
    SECRET,
    STATEFUL_SET,
    Ref,
)
from rollout.ports.clock import Schedules, unscheduled

_ROUNDS: Final = 200
_WATCHED: Final = frozenset({DEPLOYMENT, REPLICASET, POD, CONFIGMAP, SECRET, STATEFUL_SET, DAEMON_SET, JOB, CRON_JOB})


class Workloads:
    """What Kubernetes does by itself between our writes.

    `tick` lets all controllers react until none of them has anything left to do at this moment.  `lag` seconds pass
    before they look at all: until then `observedGeneration` is behind, as on a busy cluster.
    """

    def __init__(
        self, server: ApiServer, behaviours: Behaviours, *, lag: float = 0.0, schedules: Schedules = unscheduled
    ) -> None:
        self.quota: dict[str, int] = {}
        """The most pods that a namespace may have."""
        self.lag = lag
        self._objects = server.objects
        self._behaviours = behaviours
        self._kubelet = Kubelet(self._objects, behaviours)
        self._collector = Collector(server)
        self._cron_jobs = CronJobController(server, schedules)
        self._controllers = (
            DeploymentController(server),
            ReplicaSetController(server, self.quota),
            StatefulSetController(server),
            DaemonSetController(server),
            self._cron_jobs,
            JobController(server),
        )
        self._writes = 0
        self._objects.watchers.append(self._notice)
        self._changed_at = self._objects.now()
        self._known = self._writes
        self._seen: object = None

    def tick(self) -> None:
        """Let everything happen that is due now."""
        if self._writes != self._known:
            self._known = self._writes
            self._changed_at = self._objects.now()
        if self._seen == self._mark() and not self._waits():
            return
        awake = self.lag == 0 or self._objects.now() >= self._changed_at + self.lag
        for _ in range(_ROUNDS):
            before = self._objects.revision
            if awake:
                for controller in self._controllers:
                    controller.sync()
                self._collector.sync()
            self._kubelet.sync()
            if self._objects.revision == before:
                break
        else:
            raise AssertionError("the controllers of the in-memory cluster chase each other")
        if awake:
            self._seen = self._mark()
        self._known = self._writes

    def _notice(self, ref: Ref) -> None:
        """Count the writes that a controller may react to; most writes are the engine's records."""
        obj = self._objects.get(ref)
        if ref.kind in _WATCHED or obj is None or "deletionTimestamp" in obj["metadata"]:
            self._writes += 1

    def _mark(self) -> object:
        """Equal as long as no controller has anything new to see."""
        return self._writes, self._objects.births, self._behaviours.changes, dict(self.quota)

    def _waits(self) -> bool:
        """Whether the passing of time alone can change something."""
        return (
            self._kubelet.busy
            or self._cron_jobs.due
            or any(_overdue(deployment, self._objects.now()) for deployment in self._objects.of(DEPLOYMENT))
            or any(rs["spec"].get("minReadySeconds") for rs in self._objects.of(REPLICASET))
        )


def _overdue(deployment: Json, now: float) -> bool:
    """Whether a Deployment has passed its progress deadline and does not say so yet."""
    conditions = deployment.get("status", {}).get("conditions", ())
    current = next((c for c in conditions if c["type"] == "Progressing"), None)
    if current is None or current["reason"] == "ProgressDeadlineExceeded" or deployment["spec"].get("paused"):
        return False
    return timed_out(deployment["spec"], current, now)
