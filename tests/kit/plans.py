"""Plans that break one rule each, and sound ones: for lint, and for the API server, which refuses some of them too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from rollout.plan.gate import TemplateSpec
from rollout.plan.lint import Known

SUCCESS = {"name": "success", "metric": "success", "min": "99%"}
SLOW = {"name": "slow", "metric": "slow", "slowerThan": "500ms", "max": "5%"}
STEPS = [{"weight": 10}, {"weight": 50}]
CLEAN: dict[str, Any] = {"target": {"name": "web"}, "steps": STEPS, "analysis": {"gates": [SUCCESS]}}
LINEAR: dict[str, Any] = {key: value for key, value in CLEAN.items() if key != "steps"}
BLUE_GREEN: dict[str, Any] = LINEAR | {"strategy": "blue-green", "blueGreen": {}}
TESTERS = [{"headers": {"x-tester": {"exact": "yes"}}}]
COMPARE = {"name": "errors", "type": "compare"}
SPLIT = {"name": "split", "type": "traffic"}
TRAFFIC: dict[str, Any] = {
    "service": "web",
    "traffic": {"stable": {"subset": "v1"}, "candidate": {"subset": "v2"}, "workloads": ["web-v1", "web-v2"]},
    "steps": STEPS,
    "analysis": {"gates": [SUCCESS]},
}
NAMELESS: dict[str, Any] = TRAFFIC | {"traffic": {"stable": {"subset": "a"}, "candidate": {"subset": "b"}}}


def text(spec: dict[str, Any], name: str = "web", namespace: str = "shop") -> str:
    """A plan as a file."""
    head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "CanaryPlan"}
    metadata = {"name": name, "namespace": namespace}
    return yaml.safe_dump(head | {"metadata": metadata, "spec": spec}, sort_keys=False)


@dataclass(frozen=True)
class Broken:
    """A plan that breaks one rule, and where."""

    code: str
    path: str
    spec: dict[str, Any]
    known: Known = field(default_factory=Known)
    name: str = "web"


def steps(*given: dict[str, Any]) -> dict[str, Any]:
    return CLEAN | {"steps": list(given)}


def hooks(*given: dict[str, Any]) -> dict[str, Any]:
    return CLEAN | {"hooks": [{"name": "load", "when": "before"} | it for it in given]}


def web(**given: Any) -> dict[str, Any]:
    return {"webhook": {"url": "https://hooks.example.com/x"} | given}


def job(**pod: Any) -> dict[str, Any]:
    return {"job": {"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "x"}]} | pod}}}}


HEADER = {"name": "Authorization", "valueFrom": {"name": "hook", "key": "token"}}


def gate(**given: Any) -> dict[str, Any]:
    return CLEAN | {"analysis": {"gates": [{key: value for key, value in given.items() if value is not None}]}}


def analysis(**given: Any) -> dict[str, Any]:
    return CLEAN | {"analysis": {"gates": [SUCCESS]} | given}


def provider(**given: Any) -> dict[str, Any]:
    return analysis(provider={"address": "http://prom:9090"} | given)


WATCHED = {"name": "depth", "query": "max(depth)", "max": 5, "observeOnly": True}
HEALTHY: dict[str, Any] = {
    "name": "healthy",
    "type": "condition",
    "metrics": {"errors": {"query": "errors"}},
    "condition": "errors < 1",
}
THERE = {"template": "gone"}
NOTHING = Known(templates={})


def condition(text: str, **metrics: Any) -> dict[str, Any]:
    return gate(**HEALTHY | {"condition": text, "metrics": HEALTHY["metrics"] | metrics})


LATENCY = {"name": "p99", "query": "p99{workload='${candidate}'}", "max": 1.5, "relativeTo": "stable"}
BOUND = {"type": "smi", "virtualServices": ["a"]}
SERVICES = Known(routers={"smi": frozenset({"fractions"})})
SECRET = {"name": "prom", "key": "token"}
WINDOW: dict[str, Any] = {"start": "0 9 * * *", "duration": "8h"}
"""A window of every day."""


def window(**changes: Any) -> dict[str, Any]:
    """A plan that is allowed in one window."""
    return CLEAN | {"windows": {"allow": [WINDOW | changes]}}


BROKEN = [
    Broken("RO101", "spec.steps[1].weight", steps({"weight": 30}, {"weight": 20})),
    Broken("RO102", "spec.steps[1].weight", steps({"weight": 30}, {"weight": 30})),
    Broken("RO103", "spec.steps[0]", steps({"hold": "1m"}, {"weight": 20})),
    Broken("RO103", "spec.steps[0]", steps({"weight": 1, "approve": {}})),
    Broken("RO104", "spec.linear", LINEAR | {"linear": {"step": 0.5, "every": "1m", "to": 50}}),
    Broken(
        "RO105",
        "spec.steps[0].weight",
        steps({"weight": 0.5}, {"weight": 50}),
        Known(routers={"istio": frozenset()}),
    ),
    Broken("RO117", "spec.steps[0].weight", steps({"weight": 0.005}, {"weight": 50})),
    Broken("RO117", "spec.steps[1].weight", steps({"weight": 50}, {"weight": 99.995})),
    Broken("RO106", "spec.steps[1]", steps({"weight": 0}, {"weight": 60})),
    Broken("RO107", "spec.steps[0]", steps({"weight": 1})),
    Broken("RO108", "spec.steps[1].name", steps({"weight": 1, "name": "a"}, {"weight": 50, "name": "a"})),
    Broken("RO109", "spec.steps[0].name", steps({"weight": 10, "name": "release"})),
    Broken("RO112", "spec.steps[0].wait", steps({"weight": 10, "wait": "1m"})),
    Broken("RO113", "spec.steps[0].hold", steps({"weight": 10, "hold": 60})),
    Broken("RO114", "spec.steps[0].weight", steps({"weight": 120})),
    Broken("RO115", "spec.analysis.gates[0].name", gate(metric="success", min=0.9)),
    Broken("RO120", "spec.steps[0].hold", steps({"weight": 10, "hold": "10s"}, {"weight": 50})),
    Broken("RO120", "spec.linear.every", LINEAR | {"linear": {"step": 10, "every": "10s"}}),
    Broken("RO120", "spec.steps[0].hold", steps({"weight": 10, "hold": "0s"}, {"weight": 50})),
    Broken("RO121", "spec.steps[0].hold", steps({"weight": 10, "hold": "20s"}, {"weight": 50})),
    Broken("RO122", "spec.analysis.warmup", analysis(warmup="1m")),
    Broken("RO123", "spec.steps[0].deadline", steps({"weight": 10, "deadline": "30s"})),
    Broken("RO123", "spec.steps[1].deadline", steps({"weight": 10}, {"approve": {"within": "2h"}, "deadline": "1h"})),
    Broken("RO124", "spec.steps[0]", steps({"approve": {}}, {"weight": 10})),
    Broken("RO130", "spec.analysis.gates[0]", gate(name="a", metric="success", query="up", min=1)),
    Broken("RO130", "spec.analysis.gates[0]", gate(name="a", min=1)),
    Broken("RO131", "spec.analysis.gates[0]", gate(name="a", metric="slow", max=0.1)),
    Broken("RO131", "spec.analysis.gates[0]", gate(name="a", metric="success", min=0.9, slowerThan="1s")),
    Broken("RO132", "spec.analysis.gates[0]", gate(**SUCCESS, failures=6)),
    Broken("RO125", "spec.analysis", analysis(falseRollback="0%")),
    Broken("RO125", "spec.analysis", analysis(falseRollback="60%")),
    Broken("RO133", "spec", CLEAN | {"analysis": {"gates": []}}),
    Broken("RO133", "spec", {key: value for key, value in NAMELESS.items() if key != "analysis"}),
    Broken("RO133", "spec", gate(**SUCCESS, observeOnly=True)),
    Broken("RO134", "spec.analysis.gates[0]", gate(name="a", metric="success")),
    Broken("RO135", "spec.analysis.gates[1].name", CLEAN | {"analysis": {"gates": [SUCCESS, SUCCESS]}}),
    Broken("RO135", "spec.steps[0].gates[1].name", steps({"weight": 10, "gates": [SUCCESS, SUCCESS]})),
    Broken("RO136", "spec.analysis.gates[0].min", gate(name="a", metric="success", min=99)),
    Broken("RO136", "spec.analysis.gates[0].max", gate(**(SLOW | {"max": "150%"}))),
    Broken("RO137", "spec.analysis.gates[0].max", gate(name="a", metric="success", max=0.99)),
    Broken("RO137", "spec.analysis.gates[0].min", gate(name="a", metric="slow", slowerThan="1s", min=0.1)),
    Broken("RO138", "spec.analysis.gates[0].min", gate(name="a", query="up", min=2, max=1)),
    Broken("RO139", "spec.analysis.gates[0].slowerThan", gate(**(SLOW | {"slowerThan": "300ms"}))),
    Broken("RO140", "spec.analysis.provider", provider(address="http://me:secret@prom:9090")),
    Broken(
        "RO141",
        "spec.analysis.provider",
        provider(bearer=SECRET, basic={"username": "me", "password": SECRET}),
    ),
    Broken("RO142", "spec.analysis.provider", provider(headers={"authorization": "Bearer x"})),
    Broken("RO143", "spec.analysis.gates[0].minRequests", gate(**SUCCESS, minRequests=0)),
    Broken("RO235", "spec.analysis.gates[0]", gate(**SUCCESS, relativeTo="stable")),
    Broken("RO175", "spec.analysis.gates[0]", gate(name="a", query="up", max=2, relativeTo="stable")),
    Broken("RO176", "spec.analysis.gates[0].max", gate(**LATENCY | {"max": 0})),
    Broken("RO163", "spec.analysis.gates[0]", BLUE_GREEN | {"analysis": {"gates": [LATENCY]}}),
    Broken("RO177", "spec.analysis.gates[0].metrics.errors", condition("errors < 1", errors={})),
    Broken("RO178", "spec.analysis.gates[0].condition", condition("errors < ")),
    Broken("RO178", "spec.analysis.gates[0].condition", condition("errors + 1.0")),
    Broken("RO178", "spec.analysis.gates[0].condition", condition("size(errors) < 1")),
    Broken("RO179", "spec.analysis.gates[0].condition", condition("errors < 1 || error > 2")),
    Broken("RO179", "spec.analysis.gates[0].metrics.depth", condition("errors < 1", depth={"query": "depth"})),
    Broken("RO179", "spec.analysis.gates[0].metrics.a-b", condition("errors < 1", **{"a-b": {"query": "depth"}})),
    Broken("RO144", "spec.analysis.gates[0].metrics.errors.template", condition("errors < 1", errors=THERE), NOTHING),
    Broken(
        "RO146", "spec.analysis.gates[0].metrics.errors", condition("errors < 1", errors={"query": "e{z='${zone}'}"})
    ),
    Broken("RO132", "spec.analysis.gates[0]", gate(**HEALTHY, over=1)),
    Broken(
        "RO115", "spec.analysis.gates[0].condition", gate(name="a", type="condition", metrics={"e": {"query": "e"}})
    ),
    Broken("RO234", "spec.analysis.gates[1].onFailure", analysis(gates=[SUCCESS, WATCHED | {"onFailure": "hold"}])),
    Broken("RO234", "spec.analysis.gates[0].maxHold", gate(**SUCCESS, maxHold="10m")),
    Broken("RO133", "spec", gate(**SUCCESS, onFailure="promote")),
    Broken("RO114", "spec.analysis.gates[0].onFailure", gate(**SUCCESS, onFailure="promoted")),
    Broken(
        "RO144",
        "spec.analysis.gates[0].template",
        gate(name="a", template="gone", min=1),
        Known(templates={"there": TemplateSpec(query="up")}),
    ),
    Broken(
        "RO145",
        "spec.analysis.gates[0].variables.window",
        gate(name="a", query="up", min=1, variables={"window": "1m"}),
    ),
    Broken("RO146", "spec.analysis.gates[0]", gate(name="a", query="up{z='${zone}'}", min=1)),
    Broken(
        "RO146",
        "spec.analysis.gates[0]",
        gate(name="a", template="there", min=1),
        Known(templates={"there": TemplateSpec(query="up{z='${zone}'}")}),
    ),
    Broken("RO131", "spec.analysis.gates[0]", gate(**COMPARE, slowerThan="1s")),
    Broken("RO131", "spec.analysis.gates[0]", gate(name="a", type="slo", metric="slow", objective="99%")),
    Broken("RO139", "spec.analysis.gates[0].slowerThan", gate(**COMPARE, metric="slow", slowerThan="300ms")),
    Broken("RO143", "spec.analysis.gates[0].minRequests", gate(**COMPARE, minRequests=0)),
    Broken("RO147", "spec.analysis.gates[0]", gate(**COMPARE, tolerance="1%")),
    Broken("RO147", "spec.analysis.gates[0]", gate(**COMPARE, tolerance="0pp")),
    Broken("RO148", "spec.analysis.gates[0]", gate(**SPLIT, tolerance="25pp")),
    Broken("RO148", "spec.analysis.gates[0]", gate(**SPLIT, tolerance="100%")),
    Broken("RO149", "spec.analysis.gates[0]", gate(name="a", type="slo", objective="100%")),
    Broken("RO149", "spec.analysis.gates[0]", gate(name="a", type="slo", objective="90%", burn=10)),
    Broken("RO112", "spec.analysis.gates[0].objective", gate(**COMPARE, objective="99%")),
    Broken("RO114", "spec.analysis.gates[0].type", gate(name="a", type="compair")),
    Broken("RO115", "spec.analysis.gates[0].objective", gate(name="a", type="slo")),
    Broken("RO150", "spec", CLEAN | TRAFFIC),
    Broken("RO150", "spec", {"steps": STEPS}),
    Broken("RO151", "spec", CLEAN | {"linear": {"step": 10, "every": "1m"}}),
    Broken("RO152", "spec", {key: value for key, value in TRAFFIC.items() if key != "service"}),
    Broken("RO153", "spec.traffic", TRAFFIC | {"traffic": {"stable": {"subset": "a"}, "candidate": {"subset": "a"}}}),
    Broken(
        "RO154",
        "spec.analysis.gates[0].metric",
        NAMELESS,
    ),
    Broken("RO154", "spec.analysis.gates[0].metric", NAMELESS | {"analysis": {"gates": [COMPARE]}}),
    Broken("RO154", "spec.analysis.gates[0].type", NAMELESS | {"analysis": {"gates": [SPLIT]}}),
    Broken("RO155", "spec.strategy", CLEAN | {"strategy": "canari"}, Known(strategies=frozenset({"canary"}))),
    Broken("RO165", "spec.traffic.stable.subset", TRAFFIC | {"router": {"type": "smi"}}, SERVICES),
    Broken(
        "RO166", "spec.router.virtualServices", CLEAN | {"router": {"type": "smi", "virtualServices": ["a"]}}, SERVICES
    ),
    Broken("RO167", "spec.router.type", CLEAN | {"router": {"type": "smi"}}, Known(retired={"smi": "it is no more"})),
    Broken("RO156", "spec.router.type", CLEAN | {"router": {"type": "isto"}}, Known(routers={"istio": frozenset()})),
    Broken("RO118", "spec.match[0].headers.a", CLEAN | {"match": [{"headers": {"a": {}}}]}),
    Broken("RO119", "spec.match[0]", CLEAN | {"match": [{}]}),
    Broken(
        "RO126", "spec.match[0]", CLEAN | {"match": [{"headers": {"cookie": {"exact": "a"}}, "cookies": {"a": "b"}}]}
    ),
    Broken("RO128", "spec.match[0]", CLEAN | {"match": [{"headers": {"X-Tester": {"exact": "yes"}}}]}),
    Broken("RO127", "spec", TRAFFIC | {"match": TESTERS}),
    Broken("RO169", "spec.match", CLEAN | {"match": TESTERS, "router": {"type": "smi"}}, SERVICES),
    Broken("RO203", "spec.steps[0]", steps({"approve": {}, "mirror": 5}, {"weight": 50})),
    Broken(
        "RO206",
        "spec.steps[0].mirror",
        steps({"weight": 0, "mirror": 5}, {"weight": 50}) | {"router": {"type": "smi"}},
        SERVICES,
    ),
    Broken("RO206", "spec.steps[0].mirror", TRAFFIC | {"steps": [{"weight": 5, "mirror": 5}]}),
    Broken("RO162", "spec", CLEAN | {"strategy": "blue-green"}),
    Broken("RO162", "spec", LINEAR | {"blueGreen": {}}),
    Broken("RO168", "spec", BLUE_GREEN | {"promotion": {"mode": "native"}}),
    Broken("RO163", "spec.analysis.gates[0]", BLUE_GREEN | {"analysis": {"gates": [COMPARE]}}),
    Broken("RO120", "spec.blueGreen.keepStable", BLUE_GREEN | {"blueGreen": {"keepStable": "10s"}}),
    Broken("RO151", "spec", {"target": {"name": "web"}}),
    Broken("RO157", "spec.target.name", CLEAN | {"target": {"name": "a" * 57}}),
    Broken("RO158", "metadata.name", CLEAN, name="a" * 51),
    Broken("RO159", "spec.promotion.bake", CLEAN | {"promotion": {"mode": "native", "bake": "1m"}}),
    Broken("RO159", "spec.promotion.bake", steps({"weight": 10}, {"weight": 100}) | {"promotion": {"bake": "1m"}}),
    Broken(
        "RO160",
        "spec.traffic.candidate",
        TRAFFIC
        | {
            "traffic": {"stable": {"subset": "a"}, "candidate": {"host": "web", "subset": "a"}, "workloads": ["a", "b"]}
        },
    ),
    Broken(
        "RO161",
        "spec.steps",
        CLEAN
        | {
            "steps": [{"weight": weight, "hold": "5m"} for weight in range(10, 60)],
            "analysis": {"gates": [{"name": f"g{n}", "query": "x" * 4000, "min": 1} for n in range(2)]},
        },
    ),
    Broken("RO163", "spec.steps[1].gates[0]", steps({"weight": 10, "gates": []}, {"weight": 100, "gates": [COMPARE]})),
    Broken(
        "RO163", "spec.steps[1]", {"target": {"name": "web"}, "steps": [{"weight": 10, "gates": []}, {"weight": 100}]}
    ),
    Broken(
        "RO164",
        "spec.analysis.gates[0].name",
        steps({"weight": 10, "gates": [COMPARE | {"name": "success"}]}, {"weight": 50}),
    ),
    Broken(
        "RO129", "spec.steps[1].approve.count", steps(STEPS[0], {"approve": {"users": ["ana"], "count": 2}}, STEPS[1])
    ),
    Broken("RO280", "spec.hooks[0].webhook.headers[0]", hooks(web(headers=[{"name": "A"}]))),
    Broken("RO281", "spec.hooks[0].webhook", hooks({"webhook": {}})),
    Broken("RO282", "spec.hooks[0].webhook", hooks(web(url="https://me:secret@hooks.example.com"))),
    Broken("RO283", "spec.hooks[0]", hooks({})),
    Broken("RO284", "spec.hooks[1].name", hooks(web(), web())),
    Broken("RO285", "spec.hooks[0].steps[0]", hooks(web() | {"steps": ["weight-11"]})),
    Broken("RO286", "spec.hooks[0].webhook.url", hooks(web(url="http://169.254.169.254/latest"))),
    Broken("RO287", "spec.hooks[0].webhook.url", hooks(web(url="http://[::1]:8080/"))),
    Broken("RO287", "spec.hooks[0].webhook.url", hooks(web(url="https://kubernetes.default.svc/api"))),
    Broken("RO288", "spec.hooks[0].webhook.url", hooks(web(url="http://hooks.example.com/", headers=[HEADER]))),
    Broken("RO289", "spec.hooks[0].steps", hooks(web() | {"when": "after", "steps": ["weight-10"]})),
    Broken("RO289", "spec.hooks[0].onFailure", hooks(web() | {"when": "confirm", "onFailure": "ignore"})),
    Broken("RO290", "spec.hooks[0].job.spec", hooks(job(restartPolicy="Always"))),
    Broken("RO290", "spec.hooks[0].job.spec", hooks({"job": {"spec": {}}})),
    Broken("RO360", "spec.windows.allow[0].start", window(start="0 25 * * *")),
    Broken("RO361", "spec.windows.allow[0].timeZone", window(timeZone="Europe/Atlantis")),
    Broken("RO362", "spec.windows.allow[0].duration", window(duration="40d")),
    Broken("RO363", "spec.windows", CLEAN | {"windows": {"deny": [WINDOW | {"duration": "1d"}]}}),
    Broken("RO367", "spec.dependsOn", CLEAN | {"dependsOn": ["web"]}),
    Broken("RO291", "spec.hooks[0].every", hooks(web() | {"when": "during", "every": "1s"})),
]
