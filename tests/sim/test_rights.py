"""The printed rights are enough for all that the controller does; whichever is taken away, people hear of it.

On a real API server: `tests/apiserver/test_install.py` (who may what) and `tests/lab/test_installed.py` (in use).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pytest

from rollout.adapters.memory.world import World as Memory
from rollout.adapters.mesh.istio import Istio
from rollout.checks.run import run as check
from rollout.install.options import Options, parts
from rollout.plan.base import Json
from rollout.plan.kinds import NODE
from rollout.ports.world import World
from strategies.mesh_adoption import MeshAdoption
from tests.kit.adopted import Adopted
from tests.kit.rights import Bound, Right, printed
from tests.kit.rights_stories import STORIES, dressed
from tests.kit.rights_telling import tell
from tests.kit.sim import ROUTERS, STRATEGIES, plan
from tests.kit.space import plan as adoption

Rule = tuple[str, str, str]
"""Scope, group and resource: what one rule of a role is about."""
ALL = printed(Options(hold="policy", features=parts()))
RULES: dict[Rule, frozenset[Right]] = {
    rule: frozenset(it for it in ALL if (it.scope, it.group, it.resource) == rule)
    for rule in sorted({(it.scope, it.group, it.resource) for it in ALL})
}
LOOKS = {
    "configmaps": "you may not look whether a GitOps tool may prune it",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "horizontalpodautoscalers": "horizontalpodautoscalers",
    "poddisruptionbudgets": "poddisruptionbudgets",
    "endpointslices": "endpointslices",
    "networkpolicies": "networkpolicies",
    "resourcequotas": "resourcequotas",
    "limitranges": "limitranges",
    "nodes": "whether this mesh has native sidecars could not be seen",
    "mutatingwebhookconfigurations": "mutatingwebhookconfigurations",
}
"""What only checks look at: without it a run goes on, and `rollout check` says what it could not see."""


@pytest.mark.timeout(180)  # it tells every story
async def test_exactly_the_printed_rights_are_enough_and_each_verb_of_them_is_used() -> None:
    used: dict[Right, list[str]] = defaultdict(list)
    for name, story in STORIES.items():
        telling = await tell(story, ALL)
        assert telling.finished, (name, telling.missed)
        assert telling.missed == set(), name
        for right in telling.bound.used:
            used[right].append(name)
    assert {str(it) for it in ALL - used.keys()} == set(), "granted, and needed by nothing"


async def test_without_the_rights_of_adoptions_canaries_are_as_before_and_an_adoption_says_what_it_lacks() -> None:
    fewer = printed(Options(hold="policy", features=tuple(part for part in parts() if part != "mesh-adoption")))
    assert fewer < ALL
    for name in STORIES.keys() - {"adopted"}:
        telling = await tell(STORIES[name], fewer)
        assert telling.finished, (name, telling.missed)
        assert telling.missed == set(), name
    telling = await tell(STORIES["adopted"], fewer)
    assert not telling.finished
    assert telling.told()


@pytest.mark.parametrize("rule", [it for it in RULES if it[2] not in LOOKS], ids=" ".join)
async def test_without_one_rule_people_are_told_which_right_is_missing(rule: Rule) -> None:
    for story in STORIES.values():
        telling = await tell(story, ALL - RULES[rule])
        if telling.missed:
            assert telling.told(), telling.missed
            return
    pytest.fail("nothing needs it")


@pytest.mark.parametrize("rule", [it for it in RULES if it[2] in LOOKS], ids=" ".join)
async def test_without_one_rule_of_the_checks_it_is_told_what_they_could_not_see(rule: Rule) -> None:
    plans = [(dressed(held=True), plan()), (adopting(), adoption())]
    said = [await checked(memory, wanted, RULES[rule]) - await checked(memory, wanted) for memory, wanted in plans]
    assert any(LOOKS[rule[2]] in line for lines in said for line in lines), said


@cache
def adopting() -> Memory:
    """A namespace before it enters the mesh, and a node; nothing is changed here."""
    memory = Adopted().memory
    about = {"nodeInfo": {"kubeletVersion": "v1.36.3"}}
    meta = {"name": "one"}
    memory.apply({"apiVersion": NODE.api_version, "kind": NODE.name, "metadata": meta, "status": about})
    return memory


async def checked(memory: Memory, wanted: Json, without: frozenset[Right] = frozenset()) -> set[str]:
    """What `rollout check` says of a plan, to somebody who has the printed rights without these."""
    cluster = Bound(memory.cluster.server, ALL - without)
    mesh = Istio()
    world = World(
        cluster, memory.metrics, memory.clock, ROUTERS, STRATEGIES, "ana",
        meshes={mesh.name: mesh}, compilers={MeshAdoption.name: MeshAdoption()},
    )  # fmt: skip
    results = await check(world, "shop", wanted)
    return {it.skipped for it in results} | {found.message for it in results for found in it.findings}
