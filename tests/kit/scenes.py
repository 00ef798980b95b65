"""What scenes in the simulated shop have in common: play one, and look at its Deployment."""

from __future__ import annotations

from collections.abc import Callable

from rollout.adapters.memory.world import shop_deployment
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, REPLICASET
from tests.kit.sim import Sim

STABLE = "shop/web:1.0"
OnTurn = Callable[[RunView], None]


async def play(sim: Sim, each: OnTurn = lambda _: None, engine: Foreground | None = None) -> RunView:
    """Start, call `each` after every turn, and drive to the end (or until it is held)."""
    engine = engine or sim.engine()
    view = await engine.start(sim.plan, images={"app": sim.image} if sim.image else {}, by="ana")
    return await engine.drive("shop", view.name, each)


def once(when: Callable[[RunView], bool], do: Callable[[], object]) -> OnTurn:
    """Do something after the first turn of which something is true."""
    done: list[bool] = []

    def each(view: RunView) -> None:
        if not done and when(view):
            done.append(True)
            do()

    return each


def at_weight(weight: float) -> Callable[[RunView], bool]:
    """The candidate has this share, and it has settled."""
    return lambda view: view.state.routed == weight and view.state.held_since is not None


def web(sim: Sim) -> Json:
    """The target."""
    return sim.memory.get(DEPLOYMENT, "web")


def git(image: str, *, replicas: int = 3) -> Json:
    """The target as it is in Git."""
    return shop_deployment("shop", "web", replicas, image)


def running(sim: Sim) -> set[str]:
    """Images of the ReplicaSets with pods."""
    sets = [rs for ref, rs in sim.memory.objects if ref.kind == REPLICASET and rs["spec"]["replicas"] > 0]
    return {rs["spec"]["template"]["spec"]["containers"][0]["image"] for rs in sets}


def reasons(view: RunView) -> list[str]:
    """The story of a run, in words of the closed list."""
    return [note.reason for note in view.state.notes]
