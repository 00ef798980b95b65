"""Shifting the owner's own route between two subsets: nothing is made, and all goes home to stable."""

from __future__ import annotations

from copy import deepcopy

from tests.conformance import istio_manifests as given
from tests.kit.steering import ISTIO, SUBSETS, WEB, edited, restore, routes, steer, world


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
