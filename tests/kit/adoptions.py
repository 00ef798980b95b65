"""Plans of adoption that break one rule each, and sound ones; in the manner of `plans`."""

from __future__ import annotations

from typing import Any

import yaml

from rollout.plan.gate import TemplateSpec
from rollout.plan.lint import Known
from tests.kit.plans import WINDOW, Broken

CALLER = "cluster.local/ns/shop/sa/gateway"
MESH = {"istio": frozenset({"shadow-strict", "shadow-authorization", "live-policy"})}
WHOLE = {"workload": {"name": "ftp"}, "reason": "speaks no HTTP", "until": "2027-03-31"}
PORT = {"workload": {"name": "web"}, "ports": [9090], "reason": "the scraper has no proxy", "until": "2027-03-31"}
QUEUE = {"name": "queue", "query": 'depth{ns="${namespace}"}', "max": 100}
OWN = {"name": "own", "query": 'errors{ns="${namespace}",w="${workload}"}', "max": 0}


def manifest(kind: str, name: str, spec: dict[str, Any], group: str = "networking", **metadata: Any) -> dict[str, Any]:
    """A manifest of Istio."""
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name} | metadata,
        "spec": spec,
    }


def policy(name: str, app: str = "", action: str = "ALLOW", **metadata: Any) -> dict[str, Any]:
    """An AuthorizationPolicy."""
    selector = {"selector": {"matchLabels": {"app": app}}} if app else {}
    spec = selector | {"action": action, "rules": [{"from": [{"source": {"principals": [CALLER]}}]}]}
    return manifest("AuthorizationPolicy", name, spec, "security", **metadata)


RULE = manifest("DestinationRule", "web", {"host": "web"})
DRILL = manifest(
    "VirtualService",
    "web",
    {
        "hosts": ["web"],
        "http": [{"fault": {"abort": {"httpStatus": 503}}, "route": [{"destination": {"host": "web"}}]}],
    },
)
LOCKED: dict[str, Any] = {"shadowStrict": {}, "strict": {}}
JOURNEY: dict[str, Any] = {
    "mesh": {"driver": "istio", "namespace": "istio-system", "revision": "stable"},
    "waves": [[{"name": "web"}], [{"kind": "StatefulSet", "name": "db"}]],
    "stages": {
        "enrol": {"observe": "5m", "approve": {}},
        "permissive": {},
        "traffic": {"apply": [RULE, DRILL], "gates": []},
        "shadowStrict": {"window": "7d", "deadline": "14d"},
        "strict": {"approve": {"within": "2d", "otherwise": "promote"}, "onFailure": "stage", "pods": 2},
        "authorize": {"policies": [policy("web", "web"), policy("db", "db")], "denyByDefault": True},
    },
    "exceptions": [PORT],
    "analysis": {"gates": [QUEUE, OWN], "warmup": "15s"},
    "budget": {"cpu": 0.1, "memory": 150_000_000},
}
CLASSIC: dict[str, Any] = {"stages": {}}


def adoption(spec: dict[str, Any], name: str = "shop", namespace: str = "shop") -> str:
    """A plan as a file."""
    head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "MeshAdoptionPlan"}
    return yaml.safe_dump(head | {"metadata": {"name": name, "namespace": namespace}, "spec": spec}, sort_keys=False)


def stages(**given: Any) -> dict[str, Any]:
    return {"stages": given}


def analysis(**given: Any) -> dict[str, Any]:
    return {"analysis": given}


def apply(*given: dict[str, Any]) -> dict[str, Any]:
    return stages(traffic={"apply": list(given)})


def authorize(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return stages(**LOCKED, authorize={"policies": list(given)} | more)


def window(**changes: Any) -> dict[str, Any]:
    """An adoption that is allowed in one window."""
    return {"windows": {"allow": [WINDOW | changes]}}


BROKEN = [
    Broken("RO112", "spec.stages.strikt", stages(strikt={})),
    Broken("RO113", "spec.exceptions[0].until", {"exceptions": [PORT | {"until": "2027-02-30"}]}),
    Broken("RO113", "spec.exceptions[0].until", {"exceptions": [PORT | {"until": "31.03.2027"}]}),
    Broken("RO114", "spec.exceptions[0].reason", {"exceptions": [PORT | {"reason": ""}]}),
    Broken("RO114", "spec.stages.traffic.apply", stages(traffic={"apply": []})),
    Broken("RO114", "spec.waves[0]", {"waves": [[]]}),
    Broken("RO115", "spec.stages.authorize.policies", stages(strict={}, authorize={})),
    Broken("RO115", "spec.exceptions[0].until", {"exceptions": [{k: v for k, v in PORT.items() if k != "until"}]}),
    Broken("RO134", "spec.analysis.gates[0]", analysis(gates=[{"name": "a", "query": "up"}])),
    Broken("RO135", "spec.stages.enrol.gates[1].name", stages(enrol={"gates": [QUEUE, QUEUE]})),
    Broken("RO138", "spec.analysis.gates[0].min", analysis(gates=[QUEUE | {"min": 200}])),
    Broken(
        "RO144",
        "spec.stages.strict.gates[0].template",
        stages(shadowStrict={}, strict={"gates": [{"name": "a", "template": "gone", "min": 1}]}),
        Known(templates={}),
    ),
    Broken(
        "RO145",
        "spec.analysis.gates[0].variables.workload",
        analysis(gates=[OWN | {"variables": {"workload": "web"}}]),
    ),
    Broken("RO267", "spec.analysis.gates[0].onFailure", analysis(gates=[QUEUE | {"onFailure": "rollback"}])),
    Broken("RO268", "spec.analysis.gates[0].relativeTo", analysis(gates=[QUEUE | {"relativeTo": "stable"}])),
    Broken("RO240", "spec.analysis", analysis(gates=[{"name": "a", "metric": "success", "min": "99%"}])),
    Broken("RO240", "spec.stages.enrol", stages(enrol={"gates": [{"name": "a", "metric": "success", "min": "99%"}]})),
    Broken("RO241", "spec.stages", stages(authorize={"policies": [policy("web", "web")]})),
    Broken("RO242", "spec.stages.traffic.apply[0]", apply(RULE | {"apiVersion": "v1", "kind": "Secret"})),
    Broken("RO242", "spec.stages.traffic.apply[0]", apply(RULE | {"apiVersion": "xnetworking.istio.io/v1"})),
    Broken(
        "RO242",
        "spec.stages.traffic.apply[0]",
        apply(RULE | {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass"}),
    ),
    Broken(
        "RO243",
        "spec.stages.traffic.apply[0]",
        apply(manifest("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}}, "security")),
    ),
    Broken("RO243", "spec.stages.traffic.apply[0]", apply(policy("web", "web"))),
    Broken("RO244", "spec.budget", {"budget": {}}),
    Broken("RO245", "spec.stages.authorize.policies[0]", authorize(RULE)),
    Broken("RO250", "spec.strategy", {"strategy": "mesh-adaption"}, Known(compilers=frozenset({"mesh-adoption"}))),
    Broken("RO251", "spec.mesh.driver", {"mesh": {"driver": "isto"}}, Known(meshes=MESH)),
    Broken(
        "RO252",
        "spec.stages.shadowStrict",
        stages(**LOCKED),
        Known(meshes={"istio": frozenset({"live-policy"})}),
    ),
    Broken("RO253", "spec.stages.strict", stages(strict={})),
    Broken("RO254", "spec.stages.shadowStrict.window", stages(shadowStrict={"window": "1h"}, strict={})),
    Broken("RO254", "spec.stages.authorize.window", authorize(policy("web", "web"), window="10m")),
    Broken("RO255", "spec.onFailure", {"onFailure": "all"}),
    Broken("RO255", "spec.stages.enrol.onFailure", stages(enrol={"onFailure": "all"})),
    Broken("RO256", "spec.exceptions[0]", {"exceptions": [WHOLE]}),
    Broken("RO257", "spec.waves[1][0]", {"waves": [[{"name": "web"}], [{"kind": "Deployment", "name": "web"}]]}),
    Broken("RO257", "spec.exceptions[1].workload", {"exceptions": [PORT, PORT | {"ports": [80]}]}),
    Broken("RO258", "spec.analysis.deadline", analysis(deadline="1m")),
    Broken("RO258", "spec.stages.enrol.deadline", stages(enrol={"observe": "2h"})),
    Broken("RO259", "spec.analysis.observe", analysis(observe="10s")),
    Broken("RO259", "spec.stages.enrol.observe", stages(enrol={"observe": "1m"}) | analysis(observe="2m", warmup="1m")),
    Broken("RO260", "spec.analysis.gates[0]", analysis(gates=[QUEUE | {"query": "x{c='${candidate}'}"}])),
    Broken(
        "RO260",
        "spec.analysis.gates[0]",
        analysis(gates=[{"name": "a", "template": "there", "min": 1}]),
        Known(templates={"there": TemplateSpec(query="up{z='${zone}'}")}),
    ),
    Broken("RO261", "metadata.name", CLASSIC, name="a" * 51),
    Broken(
        "RO262",
        "spec.stages.traffic.apply[0].metadata.namespace",
        apply(manifest("DestinationRule", "web", {"host": "web"}, namespace="other")),
    ),
    Broken("RO263", "spec.stages.traffic.apply[1].metadata.name", apply(RULE, RULE)),
    Broken("RO264", "spec.stages.authorize.denyByDefault", authorize(policy("web", "web", "DENY"), denyByDefault=True)),
    Broken("RO265", "spec.stages.authorize.policies[1]", authorize(policy("a", "web"), policy("b", "web"))),
    Broken("RO265", "spec.stages.authorize.policies[1]", authorize(policy("a", "web"), policy("all"))),
    Broken(
        "RO266",
        "spec.stages.authorize.policies[0].metadata.annotations.istio.io/dry-run",
        authorize(policy("web", "web", annotations={"istio.io/dry-run": "true"})),
    ),
    Broken("RO364", "spec.windows.allow[0].start", window(start="0 25 * * *")),
    Broken("RO365", "spec.windows.deny[0].timeZone", {"windows": {"deny": [WINDOW | {"timeZone": "Mars/Olympus"}]}}),
    Broken("RO366", "spec.windows.allow[0].duration", window(duration="40d")),
]
