"""What must hold after every single write, whoever wrote: the invariants of the design that a moment can break."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rollout.adapters.memory.mesh import ROUTING, copied, resolve, snapshot
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import DEPLOYMENT, PLAN_RUN, POD, Ref
from rollout.plan.run import Phase
from rollout.registry import routers

if TYPE_CHECKING:
    from tests.kit.sim import Sim

OURS = frozenset({DEPLOYMENT}).union(*(router.writes for router in routers().values()))
STOPS = frozenset(
    {Phase.HOLDING, Phase.HELD, Phase.PAUSED, Phase.AWAITING_APPROVAL, Phase.ROLLING_BACK, Phase.ROLLED_BACK}
)
CHOSEN = "-canary-match-"
"""In the names of our routes for chosen requests."""
SIDES = ("-stable", "-canary")
"""How names of our subsets end."""


def broken(sim: Sim, ref: Ref, found: Json | None, run: Json | None) -> Iterator[str]:
    """What the write of an object has broken, in words."""
    status: Json = (run or {}).get("status") or {}
    state: Json = status.get("state") or {}
    journal = state.get("journal") or []
    if found is not None and ref.kind == PLAN_RUN:
        yield from _explained(ref, found)
        yield from _gone(sim, found)
    if found is not None and ref.kind in OURS and run is not None:
        yield from _undoable(sim, ref, found, journal)
    if ref.kind == POD and ref.name in sim.stable_pods and not state.get("committed"):
        if found is None or "deletionTimestamp" in found["metadata"]:
            yield f"stable pod {ref.name} was touched before the commit point"
    if ref.kind in ROUTING:
        yield from _answered(sim, journal)


def _explained(ref: Ref, run: Json) -> Iterator[str]:
    """Every stop explains itself."""
    state = (run.get("status") or {}).get("state") or {}
    if state.get("phase") in STOPS and not (state.get("reason") and state.get("message")):
        yield f"{ref} is {state['phase']} and does not say why"


def _gone(sim: Sim, run: Json) -> Iterator[str]:
    """A run that has ended and let go left nothing in the data path."""
    if not (run.get("status") or {}).get("endedAt") or run["metadata"].get("finalizers"):
        return
    name = run["metadata"]["name"]
    for ref, obj in sim.memory.objects:
        if ref.kind in OURS and (obj["metadata"].get("labels") or {}).get(RUN_LABEL) == name:
            yield f"{name} has ended and left {ref} behind"


def _undoable(sim: Sim, ref: Ref, found: Json, journal: list[Json]) -> Iterator[str]:
    """What is ours has a line that undoes it; so has what is ours in an owner's route, and nothing else is changed."""
    noted = any((line["objectKind"], line["name"]) == (ref.kind.name, ref.name) for line in journal)
    if RUN_LABEL in (found["metadata"].get("labels") or {}):
        if not noted:
            yield f"{ref} exists and no line of the journal undoes it"
        return
    owned = sim.before.get(str(ref))
    if owned is None or ref.kind == DEPLOYMENT:
        return
    if _frame(found["spec"]) != _frame(owned):
        yield f"{ref}: more than its routes was changed: {found['spec']}"
    if found["spec"] not in (owned, sim.moved.get(str(ref))) and not noted:
        yield f"{ref} was patched and no line of the journal undoes it"


def _frame(spec: Json) -> Json:
    """A spec without destinations of routes and of copies, our routes for chosen requests, and our subsets."""
    theirs = {key: [it for it in spec.get(key) or () if CHOSEN not in it.get("name", "")] for key in ("http", "rules")}
    lists = {key: [_without(it) for it in found] for key, found in theirs.items()}
    named = spec.get("subsets") or {}
    subsets = {key: it for key, it in named.items() if not key.endswith(SIDES)} if isinstance(named, dict) else named
    return {**_without(spec), **lists, "subsets": subsets}


def _without(rule: Json) -> Json:
    ours = ("route", "backends", "backendRefs", "splits", "mirrors")
    return {key: value for key, value in rule.items() if key not in ours}


def _answered(sim: Sim, journal: list[Json]) -> Iterator[str]:
    """Whoever calls now is answered, if nobody else broke it; a candidate gets nothing that no line takes back."""
    seen = snapshot(sim.memory.objects)
    noted = any(line["kind"] in ("weight", "route") for line in journal)
    for client in sim.memory.traffic.clients:
        for share in resolve(seen, client.caller, client.host) if client.rate else ():
            if share.cause is not None and share.weight and not sim.may_leak:
                yield f"requests to {client.host} would fail now: {share.cause}"
            if "-canary" in share.subset and share.weight and not noted:
                yield f"{client.host} gives subset {share.subset} a share and no line of the journal takes it back"
        for share in copied(seen, client.caller, client.host):
            if "-canary" in share.subset and not noted:
                yield f"{client.host} copies requests to {share.subset} and no line of the journal takes it back"
