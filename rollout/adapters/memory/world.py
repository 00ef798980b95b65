"""A whole world in memory: cluster, controllers, mesh, traffic, metrics and time, wired together."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.adapters.memory.behaviour import Behaviour, Behaviours
from rollout.adapters.memory.clock import VirtualClock
from rollout.adapters.memory.consul import ConsulController
from rollout.adapters.memory.gateways import GatewayController
from rollout.adapters.memory.holdpolicy import attach_hold_policy, install_hold_policy
from rollout.adapters.memory.injector import attach_injector, installation
from rollout.adapters.memory.kubelet import is_ready
from rollout.adapters.memory.metrics import MemoryMetrics
from rollout.adapters.memory.objects import clone
from rollout.adapters.memory.rules import matches
from rollout.adapters.memory.store import MemoryCluster
from rollout.adapters.memory.traffic import Traffic
from rollout.adapters.memory.workloads import Workloads
from rollout.errors import NotFound
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, DEPLOYMENT, POD, Kind, Ref, kind_of, ref_of
from rollout.ports.clock import Schedules, unscheduled
from rollout.ports.cluster import Guard, guard_of


class World:
    """Everything around the engine. The same seed and the same calls give the same world."""

    def __init__(
        self,
        seed: int = 0,
        *,
        hold_policy: bool = True,
        unserved: Iterable[Kind] = (),
        lag: float = 0.0,
        delay: float = 0.0,
        pace: float = 0.0,
        schedules: Schedules = unscheduled,
    ) -> None:
        self.clock = VirtualClock(pace=pace)
        self.cluster = MemoryCluster(self.clock.now, seed=seed, unserved=unserved)
        self.objects = self.cluster.objects
        self.behaviours = Behaviours()
        self.workloads = Workloads(self.cluster.server, self.behaviours, lag=lag, schedules=schedules)
        self.traffic = Traffic(self.objects, self.behaviours, seed=seed, delay=delay)
        self.metrics = MemoryMetrics(self.objects, self.traffic, self.behaviours)
        self.gateways = GatewayController(self.cluster.server)
        self.consul = ConsulController(self.cluster.server)
        attach_hold_policy(self.cluster.server)
        attach_injector(self.cluster.server)
        if hold_policy:
            install_hold_policy(self.cluster)
        self.clock.each_second(self.workloads.tick)
        self.clock.each_second(self.gateways.tick)
        self.clock.each_second(self.consul.tick)
        self.clock.each_second(self.traffic.tick)
        self.clock.each_second(self.metrics.tick)
        self.user = self.cluster.as_somebody_else()
        """The owner of the objects: not the engine, whose rights a test may cut; cannot release a held Deployment."""
        self.user.deny("release", CANARY_PLAN)

    # -- what people do

    def apply(self, obj: Json) -> Json:
        """What a GitOps tool does: create the object, or set the fields that it names and leave the others."""
        obj = clone(obj)
        kind = kind_of(obj)
        ref = Ref(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        old = self.objects.get(ref)
        if old is None:
            return clone(self.user.server.create(obj, self.user.may))
        return self._replace(ref, _merged(old, obj))

    def replace(self, obj: Json) -> Json:
        """`kubectl replace`: the object is exactly this, our labels and annotations in it or not."""
        ref = ref_of(obj)
        uid = self.get(ref.kind, ref.name, ref.namespace)["metadata"]["uid"]
        return self._replace(ref, {**clone(obj), "metadata": {**obj["metadata"], "uid": uid}})

    def set_image(self, name: str, image: str, *, namespace: str = "shop", container: str = "app") -> Json:
        """`kubectl set image`."""
        obj = self.get(DEPLOYMENT, name, namespace)
        for candidate in obj["spec"]["template"]["spec"]["containers"]:
            if candidate["name"] == container:
                candidate["image"] = image
        return self._replace(Ref(DEPLOYMENT, namespace, name), obj)

    def scale(self, name: str, replicas: int, *, namespace: str = "shop") -> Json:
        """`kubectl scale`, or an autoscaler."""
        obj = self.get(DEPLOYMENT, name, namespace)
        obj["spec"]["replicas"] = replicas
        return self._replace(Ref(DEPLOYMENT, namespace, name), obj)

    def delete(self, kind: Kind, name: str, *, namespace: str = "shop", foreground: bool = False) -> None:
        """`kubectl delete`."""
        ref = Ref(kind, namespace if kind.namespaced else "", name)
        if (obj := self.objects.get(ref)) is not None:
            self.cluster.server.delete(ref, guard_of(obj), foreground=foreground)

    def kill_pod(self, name: str, *, namespace: str = "shop") -> None:
        """The pod vanishes at once, as when its node dies."""
        self.objects.remove(Ref(POD, namespace, name))

    def behaviour(self, image: str, behaviour: Behaviour) -> None:
        """How containers of an image behave from now on."""
        self.behaviours.set(image, behaviour)

    def deploy_shop(
        self,
        namespace: str = "shop",
        name: str = "web",
        *,
        replicas: int = 3,
        image: str = "shop/web:1.0",
        rate: float = 100.0,
        settle: float = 5.0,
    ) -> None:
        """A Deployment and its Service as an ordinary user writes them, ready, and a meshed client."""
        self.apply(shop_deployment(namespace, name, replicas, image))
        self.apply(shop_service(namespace, name))
        self.run(settle)
        if rate > 0:
            self.traffic.add_client(name, namespace, rate)

    def install_istio(self, revision: str = "default", *, settle: float = 5.0) -> None:
        """A control plane, ready: from now on pods are in the mesh by their proxies, and policies count."""
        for obj in installation(revision):
            self.apply(obj)
        self.run(settle)

    # -- looking

    def get(self, kind: Kind, name: str, namespace: str = "shop") -> Json:
        """A copy of an object that must exist.

        Raises:
            NotFound: it does not.
        """
        ref = Ref(kind, namespace if kind.namespaced else "", name)
        obj = self.objects.get(ref)
        if obj is None:
            raise NotFound(f"{ref} does not exist")
        return clone(obj)

    def exists(self, kind: Kind, name: str, namespace: str = "shop") -> bool:
        """Whether there is such an object."""
        return self.objects.get(Ref(kind, namespace if kind.namespaced else "", name)) is not None

    def ready_pods(self, namespace: str = "shop", **labels: str) -> list[str]:
        """Names of the pods with these labels that take requests."""
        pods = self.objects.of(POD, namespace)
        return [p["metadata"]["name"] for p in pods if is_ready(p) and matches(p["metadata"].get("labels"), labels)]

    def run(self, seconds: float) -> None:
        """Let time pass without an event loop; inside one, `clock.sleep` does it."""
        self.clock.run(seconds)

    def _replace(self, ref: Ref, obj: Json) -> Json:
        guard = Guard(obj["metadata"]["uid"])
        meta = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
        ops = [{"op": "replace", "path": "", "value": {**obj, "metadata": meta}}]
        return clone(self.user.server.patch(ref, ops, guard, self.user.may))


def shop_deployment(namespace: str, name: str, replicas: int, image: str) -> Json:
    """A Deployment as an ordinary user writes it."""
    container = {"name": "app", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    }


def shop_service(namespace: str, name: str) -> Json:
    """Its Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


def _merged(old: Json, new: Json) -> Json:
    """Maps are merged, everything else is replaced: close enough to server-side apply by the sole owner of a field."""
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(old.get(key), dict)
        merged[key] = _merged(old[key], value) if both else value
    return merged
