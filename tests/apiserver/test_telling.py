"""Telling people, with the record of it on a real API server, and the rights that the controller has."""

from __future__ import annotations

import base64
import json

import pytest

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.systemclock import SystemClock
from rollout.controller.status import run_status
from rollout.notify.choose import Box
from rollout.notify.post import Courier
from rollout.plan.base import Json
from rollout.plan.kinds import NOTIFICATION_CHANNEL, PLAN_RUN, Ref
from rollout.plan.run import Note, Phase, State, dump_spec
from rollout.ports.cluster import guard_of
from tests.kit.apiserver import ApiServer
from tests.kit.builders import run as run_spec
from tests.kit.told import CHANNELS
from tests.kit.vendors import MemoryHttp, SlackApi

pytestmark = pytest.mark.apiserver


async def test_what_was_told_is_remembered_by_the_api_server(
    kube_cluster: KubeCluster, kube_namespace: str, apiserver: ApiServer
) -> None:
    clock = SystemClock()
    vendor = SlackApi(clock.now)
    data = {key: base64.b64encode(it.encode()).decode() for key, it in vendor.secret("https://slack.example").items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "data": data}
    apiserver.kubectl("create", "-n", kube_namespace, "-f", "-", stdin=json.dumps(secret))
    for kind, name, spec in (
        (NOTIFICATION_CHANNEL, "team", vendor.spec("https://slack.example")),
        (PLAN_RUN, "web-1", dump_spec(run_spec())),
    ):
        head: Json = {"apiVersion": kind.api_version, "kind": kind.name}
        await kube_cluster.create(head | {"metadata": {"name": name, "namespace": kube_namespace}, "spec": spec})
    run, channel = Ref(PLAN_RUN, kube_namespace, "web-1"), Ref(NOTIFICATION_CHANNEL, kube_namespace, "team")
    stored = await kube_cluster.get(run)
    assert stored is not None
    notes = (
        Note(clock.now() + 1, "GateFailed", "event-1", warning=True),
        Note(clock.now() + 2, "RolledBack", "event-2"),
    )
    status = run_status(
        stored, run_spec(), State(Phase.PROGRESSING, notes=notes, started=1.0, forgotten=3), clock.now()
    )
    await kube_cluster.put_status(run, status, guard_of(stored))
    box = Box(channel)
    courier = Courier(kube_cluster, clock, MemoryHttp(vendor), CHANNELS, "engine-1")
    for _ in range(3):
        assert await courier.turn(box) < 2
    assert len(vendor.told) == 2
    kept = json.loads(apiserver.kubectl("get", "nchan", "team", "-n", kube_namespace, "-o", "json"))["status"]
    assert (kept["sent"], kept["ledger"]["runs"][0]["seq"]) == (3, 5)
    printed = apiserver.kubectl("get", "nchan", "-n", kube_namespace)
    assert ("slack-bot" in printed, "True" in printed) == (True, True)
    assert "s3cr3t" not in apiserver.kubectl("get", "nchan,prun,events", "-n", kube_namespace, "-o", "json")
