"""The simulated world of an adoption: who gets a proxy when, of every kind of workload, and the same again by seed."""

from __future__ import annotations

from rollout.adapters.memory.behaviour import Behaviour
from rollout.plan.base import Json
from rollout.plan.kinds import DAEMON_SET, DEPLOYMENT, JOB, STATEFUL_SET, Ref
from rollout.ports.mesh import Carrier
from tests.kit.adopted import SHOP, Adopted, peers, space

WEB = Ref(DEPLOYMENT, SHOP, "web")


def proxied(pods: list[Json]) -> list[bool]:
    return ["security.istio.io/tlsMode" in pod["metadata"]["labels"] for pod in pods]


async def test_nothing_is_in_the_mesh_before_somebody_asks(scene: Adopted) -> None:
    scene.memory.run(60)
    survey = await scene.survey()
    assert [(it.revision, it.ready) for it in survey.planes] == [("default", True)]
    assert {it.name for it in survey.units} >= {"web", "front", "greeter", "db", "agent", "report"}
    assert not any(survey.views[it.ref].meshed for it in survey.units)
    assert not survey.traffic.edges, "there is no mesh metric before the first proxy"
    assert scene.memory.traffic.ledger.failed == 0


async def test_enrolled_pods_get_a_native_proxy_and_no_request_is_lost(meshed: Adopted) -> None:
    meshed.memory.run(30)
    survey = await meshed.survey()
    for unit in survey.units:
        carriers = {(it.carrier, it.ready, it.revision) for it in survey.views[unit.ref].proxies}
        assert carriers <= {(Carrier.NATIVE, True, "default")}, unit
        assert survey.views[unit.ref].meshed, unit
    assert meshed.memory.traffic.ledger.failed == 0


def test_enrolling_every_kind_loses_no_request(scene: Adopted) -> None:
    scene.enrol_all()
    assert scene.memory.traffic.ledger.failed == 0
    for name, count in (("web", 3), ("front", 2), ("greeter", 2), ("db", 2), ("agent", 1)):
        assert proxied(scene.pods(name)) == [True] * count


def test_a_namespace_that_asks_gives_a_proxy_to_pods_that_are_made_anew(scene: Adopted) -> None:
    scene.memory.apply(space(SHOP, **{"istio-injection": "enabled"}))
    scene.memory.run(20)
    assert proxied(scene.pods("web")) == [False] * 3
    scene.memory.kill_pod(scene.pods("web")[0]["metadata"]["name"])
    scene.memory.run(20)
    assert sorted(proxied(scene.pods("web"))) == [False, False, True]


def test_the_webhook_fails_creations_while_istiod_is_down(scene: Adopted) -> None:
    scene.memory.scale("istiod", 0, namespace="istio-system")
    scene.memory.run(10)
    scene.enrol(DEPLOYMENT, "web")
    scene.memory.run(30)
    assert proxied(scene.pods("web")) == [False] * 3
    failed = [c for c in scene.memory.get(DEPLOYMENT, "web")["status"]["conditions"] if c["type"] == "ReplicaFailure"]
    assert "failed calling webhook" in failed[0]["message"]
    assert scene.memory.traffic.ledger.failed == 0


def test_a_proxy_that_never_gets_ready_keeps_the_old_pods_and_going_back_helps(scene: Adopted) -> None:
    scene.memory.behaviour("shop/web:1.0", Behaviour(proxy_never_ready=True))
    scene.enrol(DEPLOYMENT, "web")
    scene.memory.run(60)
    stuck = [pod for pod in scene.pods("web") if proxied([pod])[0]]
    assert [it["status"]["phase"] for it in stuck] == ["Pending"]
    assert [it["status"]["initContainerStatuses"][0]["ready"] for it in stuck] == [False]
    before = scene.before[str(WEB)]
    scene.memory.replace({**scene.memory.get(DEPLOYMENT, "web"), "spec": before["spec"]})
    scene.memory.run(30)
    assert proxied(scene.pods("web")) == [False] * 3
    assert scene.owned() == scene.before
    assert scene.memory.traffic.ledger.failed == 0


def test_a_stateful_set_rolls_from_the_last_pod_and_stops_at_one_that_is_not_ready(scene: Adopted) -> None:
    scene.memory.behaviour("shop/db:1.0", Behaviour(proxy_never_ready=True))
    scene.enrol(STATEFUL_SET, "db")
    scene.memory.run(60)
    assert proxied(scene.pods("db")) == [False, True]
    status = scene.memory.get(STATEFUL_SET, "db")["status"]
    assert (status["updatedReplicas"], status["readyReplicas"]) == (1, 1)
    assert status["currentRevision"] != status["updateRevision"]
    scene.memory.replace(
        {**scene.memory.get(STATEFUL_SET, "db"), "spec": scene.before["StatefulSet/db in shop"]["spec"]}
    )
    scene.memory.run(60)
    assert proxied(scene.pods("db")) == [False, True], "kubernetes#67250: the stuck pod has to be deleted by somebody"
    scene.memory.kill_pod("db-1")
    scene.memory.run(30)
    assert proxied(scene.pods("db")) == [False, False]
    assert scene.memory.get(STATEFUL_SET, "db")["status"]["readyReplicas"] == 2


def test_a_partition_keeps_lower_pods_as_they_are(scene: Adopted) -> None:
    scene.memory.apply(
        {
            **{key: scene.memory.get(STATEFUL_SET, "db")[key] for key in ("apiVersion", "kind")},
            "metadata": {"name": "db", "namespace": SHOP},
            "spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        }
    )
    scene.enrol(STATEFUL_SET, "db")
    scene.memory.run(60)
    assert proxied(scene.pods("db")) == [False, True]
    scene.memory.kill_pod("db-0")
    scene.memory.run(30)
    assert proxied(scene.pods("db")) == [False, True]


def test_a_daemon_set_replaces_its_pod(scene: Adopted) -> None:
    before = scene.pods("agent")[0]["metadata"]["uid"]
    scene.enrol(DAEMON_SET, "agent")
    scene.memory.run(30)
    (pod,) = scene.pods("agent")
    assert pod["metadata"]["uid"] != before
    status = scene.memory.get(DAEMON_SET, "agent")["status"]
    assert (status["updatedNumberScheduled"], status["numberReady"]) == (1, 1)


def test_a_cron_job_runs_when_it_is_due_calls_and_ends(scene: Adopted) -> None:
    scene.memory.run(300)
    jobs = scene.memory.objects.of(JOB, SHOP)
    assert len(jobs) == 1
    assert scene.sent("report") > 10
    scene.memory.run(240)
    assert jobs[0]["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    (job,) = scene.memory.objects.of(JOB, SHOP)
    assert job["status"]["conditions"][0]["type"] == "Complete"
    assert scene.sent("report") < 60
    scene.memory.run(1500)
    assert len(scene.memory.objects.of(JOB, SHOP)) <= 4, "only the last three are kept"
    assert scene.failed("report") == 0


async def test_the_same_seed_gives_the_same_world() -> None:
    def told() -> object:
        scene = Adopted(seed=5)
        scene.enrol_all()
        scene.memory.apply(peers("STRICT"))
        scene.memory.run(60)
        ledger = scene.memory.traffic.ledger
        return (
            ledger.by_source,
            ledger.by_workload,
            ledger.failures,
            [it["metadata"]["name"] for it in scene.pods("web")],
        )

    assert told() == told()
