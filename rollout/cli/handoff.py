"""handoff: YAML to commit so that Git agrees with the cluster, after a promotion, a rollback or an undo."""

from __future__ import annotations

import asyncio
import json

from rollout.cli import adopted
from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import handoff as render
from rollout.cli.render.handoff import Handoff
from rollout.cli.session import Session, connected
from rollout.cli.source import from_cluster
from rollout.controller.view import RunView
from rollout.errors import InvalidInput, NotFound
from rollout.observe.observer import read_target
from rollout.observe.templates import images
from rollout.observe.workload import full_size
from rollout.plan.base import Json
from rollout.plan.kinds import SERVICE
from rollout.plan.objects import MeshAdoptionPlan

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def handoff(common: Common, plan: str) -> int:
    """Print the patch to stdout, and what to do with it to stderr."""
    return asyncio.run(_handoff(common, plan))


async def _handoff(common: Common, plan: str) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        given = await from_cluster(session.world.cluster, session.namespace, plan)
        if isinstance(given.plan, MeshAdoptionPlan):
            return await _adopted(session, printer, await session.run(plan))
        latest = await session.engine.newest(given.ref)
        found = await read(session, plan)
    if latest is not None and not latest.state.phase.ended:
        printer.warn(f"run {latest.name} is {latest.state.phase}: this is what is stable until it ends")
    printer.emit(
        lambda: render.as_json(found), lambda: render.text(found).rstrip("\n"), [f"deployment.apps/{found.name}"]
    )
    if found.agrees:
        printer.say("  the Deployment asks for what runs; commit this unless Git says so already:")
    else:
        printer.say("  commit it, or the next sync brings the other version back as a new one to try:")
    for command in render.commands(found):
        printer.say(f"    {command}")
    return Code.GOOD


async def _adopted(session: Session, printer: Printer, view: RunView) -> int:
    """The labels and objects that an adoption has brought."""
    if not view.state.phase.ended:
        printer.warn(f"run {view.name} is {view.state.phase}: this is what it has reached so far")
    found = await adopted.documents(session, view)
    names = [f"{it['kind'].lower()}/{it['metadata']['name']}" for it in found]
    printer.emit(lambda: found, lambda: adopted.text(found).rstrip("\n"), names)
    if found:
        printer.say("  commit it: labels go into the manifests that Git has, the rest is new")
    else:
        printer.say(f"  nothing of it is there; next: rollout status {view.spec.plan} -n {view.namespace}")
    return Code.GOOD


async def read(session: Session, plan: str) -> Handoff:
    """What runs and what is asked for.

    Raises:
        InvalidInput: the plan has no target, or its target is in the middle of a roll.
        NotFound: no such plan, or no such Deployment.
    """
    given = await from_cluster(session.world.cluster, session.namespace, plan)
    target = given.canary.spec.target
    if target is None:
        router = session.world.routers.get(given.canary.spec.router.type)
        kinds = ",".join(dict.fromkeys(kind.plural for kind in (router.writes if router else ()) if kind != SERVICE))
        names = f"kubectl get {kinds or 'services'} -n {session.namespace} -o yaml"
        raise InvalidInput(f"plan {plan} shifts traffic and changes no Deployment", hint=f"its routes: {names}")
    deployment, sets, _ = await read_target(session.world, session.namespace, target.name)
    if deployment is None:
        raise NotFound(f"Deployment/{target.name} in {session.namespace} does not exist", hint="correct spec.target")
    stable = full_size(sets)
    if stable is None:
        raise InvalidInput(
            f"Deployment/{target.name} is in the middle of a roll: several versions have pods, or none",
            hint=f"kubectl rollout status deployment/{target.name} -n {session.namespace}, then again",
        )
    return Handoff(plan, session.namespace, deployment, stable["spec"]["template"], _written(deployment))


def _written(deployment: Json) -> dict[str, str]:
    """The images that the last `kubectl apply` wrote; nothing where it left no note, or one that cannot be read."""
    note = (deployment["metadata"].get("annotations") or {}).get(_APPLIED)
    if not note:
        return {}
    try:
        return images(json.loads(note)["spec"]["template"])
    except (ValueError, KeyError, TypeError):
        return {}
