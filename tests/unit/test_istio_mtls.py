"""The effective mTLS mode: a table of the rules, and an oracle that knows them only one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.adapters.mesh.istio.mtls import effective
from rollout.plan.base import Json
from rollout.plan.kinds import ref_of
from rollout.ports.mesh import Mode, Setting
from tests.kit.meshed import HOME, peer_authentication

LABELS = {"app": "web", "tier": "front"}
WEB, OTHER = {"app": "web"}, {"app": "other"}
OLD, NEW = "2025-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


def policy(name: str, mode: str | None, where: str = "shop", **more: object) -> Json:
    return peer_authentication(name, mode, where, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policies", "mode", "scope", "name"),
    [
        ([], "PERMISSIVE", "default", None),
        ([policy("m", "STRICT", HOME)], "STRICT", "mesh", "m"),
        ([policy("m", "STRICT", HOME), policy("n", "DISABLE")], "DISABLE", "namespace", "n"),
        ([policy("n", "DISABLE"), policy("w", "STRICT", selector=WEB)], "STRICT", "workload", "w"),
        ([policy("n", "STRICT", "elsewhere")], "PERMISSIVE", "default", None),
        ([policy("w", "STRICT", selector=OTHER)], "PERMISSIVE", "default", None),
        # what is UNSET is inherited, however it is written
        ([policy("m", "STRICT", HOME), policy("n", "UNSET")], "STRICT", "mesh", "m"),
        ([policy("m", "STRICT", HOME), policy("n", None)], "STRICT", "mesh", "m"),
        ([policy("n", "STRICT"), policy("w", "UNSET", selector=WEB)], "STRICT", "namespace", "n"),
        ([policy("m", "UNSET", HOME)], "PERMISSIVE", "default", None),
        # an empty selector is none
        ([policy("n", "STRICT", selector={})], "STRICT", "namespace", "n"),
        # a selector means nothing in the root namespace
        ([policy("m", "STRICT", HOME, selector=WEB)], "PERMISSIVE", "default", None),
        # the oldest of a scope; of equally old ones the first by name; an old UNSET hides a younger one
        ([policy("a", "STRICT", born=NEW), policy("b", "DISABLE", born=OLD)], "DISABLE", "namespace", "b"),
        ([policy("b", "DISABLE"), policy("a", "STRICT")], "STRICT", "namespace", "a"),
        (
            [policy("a", "STRICT", selector=WEB, born=NEW), policy("b", "UNSET", selector=WEB, born=OLD)],
            "PERMISSIVE", "default", None,
        ),
        # of two that select it, not the narrower one but the oldest counts
        (
            [policy("wide", "DISABLE", selector=WEB, born=OLD), policy("tight", "STRICT", selector=LABELS, born=NEW)],
            "DISABLE", "workload", "wide",
        ),
    ],
)  # fmt: skip
def test_which_policy_counts(policies: list[Json], mode: str, scope: str, name: str | None) -> None:
    setting = effective("shop", LABELS, policies, HOME).workload
    assert (setting.mode, setting.scope, setting.ref and setting.ref.name) == (mode, scope, name)


def test_ports_of_their_own() -> None:
    policies = [
        policy("n", "STRICT"),
        policy("w", None, selector=WEB, ports={9090: "PERMISSIVE", 8080: "UNSET"}),
    ]
    found = effective("shop", LABELS, policies, HOME)
    assert (found.workload.mode, found.workload.scope) == (Mode.STRICT, "namespace")
    assert (found.at(9090).mode, found.at(9090).scope) == (Mode.PERMISSIVE, "port")
    assert found.at(8080) == found.workload
    assert found.at(1) == found.workload


def test_workloads_of_the_root_namespace_have_only_the_meshs_policy() -> None:
    policies = [policy("m", "STRICT", HOME), policy("w", "DISABLE", HOME, selector=WEB)]
    setting = effective(HOME, LABELS, policies, HOME).workload
    assert (setting.mode, setting.scope) == (Mode.STRICT, "mesh")


POLICIES = st.lists(
    st.builds(
        policy,
        st.sampled_from("abcdefgh"),
        st.sampled_from(["STRICT", "PERMISSIVE", "DISABLE", "UNSET", None]),
        st.sampled_from(["shop", HOME, "elsewhere"]),
        selector=st.sampled_from([None, {}, WEB, OTHER, LABELS]),
        born=st.sampled_from([OLD, NEW]),
        ports=st.none()
        | st.dictionaries(st.integers(1, 3), st.sampled_from(["STRICT", "UNSET", "DISABLE"]), max_size=2),
    ),
    max_size=6,
    unique_by=lambda it: (it["metadata"]["namespace"], it["metadata"]["name"]),
)


def oracle(policies: Sequence[Json], port: int | None) -> Setting:
    """Ask every scope from the narrowest on, each only for the one policy that it goes by."""
    scopes: dict[str, list[Json]] = {"workload": [], "namespace": [], "mesh": []}
    for it in sorted(policies, key=lambda it: (it["metadata"]["creationTimestamp"], it["metadata"]["name"])):
        chosen = it["spec"].get("selector", {}).get("matchLabels")
        home = it["metadata"]["namespace"]
        if home == HOME and not chosen:
            scopes["mesh"].append(it)
        elif home == "shop" and not chosen:
            scopes["namespace"].append(it)
        elif home == "shop" and all(LABELS.get(key) == value for key, value in chosen.items()):
            scopes["workload"].append(it)
    asked = [
        (scope, found[0], found[0]["spec"].get("mtls", {}).get("mode")) for scope, found in scopes.items() if found
    ]
    if scopes["workload"] and port is not None:
        first = scopes["workload"][0]
        asked.insert(0, ("port", first, first["spec"].get("portLevelMtls", {}).get(str(port), {}).get("mode")))
    for scope, it, mode in asked:
        if mode not in (None, "UNSET"):
            return Setting(Mode(mode), scope, ref_of(it))  # type: ignore[arg-type]
    return Setting(Mode.PERMISSIVE)


@given(POLICIES)
def test_the_effective_mode_is_the_oracles(policies: list[Json]) -> None:
    found = effective("shop", LABELS, policies, HOME)
    assert found.workload == oracle(policies, None)
    for port in (1, 2, 3, 4):
        assert found.at(port) == oracle(policies, port)


@given(POLICIES, st.randoms())
def test_the_order_in_which_policies_are_read_does_not_matter(policies: list[Json], random: object) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert effective("shop", LABELS, shuffled, HOME) == effective("shop", LABELS, policies, HOME)
