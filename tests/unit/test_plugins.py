"""A router from a package of somebody else's: found by its entry point, and as good as ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.adapters.memory.store import MemoryCluster
from rollout.cli.lint import known
from rollout.cli.render.routers import capabilities
from rollout.plan.kinds import KINDS, SERVICE, Kind, kind_of
from rollout.registry import routers
from tests.conformance import service_manifests as given
from tests.conformance.router_suite import OWNER, World, play
from tests.conformance.test_service_routers import CANARY
from tests.kit.packages import installed

TOY = """
from rollout.adapters.routers.services.dialect import Dialect, Rule, Wanted
from rollout.adapters.routers.services.router import ServiceRouter
from rollout.adapters.routers.services.sides import Place
from rollout.plan.kinds import Kind, Ref
from rollout.ports.router import Feature

SPLIT = Kind("toys.example.com", "v1", "ToySplit", "toysplits")


class Splits(Dialect):
    kinds = ((SPLIT,),)
    makes = (SPLIT,)
    fields = ".spec.to"

    def rules(self, obj):
        yield Rule("", 0, obj["spec"], "to")

    def place(self, entry, home):
        return Place(home, entry["toy"])

    def to(self, entry, place, home):
        return {**entry, "toy": place.name}

    def answers(self, obj, backends):
        return obj["spec"]["of"] == backends.service

    def wanted(self, backends, service, objects):
        spec = {"of": backends.service, "to": [{"toy": backends.service}]}
        yield Wanted(Ref(SPLIT, backends.namespace, backends.run), spec)


class Toy(ServiceRouter):
    name = "toy"
    dialect = Splits()
    features = frozenset({Feature.FRACTIONS})
    retired = "it is a toy"
"""
KEY = ("toys.example.com/v1", "ToySplit")


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, installed as long as a test runs."""
    with installed(tmp_path, monkeypatch, "toyrouter", TOY, "rollout.routers", toy="Toy"):
        yield
    KINDS.pop(KEY, None)


async def test_a_router_from_elsewhere_is_found_and_writes_kinds_of_its_own(toy: None) -> None:
    found = routers()
    router = found["toy"]
    assert set(found) > {"istio", "smi", "gateway"}
    row = next(line for line in capabilities(found).splitlines() if "`toy`" in line)
    assert row.startswith("| `toy` | Service, ToySplit | yes | - |")
    assert row.endswith("| - | it is a toy |")
    assert known().retired["toy"] == "it is a toy"
    world = World(given.objects(given.SERVICE))
    cluster = MemoryCluster(lambda: 0.0)
    changes = router.steer(CANARY, world.read(), 10, (), OWNER)
    for change in changes:
        assert isinstance(change.body, dict)
        await cluster.create(change.body)
    journal = play(world, changes)
    (split,) = await cluster.list(KINDS[KEY], "shop")
    assert [it["weight"] for it in split["spec"]["to"]] == [90, 10]
    assert router.view(CANARY, world.read()).weight == 10
    play(world, router.restore(CANARY, world.read(), journal))
    play(world, router.sweep(CANARY, world.read()))
    assert {kind_of(obj) for obj in world.objects.values()} == {SERVICE}


def test_a_kind_that_is_known_is_not_replaced() -> None:
    from rollout.plan.kinds import learn

    learn([Kind("", "v1", "Service", "impostors")])
    assert KINDS["v1", "Service"] == SERVICE
