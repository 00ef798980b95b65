"""Jobs of hooks on a real API server, with the real controllers of Jobs and of garbage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rollout.adapters.hooks.job import JobCalls, ref
from rollout.adapters.kube.cluster import KubeCluster
from rollout.decide.seen import HookAnswer
from rollout.plan.base import Json
from rollout.plan.called import Hook, JobCall
from rollout.plan.kinds import PLAN_RUN, POD, Ref
from rollout.plan.run import dump_spec
from rollout.ports.cluster import guard_of
from rollout.ports.hooks import Call
from tests.kit.builders import RUN

pytestmark = pytest.mark.apiserver
POD_SPEC = {"restartPolicy": "Never", "containers": [{"name": "load", "image": "load.example.com/k6:1"}]}


@pytest.fixture
async def call(kube_cluster: KubeCluster, kube_namespace: str) -> Call:
    """A call of a run that is really there: a Job whose owner is not would be collected at once."""
    run: Json = {
        "apiVersion": PLAN_RUN.api_version,
        "kind": PLAN_RUN.name,
        "metadata": {"name": "web-abcde-1", "namespace": kube_namespace},
        "spec": dump_spec(RUN),
    }
    made = await kube_cluster.create(run)
    hook = Hook("load", "before", JobCall({"template": {"spec": POD_SPEC}}), 600.0)
    return Call(Ref(PLAN_RUN, kube_namespace, "web-abcde-1"), made["metadata"]["uid"], hook, 1)


def of(call: Call, **spec: Any) -> Call:
    assert isinstance(call.hook.how, JobCall)
    return replace(call, hook=replace(call.hook, how=JobCall({**call.hook.how.spec, **spec})))


async def heard(hooks: JobCalls, call: Call, enough: Callable[[HookAnswer], bool]) -> HookAnswer:
    answer = await hooks.look(call)
    for _ in range(150):
        if enough(answer):
            break
        await asyncio.sleep(0.2)
        answer = await hooks.look(call)
    return answer


async def test_made_once_and_removed_with_its_pods(kube_cluster: KubeCluster, call: Call) -> None:
    hooks, again = JobCalls(kube_cluster), JobCalls(kube_cluster)
    await hooks.begin(call)
    made = await kube_cluster.get(ref(call))
    await again.begin(call)
    assert (await again.look(call)).status == "running"
    assert await kube_cluster.get(ref(call)) is not None
    assert made is not None
    assert made["spec"]["activeDeadlineSeconds"] == 600
    await hooks.end(call)
    assert (await heard(hooks, call, lambda it: it.status == "absent")).status == "absent"
    for _ in range(150):
        pods = await kube_cluster.list(POD, call.run.namespace)
        if not pods and await kube_cluster.get(ref(call)) is None:
            break
        await asyncio.sleep(0.2)
    assert pods == []


async def test_one_that_hangs_is_ended_by_the_cluster_itself(kube_cluster: KubeCluster, call: Call) -> None:
    hooks, short = JobCalls(kube_cluster), of(call, activeDeadlineSeconds=1)
    await hooks.begin(short)
    answer = await heard(hooks, short, lambda it: it.status == "failed")
    assert (answer.status, "DeadlineExceeded" in answer.text) == ("failed", True)
    assert f"kubectl logs job/web-abcde-1-load-1 -n {call.run.namespace}" in answer.text


async def test_one_that_the_server_refuses_is_an_answer(kube_cluster: KubeCluster, call: Call) -> None:
    hooks, wrong = JobCalls(kube_cluster), of(call, template={"spec": {**POD_SPEC, "restartPolicy": "Always"}})
    await hooks.begin(wrong)
    answer = await hooks.look(wrong)
    assert (answer.status, "restartPolicy" in answer.text) == ("failed", True)


async def test_it_goes_with_its_run(kube_cluster: KubeCluster, call: Call) -> None:
    hooks = JobCalls(kube_cluster)
    await hooks.begin(call)
    run = await kube_cluster.get(call.run)
    assert run is not None
    await kube_cluster.delete(call.run, guard_of(run))
    assert (await heard(hooks, call, lambda it: it.status == "absent")).status == "absent"
