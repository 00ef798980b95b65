"""Policies (PF07, PF12), and the evaluator of NetworkPolicies against another that was written apart."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.checks.adoption import Adopted, Look
from rollout.checks.adoption.reach import End, Port, lets_anybody_in, lets_in, lets_out
from rollout.checks.adoption.selectors import selects
from rollout.plan.base import Json
from rollout.plan.finding import Level
from rollout.plan.kinds import NETWORK_POLICY, POD
from tests.kit.adoption import NS, Case, Scene, proves, scene, thing, workload

PRIVILEGED_INIT = Adopted(native_sidecars=True, cni=False)


def security(level: str, mesh: Adopted = PRIVILEGED_INIT) -> Scene:
    return scene(workload(), labels={"pod-security.kubernetes.io/enforce": level}, mesh=mesh)


SECURITY = [
    Case(
        "baseline forbids the init container",
        Level.ERROR,
        "namespace shop enforces the Pod Security level baseline",
        security("baseline"),
        security("privileged"),
        fixed=False,
    ),
    Case(
        "restricted, unless an agent redirects the traffic",
        Level.ERROR,
        "forbids the NET_ADMIN and NET_RAW of istio-init",
        security("restricted"),
        security("restricted", Adopted(cni=True)),
        fixed=False,
    ),
    Case(
        "restricted, and nobody knows",
        Level.WARNING,
        "whether Istio's CNI agent is installed could not be seen",
        security("restricted", Adopted()),
        security("restricted"),
        fixed=False,
    ),
]


@pytest.mark.parametrize("case", SECURITY, ids=str)
def test_pf07_pod_security_lets_proxies_in(case: Case) -> None:
    proves(case, "RO507")


def policy(name: str = "lockdown", **spec: Any) -> Json:
    return thing(NETWORK_POLICY, name, {"podSelector": {}, **spec})


def named(namespace: str) -> Json:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


DENY_OUT = policy(policyTypes=["Egress"])
DNS = {"to": [named("kube-system")], "ports": [{"protocol": "UDP", "port": 53}]}
TO_MESH = {"to": [named("istio-system")], "ports": [{"port": 15000, "endPort": 15100}]}
DENY_IN = policy(policyTypes=["Ingress"])
FROM_WEB = {"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}


def outside_pod(name: str, namespace: str, labels: Json, address: str = "10.0.0.9") -> Json:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    status = {"podIPs": [{"ip": address}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": []}, "status": status}


ISTIOD = (Look(POD, "mesh"), outside_pod("istiod-1", "istio-system", {"app": "istiod", "istio": "pilot"}))
PROMETHEUS = (Look(POD, "prometheus"), outside_pod("prom-0", "monitoring", {"app.kubernetes.io/name": "prometheus"}))

REACH = [
    Case(
        "nothing may go out",
        Level.ERROR,
        "Deployment/web cannot reach the control plane in istio-system on port 15012, so no pod with a proxy",
        scene(workload(), DENY_OUT),
        scene(workload(), policy(policyTypes=["Egress"], egress=[TO_MESH, DNS])),
    ),
    Case(
        "the name of nothing can be looked up",
        Level.ERROR,
        "Deployment/web cannot reach DNS",
        scene(workload(), policy(egress=[TO_MESH])),
        scene(workload(), policy(egress=[TO_MESH]), policy("dns", egress=[DNS])),
    ),
    Case(
        "another port of the control plane is not enough",
        Level.ERROR,
        "on port 15012",
        scene(workload(), policy(egress=[{**TO_MESH, "ports": [{"port": 15017}]}, DNS]), elsewhere=(ISTIOD,)),
        scene(workload(), policy(egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, DNS]), elsewhere=(ISTIOD,)),
    ),
    Case(
        "a policy of other pods",
        Level.ERROR,
        "on port 15012",
        scene(workload(), policy(podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"])),
        scene(workload(), policy(podSelector={"matchLabels": {"app": "db"}}, policyTypes=["Egress"])),
    ),
    Case(
        "nobody may scrape the proxy",
        Level.WARNING,
        "nobody may scrape the proxies of Deployment/web on port 15020 (NetworkPolicy/lockdown of shop)",
        scene(workload(), policy(ingress=[FROM_WEB])),
        scene(workload(), policy(ingress=[FROM_WEB, {"ports": [{"port": 15020}]}])),
    ),
    Case(
        "only others than Prometheus may",
        Level.WARNING,
        "nobody may scrape",
        scene(workload(), policy(ingress=[{"from": [named("ops")]}]), elsewhere=(PROMETHEUS,)),
        scene(workload(), policy(ingress=[{"from": [named("monitoring")]}]), elsewhere=(PROMETHEUS,)),
    ),
    Case(
        "all ingress is denied",
        Level.WARNING,
        "nobody may scrape",
        scene(workload(), DENY_IN),
        scene(workload(), DENY_OUT),
    ),
]


@pytest.mark.parametrize("case", REACH, ids=str)
def test_pf12_proxies_reach_and_are_reached(case: Case) -> None:
    proves(case, "RO512")


def test_many_workloads_are_one_finding() -> None:
    webs = [{**workload(), "metadata": {**workload()["metadata"], "name": f"web-{n}", "uid": str(n)}} for n in range(9)]
    found = scene(*webs, DENY_OUT).found("RO512")
    assert len(found) == 2
    assert "Deployment/web-0, Deployment/web-1, Deployment/web-2 and 6 more" in found[0].message


def test_a_fix_isolates_nobody_who_was_open() -> None:
    """A rule more in a policy that isolates already; never a new policy, which would cut everything else off."""
    open_pod = End(NS, {"app": "db"})
    closed = scene(workload(), policy(podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"]))
    for finding in closed.found("RO512"):
        closed = closed.after(finding.fix)
    policies = [obj for obj in closed.objects if obj["kind"] == "NetworkPolicy"]
    assert lets_out(policies, open_pod, End("anywhere"), Port(9999))


# --- the evaluator ---------------------------------------------------------------------------------------------------

KEYS, VALUES, SPACES = ("app", "tier"), ("a", "b"), (NS, "mesh")
ADDRESSES = ("10.0.0.1", "10.0.1.1", "192.168.0.1")
NUMBERS, NAMES, PROTOCOLS = (80, 81, 90), ("http", "admin"), ("TCP", "UDP")
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
selectors = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": labels,
        "matchExpressions": st.lists(
            st.one_of(
                st.fixed_dictionaries(
                    {
                        "key": st.sampled_from(KEYS),
                        "operator": st.sampled_from(("In", "NotIn")),
                        "values": st.lists(st.sampled_from(VALUES), min_size=1),
                    }
                ),
                st.fixed_dictionaries(
                    {"key": st.sampled_from(KEYS), "operator": st.sampled_from(("Exists", "DoesNotExist"))}
                ),
            ),
            max_size=2,
        ),
    },
)
blocks = st.one_of(
    st.builds(lambda cidr: {"cidr": cidr}, st.sampled_from(("0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24"))),
    st.builds(lambda hole: {"cidr": "10.0.0.0/8", "except": [hole]}, st.sampled_from(("10.0.0.0/24", "10.0.1.1/32"))),
)
peer_rules = st.one_of(
    st.builds(lambda it: {"ipBlock": it}, blocks),
    st.fixed_dictionaries({"podSelector": selectors}, optional={"namespaceSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": selectors}),
)
port_rules = st.one_of(
    st.fixed_dictionaries(
        {}, optional={"protocol": st.sampled_from(PROTOCOLS), "port": st.sampled_from((*NUMBERS, *NAMES))}
    ),
    st.just({"port": 80, "endPort": 85}),
)


def rules(key: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {}, optional={key: st.lists(peer_rules, max_size=2), "ports": st.lists(port_rules, max_size=2)}
    )


specs = st.fixed_dictionaries(
    {"podSelector": selectors},
    optional={
        "policyTypes": st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])),
        "ingress": st.lists(rules("from"), max_size=2),
        "egress": st.lists(rules("to"), max_size=2),
    },
)
policies_ = st.lists(
    st.builds(lambda spec, space: {"metadata": {"namespace": space}, "spec": spec}, specs, st.sampled_from(SPACES)),
    max_size=3,
)
ends = st.builds(
    lambda space, own, address, named_ports: End(
        space, own, {"app": VALUES[SPACES.index(space)]}, (address,), named_ports
    ),
    st.sampled_from(SPACES),
    labels,
    st.sampled_from(ADDRESSES),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NUMBERS)),
)
targets = st.builds(Port, st.sampled_from((*NUMBERS, 84)), st.sampled_from(PROTOCOLS))


def selected(selector: Json, own: Any) -> bool:
    """Every requirement as a set of label maps that it admits."""
    for key, value in selector.get("matchLabels", {}).items():
        if (key, value) not in own.items():
            return False
    for it in selector.get("matchExpressions", []):
        admitted = {
            "In": set(it.get("values", ())),
            "NotIn": {*VALUES, None} - set(it.get("values", ())),
            "Exists": set(VALUES),
            "DoesNotExist": {None},
        }[it["operator"]]
        if own.get(it["key"]) not in admitted:
            return False
    return True


def everybody(rule: Json, key: str, home: str, pods: list[End]) -> list[End]:
    """The pods that a rule names, by going through all there are."""
    if not rule.get(key):
        return pods
    found = []
    for pod in pods:
        for it in rule[key]:
            if "ipBlock" in it:
                inside = ip_address(pod.addresses[0]) in ip_network(it["ipBlock"]["cidr"])
                holes = [ip_network(hole) for hole in it["ipBlock"].get("except", [])]
                hit = inside and not any(ip_address(pod.addresses[0]) in hole for hole in holes)
            elif "namespaceSelector" in it:
                hit = selected(it["namespaceSelector"], pod.namespace_labels)
                hit = hit and selected(it.get("podSelector", {}), pod.labels)
            else:
                hit = pod.namespace == home and selected(it["podSelector"], pod.labels)
            if hit:
                found.append(pod)
    return found


def doors(rule: Json, server: End) -> set[tuple[int, str]]:
    """All ports that a rule opens, one by one."""
    if not rule.get("ports"):
        return {(number, protocol) for number in range(60, 100) for protocol in PROTOCOLS}
    found = set()
    for it in rule["ports"]:
        if "port" not in it:
            numbers = list(range(60, 100))
        elif isinstance(it["port"], str):
            numbers = [server.named_ports[it["port"]]] if it["port"] in server.named_ports else []
        else:
            numbers = list(range(it["port"], it.get("endPort", it["port"]) + 1))
        found |= {(number, it.get("protocol", "TCP")) for number in numbers}
    return found


def oracle(policies: list[Json], pod: End, peer: End, port: Port, *, out: bool) -> bool:
    allowed, isolated = False, False
    for it in policies:
        spec = it["spec"]
        kinds = spec.get("policyTypes") or ["Ingress"] + ["Egress"] * bool(spec.get("egress"))
        if it["metadata"]["namespace"] != pod.namespace or ("Egress" if out else "Ingress") not in kinds:
            continue
        if not selected(spec["podSelector"], pod.labels):
            continue
        isolated = True
        for rule in spec.get("egress" if out else "ingress", []):
            named_ = peer in everybody(rule, "to" if out else "from", pod.namespace, [peer])
            allowed |= named_ and (port.number, port.protocol) in doors(rule, peer if out else pod)
    return allowed or not isolated


@given(policies_, ends, ends, targets)
def test_the_evaluator_agrees_with_one_that_goes_through_everything(
    policies: list[Json], pod: End, peer: End, port: Port
) -> None:
    assert lets_out(policies, pod, peer, port) is oracle(policies, pod, peer, port, out=True)
    assert lets_in(policies, pod, peer, port) is oracle(policies, pod, peer, port, out=False)


@given(policies_, ends, ends, targets)
def test_where_one_gets_in_somebody_does(policies: list[Json], pod: End, peer: End, port: Port) -> None:
    assert lets_anybody_in(policies, pod, port) or not lets_in(policies, pod, peer, port)


@given(policies_, specs, ends, ends, targets)
def test_another_policy_that_does_not_isolate_takes_nothing_away(
    policies: list[Json], spec: Json, pod: End, peer: End, port: Port
) -> None:
    foreign = {"metadata": {"namespace": "elsewhere"}, "spec": spec}
    assert lets_out([*policies, foreign], pod, peer, port) is lets_out(policies, pod, peer, port)


def test_addresses_that_are_not_known_are_in_no_block_but_the_whole_world() -> None:
    def out(block: Json) -> bool:
        return lets_out([policy(egress=[{"to": [{"ipBlock": block}]}])], End(NS), End("mesh"), Port(1))

    assert out({"cidr": "0.0.0.0/0"})
    assert not out({"cidr": "10.0.0.0/8"})
    assert not out({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]})


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selects(None, {"app": "web"})
    assert selects({}, {})
    assert not selects({"matchExpressions": [{"key": "app", "operator": "Unheard"}]}, {"app": "web"})
