"""A namespace before it enters the mesh, in the simulated cluster: five kinds of workloads under load, and an outsider.

Everything starts in plaintext, with a control plane that nobody asks yet.  `web` is called by `front`, which can be
enrolled, by `legacy` in another namespace, which the plan does not touch, and now and then by the CronJob `report`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from rollout.adapters.memory.mesh import Cause
from rollout.adapters.memory.world import World as Memory
from rollout.adapters.mesh.istio import Istio
from rollout.adapters.schedule import timetable
from rollout.controller.foreground import Foreground
from rollout.observe.survey import Scope, Survey, survey
from rollout.plan.base import Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    SERVICE,
    STATEFUL_SET,
    Kind,
    Ref,
    ref_of,
)
from rollout.ports.clock import Timetable
from rollout.ports.cluster import Cluster
from rollout.ports.metrics import ScalarAsk
from rollout.ports.world import World
from rollout.registry import routers
from strategies.mesh_adoption import MeshAdoption

SHOP, OUTSIDE, HOME = "shop", "old", "istio-system"
CALLERS: Final = {"front": "shop/front", "legacy": "old/legacy", "report": "shop/report", "agent": "shop/agent"}
"""The names of callers in the ledger."""
CALLS: Final = (
    ("front", "web", 40.0),
    ("front", "greeter", 20.0),
    ("front", "db", 10.0),
    ("agent", "web", 4.0),
    ("legacy", "web", 5.0),
    ("report", "web", 2.0),
)
"""Who calls whom, and how often per second."""
PROXIED: Final = {"sidecar.istio.io/inject": "true"}
"""The pod label that asks for a proxy."""
OWNED: Final = (
    DEPLOYMENT,
    STATEFUL_SET,
    DAEMON_SET,
    CRON_JOB,
    NAMESPACE,
    SERVICE,
    PEER_AUTHENTICATION,
    AUTHORIZATION_POLICY,
)
"""Kinds that an adoption changes or makes, and that are as before when all of it is undone."""


def template(name: str, port: int = 8080, *, calls: str = "", **spec: Any) -> Json:
    """A pod template; it names the host that it calls."""
    container: Json = {"name": "app", "image": f"shop/{name}:1.0", "ports": [{"name": "main", "containerPort": port}]}
    container |= {"args": [f"http://{calls}/all"]} if calls else {}
    account = {"serviceAccountName": name}
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], **account, **spec},
    }


def workload(kind: Kind, name: str, made: Json, namespace: str = SHOP, **spec: Any) -> Json:
    """What makes pods from a template."""
    selector = {"matchLabels": {"app": name}}
    meta = {"name": name, "namespace": namespace, "labels": {"app": name}}
    body = {"selector": selector, "template": made, **spec}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": body}


def cron_job(name: str, schedule: str) -> Json:
    """A CronJob that calls `web`."""
    made = template(name, calls="web.shop", restartPolicy="Never")
    meta = {"name": name, "namespace": SHOP}
    spec = {"schedule": schedule, "jobTemplate": {"spec": {"template": made}}}
    return {"apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.name, "metadata": meta, "spec": spec}


def service(name: str, port: int, protocol: str, target: int) -> Json:
    """A Service of the workload of its name."""
    ports = [{"name": protocol, "port": port, "targetPort": target, "appProtocol": protocol}]
    meta = {"name": name, "namespace": SHOP}
    spec = {"selector": {"app": name}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def space(name: str, **labels: str) -> Json:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def peers(mode: str, name: str = "default", namespace: str = SHOP, **spec: Any) -> Json:
    """A PeerAuthentication."""
    meta = {"name": name, "namespace": namespace}
    kind = PEER_AUTHENTICATION
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": meta,
        "spec": {"mtls": {"mode": mode}, **spec},
    }


def rules(name: str, *, dry: bool = False, **spec: Any) -> Json:
    """An AuthorizationPolicy."""
    meta: Json = {"name": name, "namespace": SHOP, "annotations": {"istio.io/dry-run": "true" if dry else "false"}}
    kind = AUTHORIZATION_POLICY
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": spec}


NO_IDENTITY: Final[Json] = {"action": "DENY", "rules": [{"from": [{"source": {"notPrincipals": ["*"]}}]}]}
"""What STRICT would refuse, as a policy."""


def objects(schedule: str) -> list[Json]:
    """All that the owners of both namespaces have applied."""
    return [
        space(SHOP),
        space(OUTSIDE),
        workload(DEPLOYMENT, "web", template("web"), replicas=3),
        workload(DEPLOYMENT, "front", template("front", calls="web"), replicas=2),
        workload(DEPLOYMENT, "greeter", template("greeter", 9000), replicas=2),
        workload(STATEFUL_SET, "db", template("db", 6379), serviceName="db", replicas=2),
        workload(DAEMON_SET, "agent", template("agent", calls="web")),
        workload(DEPLOYMENT, "legacy", template("legacy", calls="web.shop"), OUTSIDE, replicas=1),
        cron_job("report", schedule),
        service("web", 80, "http", 8080),
        service("greeter", 9000, "grpc", 9000),
        service("db", 6379, "tcp", 6379),
    ]


def schedules(schedule: str, zone: str, now: float) -> Timetable | None:
    """Reads schedules as the real reader does, and those of every few minutes without its calendar, which is slow."""
    minutes = schedule.removeprefix("*/").removesuffix(" * * * *")
    if not minutes.isdecimal() or 60 % int(minutes):
        return timetable(schedule, zone, now)
    pause = 60.0 * int(minutes)
    return Timetable(-(-now // pause) * pause, pause)


@dataclass
class Adopted:
    """The scene, settled and under load."""

    seed: int = 0
    schedule: str = "*/5 * * * *"
    only: frozenset[str] = frozenset()
    """The workloads that there are; all when empty."""
    delay: float = 0.0
    scrape: float = 2.0
    """Seconds between two samples of the metrics; the times of plans here are short."""
    mesh: Istio = field(default_factory=Istio)

    def __post_init__(self) -> None:
        self.memory = Memory(self.seed, delay=self.delay, schedules=schedules)
        self.memory.metrics.store.every = self.scrape
        self.memory.install_istio(settle=6)
        for obj in objects(self.schedule):
            if obj["kind"] == "Namespace" or self._has(obj["metadata"]["name"]):
                self.memory.apply(obj)
        self.memory.run(10)
        for caller, called, rate in CALLS:
            if self._has(caller) and self._has(called):
                home = OUTSIDE if caller == "legacy" else SHOP
                self.memory.traffic.add_workload(caller, called, SHOP, rate, client_namespace=home)
        self.memory.run(20)
        self.memory.traffic.fresh_ledger()
        self.before = self.owned()

    def _has(self, name: str) -> bool:
        return not self.only or name in self.only

    # -- for engines

    def world(self, cluster: Cluster | None = None, identity: str = "engine-1") -> World:
        """Everything around an engine; with its own cluster (for faults) or the plain one."""
        return World(
            cluster or self.memory.cluster,
            self.memory.metrics,
            self.memory.clock,
            routers(),
            {},
            identity,
            meshes={self.mesh.name: self.mesh},
            compilers={MeshAdoption.name: MeshAdoption()},
            schedules=schedules,
        )

    def engine(self, cluster: Cluster | None = None, identity: str = "engine-1") -> Foreground:
        """A new engine, as after a restart."""
        return Foreground(self.world(cluster, identity))

    async def survey(self, window: float = 60.0, namespace: str = SHOP) -> Survey:
        """What the driver sees."""
        return await survey(self.world(), self.mesh, Scope(namespace, HOME, window), schedules)

    # -- what people do

    def enrol(self, kind: Kind, name: str, namespace: str = SHOP) -> None:
        """Ask for a proxy by the pod template."""
        obj = self.memory.get(kind, name, namespace)
        spec = obj["spec"]["jobTemplate"]["spec"] if kind == CRON_JOB else obj["spec"]
        spec["template"]["metadata"].setdefault("labels", {}).update(PROXIED)
        self.memory.replace(obj)

    def enrol_all(self) -> None:
        """Everything in the shop, the CronJob too, and wait for it."""
        for kind, name in (
            (DEPLOYMENT, "web"),
            (DEPLOYMENT, "front"),
            (DEPLOYMENT, "greeter"),
            (STATEFUL_SET, "db"),
            (DAEMON_SET, "agent"),
            (CRON_JOB, "report"),
        ):
            self.enrol(kind, name)
        self.memory.run(60)

    # -- what must be true

    def owned(self) -> dict[str, Json]:
        """What owners wrote, of all kinds that an adoption touches: spec, labels and annotations."""
        return {str(ref): _written(obj) for ref, obj in self.memory.objects if ref.kind in OWNED and _mine(ref)}

    def failed(self, caller: str, *causes: Cause) -> int:
        """Requests of a caller that failed."""
        return self.memory.traffic.ledger.failed_from(CALLERS[caller], *causes)

    def sent(self, caller: str) -> int:
        """Requests of a caller."""
        return self.memory.traffic.ledger.by_source[CALLERS[caller]]

    async def scalar(self, query: str) -> float | None:
        """The one number that a query comes to, as Prometheus says it."""
        ask = ScalarAsk(query)
        return (await self.memory.metrics.ask([ask]))[ask].value

    def pods(self, name: str, namespace: str = SHOP) -> list[Json]:
        """Pods of a workload that are neither over nor going away, by name."""
        every = (it for it in self.memory.objects.of(POD, namespace) if "deletionTimestamp" not in it["metadata"])
        mine = (it for it in every if (it["metadata"].get("labels") or {}).get("app") == name)
        return sorted((it for it in mine if it["status"]["phase"] != "Succeeded"), key=lambda it: str(ref_of(it)))


def _mine(ref: Ref) -> bool:
    return HOME not in (ref.namespace, ref.name)


def _written(obj: Json) -> Json:
    notes = {
        key: value
        for key, value in (obj["metadata"].get("annotations") or {}).items()
        if not key.startswith("deployment.kubernetes.io/")
    }
    return {"spec": obj.get("spec", {}), "labels": obj["metadata"].get("labels") or {}, "annotations": notes}
