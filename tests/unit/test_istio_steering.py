"""What the Istio router writes, and what comes back, on manifests as people write them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from rollout.adapters.routers.istio import Istio
from rollout.errors import AlreadyExists, NotFound, Unsupported
from rollout.plan.base import RUN_UID, Json
from rollout.plan.kinds import DESTINATION_RULE, SERVICE, VIRTUAL_SERVICE, Ref
from rollout.plan.program import Backends, Side
from rollout.plan.run import Entry
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import OWNER, World, play

CANARY = Backends(
    "shop",
    "web",
    "web-7",
    Side("web", labels={"pod-template-hash": "aaa"}),
    Side("web-canary", labels={"pod-template-hash": "bbb"}),
)
SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
WEB = Ref(VIRTUAL_SERVICE, "shop", "web")
RULE = Ref(DESTINATION_RULE, "shop", "web-7")
MADE = Ref(VIRTUAL_SERVICE, "shop", "web-7")
ISTIO = Istio()


def world(*texts: str) -> World:
    return World(given.objects(*texts))


def steer(
    shop: World, weight: float, journal: tuple[Entry, ...] = (), backends: Backends = CANARY
) -> tuple[Entry, ...]:
    return play(shop, ISTIO.steer(backends, shop.read(), weight, journal, OWNER), journal)


def restore(shop: World, journal: tuple[Entry, ...], backends: Backends = CANARY) -> None:
    play(shop, ISTIO.restore(backends, shop.read(), journal))


def edited(shop: World, ref: Ref, **spec: object) -> None:
    """The owner writes some fields anew."""
    obj = deepcopy(shop.objects[ref])
    obj["spec"].update(spec)
    shop.put(obj)


def routes(shop: World, ref: Ref, section: str = "http") -> list[list[Json]]:
    return [route.get("route", []) for route in shop.objects[ref]["spec"][section]]


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


def test_a_new_route_of_the_owner_is_split_too_and_journalled_with_the_old_ones() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    before = deepcopy(shop.objects[WEB]["spec"]["http"])
    journal = steer(shop, 10)
    new = {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "web"}}]}
    edited(shop, WEB, http=[new, *shop.objects[WEB]["spec"]["http"]])
    view = ISTIO.view(CANARY, shop.read())
    assert view.where == "mixed"
    assert "VirtualService/web: route http[0] should give the candidate 10 %, but it is not split" in view.drift
    journal = steer(shop, 10, journal)
    was = [route["was"] for route in journal[-1].undo["routes"]]
    assert was == [new["route"], before[0]["route"], before[1]["route"]]
    restore(shop, journal)
    assert shop.objects[WEB]["spec"]["http"] == [new, *before]


def test_destinations_that_the_owner_adds_beside_ours_stay() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    live[1]["route"] = [{**live[1]["route"][0], "weight": 45}, {**live[1]["route"][1], "weight": 5}]
    live[1]["route"].append({"destination": {"host": "legacy"}, "weight": 50})
    edited(shop, WEB, http=live)
    restore(shop, journal)
    assert routes(shop, WEB)[1] == [
        {"destination": {"host": "web", "subset": "v1"}, "weight": 50},
        {"destination": {"host": "legacy"}, "weight": 50},
    ]


def test_a_side_that_the_owner_takes_out_is_seen_and_put_back() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    del live[1]["route"][0]
    edited(shop, WEB, http=live)
    view = ISTIO.view(CANARY, shop.read())
    assert (view.where, view.weight) == ("mixed", 100)
    assert "route http[1] should give the candidate 10 %, but one of the two destinations is gone" in view.drift
    steer(shop, 10, journal)
    assert ISTIO.view(CANARY, shop.read()).where == "steered"


def test_names_of_ours_that_were_copied_elsewhere_are_taken_out() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL, given.UNRELATED)
    journal = steer(shop, 10)
    other = Ref(VIRTUAL_SERVICE, "other", "other")
    mirror = {"host": "web.shop.svc.cluster.local", "subset": "web-7-canary-v1"}
    route = [{"destination": {"host": "web"}}]
    edited(shop, other, http=[{"route": route, "mirror": mirror, "mirrors": [{"destination": dict(mirror)}]}])
    assert [change.ref for change in ISTIO.sweep(CANARY, shop.read())] == []
    restore(shop, journal)
    theirs = {"host": "web.shop.svc.cluster.local", "subset": "v1"}
    assert shop.objects[other]["spec"]["http"] == [
        {"route": route, "mirror": theirs, "mirrors": [{"destination": theirs}]}
    ]


def test_a_virtual_service_that_the_owner_deletes_is_no_obstacle() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    del shop.objects[WEB]
    restore(shop, journal)
    play(shop, ISTIO.sweep(CANARY, shop.read()))
    assert not {MADE, RULE} & set(shop.objects)


def test_missing_subsets_are_drift_that_steering_heals() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    del shop.objects[RULE]
    view = ISTIO.view(CANARY, shop.read())
    assert view.where == "mixed"
    assert "DestinationRule/web-7: should exist" in view.drift
    steer(shop, 10, journal)
    assert ISTIO.view(CANARY, shop.read()).where == "steered"


def test_our_subsets_follow_a_change_of_the_owners_rule() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    owners = Ref(DESTINATION_RULE, "shop", "web")
    edited(shop, owners, subsets=[{"name": "v1", "labels": {"version": "one"}}, {"name": "v2"}])
    assert "DestinationRule/web-7" in ISTIO.view(CANARY, shop.read()).drift
    changes = ISTIO.steer(CANARY, shop.read(), 10, journal, OWNER)
    assert [(change.op, change.ref) for change in changes] == [("patch", RULE)]
    play(shop, changes)
    assert ISTIO.view(CANARY, shop.read()).where == "steered"


def test_the_rule_is_swept_after_every_route_that_names_it() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    assert ISTIO.sweep(CANARY, shop.read()) == ()
    restore(shop, journal)
    assert [(change.op, change.ref) for change in ISTIO.sweep(CANARY, shop.read())] == [("delete", RULE)]


def test_an_object_without_our_mark_is_never_swept() -> None:
    shop = world(given.SERVICE)
    steer(shop, 10)
    for ref in (RULE, MADE):
        obj = deepcopy(shop.objects[ref])
        obj["metadata"] = {"name": ref.name, "namespace": ref.namespace}
        shop.put(obj)
    assert ISTIO.sweep(CANARY, shop.read()) == ()


def test_a_long_subset_name_comes_back_even_when_its_rule_is_gone() -> None:
    long = "v" * 60
    texts = [text.replace("subset: v1", f"subset: {long}") for text in (given.SERVICE, given.RULE, given.TUTORIAL)]
    shop = world(*(text.replace("name: v1", f"name: {long}") for text in texts))
    before = shop.specs()[WEB]
    journal = steer(shop, 10)
    del shop.objects[Ref(DESTINATION_RULE, "shop", "web")]
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    live[1]["route"].append({"destination": {"host": "legacy"}, "weight": 100})
    edited(shop, WEB, http=live)
    restore(shop, journal)
    assert routes(shop, WEB)[1][0]["destination"] == before["http"][1]["route"][0]["destination"]


def test_shifting_between_two_subsets_makes_no_object_and_leaves_the_test_header_alone() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    before = set(shop.objects)
    journal = steer(shop, 30, backends=SUBSETS)
    assert set(shop.objects) == before
    assert routes(shop, WEB) == [
        [{"destination": {"host": "web", "subset": "v2"}}],
        [
            {"destination": {"host": "web", "subset": "v1"}, "weight": 70},
            {"destination": {"host": "web", "subset": "v2"}, "weight": 30},
        ],
    ]
    assert ISTIO.view(SUBSETS, shop.read()).weight == 30
    restore(shop, journal, SUBSETS)
    assert routes(shop, WEB)[1] == [{"destination": {"host": "web", "subset": "v1"}}]


def test_a_shift_that_the_owner_extends_comes_home_without_the_candidate() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 30, backends=SUBSETS)
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    live[1]["route"].append({"destination": {"host": "legacy"}, "weight": 100})
    edited(shop, WEB, http=live)
    restore(shop, journal, SUBSETS)
    assert routes(shop, WEB)[1] == [
        {"destination": {"host": "web", "subset": "v1"}, "weight": 50},
        {"destination": {"host": "legacy"}, "weight": 50},
    ]
    assert ISTIO.view(SUBSETS, shop.read()).where == "home"


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


def test_no_weight_in_a_shift_is_the_owners_own_route() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    before = shop.specs()
    journal = steer(shop, 0, steer(shop, 30, backends=SUBSETS), SUBSETS)
    assert shop.specs() == before
    steer(shop, 40, journal, SUBSETS)
    assert ISTIO.view(SUBSETS, shop.read()).weight == 40


def test_a_weight_of_nothing_that_the_owner_wrote_for_the_candidate_stays() -> None:
    with_zero = given.TUTORIAL + "      weight: 100\n    - {destination: {host: web, subset: v2}, weight: 0}\n"
    shop = world(given.SERVICE, given.RULE, with_zero)
    before = deepcopy(shop.objects[WEB]["spec"]["http"])
    journal = steer(shop, 30, backends=SUBSETS)
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    live[1]["route"].append({"destination": {"host": "legacy"}, "weight": 100})
    edited(shop, WEB, http=live)
    restore(shop, journal, SUBSETS)
    assert routes(shop, WEB)[1] == [
        {**before[1]["route"][0], "weight": 50},
        before[1]["route"][1],
        {"destination": {"host": "legacy"}, "weight": 50},
    ]


def test_a_shifted_route_that_was_made_anew_still_gives_all_to_stable_in_the_end() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 30, backends=SUBSETS)
    obj = shop.objects.pop(WEB)
    shop.put(obj)
    restore(shop, journal, SUBSETS)
    assert ISTIO.view(SUBSETS, shop.read()).where == "home"


def test_a_copy_of_our_route_outside_the_named_ones_follows_the_weights() -> None:
    named = replace(CANARY, virtual_services=("web",))
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10, backends=named)
    copy = deepcopy(shop.objects[WEB])
    copy["metadata"] = {"name": "copy", "namespace": "shop"}
    shop.put(copy)
    journal = steer(shop, 0, journal, named)
    assert routes(shop, Ref(VIRTUAL_SERVICE, "shop", "copy")) == routes(shop, WEB)
    assert ISTIO.view(named, shop.read()).where == "steered"
    restore(shop, journal, named)
    assert shop.specs()[Ref(VIRTUAL_SERVICE, "shop", "copy")] == shop.specs()[WEB]


def test_objects_without_a_spec_say_nothing() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    objects = {kind: list(found) for kind, found in shop.read().items()}
    empty = {"metadata": {"name": "empty", "namespace": "shop", "uid": "u"}}
    for kind in (VIRTUAL_SERVICE, DESTINATION_RULE):
        objects[kind] = [empty, *objects[kind]]
    assert ISTIO.view(CANARY, objects).where == "home"
    assert ISTIO.findings(CANARY, objects) == ISTIO.findings(CANARY, shop.read())
    assert len(ISTIO.steer(CANARY, objects, 10, (), OWNER)) == 2


def test_sides_that_the_owner_shuffles_still_find_each_other() -> None:
    both = given.TUTORIAL + "      weight: 60\n    - {destination: {host: web, subset: v2}, weight: 40}\n"
    shop = world(given.SERVICE, given.RULE, both)
    before = deepcopy(shop.objects[WEB]["spec"]["http"][1]["route"])
    journal = steer(shop, 10)
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    one, one_canary, two, two_canary = live[1]["route"]
    live[1]["route"] = [one, two, two_canary, one_canary]
    edited(shop, WEB, http=live)
    assert ISTIO.view(CANARY, shop.read()).drift == ""
    restore(shop, journal)
    assert routes(shop, WEB)[1] == before


@pytest.mark.parametrize("mark", ["name", "timeout"])
def test_moved_routes_that_differ_only_in_spelling_get_their_own_back(mark: str) -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    lone, weighted = {"destination": {"host": "web"}}, {"destination": {"host": "web"}, "weight": 100}
    before: list[Json] = [{mark: "1s", "route": [lone]}, {mark: "2s", "route": [weighted]}]
    edited(shop, WEB, http=before)
    journal = steer(shop, 10)
    live = deepcopy(shop.objects[WEB]["spec"]["http"])
    if mark == "name":
        live[0]["retries"] = live[1]["retries"] = {"attempts": 1}
    edited(shop, WEB, http=live[::-1])
    restore(shop, journal)
    assert routes(shop, WEB) == [[weighted], [lone]]


def test_a_virtual_service_made_anew_is_journalled_anew() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    shop.put(shop.objects.pop(WEB))
    edited(shop, WEB, http=[{"route": [{"destination": {"host": "web"}}]}])
    uid = shop.objects[WEB]["metadata"]["uid"]
    journal = steer(shop, 10, journal)
    assert [(entry.uid, len(entry.undo["routes"])) for entry in journal if entry.kind == "route"] == [(uid, 1)]


@pytest.mark.parametrize("binding", ["gateways: [ingress]", "exportTo: ['.']"])
def test_callers_whom_no_route_reaches_get_one_of_ours(binding: str) -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL.replace("hosts: [web]", f"hosts: [web]\n  {binding}"))
    steer(shop, 10)
    assert MADE in shop.objects
    assert routes(shop, WEB)[1][1]["weight"] == 10


def test_a_route_of_ours_is_seen_where_the_owners_rule_is_and_follows_it() -> None:
    """A caller who sees a route and not its subsets is answered 503."""
    private = given.RULE.replace('exportTo: ["*"]', "exportTo: [shop, front]")
    shop = world(given.SERVICE, private)
    journal = steer(shop, 10)
    assert [shop.objects[ref]["spec"]["exportTo"] for ref in (RULE, MADE)] == [["shop", "front"]] * 2
    edited(shop, Ref(DESTINATION_RULE, "shop", "web"), exportTo=["."])
    assert "should be seen where your own rule is" in ISTIO.view(CANARY, shop.read()).drift
    for _ in range(2):
        steer(shop, 10, journal)
    assert [shop.objects[ref]["spec"]["exportTo"] for ref in (RULE, MADE)] == [["."]] * 2
    assert ISTIO.view(CANARY, shop.read()).weight == 10
    edited(shop, Ref(DESTINATION_RULE, "shop", "web"), exportTo=["*"])
    steer(shop, 20, journal)
    steer(shop, 20, journal)
    assert ISTIO.view(CANARY, shop.read()).weight == 20
    restore(shop, journal)
    assert MADE not in shop.objects


def test_a_route_at_home_is_enough_where_the_rule_is_private_too() -> None:
    private = given.RULE.replace('exportTo: ["*"]', "exportTo: ['.']")
    shop = world(given.SERVICE, private, given.TUTORIAL.replace("hosts: [web]", "hosts: [web]\n  exportTo: ['.']"))
    steer(shop, 10)
    assert MADE not in shop.objects


def test_subsets_stay_while_the_run_lasts_though_the_owner_drops_their_route() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    edited(shop, WEB, http=shop.objects[WEB]["spec"]["http"][1:])
    assert ISTIO.view(CANARY, shop.read()).drift == ""
    assert ISTIO.steer(CANARY, shop.read(), 10, journal, OWNER) == ()


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
