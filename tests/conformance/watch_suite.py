"""What every adapter of the port `Watcher` must do. Only behaviour that a real kube-apiserver shows is asserted.

A test file subclasses `WatchSuite` and provides the fixtures `cluster`, `watcher` and `namespace`, which exists and is
empty.  MetricTemplates are used, because no controller writes them.
"""

from __future__ import annotations

from typing import Any

from rollout.plan.base import Json
from rollout.plan.kinds import METRIC_TEMPLATE, PLAN_RUN, Ref, ref_of
from rollout.ports.cluster import Cluster, Guard, guard_of
from rollout.ports.watch import Gone, Listed, Put, Scope, Watcher
from tests.conformance.cluster_suite import NOT_SERVED, must_get, plan_run, template
from tests.kit.ear import listening


def labelled(namespace: str, name: str, **labels: str) -> Json:
    obj = template(namespace, name)
    obj["metadata"]["labels"] = labels
    return obj


def relabel(**labels: str) -> list[Json]:
    return [{"op": "add", "path": "/metadata/labels", "value": labels}]


def plain(obj: Json) -> Json:
    """The object without what a watch may leave out."""
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


class WatchSuite:
    """The suite."""

    def scope(self, namespace: str, selector: str = "") -> Scope:
        return Scope(METRIC_TEMPLATE, namespace, selector)

    # -- the beginning

    async def test_a_watch_begins_with_what_is_there(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        made = [plain(await cluster.create(template(namespace, name))) for name in ("a", "b")]
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
        (listed,) = ear.told
        assert isinstance(listed, Listed)
        assert [plain(obj) for obj in listed.objects] == made
        assert listed.served
        assert int(listed.version) >= int(made[-1]["metadata"]["resourceVersion"])

    async def test_nothing_is_listed_where_nothing_is(self, watcher: Watcher, namespace: str) -> None:
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            assert ear.objects == {}

    async def test_a_kind_that_is_not_served_has_nothing(self, watcher: Watcher, namespace: str) -> None:
        async with listening(watcher, Scope(NOT_SERVED, namespace)) as ear:
            await ear.hears(Listed)
            assert ear.told == [Listed((), served=False)]

    # -- changes

    async def test_every_change_is_told_in_order(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            made = await cluster.create(template(namespace))
            changed = await cluster.patch(ref_of(made), relabel(tier="web"), guard_of(made))
            await cluster.delete(ref_of(made), guard_of(changed))
            await ear.hears(Listed, Put, Put, Gone)
        _, first, second, gone = ear.told
        assert isinstance(first, Put)
        assert isinstance(second, Put)
        assert isinstance(gone, Gone)
        assert plain(first.obj) == plain(made)
        assert plain(second.obj) == plain(changed)
        assert (gone.ref, gone.uid) == (ref_of(made), made["metadata"]["uid"])
        assert int(gone.version) > int(changed["metadata"]["resourceVersion"])

    async def test_a_status_is_a_change(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        async with listening(watcher, Scope(PLAN_RUN, namespace)) as ear:
            await ear.hears(Listed)
            made = await cluster.create(plan_run(namespace))
            stored = await cluster.put_status(ref_of(made), {"phase": "Progressing"}, guard_of(made))
            await ear.hears(Listed, Put, Put)
            assert plain(ear.objects["web-1"]) == plain(stored)

    async def test_a_write_that_changes_nothing_is_not_told(
        self, cluster: Cluster, watcher: Watcher, namespace: str
    ) -> None:
        made = await cluster.create(labelled(namespace, "a", tier="web"))
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            await cluster.patch(ref_of(made), relabel(tier="web"), guard_of(made))
            await cluster.create(template(namespace, "b"))
            await ear.hears(Listed, Put)
            assert set(ear.objects) == {"a", "b"}

    async def test_a_recreated_object_is_another_one(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            first = await cluster.create(template(namespace))
            await cluster.delete(ref_of(first), guard_of(first))
            second = await cluster.create(template(namespace))
            await ear.hears(Listed, Put, Gone, Put)
            assert ear.told[2] == Gone(ref_of(first), first["metadata"]["uid"], _version(ear.told[2]))
            assert plain(ear.objects["errors"]) == plain(second)

    async def test_a_burst_is_told_once_and_in_order(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        names = [f"t{number:03}" for number in range(200)]
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            made = [await cluster.create(template(namespace, name)) for name in names]
            for obj in made:
                await cluster.delete(ref_of(obj), Guard(obj["metadata"]["uid"]))
            await ear.hears(Listed, *[Put] * 200, *[Gone] * 200)
        assert [told.obj["metadata"]["name"] for told in ear.told if isinstance(told, Put)] == names
        assert [told.ref.name for told in ear.told if isinstance(told, Gone)] == names
        versions = [int(_version(told)) for told in ear.told[1:]]
        assert versions == sorted(set(versions))

    # -- scopes

    async def test_other_namespaces_and_kinds_are_not_told(
        self, cluster: Cluster, watcher: Watcher, namespace: str
    ) -> None:
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            other = await cluster.create(template("default", f"of-{namespace}"))
            await cluster.create(plan_run(namespace))
            await cluster.create(template(namespace, "mine"))
            await ear.hears(Listed, Put)
            assert set(ear.objects) == {"mine"}
        await cluster.delete(ref_of(other), Guard(other["metadata"]["uid"]))

    async def test_without_a_namespace_all_are_told(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        name = f"of-{namespace}"
        async with listening(watcher, self.scope("")) as ear:
            await ear.until(lambda: bool(ear.told))
            await cluster.create(template(namespace, name))
            assert (await ear.has(name))["metadata"]["namespace"] == namespace

    async def test_an_object_that_leaves_the_selector_is_gone_and_may_come_back(
        self, cluster: Cluster, watcher: Watcher, namespace: str
    ) -> None:
        made = await cluster.create(labelled(namespace, "a", tier="web"))
        guard = Guard(made["metadata"]["uid"])
        async with listening(watcher, self.scope(namespace, "tier")) as ear:
            await ear.hears(Listed)
            left = await cluster.patch(ref_of(made), relabel(zone="1"), guard)
            await cluster.patch(ref_of(made), relabel(zone="2"), guard)
            back = await cluster.patch(ref_of(made), relabel(tier="db"), guard)
            await ear.hears(Listed, Gone, Put)
            assert ear.told[1] == Gone(ref_of(made), guard.uid, left["metadata"]["resourceVersion"])
            assert plain(ear.objects["a"]) == plain(back)

    async def test_a_selector_asks_for_labels_and_values(
        self, cluster: Cluster, watcher: Watcher, namespace: str
    ) -> None:
        await cluster.create(labelled(namespace, "a", tier="web", zone="1"))
        await cluster.create(labelled(namespace, "b", tier="web"))
        async with listening(watcher, self.scope(namespace, "tier=web,zone")) as ear:
            await ear.hears(Listed)
            assert set(ear.objects) == {"a"}
            await cluster.create(labelled(namespace, "c", tier="db", zone="1"))
            await cluster.create(labelled(namespace, "d", tier="web", zone="2"))
            await ear.hears(Listed, Put)
            assert set(ear.objects) == {"a", "d"}

    # -- who listens

    async def test_everybody_is_told(self, cluster: Cluster, watcher: Watcher, namespace: str) -> None:
        scope = self.scope(namespace)
        async with listening(watcher, scope) as one, listening(watcher, scope) as other:
            await one.hears(Listed)
            await other.hears(Listed)
            await cluster.create(template(namespace))
            await one.hears(Listed, Put)
            await other.hears(Listed, Put)

    async def test_a_watch_can_be_closed_and_begun_again(
        self, cluster: Cluster, watcher: Watcher, namespace: str
    ) -> None:
        watch = watcher.watch(self.scope(namespace))
        assert isinstance(await anext(watch), Listed)
        await watch.aclose()
        made = await cluster.create(template(namespace))
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            assert set(ear.objects) == {made["metadata"]["name"]}

    async def test_what_is_told_belongs_to_who_listens(
        self, cluster: Cluster, watcher: Watcher, namespace: str
    ) -> None:
        async with listening(watcher, self.scope(namespace)) as ear:
            await ear.hears(Listed)
            made = await cluster.create(template(namespace))
            (await ear.has("errors"))["spec"]["query"] = "mine"
            assert (await must_get(cluster, Ref(METRIC_TEMPLATE, namespace, "errors"))) == made


def _version(told: Any) -> str:
    version: str = told.version if isinstance(told, Gone) else told.obj["metadata"]["resourceVersion"]
    return version
