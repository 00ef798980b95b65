"""Stories of plans that the installed controller of a lab plays: promoted, rolled back, ordered about."""

from __future__ import annotations

import json

from lab.wait import wait_for
from rollout.plan.base import HOLD_LABEL, RUN_LABEL, Json
from tests.kit.installed import Installed, commit, ended, holding, obeyed
from tests.kit.shop import IMAGE, Shop, canary, lossless

RATE = 20
"""Requests per second of a shop's callers."""


def document(api: str, kind: str, name: str, spec: Json | None = None) -> Json:
    """An object as it is in Git."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}} | ({"spec": spec} if spec else {})


def own_route() -> Json:
    """The route that the shop's owner keeps in Git."""
    http = [{"name": "all", "route": [{"destination": {"host": "web"}}]}]
    return document("networking.istio.io/v1", "VirtualService", "web", {"hosts": ["web"], "http": http})


def with_configuration(shop: Shop) -> None:
    """The shop's pods get a ConfigMap and a volume, and a disruption budget and an autoscaler stand beside them."""
    labels = {"matchLabels": {"app": "web"}}
    scaled = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 2}
    volume = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    size = {"storage": "1Mi"}
    claim = {**volume, "resources": {"requests": size}, "volumeName": shop.ns}
    here = {"hostPath": {"path": "/tmp"}, "capacity": size, "claimRef": {"namespace": shop.ns, "name": "files"}}
    shop.apply(
        document("v1", "ConfigMap", "one"),
        document("v1", "ConfigMap", "two"),
        document("policy/v1", "PodDisruptionBudget", "web", {"minAvailable": 1, "selector": labels}),
        document("autoscaling/v2", "HorizontalPodAutoscaler", "web", scaled),
        document("v1", "PersistentVolumeClaim", "files", claim),
    )
    made = document("v1", "PersistentVolume", shop.ns, {**volume, **here})
    shop.lab.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    configure(shop, "one", "1.0")
    shop.kubectl("rollout", "status", "deployment/web", "--timeout=110s")


def configure(shop: Shop, config: str, image: str) -> None:
    """Write a template with this ConfigMap and this image."""
    container = {"name": "app", "image": IMAGE + image, "envFrom": [{"configMapRef": {"name": config}}]}
    volumes = [{"name": "files", "persistentVolumeClaim": {"claimName": "files"}}]
    patch = {"spec": {"template": {"spec": {"containers": [container], "volumes": volumes}}}}
    shop.kubectl("patch", "deployment", "web", f"-p={json.dumps(patch)}")


def promoted(shop: Shop, controller: Installed) -> None:
    """A good version over the owner's route, with everything that the checks look at."""
    commit(shop, canary(shop.ns), controller)
    shop.traffic(RATE)
    configure(shop, "two", "1.1")
    ended(shop, controller, "Succeeded", 1)
    shop.specs["Deployment/web"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] = "two"
    shop.at_rest("1.1")
    lossless(shop, "installed, a good version")
    shop.lab.kubectl("delete", "persistentvolume", shop.ns, "--wait=false")


OURS = "meshrollout.dev/v1alpha1"
TOO_LOW: Json = {"description": "A share that is always too low.", "query": "vector(0.2)"}


def rolled_back(shop: Shop, controller: Installed) -> None:
    """A bad version, tried again, then undone; only one run is kept."""
    gate: Json = {"name": "basket", "template": "basket", "min": 0.9, "failures": 2, "over": 3}
    plan = canary(shop.ns, (30,), gates=(gate,))
    plan["spec"]["history"] = 1
    shop.apply(document(OURS, "MetricTemplate", "basket", TOO_LOW))
    shop.remember()
    commit(shop, plan, controller)
    shop.traffic(RATE)
    shop.push("1.1")
    ended(shop, controller, "RolledBack", 1)
    shop.at_rest("1.1", paused=True)
    obeyed(shop, "retry")
    ended(shop, controller, "RolledBack", 2)
    assert wait_for(lambda: len(shop.get("planruns")["items"]) == 1, 30, 0.5), "older runs are discarded"
    obeyed(shop, "undo", "--yes")
    assert wait_for(lambda: shop.get("deployment/web")["spec"].get("paused") is not True, 60, 0.5), controller.text()
    shop.at_rest("1.0")
    lossless(shop, "installed, a bad version")


def ordered(shop: Shop, controller: Installed) -> None:
    """Pause, resume, promote, abort, retry, and in the end the plan is deleted; meanwhile a dead terminal's lease."""
    commit(shop, canary(shop.ns, hold="100s"), controller)
    shop.traffic(RATE)
    shop.push("1.1")
    holding(shop, controller, 1)
    obeyed(shop, "pause")
    shop.until(lambda run: run.get("phase") == "Paused", controller)
    run = shop.get("planruns")["items"][0]["metadata"]["name"]
    long_ago = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
    lease = document("coordination.k8s.io/v1", "Lease", f"rollout-{run}", long_ago)
    lease["metadata"]["labels"] = {RUN_LABEL: run}
    shop.apply(lease)
    obeyed(shop, "resume")
    obeyed(shop, "promote", "--yes", "--step=1")
    holding(shop, controller, 1, weight=50)
    assert shop.kubectl("get", "leases", "-o=name") == "", "the controller clears up after a terminal that died"
    obeyed(shop, "abort", "--yes")
    ended(shop, controller, "Aborted", 1)
    shop.at_rest("1.1", paused=True)
    obeyed(shop, "retry")
    holding(shop, controller, 2)
    shop.kubectl("delete", "canaryplan", "web", "--wait=false")
    shop.until(lambda run: run.get("reason") == "PlanDeleted", controller)
    label = HOLD_LABEL.replace(".", "\\.")
    query = f"-o=jsonpath={{.metadata.labels.{label}}}"
    assert wait_for(lambda: shop.kubectl("get", "deployment/web", query) == "", 60, 0.5), controller.text()
    assert wait_for(lambda: shop.kubectl("get", "planruns", "-o=name") == "", 60, 0.5), controller.text()
    shop.at_rest("1.1", paused=True)
    lossless(shop, "installed, orders")
