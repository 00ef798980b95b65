"""Consul's router: exact objects at every step, percents, and what would go past the split."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from rollout.adapters.routers.consul import Consul, Splitters
from rollout.adapters.routers.consul.subsets import LONGEST
from rollout.plan.base import Json
from rollout.plan.kinds import SERVICE_RESOLVER, SERVICE_SPLITTER, Ref
from rollout.plan.program import Backends, Side
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import OWNER, World, play
from tests.conformance.test_service_routers import CANARY, TWO_SUBSETS

CONSUL = Consul()
RESOLVER, SPLITTER = (Ref(kind, "shop", "web") for kind in (SERVICE_RESOLVER, SERVICE_SPLITTER))
NAMESPACE = 'Service.Meta["k8s-namespace"] == "shop"'
OURS = {
    "web-7-stable": {"filter": f'Service.Meta["pod-name"] matches "^web-[a-z0-9]+-[a-z0-9]+$" and {NAMESPACE}'},
    "web-7-canary": {"filter": f'Service.Meta["pod-name"] matches "^web-canary-bbb-[a-z0-9]+$" and {NAMESPACE}'},
}
OURS["web-7-stable"]["filter"] = OURS["web-7-canary"]["filter"].replace("web-canary-bbb", "web-aaa")
HEADERS = {"service": "web", "responseHeaders": {"set": {"x-from": "web"}}}


def world(*manifests: str) -> World:
    return World(given.objects(*manifests))


def steered(there: World, *weights: float, backends: Backends = CANARY) -> Any:
    journal: Any = ()
    for weight in weights:
        journal = play(there, CONSUL.steer(backends, there.read(), weight, journal, OWNER), journal)
    return journal


def said(there: World, ref: Ref) -> Any:
    return there.objects[ref]["spec"]


def codes(*manifests: str, backends: Backends = CANARY) -> list[str]:
    return [f"{it.code} {it.level}" for it in CONSUL.findings(backends, world(*manifests).read())]


def test_objects_are_made_as_consul_documents_them() -> None:
    there = world(given.HTTP_ONLY)
    steered(there, 0.5)
    assert said(there, RESOLVER) == {"subsets": OURS}
    assert said(there, SPLITTER) == {
        "splits": [{"weight": 99.5, "serviceSubset": "web-7-stable"}, {"weight": 0.5, "serviceSubset": "web-7-canary"}]
    }


def test_the_owners_objects_get_our_part_at_every_step_and_nothing_else() -> None:
    there = world(given.HTTP_ONLY, given.RESOLVER, given.SPLITTER)
    before = there.specs()
    journal: Any = ()
    for weight in (0, 1, 0.5, 33.33, 100):
        journal = play(there, CONSUL.steer(CANARY, there.read(), weight, journal, OWNER), journal)
        resolver = before[RESOLVER]
        assert said(there, RESOLVER) == {**resolver, "subsets": {**resolver["subsets"], **OURS}}
        stable, candidate = said(there, SPLITTER)["splits"]
        assert stable == {**HEADERS, "serviceSubset": "web-7-stable", "weight": pytest.approx(100 - weight)}
        assert candidate == {**HEADERS, "serviceSubset": "web-7-canary", "weight": weight}
    play(there, CONSUL.restore(CANARY, there.read(), journal))
    assert said(there, SPLITTER) == before[SPLITTER]
    assert CONSUL.view(CANARY, there.read()).leftovers == (RESOLVER,)
    play(there, CONSUL.sweep(CANARY, there.read()))
    assert there.specs() == before


def test_the_resolver_comes_first_and_goes_last() -> None:
    there = world(given.HTTP_ONLY)
    changes = CONSUL.steer(CANARY, there.read(), 0, (), OWNER)
    assert [(it.ref, it.groundwork) for it in changes] == [(RESOLVER, True), (SPLITTER, False)]
    journal = play(there, changes)
    assert [it.ref for it in CONSUL.restore(CANARY, there.read(), journal)] == [SPLITTER]
    assert CONSUL.sweep(CANARY, there.read())[0].ref == SPLITTER
    play(there, CONSUL.restore(CANARY, there.read(), journal))
    assert [it.ref for it in CONSUL.sweep(CANARY, there.read())] == [RESOLVER]


def test_what_the_owner_writes_into_his_resolver_meanwhile_stays() -> None:
    there = world(given.HTTP_ONLY, given.RESOLVER_PLAIN)
    journal = steered(there, 10)
    spec = said(there, RESOLVER)
    there.put({**there.objects[RESOLVER], "spec": {**spec, "subsets": {**spec["subsets"], "v9": {"filter": "x"}}}})
    assert CONSUL.view(CANARY, there.read()).drift == ""
    play(there, CONSUL.restore(CANARY, there.read(), journal))
    play(there, CONSUL.sweep(CANARY, there.read()))
    assert said(there, RESOLVER) == {"requestTimeout": "3s", "subsets": {"v9": {"filter": "x"}}}


def test_a_resolver_that_lost_our_subsets_is_seen_and_healed() -> None:
    there = world(given.HTTP_ONLY, given.RESOLVER)
    journal = steered(there, 10)
    there.put({**there.objects[RESOLVER], "spec": given.objects(given.RESOLVER)[0]["spec"]})
    view = CONSUL.view(CANARY, there.read())
    assert (view.where, "ServiceResolver/web" in view.drift) == ("mixed", True)
    play(there, CONSUL.steer(CANARY, there.read(), 10, journal, OWNER), journal)
    assert CONSUL.view(CANARY, there.read()).drift == ""


def test_two_subsets_of_the_owner_are_shifted_and_his_resolver_is_left_alone() -> None:
    there = world(given.HTTP_ONLY, given.RESOLVER, given.SPLIT_SUBSETS)
    before = said(there, RESOLVER)
    steered(there, 0.01, backends=TWO_SUBSETS)
    assert said(there, SPLITTER)["splits"] == [
        {"weight": 99.99, "serviceSubset": "v1"},
        {"weight": 0.01, "serviceSubset": "v2"},
    ]
    assert said(there, RESOLVER) == before


def as_the_webhook_adds(weights: list[float]) -> float:
    """The sum in 32 bits, term by term: consul-k8s refuses a splitter unless that is 100."""
    total = 0.0
    for weight in weights:
        (single,) = struct.unpack("f", struct.pack("f", weight))
        (total,) = struct.unpack("f", struct.pack("f", total + single))
    return total


def test_every_weight_adds_up_to_100_in_the_arithmetic_of_consul() -> None:
    for candidate in range(10_001):
        weights = list(Splitters().spread([10_000 - candidate, candidate]))
        assert as_the_webhook_adds(weights) == 100, weights
        assert [round(it * 100) for it in weights] == [10_000 - candidate, candidate]


def test_shares_of_shares_add_up_as_well() -> None:
    assert Splitters().spread([1, 1, 1]) == [33.34, 33.33, 33.33]
    assert Splitters().spread([0, 0]) == [0, 0]


def conditioned(*conditions: Json) -> list[Json]:
    (obj,) = given.objects(given.RESOLVER)
    return [{**obj, "status": {"conditions": list(conditions)}}]


@pytest.mark.parametrize(
    ("conditions", "pending", "refused"),
    [
        ([], "ServiceResolver/web: Consul's controller has not looked at it yet", ""),
        ([{"type": "Synced", "status": "Unknown"}], "ServiceResolver/web: Consul's controller has not looked", ""),
        ([{"type": "Synced", "status": "True"}], "", ""),
        (
            [{"type": "Synced", "status": "False", "reason": "ConsulAgentError", "message": "no"}],
            "",
            "ServiceResolver/web: Consul does not take it (ConsulAgentError: no)",
        ),
    ],
)
def test_what_consul_says_is_waited_for(conditions: list[Json], pending: str, refused: str) -> None:
    there = World([*given.objects(given.HTTP_ONLY, given.HTTP_DEFAULTS), *conditioned(*conditions)])
    view = CONSUL.view(CANARY, there.read())
    assert view.pending.startswith(pending)
    assert bool(view.pending) == bool(pending)
    assert view.refused == refused
    found = [it.code for it in CONSUL.findings(CANARY, there.read())]
    assert ("RO342" in found) == bool(pending or refused)


def trouble() -> Iterator[tuple[str, str, str]]:
    """A code, and the manifest that has it in the place of one that has not."""
    two = given.SPLITTER.replace("- weight: 100\n", "- {weight: 10, service: web-next}\n  - weight: 90\n")
    yield "RO346 error", given.SPLITTER, two
    for field in ("redirect: {service: other}", "defaultSubset: v1"):
        yield "RO347 error", given.RESOLVER, given.RESOLVER.replace("connectTimeout: 5s", field)
    past = given.SERVICE_ROUTER.replace("{requestTimeout", "{serviceSubset: v1, requestTimeout")
    yield "RO348 error", given.SERVICE_ROUTER, past
    part = given.SPLITTER.replace("60, service: web", "60, serviceSubset: v1, service: web")
    yield "RO348 error", given.SPLITTER, part
    yield "RO349 error", given.HTTP_DEFAULTS, given.HTTP_DEFAULTS.replace("http}", "tcp}")
    yield "RO349 warning", given.HTTP_DEFAULTS, ""


@pytest.mark.parametrize(("code", "sound", "wrong"), list(trouble()))
def test_what_goes_past_the_split_is_found(code: str, sound: str, wrong: str) -> None:
    manifests = [given.HTTP_ONLY, given.HTTP_DEFAULTS, given.RESOLVER, given.SPLITTER, given.SERVICE_ROUTER]
    assert set(codes(*manifests)) == {"RO342 error"}, "nobody has said that they hold"
    there = [wrong if it == sound else it for it in manifests]
    assert set(codes(*[it for it in there if it])) - {"RO342 error"} == {code}


def test_a_name_that_kubernetes_cuts_is_refused() -> None:
    long = "w" * (LONGEST - len("-canary"))
    for name, wanted in ((long, []), (f"{long}w", ["RO350 error"])):
        sides = Side(name, labels=CANARY.stable.labels), Side(f"{name}-canary", labels=CANARY.candidate.labels)
        found = codes(given.HTTP_ONLY, given.HTTP_DEFAULTS, backends=Backends("shop", "web", "web-7", *sides))
        assert found == wanted


@pytest.mark.parametrize(
    ("side", "text"),
    [
        (Side("", subset="v3"), "ServiceResolver/web has no subset v3"),
        (Side("", host="web-v2"), "names no subset of web"),
    ],
)
def test_a_side_is_a_subset_of_the_owners(side: Side, text: str) -> None:
    wrong = Backends("shop", "web", "web-7", TWO_SUBSETS.stable, side)
    there = world(given.HTTP_ONLY, given.HTTP_DEFAULTS, given.RESOLVER, given.SPLIT_SUBSETS)
    found = [it.message for it in CONSUL.findings(wrong, there.read()) if it.code == "RO330"]
    assert len(found) == 1
    assert text in found[0]
