"""Waits until the controller runs in the version that was asked for, and one of its copies leads."""

from __future__ import annotations

from collections.abc import Callable

from rollout.controller import leader
from rollout.errors import NotFound, Retry, RolloutError, Unavailable
from rollout.install.options import CONTROLLER, SELECTOR
from rollout.observe.candidate import parse
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, POD, Ref
from rollout.ports.world import World

Tell = Callable[[str], None]
_LOOK = 1.0


async def available(world: World, namespace: str, limit: float, tell: Tell) -> str:
    """The identity of the controller that leads; `tell` is given each new line of progress.

    Raises:
        Unavailable: not within `limit` seconds; says what the pods lack.
    """
    until, said = world.clock.now() + limit, ""
    while True:
        try:
            missing, identity = await _look(world, namespace)
        except Retry as error:
            missing, identity = str(error), ""
        if not missing:
            return identity
        if missing != said:
            tell(missing)
            said = missing
        if world.clock.now() > until:
            hint = f"kubectl describe pods -n {namespace} -l {_labels()}; then rollout install again"
            raise Unavailable(f"the controller does not run yet: {missing}", hint=hint)
        await world.clock.sleep(_LOOK)


async def _look(world: World, namespace: str) -> tuple[str, str]:
    """What is missing, and who leads when nothing is."""
    deployment = await world.cluster.get(Ref(DEPLOYMENT, namespace, CONTROLLER))
    if deployment is None:
        raise NotFound(f"Deployment/{CONTROLLER} in {namespace} was deleted", hint="rollout install")
    missing = _rolling(deployment)
    if missing:
        return missing + await _trouble(world, namespace, deployment), ""
    controller = await leader.find(world, namespace)
    if controller is None or not controller.alive:
        return "waiting for one of them to take the lead", ""
    return "", controller.identity


def _rolling(deployment: Json) -> str:
    spec, status = deployment["spec"], deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "waiting for the Deployment to be looked at"
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    ready = status.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are of this version"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} pods of the version before are ending"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"


async def _trouble(world: World, namespace: str, deployment: Json) -> str:
    """Why its pods do not come, in words."""
    try:
        pods = await world.cluster.list(POD, namespace, SELECTOR)
    except RolloutError:
        return ""
    trouble = parse(deployment, pods, "").trouble
    return f"; {trouble.message}" if trouble else ""


def _labels() -> str:
    return ",".join(f"{key}={value}" for key, value in SELECTOR.items())
