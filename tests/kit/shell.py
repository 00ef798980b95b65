"""A terminal without a screen in front of a simulated cluster, with or without a controller in it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from typer.testing import CliRunner, Result

from rollout import bootstrap, registry
from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.adapters.memory.world import World as Simulation
from rollout.cli import demo
from rollout.cli.app import app
from rollout.controller.foreground import Foreground
from rollout.controller.leader import Leader
from rollout.controller.plans import Plans
from rollout.controller.view import RunView
from rollout.errors import RolloutError
from rollout.install.options import BY, INSTALLED
from rollout.plan.kinds import (
    DEPLOYMENT,
    MUTATING_BINDING,
    MUTATING_POLICY,
    PLAN_RUN,
    PLANS,
    VALIDATING_BINDING,
    VALIDATING_POLICY,
    VIRTUAL_SERVICE,
    Kind,
    ref_of,
)
from rollout.plan.run import Phase
from rollout.ports.world import World

T = TypeVar("T")
GOOD, BAD = "shop/web:1.1", "shop/web:2.0"
POLICIES = (MUTATING_BINDING, MUTATING_POLICY, VALIDATING_BINDING, VALIDATING_POLICY)
"""The kinds of admission policies, and of what binds them."""


@dataclass
class Shell:
    """Runs the command line, and looks at the world that it leaves behind."""

    simulation: Simulation
    world: World
    folder: Path
    controller: Controller | None = None

    def run(self, *words: str) -> Result:
        """One call of the command."""
        return CliRunner().invoke(app, list(words))

    def json(self, *words: str) -> Any:
        """What it prints with -o json."""
        return json.loads(self.run(*words, "-o", "json").stdout)

    def file(self, **spec: Any) -> str:
        """A plan file; the fields replace those of the demo's plan."""
        path = self.folder / "canary.yaml"
        path.write_text(yaml.safe_dump({**demo.PLAN, "spec": {**demo.PLAN["spec"], **spec}}), encoding="utf-8")
        return str(path)

    def on_record(self, phase: Phase) -> Callable[[RunView], bool]:
        """Whether this phase of the run is known to the cluster."""

        def known(view: RunView) -> bool:
            status = self.simulation.get(PLAN_RUN, view.name).get("status") or {}
            return view.state.phase is phase and status.get("phase") == phase

        return known

    def until(self, phase: Phase, image: str = GOOD, **spec: Any) -> RunView:
        """Another engine drives a run until this phase is on record, and is killed there."""
        plan = yaml.safe_load(Path(self.file(**spec)).read_text(encoding="utf-8"))

        async def drive() -> RunView:
            engine = Foreground(self.world)
            view = await engine.start(plan, images={"app": image}, by="somebody else")
            return await engine.drive("shop", view.name, lambda _: None, until=self.on_record(phase))

        return asyncio.run(drive())

    def control(self) -> Controller:
        """Install a controller, which acts once in every second of the simulation."""
        self.controller = Controller(replace(self.world, identity="controller-0"))
        self.simulation.clock.each_second(self.controller.tick)
        self.controller.tick()
        return self.controller

    def image(self) -> str:
        """What the Deployment asks for."""
        template = self.simulation.get(DEPLOYMENT, "web")["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    def at_rest(self) -> bool:
        """Nothing of a run is left but its record."""
        names = {obj["metadata"]["name"] for obj in self.simulation.objects.of(DEPLOYMENT)}
        return names == {"web"} and not self.simulation.objects.of(VIRTUAL_SERVICE)

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something once, so many simulated seconds from now."""
        due, done = self.simulation.clock.now() + seconds, [False]

        def tick() -> None:
            if not done[0] and self.simulation.clock.now() >= due:
                done[0] = True
                do()

        self.simulation.clock.each_second(tick)

    def ctrl_c_after(self, seconds: float) -> None:
        """Somebody presses Ctrl-C."""
        self.after(seconds, lambda: signal.raise_signal(signal.SIGINT))


@dataclass
class Controller:
    """The controller's own parts, called by the clock of the simulation instead of by its watches."""

    world: World
    stopped: bool = False
    plans: Plans = field(init=False)
    leader: Leader = field(init=False)

    def __post_init__(self) -> None:
        self.plans = Plans(self.world)
        self.leader = Leader(self.world.cluster, self.world.clock, self.world.identity)

    def tick(self) -> None:
        """Renew the lease, and look at each plan."""
        if self.stopped:
            return
        beside(self._look())

    async def _look(self) -> None:
        await self.leader.campaign()
        for plan in [plan for kind in PLANS for plan in await self.world.cluster.list(kind)]:
            with suppress(RolloutError):
                await self.plans.turn(ref_of(plan))


def beside(work: Coroutine[Any, Any, T]) -> T:
    """The result of work in an event loop of its own, while the command's loop stands still."""
    with ThreadPoolExecutor(max_workers=1) as another:
        return another.submit(asyncio.run, work).result()


def a_shell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shop with three pods and traffic, and `rollout` connected to it."""
    simulation = Simulation()
    simulation.behaviour(BAD, Behaviour(error_rate=0.2))
    simulation.deploy_shop(replicas=3, image="shop/web:1.0", rate=50)
    world = World(
        cluster=simulation.cluster,
        metrics=simulation.metrics,
        clock=simulation.clock,
        routers=registry.routers(),
        strategies=registry.strategies(),
        watcher=MemoryWatcher(simulation.cluster),
    )

    @asynccontextmanager
    async def connect(*, namespace: str | None, **_: str | None) -> AsyncIterator[tuple[World, str]]:
        yield world, namespace or "shop"

    monkeypatch.setattr(bootstrap, "connect", connect)
    return Shell(simulation, world, folder)


# -- the controller, put into the cluster


def stored(shell: Shell, *kinds: Kind) -> list[str]:
    """The names of what is there, of our own marks only."""
    found = [obj["metadata"] for kind in kinds for obj in shell.simulation.objects.of(kind)]
    return sorted(meta["name"] for meta in found if (meta.get("labels") or {}).get(INSTALLED) == BY)


def installed(shell: Shell, *words: str) -> Any:
    """Install, with a controller that leads; return what was said."""
    shell.control()
    done = shell.run("install", "--yes", "-o", "json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
