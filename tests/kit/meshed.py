"""Raw objects of a namespace with Istio: workloads with and without proxies, policies, webhooks, a control plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout.adapters.mesh.istio import Istio
from rollout.observe.survey import Survey
from rollout.observe.units import READS, units
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CONFIGMAP,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    REPLICASET,
    SERVICE,
    STATEFUL_SET,
    Kind,
    Ref,
    kind_of,
)
from rollout.ports.clock import Timetable
from rollout.ports.mesh import Edge, Peer, Traffic, Unit

HOME, SHOP = "istio-system", "shop"
BORN = "2026-01-01T00:00:00Z"
NOW = 1_767_225_600.0
"""The same moment."""
WILLING = {"sidecar.istio.io/inject": "true"}
"""A pod label."""


def obj(kind: Kind, name: str, namespace: str = SHOP, labels: Mapping[str, str] | None = None, **parts: Any) -> Json:
    """Any object."""
    meta: Json = {"name": name, "uid": f"uid-{kind}-{namespace}-{name}", "labels": dict(labels or {})}
    if kind.namespaced:
        meta["namespace"] = namespace
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, **parts}


def namespace(name: str = SHOP, **labels: str) -> Json:
    """A namespace; underscores in label names stand for dashes."""
    return obj(NAMESPACE, name, labels={key.replace("_", "-"): value for key, value in labels.items()})


def template(
    name: str, labels: Mapping[str, str] | None = None, notes: Mapping[str, str] | None = None, **spec: Any
) -> Json:
    """A pod template."""
    meta = {"labels": {"app": name, **(labels or {})}, "annotations": dict(notes or {})}
    return {"metadata": meta, "spec": {"containers": [{"name": "app", "image": f"shop/{name}:1"}], **spec}}


def workload(name: str, kind: Kind = DEPLOYMENT, made: Json | None = None, **spec: Any) -> Json:
    """What makes pods from a template."""
    return obj(kind, name, spec={"template": made or template(name), **spec})


def cron_job(name: str, schedule: str, made: Json | None = None, **spec: Any) -> Json:
    """A CronJob."""
    job = {"spec": {"template": made or template(name)}}
    return obj(CRON_JOB, name, spec={"schedule": schedule, "jobTemplate": job, **spec})


def pod(name: str, owner: Json | None = None, made: Json | None = None) -> Json:
    """A pod without a proxy."""
    made = made or template(name)
    found = obj(POD, name, labels=made["metadata"]["labels"], spec=made["spec"], status={"phase": "Running"})
    found["metadata"]["annotations"] = dict(made["metadata"].get("annotations") or {})
    if owner is not None:
        found["metadata"]["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "controller": True}]
    return found


def injected(plain: Json, revision: str = "default", *, native: bool = True, ready: bool = True) -> Json:
    """The pod as the injector leaves it."""
    where, statuses = ("initContainers", "initContainerStatuses") if native else ("containers", "containerStatuses")
    proxy: Json = {"name": "istio-proxy", "args": ["proxy", "sidecar"]} | (
        {"restartPolicy": "Always"} if native else {}
    )
    spec = {**plain["spec"], where: [*plain["spec"].get(where, ()), proxy]}
    status = {**plain["status"], statuses: [{"name": "istio-proxy", "ready": ready}]}
    notes = {**plain["metadata"].get("annotations", {}), "sidecar.istio.io/status": f'{{"revision":"{revision}"}}'}
    labels = {**plain["metadata"]["labels"], "security.istio.io/tlsMode": "istio"}
    return {
        **plain,
        "metadata": {**plain["metadata"], "annotations": notes, "labels": labels},
        "spec": spec,
        "status": status,
    }


def deployed(name: str, *, pods: int = 1, plain: int = 0, made: Json | None = None) -> list[Json]:
    """A Deployment, its ReplicaSet and its pods, the last `plain` of them without a proxy.

    Without a template of its own it asks for a proxy, if each of its pods has one.
    """
    made = made or template(name, None if plain else WILLING)
    web = workload(name, made=made)
    rs = workload(f"{name}-1", REPLICASET, made=made)
    rs["metadata"]["ownerReferences"] = [{"uid": web["metadata"]["uid"], "controller": True}]
    mine = [pod(f"{name}-1-{number}", rs, made) for number in range(pods)]
    return [web, rs, *(injected(it) for it in mine[: pods - plain]), *mine[pods - plain :]]


def service(name: str, *ports: Json) -> Json:
    """A Service of the workload of its name."""
    return obj(SERVICE, name, spec={"selector": {"app": name}, "ports": list(ports) or [{"name": "http", "port": 80}]})


def peer_authentication(
    name: str,
    mode: str | None,
    namespace: str = SHOP,
    *,
    selector: Mapping[str, str] | None = None,
    ports: Mapping[int, str] | None = None,
    born: str = BORN,
) -> Json:
    """A PeerAuthentication."""
    spec: Json = {} if mode is None else {"mtls": {"mode": mode}}
    if selector is not None:
        spec["selector"] = {"matchLabels": dict(selector)}
    if ports is not None:
        spec["portLevelMtls"] = {str(port): {"mode": it} for port, it in ports.items()}
    made = obj(PEER_AUTHENTICATION, name, namespace, spec=spec)
    made["metadata"]["creationTimestamp"] = born
    return made


def destination_rule(name: str, host: str, policy: Json, namespace: str = SHOP, **spec: Any) -> Json:
    """A DestinationRule."""
    return obj(DESTINATION_RULE, name, namespace, spec={"host": host, "trafficPolicy": policy, **spec})


def webhooks(revision: str = "default", tag: str = "") -> Json:
    """What an installation of a revision (or of a tag for it) registers."""
    asked, no = tag or revision, {"operator": "DoesNotExist"}
    willing = {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}
    rev, legacy = "istio.io/rev", "istio-injection"
    named = {"key": rev, "operator": "In", "values": [asked]}
    rules = [
        ("rev.namespace.", [named, {"key": legacy, **no}], [willing]),
        ("rev.object.", [{"key": rev, **no}, {"key": legacy, **no}], [willing, named]),
    ]
    if revision == "default" and not tag:
        true = {"key": "sidecar.istio.io/inject", "operator": "In", "values": ["true"]}
        rules += [
            ("namespace.", [{"key": legacy, "operator": "In", "values": ["enabled"]}], [willing]),
            ("object.", [{"key": legacy, **no}, {"key": rev, **no}], [true, {"key": rev, **no}]),
        ]
    hooks = [
        {
            "name": f"{prefix}sidecar-injector.istio.io",
            "namespaceSelector": {"matchExpressions": namespaces},
            "objectSelector": {"matchExpressions": pods},
        }
        for prefix, namespaces, pods in rules
    ]
    labels = {"app": "sidecar-injector", rev: revision} | ({"istio.io/tag": tag} if tag else {})
    return obj(MUTATING_WEBHOOK, f"istio-{tag or revision}", labels=labels, webhooks=hooks)


def istiod(revision: str = "default", version: str = "1.31.4", ready: int = 1) -> Json:
    """A control plane."""
    made = template("istiod")
    made["spec"]["containers"][0]["image"] = f"docker.io/istio/pilot:{version}"
    labels = {"app": "istiod", "istio.io/rev": revision}
    spec, status = {"template": made}, {"readyReplicas": ready}
    return obj(DEPLOYMENT, f"istiod-{revision}", HOME, labels=labels, spec=spec, status=status)


def config(name: str, **data: str) -> Json:
    """A ConfigMap of the control plane."""
    return obj(CONFIGMAP, name, HOME, data=data)


def by_kind(*objects: Json) -> dict[Kind, Sequence[Json]]:
    """As they are read; every kind of a mesh is there, if empty."""
    kinds = (NAMESPACE, MUTATING_WEBHOOK, PEER_AUTHENTICATION, DESTINATION_RULE, SERVICE, CONFIGMAP, *READS)
    found: dict[Kind, list[Json]] = {kind: [] for kind in kinds}
    for it in objects:
        found[kind_of(it)].append(it)
    return dict(found)


def unit_of(*objects: Json) -> Unit:
    """The one unit among them."""
    (unit,) = units(by_kind(*objects))
    return unit


def survey_of(*objects: Json, traffic: Traffic, tables: Mapping[Ref, Timetable] | None = None) -> Survey:
    """What Istio's driver sees in these objects of the shop; those of the control plane are no units."""
    mesh, every = Istio(), by_kind(*objects)
    mine = {kind: [it for it in them if it["metadata"].get("namespace") != HOME] for kind, them in every.items()}
    found = units(mine)
    views = mesh.views(found, every, HOME)
    return Survey(SHOP, NOW, mesh.control_planes(every), found, views, traffic, tables or {})


def journey() -> tuple[list[Json], tuple[Edge, ...]]:
    """A shop halfway into the mesh, with everything that can be in the way."""
    rare = template("report", containers=[{"name": "c", "args": ["http://web.shop/all"]}])
    agent = workload("agent", DAEMON_SET, made=template("agent", hostNetwork=True))
    ports = {9102: "PERMISSIVE"}
    db = workload("db", STATEFUL_SET, template("db", WILLING))
    objects = [
        namespace(),
        webhooks(),
        istiod(),
        *deployed("front", pods=2),
        *deployed("web", pods=3),
        *deployed("cart", pods=3, plain=1, made=template("cart", WILLING)),
        *deployed("pay", pods=2),
        *deployed("legacy", plain=1),
        db,
        injected(pod("db-0", db)),
        agent,
        pod("agent-x", agent, template("agent", hostNetwork=True)),
        cron_job("report", "0 0 1 * *", rare),
        *(service(name) for name in ("web", "cart", "pay", "db")),
        peer_authentication("default", "PERMISSIVE"),
        peer_authentication("pay", "STRICT", selector={"app": "pay"}, ports=ports),
        destination_rule("no-mtls", "cart", {"tls": {"mode": "DISABLE"}}),
    ]
    identity = "spiffe://cluster.local/ns/shop/sa/front"
    edges = (
        Edge(Peer(SHOP, "front", identity), SHOP, "web", "http", secure=True, amount=98_000.0),
        Edge(Peer(SHOP, "front", identity), SHOP, "db", "tcp", secure=True, amount=40.0),
        Edge(Peer(SHOP, "front", identity), SHOP, "cart", "http", secure=False, amount=700.0),
        Edge(Peer(SHOP, "front", identity), SHOP, "pay", "grpc", secure=True, amount=500.0),
        Edge(Peer(), SHOP, "web", "http", secure=False, amount=2_000.0),
    )
    return objects, edges
