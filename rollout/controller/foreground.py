"""The engine in the foreground: `rollout start` drives its run itself, with the same turns as a controller would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from rollout import checks
from rollout.checks.cluster import missing
from rollout.checks.subject import hold_mode
from rollout.controller.adoption import create_adoption
from rollout.controller.caller import caller
from rollout.controller.handing import hand_over, outdated
from rollout.controller.lease import DrivenElsewhere, RunLease, alive
from rollout.controller.reconcile import Reconciler, Turn
from rollout.controller.record import Unreadable, parse
from rollout.controller.runs import ended, next_attempt, runs_in, runs_of
from rollout.controller.settling import prune, settle
from rollout.controller.starting import (
    Armed,
    StartRefused,
    apply_plan,
    arm,
    create_run,
    let_go,
    read_revision,
)
from rollout.controller.telling import last_words, listen
from rollout.controller.view import RunView, StoredRun, UnreadRun
from rollout.decide.approval import approval
from rollout.errors import InvalidInput, NotFound, Retry, Unsupported
from rollout.notify.office import Office, office
from rollout.plan.base import Json, rfc3339
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import CANARY_PLAN, LEASE, PLAN_DECISION, PLAN_RUN, PLANS, Kind, Ref, ref_of
from rollout.plan.objects import CanaryPlan, MeshAdoptionPlan, Plan
from rollout.plan.parse import from_object
from rollout.plan.run import Phase
from rollout.ports.world import World

OnTurn = Callable[[RunView], None]
Until = Callable[[RunView], bool]
LOOK: Final = 1.0
"""Seconds between two turns at most: orders, drift and dying pods must not wait for the next gate."""
PATIENCE: Final = 10.0
"""Seconds between two tries at most while the API server does not answer."""


@dataclass(slots=True)
class Foreground:
    """Starts, drives, orders and lists runs, with one person's rights."""

    world: World
    reconciler: Reconciler = field(init=False)
    office: Office | None = field(init=False)
    """Who tells people; None where nothing can be sent."""

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.world)
        self.office = office(self.world)

    async def start(self, plan: Json, *, images: Mapping[str, str], by: str) -> RunView:
        """Apply the plan, check, and create a run; or find the one that is under way.

        A new revision of a CanaryPlan's target is held for it.  What the checks refuse has changed only the plan.

        Raises:
            StartRefused: with the findings that forbid it.
        """
        match parsed := plan_in(plan):
            case CanaryPlan():
                return await self._try(parsed, await apply_plan(self.world, plan), images, by)
            case MeshAdoptionPlan():
                return await self._adopt(await apply_plan(self.world, plan), by)

    async def _try(self, parsed: CanaryPlan, stored: Json, images: Mapping[str, str], by: str) -> RunView:
        """Try what the target asks for, with these images."""
        namespace = parsed.metadata.namespace
        active = await self._active(ref_of(stored))
        if active is not None and active.state.committed:
            return active
        if active is None:
            await self._refuse_unsafe(stored)
        mode = await hold_mode(self.world, parsed)
        armed = await arm(self.world, parsed, mode, images) if parsed.spec.target else Armed()
        if active is not None:
            if active.spec.revision.digest == armed.digest:
                return active
            await self.drive(namespace, active.name, lambda _: None)
            await self._refuse_unsafe(stored)
        target = await read_revision(self.world, parsed, mode, armed)
        if parsed.spec.target and target.revision.digest == target.revision.stable_digest:
            await let_go(self.world, target)
            raise StartRefused(
                f"Deployment/{parsed.spec.target.name} asks for the version that is stable: there is nothing to try",
                (),
                hint="name a new image: rollout start FILE --image CONTAINER=IMAGE",
            )
        attempt = next_attempt(await runs_of(self.world, ref_of(stored)))
        return self._view(await create_run(self.world, stored, target, by, attempt))

    async def _adopt(self, stored: Json, by: str) -> RunView:
        """Go on with the adoption that is under way, by the plan as it is now; or begin one."""
        active, runs = await self._active(ref_of(stored)), await runs_of(self.world, ref_of(stored))
        if active is None:
            await self._refuse_unsafe(stored)
            return self._view(await create_adoption(self.world, stored, by, next_attempt(runs)))
        record = parse(self.world.cluster, self.world.clock, runs[0])
        if outdated(stored, record) and not await self.engine_alive(active):
            return self._view(await hand_over(self.world, stored, runs, record, by))
        return active

    async def _refuse_unsafe(self, plan: Json) -> None:
        errors = [f for f in await self.check(plan) if f.level is Level.ERROR]
        if errors:
            name = plan["metadata"]["name"]
            raise StartRefused(f"{len(errors)} check(s) failed", errors, hint=f"details: rollout check {name}")

    async def _active(self, plan: Ref) -> RunView | None:
        """The run of a plan that has not ended; an ended one is put to rest."""
        latest = await self.newest(plan)
        if latest is not None and latest.state.phase.ended:
            await self.settle(latest)
            return None
        return latest

    async def drive(self, namespace: str, run: str, on_turn: OnTurn, *, until: Until | None = None) -> RunView:
        """Take turns until the run has ended, is held, or `until` says so.

        While another engine drives the run, follow it; when that one dies, its lease expires and we go on.
        """
        ref = Ref(PLAN_RUN, namespace, run)
        lease = RunLease(self.world, namespace, run, self._view(await self._get(ref)).uid)
        if self.office is not None:
            await listen(self.office, self.world, namespace)
        while True:
            try:
                turn, done = await self._next(lease, ref, until)
            except Retry as error:
                await self.world.clock.sleep(min(max(error.after, 0.2), PATIENCE))
                continue
            await self._tell(ref)
            on_turn(turn.view)
            if done and self.office is not None:
                await last_words(self.office, self.world.clock)
            if done:
                return turn.view
            await self.world.clock.sleep(min(turn.wake, LOOK))

    async def _tell(self, run: Ref) -> None:
        """Tell people what is stored of a run that we drive."""
        if self.office is None or not self.office.boxes:
            return
        record = self.reconciler.records.get(run)
        stored = record.run if record is not None else await self.world.cluster.get(run)
        if stored is not None:
            self.office.notice(stored)
        self.office.tick()

    async def _next(self, lease: RunLease, ref: Ref, until: Until | None) -> tuple[Turn, bool]:
        """Take or watch one turn; whether it was the last one."""
        driven = True
        try:
            await lease.hold()
            turn = await self.reconciler.turn(ref)
        except DrivenElsewhere:
            turn, driven = Turn(self._view(await self._get(ref)), LOOK), False
        phase = turn.view.state.phase
        done = phase.ended or phase is Phase.HELD or (until is not None and until(turn.view))
        if done:
            await lease.release()
        if phase.ended and driven:
            await self.settle(turn.view)
        return turn, done

    async def go_home(self, namespace: str, run: str, on_turn: OnTurn) -> RunView:
        """Abort the run and drive it until nothing of it is left."""
        await self.order(namespace, run, "abort", by=self.world.identity, reason="interrupted")
        return await self.drive(namespace, run, on_turn)

    async def order(
        self,
        namespace: str,
        run: str,
        verb: str,
        *,
        by: str,
        reason: str,
        full: bool = False,
        step: int | None = None,
        to_revision: int | None = None,
    ) -> Json:
        """Write a decision for a run, in the name that the API server knows us by; `by` where it does not say."""
        view = self._view(await self._get(Ref(PLAN_RUN, namespace, run)))
        now = self.world.clock.now()
        name, groups = await caller(self.world.cluster)
        by = name or by
        spec: Json = {"plan": view.spec.plan, "run": run, "runUid": view.uid, "verb": verb, "by": by, "reason": reason}
        # API servers whose kinds are older than the second kind of plans know no field for it
        spec |= {} if view.owner.kind == CANARY_PLAN else {"kind": view.owner.kind.name}
        spec |= {"expires": rfc3339(now + 3600)} | ({"full": True} if full else {})
        spec |= {} if step is None else {"step": step}
        asked = approval(view.spec, view.state) if verb == "promote" else None
        if asked is not None and (ours := sorted(set(groups) & set(asked.groups))):
            spec |= {"groups": ours}  # no other is anybody's business
        spec |= {} if to_revision is None else {"toRevision": to_revision}
        owner = {"apiVersion": PLAN_RUN.api_version, "kind": PLAN_RUN.name, "name": run, "uid": view.uid}
        return await self.world.cluster.create(
            {
                "apiVersion": PLAN_DECISION.api_version,
                "kind": PLAN_DECISION.name,
                "metadata": {
                    "name": f"{run}-{verb}-{int(now * 1000) % 10**9}",
                    "namespace": namespace,
                    "ownerReferences": [owner],
                },
                "spec": spec,
            }
        )

    async def newest(self, plan: Ref) -> RunView | None:
        """The newest run of a plan.

        Raises:
            Unreadable: it cannot be read.
        """
        runs = await runs_of(self.world, plan)
        return self._view(runs[0]) if runs else None

    async def run(self, namespace: str, name: str) -> RunView | None:
        """The run of this name.

        Raises:
            Unreadable: it cannot be read.
        """
        run = await self.world.cluster.get(Ref(PLAN_RUN, namespace, name))
        return None if run is None else self._view(run)

    async def runs(self, of: Ref | str) -> list[RunView]:
        """All runs of a plan, or of a namespace (of all when it is empty), the newest first.

        Raises:
            Unreadable: one of them cannot be read.
        """
        return [self._view(run) for run in await self._raw(of)]

    async def stored(self, of: Ref | str) -> list[StoredRun]:
        """The same, with those that cannot be read as far as they are known."""
        return [self._as_known(run) for run in await self._raw(of)]

    async def _raw(self, of: Ref | str) -> list[Json]:
        return await (runs_of(self.world, of) if isinstance(of, Ref) else runs_in(self.world, of))

    async def plans(self, namespace: str) -> list[Json]:
        """All plans of a namespace, of every kind that is served; of all namespaces when it is empty."""
        found: list[Json] = []
        for kind in PLANS:
            with suppress(Unsupported):  # kinds that are older than this version
                found += await self.world.cluster.list(kind, namespace)
        return found

    async def check(self, plan: Json) -> list[Finding]:
        """The preflight of a plan."""
        return await checks.preflight(self.world, plan)

    async def engine_alive(self, view: RunView) -> bool:
        """Whether somebody drives the run."""
        lease = await self.world.cluster.get(Ref(LEASE, view.namespace, view.name))
        return lease is not None and alive(lease, self.world.clock.now())

    async def crds_missing(self, kind: Kind) -> list[str]:
        """Kinds of ours that plans of a kind need, and the API server does not know."""
        return await missing(self.world.cluster, kind)

    async def settle(self, view: RunView) -> None:
        """Put an ended run to rest: finalizer and lease gone, old runs of its plan discarded.

        An engine that was killed after its last turn leaves this undone; the next start does it.
        """
        await settle(self.reconciler, view.namespace, view.name)
        plan = await self.world.cluster.get(view.owner)
        if plan is not None:
            runs = await runs_of(self.world, view.owner)
            await prune(self.world, [run for run in runs if ended(run)], plan_in(plan).spec.history)

    async def _get(self, ref: Ref) -> Json:
        run = await self.world.cluster.get(ref)
        if run is None:
            raise NotFound(f"{ref} does not exist", hint=f"list runs: kubectl get prun -n {ref.namespace}")
        return run

    def _as_known(self, run: Json) -> StoredRun:
        try:
            return self._view(run)
        except Unreadable as error:
            return UnreadRun(run, error)

    def _view(self, run: Json) -> RunView:
        record = parse(self.world.cluster, self.world.clock, run)
        meta = run["metadata"]
        now = self.world.clock.now()
        return RunView(meta["namespace"], meta["name"], meta["uid"], record.spec, record.state, now)


def plan_in(raw: Json) -> Plan:
    """The plan in a raw object.

    Raises:
        InvalidInput: it is none, or cannot be read.
    """
    parsed = from_object(raw)
    if not isinstance(parsed, CanaryPlan | MeshAdoptionPlan):
        raise InvalidInput(f"a {raw.get('kind')} is not a plan", hint="give a CanaryPlan or a MeshAdoptionPlan")
    return parsed
