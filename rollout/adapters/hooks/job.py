"""Hooks by Jobs: each call is one Job, named by run, hook and number, owned by the run, removed when it has passed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from rollout.decide.seen import HookAnswer
from rollout.errors import AlreadyExists, Forbidden, Terminal
from rollout.plan.base import RUN_LABEL, RUN_UID, Json, label
from rollout.plan.called import JobCall
from rollout.plan.kinds import JOB, PLAN_RUN, Ref
from rollout.ports.cluster import Cluster, guard_of
from rollout.ports.hooks import Call

HOOK_LABEL: Final = label("hook")
"""On Jobs: the hook that they are a call of."""
_NAME: Final = 63
"""Characters: a Job's name is a label of its pods."""


@dataclass(slots=True)
class JobCalls:
    """Makes calls by Jobs. All that lasts is in the cluster, but for what the API server has refused."""

    cluster: Cluster
    _refused: dict[str, HookAnswer] = field(default_factory=dict)
    _left: set[str] = field(default_factory=set)
    """Calls whose Jobs may not be removed: they go with their run, which must not wait for them."""

    async def begin(self, call: Call) -> None:
        """See `ports.hooks.Hooks.begin`."""
        job = manifest(call)
        try:
            await self.cluster.create(job)
        except AlreadyExists:
            found = await self.cluster.get(ref(call))
            if found is not None and not _ours(found, call):
                text = f"Job {ref(call).name} exists and is not this run's; delete it"
                self._refused[call.id] = HookAnswer("failed", text)
        except Terminal as error:
            hint = (
                "install with --features hooks, with your other options" if isinstance(error, Forbidden) else error.hint
            )
            text = f"Job {ref(call).name} was refused: {error}{f'; {hint}' if hint else ''}"
            self._refused[call.id] = HookAnswer("failed", text)

    async def look(self, call: Call) -> HookAnswer:
        """See `ports.hooks.Hooks.look`."""
        if call.id in self._left:
            return HookAnswer("absent", ref(call).name)
        try:
            found = await self.cluster.get(ref(call))
        except Terminal as error:
            return self._refused.get(call.id) or HookAnswer("failed", str(error))
        if found is None or not _ours(found, call) or "deletionTimestamp" in found["metadata"]:
            return self._refused.get(call.id) or HookAnswer("absent", ref(call).name)
        return _stands(found)

    async def end(self, call: Call) -> None:
        """See `ports.hooks.Hooks.end`. What the API server refuses is left to the run, which owns it."""
        self._refused.pop(call.id, None)
        try:
            found = await self.cluster.get(ref(call))
            if found is not None and _ours(found, call):
                # in the foreground: the API server orphans the pods of a Job otherwise
                await self.cluster.delete(ref(call), guard_of(found), foreground=True)
        except Terminal:
            self._left.add(call.id)


def ref(call: Call) -> Ref:
    """The name of a call's Job: the same for the same call, short enough for a label."""
    name = f"{call.run.name}-{call.hook.name}-{call.number}"
    if len(name) > _NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{call.run.name[: _NAME - 50]}-{digest}-{call.hook.name}-{call.number}".replace(".", "-")
    return Ref(JOB, call.run.namespace, name)


def manifest(call: Call) -> Json:
    """The Job. It may run no longer than the hook, whether or not the engine lives; its pods carry no label of ours."""
    how = call.hook.how
    assert isinstance(how, JobCall), "see Calls"
    own = dict(how.spec)
    limit = max(1, round(call.hook.timeout))
    own["activeDeadlineSeconds"] = min(own.get("activeDeadlineSeconds", limit), limit)
    owner = {"apiVersion": PLAN_RUN.api_version, "kind": PLAN_RUN.name, "name": call.run.name, "uid": call.uid}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": ref(call).name,
            "namespace": call.run.namespace,
            "labels": {
                RUN_LABEL: call.run.name,
                HOOK_LABEL: call.hook.name,
                "app.kubernetes.io/managed-by": "rollout",
            },
            "annotations": {RUN_UID: call.uid},
            "ownerReferences": [owner],
        },
        "spec": own,
    }


def _ours(found: Json, call: Call) -> bool:
    return (found["metadata"].get("annotations") or {}).get(RUN_UID) == call.uid


def _stands(job: Json) -> HookAnswer:
    """What a Job's conditions say."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition["type"] == "Complete":
            return HookAnswer("passed", f"Job {name} is done")
        if condition["type"] == "Failed":
            why = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
            log = f"kubectl logs job/{name} -n {namespace}"
            return HookAnswer("failed", f"Job {name} failed{f' ({why})' if why else ''}; its log: {log}")
    return HookAnswer("running", name)
