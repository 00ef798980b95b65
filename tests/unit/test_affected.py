"""Which plans a change concerns: every plan that could decide otherwise because of it, found without looking at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.adapters.routers.istio import Istio
from rollout.controller.affected import Affected
from rollout.controller.process import concerns, scopes
from rollout.controller.stores import Stores
from rollout.plan.base import HOLD_LABEL, RUN_LABEL, Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    DEPLOYMENT,
    DESTINATION_RULE,
    LEASE,
    MESH_ADOPTION_PLAN,
    METRIC_TEMPLATE,
    MUTATING_BINDING,
    PLAN_DECISION,
    PLAN_RUN,
    POD,
    REPLICASET,
    SERVICE,
    SIDECAR,
    VIRTUAL_SERVICE,
    Kind,
    Ref,
    kind_of,
    ref_of,
)
from rollout.plan.objects import CanaryPlan
from rollout.plan.parse import from_object
from rollout.plan.program import Backends
from rollout.plan.strategy import Facts
from rollout.ports.watch import Gone, Listed, Put, Scope, Told
from strategies.canary import Canary

ISTIO = Istio()
ROUTERS = {"istio": ISTIO}
NAMESPACES, NAMES = ("shop", "front"), ("web", "api", "v2")


class Desk:
    """Stores that everything told goes to, and who is told of it."""

    def __init__(self, *namespaces: str) -> None:
        self.stores = Stores(scopes(ROUTERS, namespaces), concerns(ROUTERS))
        self.affected = Affected(self.stores, concerns(ROUTERS))
        self.version = 10
        for scope in self.stores.scopes:
            self.take(scope, Listed((), version="1"))

    def take(self, scope: Scope, told: Told) -> set[Ref]:
        return {key for obj in self.stores.take(scope, told) for key in self.affected.keys(obj)}

    def scope(self, obj: Json) -> Scope:
        namespace = obj["metadata"].get("namespace", "")
        return next(s for s in self.stores.scopes if s.kind == kind_of(obj) and s.namespace in ("", namespace))

    def put(self, obj: Json) -> set[Ref]:
        self.version += 1
        meta = {
            "uid": f"{obj['kind']}/{obj['metadata']['name']}",
            **obj["metadata"],
            "resourceVersion": str(self.version),
        }
        return self.take(self.scope(obj), Put({**obj, "metadata": meta}))

    def gone(self, obj: Json) -> set[Ref]:
        uid = f"{obj['kind']}/{obj['metadata']['name']}"
        return self.take(self.scope(obj), Gone(ref_of(obj), uid, str(self.version)))


def thing(kind: Kind, name: str = "web", namespace: str = "shop", spec: Json | None = None, **meta: Any) -> Json:
    where = {"namespace": namespace} if kind.namespaced else {}
    metadata = {"name": name, **where, **meta}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec or {}}


def plan(name: str, namespace: str = "shop", **spec: Any) -> Json:
    return thing(CANARY_PLAN, name, namespace, {"steps": [{"weight": 10}], **spec})


def canary(name: str, target: str = "", namespace: str = "shop", **spec: Any) -> Json:
    return plan(name, namespace, target={"name": target or name}, **spec)


def shift(name: str, service: str = "web", host: str | None = None, namespace: str = "shop") -> Json:
    candidate = {"host": host} if host else {"subset": "v2"}
    return plan(name, namespace, service=service, traffic={"stable": {"subset": "v1"}, "candidate": candidate})


def key(name: str, namespace: str = "shop") -> Ref:
    return Ref(CANARY_PLAN, namespace, name)


def rule_for(host: str, namespace: str = "shop") -> Json:
    return thing(DESTINATION_RULE, "rule", namespace, {"host": host})


def test_objects_of_a_run_name_its_plan() -> None:
    desk = Desk()
    desk.put(canary("web"))
    desk.put(canary("api"))
    assert desk.put(thing(PLAN_RUN, "web-1", spec={"plan": "web"})) == {key("web")}
    assert desk.put(thing(PLAN_DECISION, "x", spec={"plan": "web", "run": "web-1"})) == {key("web")}
    for kind in (POD, LEASE, DEPLOYMENT, VIRTUAL_SERVICE, DESTINATION_RULE):
        ours = thing(kind, "ours", labels={RUN_LABEL: "web-1"})
        assert desk.put(ours) == {key("web")}, kind
        assert desk.gone(ours) == {key("web")}, kind


def test_an_adoption_of_the_same_name_is_another_plan() -> None:
    desk = Desk()
    adoption, other = (Ref(MESH_ADOPTION_PLAN, "shop", name) for name in ("web", "first"))
    desk.put(canary("web"))
    assert desk.put(thing(MESH_ADOPTION_PLAN)) == {adoption}
    assert desk.put(thing(MESH_ADOPTION_PLAN, "first")) == {adoption, other}, "the oldest acts"
    assert desk.put(thing(PLAN_RUN, "web-g1-1", spec={"plan": "web", "planKind": "MeshAdoptionPlan"})) == {adoption}
    order = {"plan": "web", "kind": "MeshAdoptionPlan", "run": "web-g1-1"}
    assert desk.put(thing(PLAN_DECISION, "x", spec=order)) == {adoption}
    assert desk.put(thing(LEASE, "lease", labels={RUN_LABEL: "web-g1-1"})) == {adoption}
    assert desk.put(thing(DEPLOYMENT)) == {key("web")}, "at rest it costs nothing"
    assert desk.gone(thing(MESH_ADOPTION_PLAN, "first")) == {adoption, other}


def test_a_target_names_the_plans_that_aim_at_it_and_the_one_that_holds_it() -> None:
    desk = Desk()
    desk.put(canary("web"))
    desk.put(canary("other", "web"))
    desk.put(canary("api"))
    both = {key("web"), key("other")}
    assert desk.put(thing(DEPLOYMENT)) == both
    assert desk.put(thing(DEPLOYMENT, labels={HOLD_LABEL: "deleted"})) == {*both, key("deleted")}
    assert desk.put(thing(DEPLOYMENT, "lonely")) == set()
    owned = thing(REPLICASET, "web-abc", ownerReferences=[{"name": "web", "controller": True}])
    assert desk.put(owned) == both
    assert desk.put(thing(REPLICASET, "web-abc")) == both, "it was the target's until now"


def test_a_plan_that_comes_goes_or_aims_elsewhere_wakes_those_beside_it() -> None:
    desk = Desk()
    first, second = key("web"), key("other")
    assert desk.put(canary("web")) == {first}
    assert desk.put(canary("other", "web")) == {first, second}
    assert desk.put(canary("other", "api")) == {first, second}, "web has its target for itself now"
    assert desk.put(canary("web")) == {first}
    desk.put(canary("other", "web"))
    assert desk.gone(canary("other", "web")) == {first, second}
    assert desk.put(thing(DEPLOYMENT)) == {first}


def test_a_route_that_leaves_a_service_alone_from_now_on_tells_its_plan() -> None:
    desk = Desk()
    desk.put(canary("web"))
    desk.put(canary("api"))
    assert desk.put(rule_for("web")) == {key("web")}
    assert desk.put(rule_for("api.shop.svc.cluster.local")) == {key("web"), key("api")}
    assert desk.put(rule_for("*.shop.svc.cluster.local")) == {key("web"), key("api")}


def test_other_namespaces_are_left_alone() -> None:
    desk = Desk()
    desk.put(canary("web"))
    desk.put(canary("web", namespace="front"))
    for kind in (SERVICE, SIDECAR, METRIC_TEMPLATE, DEPLOYMENT):
        assert desk.put(thing(kind, namespace="front")) == {key("web", "front")}, kind
    assert desk.put(thing(MUTATING_BINDING, "hold")) == {key("web"), key("web", "front")}


# -- against a look at everything

names, spaces = st.sampled_from(NAMES), st.sampled_from(NAMESPACES)
hosts = st.sampled_from(
    ["web", "v2", "web.shop", "v2.front.svc.cluster.local", "api.shop.svc.cluster.local", "x.com", "*"]
)
routes = st.builds(
    lambda host, other, name, where: thing(
        VIRTUAL_SERVICE, name, where, {"hosts": [host], "http": [{"route": [{"destination": {"host": other}}]}]}
    ),
    hosts,
    hosts,
    names,
    spaces,
)
plans = st.one_of(
    st.builds(canary, names, names, spaces),
    st.builds(lambda n, t, w, s: canary(n, t, w, service=s), names, names, spaces, names),
    st.builds(shift, names, names, st.none() | hosts.filter(lambda host: host != "*"), spaces),
)
others = st.builds(
    lambda kind, name, where, run, held, owner: thing(
        kind,
        name,
        where,
        labels={key: value for key, value in ((RUN_LABEL, run), (HOLD_LABEL, held)) if value},
        ownerReferences=[{"name": owner, "controller": True}],
    ),
    st.sampled_from([DEPLOYMENT, REPLICASET, SERVICE, SIDECAR, METRIC_TEMPLATE]),
    names,
    spaces,
    st.none(),
    st.none() | names,
    names,
)
ours = st.builds(
    lambda kind, run, where: thing(kind, f"of-{run}", where, labels={RUN_LABEL: run}),
    st.sampled_from([POD, LEASE, DEPLOYMENT, VIRTUAL_SERVICE]),
    st.sampled_from(["r-web", "r-api"]),
    spaces,
)
planruns = st.builds(lambda name, where: thing(PLAN_RUN, f"r-{name}", where, {"plan": name}), names, spaces)
rules = st.builds(rule_for, hosts, spaces)
things = st.one_of(plans, planruns, routes, rules, others, ours)


def backends_of(stored: Json) -> Backends:
    parsed = from_object({key: value for key, value in stored.items() if key != "status"})
    assert isinstance(parsed, CanaryPlan)
    return Canary().compile(parsed, Facts()).split


def matters(obj: Json, stored: Json, runs: list[Json]) -> bool:
    """Whether a turn of the plan reads the object: looked at without any index."""
    kind, meta, spec = kind_of(obj), obj["metadata"], stored["spec"]
    namespace, name = stored["metadata"]["namespace"], stored["metadata"]["name"]
    target = (spec.get("target") or {}).get("name")
    here = meta.get("namespace", "") in ("", namespace)
    run = (meta.get("labels") or {}).get(RUN_LABEL)
    if here and run:
        mine = [r for r in runs if r["metadata"]["namespace"] == namespace and r["spec"]["plan"] == name]
        return any(r["metadata"]["name"] == run for r in mine)
    if kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
        about = next(read.about for read in ISTIO.reads(backends_of(stored)) if read.kind == kind)
        services = ISTIO.concerns[kind](obj)
        return services is None or bool(set(services) & set(about))
    if not here:
        return False
    if kind == PLAN_RUN:
        return bool(obj["spec"]["plan"] == name)
    if kind == CANARY_PLAN:
        theirs = (obj["spec"].get("target") or {}).get("name")
        same = (target, spec.get("service") if not target else "") == (
            theirs,
            obj["spec"].get("service") if not theirs else "",
        )
        return bool(same or meta["name"] == name)
    if kind == DEPLOYMENT:
        return bool(meta["name"] == target or (meta.get("labels") or {}).get(HOLD_LABEL) == name)
    if kind == REPLICASET:
        return any(owner["name"] == target for owner in meta.get("ownerReferences", ()))
    return True


def every(desk: Desk, kind: Kind) -> Iterator[Json]:
    store = desk.stores.of(kind, "")
    assert store is not None
    yield from store.list()


@settings(max_examples=200)
@given(st.lists(st.tuples(things, st.integers(0, 4)), max_size=25), st.sampled_from([(), NAMESPACES]))
def test_whatever_a_plan_reads_names_it(story: list[tuple[Json, int]], watched: tuple[str, ...]) -> None:
    desk = Desk(*watched)
    for obj, fate in story:
        store = desk.stores.of(kind_of(obj), obj["metadata"]["namespace"], obj["metadata"].get("labels"))
        assert store is not None
        before = store.get(ref_of(obj))
        runs, plans_before = list(every(desk, PLAN_RUN)), list(every(desk, CANARY_PLAN))
        told = desk.gone(obj) if fate == 0 else desk.put(obj)
        after = store.get(ref_of(obj))
        runs += every(desk, PLAN_RUN)
        for stored in [*plans_before, *every(desk, CANARY_PLAN)]:
            for version in (before, after):
                if version is not None and matters(version, stored, runs):
                    assert ref_of(stored) in told, f"{obj} concerns {ref_of(stored)}"
