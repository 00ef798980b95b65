"""What the Istio router writes on manifests as people write them, and what it leaves alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from rollout.errors import AlreadyExists, NotFound, Unsupported
from rollout.plan.base import RUN_UID
from rollout.plan.kinds import DESTINATION_RULE, SERVICE, VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends, Side
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import OWNER
from tests.kit.steering import CANARY, ISTIO, MADE, RULE, WEB, restore, routes, steer, world


def test_the_run_gets_routes_for_http_and_tcp_ports_where_there_are_none() -> None:
    shop = world(given.MIXED_PORTS)
    journal = steer(shop, 10)
    assert shop.objects[MADE]["spec"] == {
        "hosts": ["web"],
        "http": [
            {
                "route": [
                    {"destination": {"host": "web", "subset": "web-7-stable"}, "weight": 90},
                    {"destination": {"host": "web", "subset": "web-7-canary"}, "weight": 10},
                ]
            }
        ],
        "tcp": [
            {
                "match": [{"port": port}],
                "route": [
                    {"destination": {"host": "web", "port": {"number": port}, "subset": "web-7-stable"}, "weight": 90},
                    {"destination": {"host": "web", "port": {"number": port}, "subset": "web-7-canary"}, "weight": 10},
                ],
            }
            for port in (6379, 9000)
        ],
    }
    assert [(entry.kind, dict(entry.undo)) for entry in journal] == [("subsets", {}), ("route", {})]


def test_our_rule_holds_a_host_and_two_subsets_and_nothing_else() -> None:
    shop = world(given.SERVICE)
    steer(shop, 0)
    assert shop.objects[RULE]["spec"] == {
        "host": "web",
        "subsets": [
            {"name": "web-7-stable", "labels": {"pod-template-hash": "aaa"}},
            {"name": "web-7-canary", "labels": {"pod-template-hash": "bbb"}},
        ],
    }


def test_a_subset_of_the_owner_keeps_its_labels_and_policy() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    steer(shop, 25)
    spec = shop.objects[RULE]["spec"]
    assert spec["exportTo"] == ["*"]
    assert "trafficPolicy" not in spec
    assert {subset["name"]: subset for subset in spec["subsets"]}["web-7-canary-v1"] == {
        "name": "web-7-canary-v1",
        "labels": {"version": "v1", "pod-template-hash": "bbb"},
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}},
    }
    assert [[entry["destination"]["subset"] for entry in route] for route in routes(shop, WEB)] == [
        ["web-7-stable-v2", "web-7-canary-v2"],
        ["web-7-stable-v1", "web-7-canary-v1"],
    ]


def test_a_foreign_destination_keeps_its_share_and_headers_stay_on_both_sides() -> None:
    shop = world(given.SERVICE, given.RULE, given.RICH)
    steer(shop, 10)
    stable, candidate, legacy = routes(shop, WEB)[3]
    assert [entry["weight"] for entry in (stable, candidate, legacy)] == [72, 8, 20]
    assert stable["headers"] == candidate["headers"] == {"response": {"add": {"x-side": "new"}}}
    assert stable["destination"]["port"] == candidate["destination"]["port"] == {"number": 80}
    assert legacy["destination"] == {"host": "legacy.old.svc.cluster.local"}


def test_only_destinations_of_routes_to_the_service_are_patched() -> None:
    shop = world(given.SERVICE, given.RULE, given.RICH)
    before = deepcopy(shop.objects[WEB]["spec"])
    steer(shop, 10)
    after = deepcopy(shop.objects[WEB]["spec"])
    assert after["http"][:3] == before["http"][:3]
    for spec in (before, after):
        for route in spec["http"][3:]:
            del route["route"]
    assert after == before


def test_a_plan_that_names_virtual_services_leaves_others_alone() -> None:
    shop = world(given.SERVICE, given.RULE, given.RICH)
    before = shop.specs()
    named = replace(CANARY, virtual_services=("web-tls",))
    steer(shop, 10, backends=named)
    changed = {ref.name for ref, spec in shop.specs().items() if before.get(ref) != spec}
    assert changed == {"web-tls", "web-7"}
    assert MADE not in shop.objects


def test_without_a_route_to_split_nothing_is_written() -> None:
    shop = world(given.SERVICE, given.RULE)
    with pytest.raises(NotFound, match="no VirtualService routes to web in shop"):
        ISTIO.steer(replace(CANARY, virtual_services=("gone",)), shop.read(), 10, (), OWNER)


def test_a_service_with_only_tls_ports_cannot_get_a_route() -> None:
    shop = world(given.SERVICE.replace("name: http", "name: https"))
    with pytest.raises(Unsupported, match="only TLS or UDP"):
        ISTIO.steer(CANARY, shop.read(), 10, (), OWNER)


def test_somebody_elses_rule_of_our_name_is_not_touched() -> None:
    shop = world(given.SERVICE, given.RULE.replace("name: web,", "name: web-7,"))
    with pytest.raises(AlreadyExists):
        ISTIO.steer(CANARY, shop.read(), 10, (), OWNER)


def test_a_rule_of_an_earlier_run_with_this_name_is_not_ours() -> None:
    shop = world(given.SERVICE)
    steer(shop, 0)
    newer = {**OWNER, "annotations": {RUN_UID: "another"}}
    with pytest.raises(AlreadyExists):
        ISTIO.steer(CANARY, shop.read(), 10, (), newer)


def test_a_wildcard_rule_whose_place_ours_takes_lives_on_in_it() -> None:
    wide = given.RULE.replace("web.shop.svc.cluster.local", '"*.shop.svc.cluster.local"')
    shop = world(given.SERVICE, wide)
    steer(shop, 0)
    spec = shop.objects[RULE]["spec"]
    assert spec["trafficPolicy"] == {"connectionPool": {"http": {"http2MaxRequests": 100}}}
    assert [subset["name"] for subset in spec["subsets"]] == ["v1", "v2", "web-7-stable", "web-7-canary"]


def test_a_second_host_is_spelled_for_the_namespace_that_reads_it() -> None:
    shop = world(given.HOSTS)
    backends = Backends("shop", "web", "web-7", Side("", host="web-v1"), Side("", host="web-v2"))
    steer(shop, 20, backends=backends)
    assert [entry["destination"]["host"] for entry in routes(shop, WEB)[0]] == ["web-v1", "web-v2", "legacy"]
    assert [entry["weight"] for entry in routes(shop, WEB)[0]] == [72, 18, 10]
    edge = routes(shop, Ref(VIRTUAL_SERVICE, "edge", "public"))[0]
    assert [entry["destination"]["host"] for entry in edge] == [
        "web-v1.shop.svc.cluster.local",
        "web-v2.shop.svc.cluster.local",
    ]


def test_the_service_of_another_namespace_is_not_ours() -> None:
    shop = world(given.SERVICE, given.UNRELATED)
    before = shop.specs()
    steer(shop, 10)
    assert shop.specs()[Ref(VIRTUAL_SERVICE, "other", "other")] == before[Ref(VIRTUAL_SERVICE, "other", "other")]
    assert Ref(SERVICE, "shop", "web") in shop.objects


def test_the_first_traffic_is_written_down_on_a_route() -> None:
    shop = world(given.SERVICE, given.RULE, given.RICH)
    journal = steer(shop, 10, steer(shop, 0))
    assert [(entry.kind, entry.name, entry.what) for entry in journal if entry.kind == "weight"] == [
        ("weight", "web", "VirtualService/web: 10 % to web-canary")
    ]
    later = ISTIO.steer(CANARY, shop.read(), 20, journal, OWNER)
    assert [change.entry for change in later] == [None] * len(later)


def test_objects_without_a_spec_say_nothing() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    objects = {kind: list(found) for kind, found in shop.read().items()}
    empty = {"metadata": {"name": "empty", "namespace": "shop", "uid": "u"}}
    for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
        objects[kind] = [empty, *objects[kind]]
    assert ISTIO.view(CANARY, objects).where == "home"
    assert ISTIO.findings(CANARY, objects) == ISTIO.findings(CANARY, shop.read())
    assert len(ISTIO.steer(CANARY, objects, 10, (), OWNER)) == 2


@pytest.mark.parametrize("binding", ["gateways: [ingress]", "exportTo: ['.']"])
def test_callers_whom_no_route_reaches_get_one_of_ours(binding: str) -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL.replace("hosts: [web]", f"hosts: [web]\n  {binding}"))
    steer(shop, 10)
    assert MADE in shop.objects
    assert routes(shop, WEB)[1][1]["weight"] == 10


def test_a_route_at_home_is_enough_where_the_rule_is_private_too() -> None:
    private = given.RULE.replace('exportTo: ["*"]', "exportTo: ['.']")
    shop = world(given.SERVICE, private, given.TUTORIAL.replace("hosts: [web]", "hosts: [web]\n  exportTo: ['.']"))
    steer(shop, 10)
    assert MADE not in shop.objects


def test_a_destination_of_tiny_weight_is_not_lost_beside_huge_ones() -> None:
    huge = given.TUTORIAL + "      weight: 2000000001\n    - {destination: {host: legacy}, weight: 1}\n"
    shop = world(given.SERVICE, given.RULE, huge)
    journal = steer(shop, 33.33)
    written = [entry["weight"] for entry in routes(shop, WEB)[1]]
    assert sum(written) < 2**31
    assert written[2] == 1
    assert ISTIO.view(CANARY, shop.read()).weight == 33.33
    assert ISTIO.steer(CANARY, shop.read(), 33.33, journal, OWNER) == ()


def test_a_run_of_the_same_name_in_another_namespace_is_left_alone() -> None:
    """The same plan and image in two namespaces give two runs the same name, and so the same subset names."""
    twin = replace(CANARY, namespace="copy")
    shop = world(given.MIXED_PORTS)
    service = next(obj for ref, obj in shop.objects.items() if ref.kind is SERVICE)
    shop.put({**service, "metadata": {**service["metadata"], "namespace": "copy"}})
    theirs = steer(shop, 30, backends=twin)
    before = {ref: deepcopy(obj) for ref, obj in shop.objects.items() if ref.namespace == "copy"}
    journal = steer(shop, 10)
    assert {entry.namespace for entry in journal} == {"shop"}
    assert ISTIO.view(CANARY, shop.read()).weight == 10
    assert ISTIO.view(twin, shop.read()).weight == 30
    restore(shop, journal)
    assert ISTIO.view(CANARY, shop.read()).where == "home"
    assert {ref: obj for ref, obj in shop.objects.items() if ref.namespace == "copy"} == before
    restore(shop, theirs, twin)
    assert ISTIO.view(twin, shop.read()).where == "home"
