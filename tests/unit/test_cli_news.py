"""get -w and events -w: told by watches, so that looking on at what rests asks for nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from rollout import bootstrap
from rollout.adapters.memory.faults import FaultPlan, FaultyCluster
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.cli import demo
from rollout.errors import Forbidden
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, EVENT
from rollout.plan.run import Phase
from rollout.ports.watch import Watcher
from rollout.ports.world import World
from tests.kit.shell import GOOD, Shell

WATCHING = (["get", "-w"], ["get", "web", "-w", "-o", "wide"], ["events", "web", "-w"])


@pytest.fixture
def count(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[[Watcher | None], FaultyCluster]:
    """Connects `rollout` to a cluster that counts what is asked, and to this watcher."""

    def connected(watcher: Watcher | None) -> FaultyCluster:
        counting = FaultyCluster(shell.simulation.cluster, FaultPlan())
        world = replace(shell.world, cluster=counting, watcher=watcher)

        @asynccontextmanager
        async def connect(*, namespace: str | None, **_: str | None) -> AsyncIterator[tuple[World, str]]:
            yield world, namespace or "shop"

        monkeypatch.setattr(bootstrap, "connect", connect)
        return counting

    return connected


def at_rest(shell: Shell) -> MemoryWatcher:
    """A plan whose run has ended; and a watcher for it."""
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    return MemoryWatcher(shell.simulation.cluster)


def asked(shell: Shell, counting: FaultyCluster, words: list[str]) -> int:
    """How many reads there are between the 5th second of watching and the 125th."""
    before: list[int] = []
    shell.after(5, lambda: before.append(counting.reads))
    shell.ctrl_c_after(125)
    assert shell.run(*words).exit_code == 130
    return counting.reads - before[0]


@pytest.mark.parametrize("words", WATCHING, ids=" ".join)
def test_watching_what_rests_asks_for_nothing(
    shell: Shell, count: Callable[[Watcher | None], FaultyCluster], words: list[str]
) -> None:
    counting = count(at_rest(shell))
    assert asked(shell, counting, words) == 0


@pytest.mark.parametrize("words", WATCHING, ids=" ".join)
def test_what_concerns_others_asks_for_nothing_either(
    shell: Shell, count: Callable[[Watcher | None], FaultyCluster], words: list[str]
) -> None:
    counting = count(at_rest(shell))
    about = {"kind": "Pod", "name": "other", "namespace": "shop"}
    event: Json = {"apiVersion": EVENT.api_version, "kind": EVENT.name, "regarding": about}
    shell.after(30, lambda: shell.simulation.apply(event | {"metadata": {"name": "e1", "namespace": "shop"}}))
    assert asked(shell, counting, words) == 0


def forbidden(shell: Shell) -> MemoryWatcher:
    """Somebody who may not watch any more."""
    watcher = MemoryWatcher(shell.simulation.cluster)
    shell.after(3, lambda: watcher.blind(error=Forbidden("you may not watch")))
    return watcher


@pytest.mark.parametrize("words", WATCHING, ids=" ".join)
@pytest.mark.parametrize("told_by", [forbidden, lambda _: None], ids=["forbidden", "nobody"])
def test_without_a_watch_it_is_looked_again_and_again(
    shell: Shell,
    count: Callable[[Watcher | None], FaultyCluster],
    words: list[str],
    told_by: Callable[[Shell], Watcher | None],
) -> None:
    at_rest(shell)
    counting = count(told_by(shell))
    assert asked(shell, counting, words) >= 60, "every two seconds"


def test_a_change_is_told_within_seconds_and_a_burst_is_one_look(
    shell: Shell, count: Callable[[Watcher | None], FaultyCluster]
) -> None:
    counting = count(at_rest(shell))
    plan = {**demo.PLAN, "spec": {**demo.PLAN["spec"], "target": {"name": "other"}}}
    moments: list[int] = []

    def several() -> None:
        moments.append(counting.reads)
        for name in ("one", "two", "three"):
            shell.simulation.apply({**plan, "metadata": {"name": name, "namespace": "shop"}})

    shell.after(60, several)
    shell.after(64, lambda: moments.append(counting.reads))
    shell.ctrl_c_after(70)
    done = shell.run("get", "-w")
    assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == {"web", "one", "two", "three"}
    assert moments[1] - moments[0] == 3, "one list of each kind of plans, and whether a controller is there"


def test_that_nobody_drives_a_run_any_more_is_noticed_although_nothing_changes(
    shell: Shell, count: Callable[[Watcher | None], FaultyCluster]
) -> None:
    shell.until(Phase.PROGRESSING)
    count(MemoryWatcher(shell.simulation.cluster))
    shell.ctrl_c_after(40)
    assert "nobody drives its run" in shell.run("get", "-w").stderr


def test_a_deleted_plan_is_told(shell: Shell, count: Callable[[Watcher | None], FaultyCluster]) -> None:
    count(at_rest(shell))
    shell.after(30, lambda: shell.simulation.delete(CANARY_PLAN, "web"))
    shell.ctrl_c_after(36)
    assert "plan shop/web was deleted" in shell.run("get", "-w").stderr
