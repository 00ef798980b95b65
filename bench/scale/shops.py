"""N shops: a Deployment of one pod, a Service, a VirtualService and a CanaryPlan each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.scale.api import Api, Json, side_by_side
from rollout.plan.base import RUN_LABEL

HOLD, SETTLE = 9.0, 0.5
"""Seconds of each step: with the writes and looks in between it comes to `PERIOD`."""
PERIOD = 10.0
"""Seconds between two weights, as the peers were measured with."""
CANARY = "-canary"
GATES = [
    {"name": "success", "metric": "success", "min": "99%"},
    {"name": "latency", "metric": "slow", "slowerThan": "500ms", "max": "5%"},
]

Pod = tuple[str, str, str]
"""Namespace, workload and name."""


@dataclass(frozen=True)
class Shop:
    """One of the N."""

    namespace: str
    name: str

    @property
    def deployment(self) -> str:
        """Path of its Deployment."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}"

    @property
    def candidate(self) -> tuple[str, str]:
        """Namespace and name of its candidate."""
        return self.namespace, self.name + CANARY

    def objects(self) -> list[tuple[str, Json]]:
        """Its objects, each with the path of its collection."""
        within = f"namespaces/{self.namespace}"
        return [
            (f"/apis/apps/v1/{within}/deployments", self._of("apps/v1", "Deployment", self._workload())),
            (f"/api/v1/{within}/services", self._of("v1", "Service", self._service())),
            (
                f"/apis/networking.istio.io/v1/{within}/virtualservices",
                self._of("networking.istio.io/v1", "VirtualService", self._route()),
            ),
            (
                f"/apis/meshrollout.dev/v1alpha1/{within}/canaryplans",
                self._of("meshrollout.dev/v1alpha1", "CanaryPlan", self._plan()),
            ),
        ]

    def _of(self, version: str, kind: str, spec: Json) -> Json:
        meta = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}

    def _workload(self) -> Json:
        labels = {"app": self.name}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "example.com/app:1"}]}}
        return {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}

    def _service(self) -> Json:
        return {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}

    def _route(self) -> Json:
        return {"hosts": [self.name], "http": [{"route": [{"destination": {"host": self.name}}]}]}

    def _plan(self) -> Json:
        looks = {"interval": f"{HOLD:g}s", "gates": GATES}
        return {
            "target": {"name": self.name},
            "linear": {"step": 1, "every": f"{HOLD:g}s", "to": 50},
            "analysis": looks,
            "router": {"settle": f"{1000 * SETTLE:g}ms"},
        }


def make(count: int, namespaces: int) -> list[Shop]:
    """The shops, spread over namespaces."""
    return [Shop(f"bench-{number % namespaces}", f"shop-{number}") for number in range(count)]


def install(api: Api, shops: list[Shop]) -> None:
    """Create them all, the plans last."""
    for namespace in sorted({shop.namespace for shop in shops}):
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    for part in range(4):
        side_by_side(lambda pair: api.call("POST", *pair), [shop.objects()[part] for shop in shops])


def change(api: Api, shops: list[Shop]) -> None:
    """Ask for a new version of all of them: what Git would do."""
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "example.com/app:2"}]}}}}
    kind = "application/strategic-merge-patch+json"
    side_by_side(lambda shop: api.call("PATCH", shop.deployment, patch, kind), shops)


def stable_pods(api: Api, shops: list[Shop]) -> list[Pod]:
    """Every stable pod that is ready."""
    return list(_ready(api, shops, lambda labels: "" if RUN_LABEL in labels else labels["app"]))


def candidate_pods(api: Api, shops: list[Shop]) -> list[Pod]:
    """Every candidate's pod that is ready."""
    return list(_ready(api, shops, lambda labels: f"{labels['app']}{CANARY}" if RUN_LABEL in labels else ""))


def _ready(api: Api, shops: list[Shop], workload: Callable[[Json], str]) -> Iterator[Pod]:
    """The pods that are ready, of the workload that their labels stand for; none when that is empty."""
    for namespace in sorted({shop.namespace for shop in shops}):
        for pod in api.items(f"/api/v1/namespaces/{namespace}/pods"):
            name = workload(pod["metadata"]["labels"])
            conditions = (pod.get("status") or {}).get("conditions", [])
            if name and any(it["type"] == "Ready" and it["status"] == "True" for it in conditions):
                yield pod["metadata"]["namespace"], name, pod["metadata"]["name"]
