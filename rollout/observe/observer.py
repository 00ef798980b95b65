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
from rollout.observe import canaries, hooks, orders, questions, workload
from rollout.observe import candidate as candidates
from rollout.observe.crowd import crowd, labels_of
from rollout.observe.remembered import Remembered
from rollout.observe.templates import HASH_LABEL
from rollout.observe.timing import stored_freezes, timing
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.finding import Finding
from rollout.plan.kinds import DEPLOYMENT, PLAN_DECISION, POD, REPLICASET, Kind, Ref, plan_kind
from rollout.plan.program import Backends, ReadyGate
from rollout.plan.run import GateState, Phase, RunSpec, State
from rollout.ports.mesh import Stage
from rollout.ports.router import Objects, Read, Router, RouteView
from rollout.ports.world import World

HOME: Final = Route("home")
_IDLE: Final = (Phase.AWAITING_APPROVAL, Phase.PAUSED)
"""An adoption that waits for a person does nothing to the mesh, and may do so for days: only its gates look."""


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


async def observe(
    world: World, run: Ref, uid: str, spec: RunSpec, state: State, now: float, known: Remembered | None = None
) -> Observation:
    """Look at everything that the run's next turn depends on; `known`: what its earlier looks made of the same objects.

    Raises:
        Unsupported: the run's router is not installed here.
    """
    plan = await world.cluster.get(Ref(plan_kind(spec.plan_kind), run.namespace, spec.plan))
    decisions = await world.cluster.list(PLAN_DECISION, run.namespace)
    there = (
        plan is not None and plan["metadata"]["uid"] == spec.plan_uid and "deletionTimestamp" not in plan["metadata"]
    )
    known = known or Remembered()
    freezes = await stored_freezes(world.cluster)
    when = known.same("timing", (plan, *freezes), lambda: timing(plan, freezes))
    heard = _fresh(orders.parse(decisions, spec.plan, run.name, uid, spec.plan_kind), state)
    seen = Seen(there, HOME, orders=heard, timing=when)
    if spec.program.adoption is not None:
        return await _of_adoption(world, spec, state, seen, now)
    return await _of_canary(world, run, uid, spec, state, seen, now, known)


async def _of_adoption(world: World, spec: RunSpec, state: State, seen: Seen, now: float) -> Observation:
    program = spec.program
    assert program.adoption is not None, "see observe"
    samples = await _samples(world, program.namespace, spec, state, now, {})
    if state.phase in _IDLE:
        return Observation(replace(seen, samples=samples), {})
    mesh = adoptions.mesh_of(world, program.adoption)
    stage = await adoptions.read_stage(world, mesh, program, state)
    progress, undone = adoptions.progress(mesh, program, state, stage), adoptions.undone(mesh, program, state, stage)
    seen = replace(
        seen,
        samples=samples,
        progress=await canaries.stop_progress(world, program, state, progress),
        undone=await canaries.stop_undoing(world, program, state, undone),
    )
    return Observation(seen, {}, stage=stage)


async def _of_canary(
    world: World, run: Ref, uid: str, spec: RunSpec, state: State, seen: Seen, now: float, known: Remembered
) -> Observation:
    namespace = run.namespace
    router = world.routers.get(name := spec.program.settings.router)
    if router is None:
        raise Unsupported(f"no router is named {name}", hint="install the package that brings it")
    routes = await read_routes(world, router, spec.program.split)
    deployment, sets, target = await read_target(world, namespace, spec.program.workload, known)
    candidate, view, pods = await _read_candidate(world, run, uid, spec, router, routes, known)
    route = known.same("route", _all_of(routes), lambda: _route(router.view(spec.program.split, routes)))
    seen = replace(
        seen,
        route=route,
        workload=target,
        candidate=view,
        samples=await _samples(world, namespace, spec, state, now, pods),
        hooks=await hooks.answers(world.hooks, run, uid, spec, state),
        findings=() if state.floor else _findings(router, spec, routes, deployment, sets),
    )
    return Observation(seen, routes, deployment, sets, candidate)


def _all_of(routes: Objects) -> list[object]:
    """Every object with its kind before it: what is not served, and what is there, may change as well."""
    return [it for kind, objects in routes.items() for it in (kind, *objects)]


def _route(view: RouteView) -> Route:
    return Route(
        view.where,
        view.weight,
        view.drift,
        bool(view.leftovers),
        view.pending,
        view.refused,
        view.matched,
        view.mirrored,
    )


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
    found: dict[Kind, Sequence[Json]] = {}
    for read in router.reads(backends):
        found |= await _served(world, read, backends.namespace)
    return found


async def _served(world: World, read: Read, home: str) -> Objects:
    """The list, in the newest version that is served.

    Raises:
        Unsupported: none is, and the router cannot do without it.
    """
    for kind in read.kinds:
        try:
            return {kind: await _list(world, kind, read, home)}
        except Unsupported:
            if kind == read.kinds[-1] and not read.optional:
                raise
    return {}


async def _list(world: World, kind: Kind, read: Read, home: str) -> Sequence[Json]:
    if read.name:
        return await _named(world, read)
    try:
        return await world.cluster.list(kind, read.namespace, about=read.about)
    except Forbidden:
        if read.namespace:
            raise
        return await world.cluster.list(kind, home, about=read.about)


async def _named(world: World, read: Read) -> Sequence[Json]:
    try:
        found = await world.cluster.get(Ref(read.kind, read.namespace, read.name))
    except Forbidden:
        if not read.optional:
            raise
        return []
    return [] if found is None else [found]


async def read_target(
    world: World, namespace: str, name: str, known: Remembered | None = None
) -> tuple[Json | None, list[Json], Workload | None]:
    """The target Deployment with its ReplicaSets; nothing for a traffic-only plan."""
    if not name:
        return None, [], None
    deployment = await world.cluster.get(Ref(DEPLOYMENT, namespace, name))
    if deployment is None:
        return None, [], None
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    sets = workload.owned(await world.cluster.list(REPLICASET, namespace, labels), deployment["metadata"]["uid"])
    parsed = (known or Remembered()).same("target", (deployment, *sets), lambda: workload.parse(deployment, sets))
    return deployment, sets, parsed


async def _read_candidate(
    world: World, run: Ref, uid: str, spec: RunSpec, router: Router, routes: Objects, known: Remembered
) -> tuple[Json | None, CandidateView | None, Mapping[str, str]]:
    """The candidate, and the nodes of its pods by their names; of one that has none yet, nothing."""
    if not spec.program.workload:
        return None, None, {}
    found = await world.cluster.get(Ref(DEPLOYMENT, run.namespace, spec.program.split.candidate.workload))
    if found is None:
        return None, None, {}
    pods = await world.cluster.list(POD, run.namespace, {RUN_LABEL: run.name})

    def parsed() -> CandidateView:
        view = candidates.parse(found, pods, uid)
        there = [labels_of(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        why = router.unreached(spec.program.split, routes, there)
        return replace(view, unreached=next(filter(None, why), ""), lost=bool(why) and all(why))

    view = known.same("candidate", (found, *pods, *_all_of(routes)), parsed)
    return found, view, {pod["metadata"]["name"]: (pod.get("spec") or {}).get("nodeName", "") for pod in pods}


async def _samples(
    world: World, namespace: str, spec: RunSpec, state: State, now: float, pods: Mapping[str, str]
) -> Mapping[str, Sample]:
    """Ask for the gates that are due, all in one call."""
    if state.phase.ended or state.step >= len(spec.program.steps):
        return {}
    gates = due(spec.program.steps[state.step], state, now)
    asks = {
        gate.name: questions.of(
            gate, spec.program, namespace, state.gates.get(gate.name, GateState()), state.since, now
        )
        for gate in gates
        if not isinstance(gate, ReadyGate)
    }
    pasts = {
        gate.name: ask
        for gate in gates
        if not isinstance(gate, ReadyGate)
        and (ask := questions.before(gate, spec.program, namespace, state.gates.get(gate.name, GateState()), now))
    }
    every = list(dict.fromkeys([*(ask for both in asks.values() for ask in both), *pasts.values()]))
    answers = await world.metrics.ask(every) if every else {}
    by_name = {gate.name: gate for gate in gates}
    samples = {
        name: questions.sample(
            by_name[name], [answers[ask] for ask in both], answers[pasts[name]] if name in pasts else None
        )
        for name, both in asks.items()
    }
    samples = {name: _of_this_run(spec, sample, pods) for name, sample in samples.items()}
    for gate in gates:
        if isinstance(gate, ReadyGate) and spec.program.adoption is not None:
            mesh = adoptions.mesh_of(world, spec.program.adoption)
            samples[gate.name] = await adoptions.ask_readiness(world, mesh, gate, spec)
    return samples


def _of_this_run(spec: RunSpec, sample: Sample, pods: Mapping[str, str]) -> Sample:
    """The sample without counters of dead pods: an earlier run's candidate had the same name, and series linger.

    Counters that are not told apart by the names of pods stay.
    """
    if not spec.program.workload or not sample.pods:
        return sample
    stem = f"{spec.program.split.candidate.workload}-"
    mine = {name: counts for name, counts in sample.pods.items() if name in pods or not name.startswith(stem)}
    if mine:
        return replace(sample, pods=mine, nodes={name: node for name in mine if (node := pods.get(name))})
    return replace(sample, status="no-data", pods={}, detail="there are series of an earlier run's pods only")
