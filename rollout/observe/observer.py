"""One observation: every read that a turn needs, and what it means.

The raw objects are kept beside the parsed view: what is done next is computed from exactly what was seen, and guarded
by the versions that were seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rollout.decide.gates import due
from rollout.decide.seen import CandidateView, Order, Route, Sample, Seen, Workload
from rollout.errors import Forbidden, Unsupported
from rollout.observe import adoption as adoptions
from rollout.observe import candidate as candidates
from rollout.observe import orders, questions, workload
from rollout.observe.crowd import crowd, labels_of
from rollout.observe.templates import HASH_LABEL
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import DEPLOYMENT, PLAN_DECISION, POD, REPLICASET, Ref, plan_kind
from rollout.plan.program import Backends, ReadyGate
from rollout.plan.run import GateState, RunSpec, State
from rollout.ports.mesh import Stage
from rollout.ports.router import Objects, Read, Router
from rollout.ports.world import World

HOME: Final = Route("home")


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen, parsed and raw."""

    seen: Seen
    routes: Objects
    deployment: Json | None = None
    replica_sets: Sequence[Json] = field(default_factory=tuple)
    candidate: Json | None = None
    stage: Stage | None = None
    """Of an adoption."""


async def observe(world: World, run: Ref, uid: str, spec: RunSpec, state: State, now: float) -> Observation:
    """Look at everything that the run's next turn depends on.

    Raises:
        Unsupported: the run's router is not installed here.
    """
    plan = await world.cluster.get(Ref(plan_kind(spec.plan_kind), run.namespace, spec.plan))
    decisions = await world.cluster.list(PLAN_DECISION, run.namespace)
    there = (
        plan is not None and plan["metadata"]["uid"] == spec.plan_uid and "deletionTimestamp" not in plan["metadata"]
    )
    heard = _fresh(orders.parse(decisions, spec.plan, run.name, uid, spec.plan_kind), state)
    if spec.program.adoption is not None:
        return await _of_adoption(world, spec, state, Seen(there, HOME, orders=heard), now)
    return await _of_canary(world, run, uid, spec, state, Seen(there, HOME, orders=heard), now)


async def _of_adoption(world: World, spec: RunSpec, state: State, seen: Seen, now: float) -> Observation:
    program = spec.program
    assert program.adoption is not None, "see observe"
    mesh = adoptions.mesh_of(world, program.adoption)
    stage = await adoptions.read_stage(world, mesh, program, state)
    seen = replace(
        seen,
        samples=await _samples(world, program.namespace, spec, state, now, frozenset()),
        progress=adoptions.progress(mesh, program, state, stage),
        undone=adoptions.undone(mesh, program, state, stage),
    )
    return Observation(seen, {}, stage=stage)


async def _of_canary(
    world: World, run: Ref, uid: str, spec: RunSpec, state: State, seen: Seen, now: float
) -> Observation:
    namespace = run.namespace
    router = world.routers.get(name := spec.program.settings.router)
    if router is None:
        raise Unsupported(f"no router is named {name}", hint="install the package that brings it")
    routes = await read_routes(world, router, spec.program.split)
    deployment, sets, target = await read_target(world, namespace, spec.program.workload)
    candidate, view, pods = await _read_candidate(world, run, uid, spec, router, routes)
    view_of_routes = router.view(spec.program.split, routes)
    seen = replace(
        seen,
        route=Route(view_of_routes.where, view_of_routes.weight, view_of_routes.drift, bool(view_of_routes.leftovers)),
        workload=target,
        candidate=view,
        samples=await _samples(world, namespace, spec, state, now, pods),
        findings=() if state.floor else _findings(router, spec, routes, deployment, sets),
    )
    return Observation(seen, routes, deployment, sets, candidate)


def _findings(
    router: Router, spec: RunSpec, routes: Objects, deployment: Json | None, sets: Sequence[Json]
) -> tuple[Finding, ...]:
    stable = next((rs for rs in sets if labels_of(rs).get(HASH_LABEL) == spec.revision.stable_hash), None)
    return router.findings(spec.program.split, routes, crowd(spec.program, deployment, stable))


def _fresh(found: tuple[Order, ...], state: State) -> tuple[Order, ...]:
    return tuple(o for o in found if o.uid not in state.decisions)


async def read_routes(world: World, router: Router, backends: Backends) -> Objects:
    """The objects that a router asks for.

    Who may not read all namespaces gets those of the plan's own: enough to split, not to see what others would hide.
    """
    return {read.kind: await _routes(world, read, backends.namespace) for read in router.reads(backends)}


async def _routes(world: World, read: Read, home: str) -> Sequence[Json]:
    try:
        return await world.cluster.list(read.kind, read.namespace, about=read.about)
    except Unsupported:
        if not read.optional:
            raise
        return []
    except Forbidden:
        if read.namespace:
            raise
        return await world.cluster.list(read.kind, home, about=read.about)


async def read_target(world: World, namespace: str, name: str) -> tuple[Json | None, list[Json], Workload | None]:
    """The target Deployment with its ReplicaSets; nothing for a traffic-only plan."""
    if not name:
        return None, [], None
    deployment = await world.cluster.get(Ref(DEPLOYMENT, namespace, name))
    if deployment is None:
        return None, [], None
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    sets = workload.owned(await world.cluster.list(REPLICASET, namespace, labels), deployment["metadata"]["uid"])
    return deployment, sets, workload.parse(deployment, sets)


async def _read_candidate(
    world: World, run: Ref, uid: str, spec: RunSpec, router: Router, routes: Objects
) -> tuple[Json | None, CandidateView | None, frozenset[str]]:
    """The candidate, and the names of its pods."""
    if not spec.program.workload:
        return None, None, frozenset()
    found = await world.cluster.get(Ref(DEPLOYMENT, run.namespace, spec.program.split.candidate.workload))
    if found is None:
        return None, None, frozenset()
    pods = await world.cluster.list(POD, run.namespace, {RUN_LABEL: run.name})
    view = candidates.parse(found, pods, uid)
    there = [labels_of(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    why = router.unreached(spec.program.split, routes, there)
    view = replace(view, unreached=next(filter(None, why), ""), lost=bool(why) and all(why))
    return found, view, frozenset(pod["metadata"]["name"] for pod in pods)


async def _samples(
    world: World, namespace: str, spec: RunSpec, state: State, now: float, pods: frozenset[str]
) -> Mapping[str, Sample]:
    """Ask for the gates that are due, all in one call."""
    if state.phase.ended or state.step >= len(spec.program.steps):
        return {}
    gates = due(spec.program.steps[state.step], state, now)
    asks = {
        gate.name: questions.of(gate, spec.program, namespace, state.gates.get(gate.name, GateState()))
        for gate in gates
        if not isinstance(gate, ReadyGate)
    }
    every = list(dict.fromkeys(ask for both in asks.values() for ask in both))
    answers = await world.metrics.ask(every) if every else {}
    samples = {name: questions.sample([answers[ask] for ask in both]) for name, both in asks.items()}
    samples = {name: _of_this_run(spec, sample, pods) for name, sample in samples.items()}
    for gate in gates:
        if isinstance(gate, ReadyGate) and spec.program.adoption is not None:
            mesh = adoptions.mesh_of(world, spec.program.adoption)
            samples[gate.name] = await adoptions.ask_readiness(world, mesh, gate, spec)
    return samples


def _of_this_run(spec: RunSpec, sample: Sample, pods: frozenset[str]) -> Sample:
    """The sample without counters of dead pods: an earlier run's candidate had the same name, and series linger.

    Counters that are not told apart by the names of pods stay.
    """
    if not spec.program.workload or not sample.pods:
        return sample
    stem = f"{spec.program.split.candidate.workload}-"
    mine = {name: counts for name, counts in sample.pods.items() if name in pods or not name.startswith(stem)}
    if mine:
        return replace(sample, pods=mine)
    return replace(sample, status="no-data", pods={}, detail="there are series of an earlier run's pods only")
