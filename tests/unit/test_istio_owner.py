"""What the owner does to routes and rules while the Istio router steers them, and what comes back."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from rollout.plan.base import Json
from rollout.plan.kinds import DESTINATION_RULE, VIRTUAL_SERVICE, Ref
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import OWNER, play
from tests.kit.steering import CANARY, ISTIO, MADE, RULE, WEB, edited, restore, routes, steer, world


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


def test_subsets_stay_while_the_run_lasts_though_the_owner_drops_their_route() -> None:
    shop = world(given.SERVICE, given.RULE, given.TUTORIAL)
    journal = steer(shop, 10)
    edited(shop, WEB, http=shop.objects[WEB]["spec"]["http"][1:])
    assert ISTIO.view(CANARY, shop.read()).drift == ""
    assert ISTIO.steer(CANARY, shop.read(), 10, journal, OWNER) == ()
