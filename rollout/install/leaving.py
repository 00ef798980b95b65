"""Leaving without a trace: every run is ended and every hold is given up before what could do it is gone.

While a controller lives, it ends the runs, and this process watches; otherwise this process drives them home itself,
with the same turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from rollout.act.release import end_hold_ops
from rollout.controller import leader
from rollout.controller.foreground import Foreground
from rollout.controller.record import FINALIZER
from rollout.controller.view import RunView
from rollout.errors import Conflict, Forbidden, NotFound, Retry, Unavailable
from rollout.plan.base import HELD, HOLD_LABEL, Json
from rollout.plan.holdpolicy import MARKS
from rollout.plan.kinds import DEPLOYMENT, PLAN_RUN, Ref, ref_of
from rollout.plan.run import Phase
from rollout.ports.cluster import guard_of

Tell = Callable[[str], None]
_LOOK: Final = 1.0
_REASON: Final = "rollout uninstall"


class Leaving:
    """Ends what is under way in some namespaces (none named: in all); `home` is the controller's own."""

    def __init__(self, engine: Foreground, home: str, namespaces: Collection[str], tell: Tell) -> None:
        self._engine, self._world = engine, engine.world
        self._home, self._namespaces, self._tell = home, tuple(namespaces) or ("",), tell

    async def active(self) -> list[RunView]:
        """The runs that have not ended."""
        found = [view for namespace in self._namespaces for view in await self._engine.runs(namespace)]
        return [view for view in found if not view.state.phase.ended]

    async def end_runs(self, limit: float) -> None:
        """Abort every run, and wait until all have ended; those past the commit point are let finish.

        Raises:
            Unavailable: one has not ended within `limit` seconds.
        """
        views = await self.active()
        for view in views:
            await self._order(view)
        left = {view.uid: view for view in views}
        try:
            async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
                for view in views:
                    group.create_task(self._end(view, left))
        except TimeoutError:
            view = next(iter(left.values()))
            raise Unavailable(
                f"run {view.name} in {view.namespace} has not ended: {_where(view)}; nothing was removed",
                hint=f"rollout why {view.name} -n {view.namespace}; then rollout uninstall again",
            ) from None

    async def _order(self, view: RunView) -> None:
        if view.state.phase is Phase.ROLLING_BACK:
            return
        if view.state.committed and view.state.phase is not Phase.HELD:
            self._tell(f"run {view.name} in {view.namespace} is past its commit point: it is let finish")
            return
        self._tell(f"run {view.name} in {view.namespace} is aborted: {_where(view)}")
        await self._engine.order(view.namespace, view.name, "abort", by=self._world.identity, reason=_REASON)

    async def _end(self, view: RunView, left: dict[str, RunView]) -> None:
        said = ""

        def show(now: RunView) -> None:
            nonlocal said
            left[view.uid] = now
            if (where := _where(now)) != said:
                said = where
                self._tell(f"  {now.namespace}/{now.name}: {where}")

        if not await self._ended_by_controller(view, show):
            await self._engine.drive(view.namespace, view.name, show)
        del left[view.uid]

    async def _ended_by_controller(self, view: RunView, show: Callable[[RunView], None]) -> bool:
        """Watch while a controller lives that looks after the run; whether it has ended it. A run that is gone has."""
        while True:
            controller = await leader.find(self._world, self._home)
            if controller is None or not controller.serves(view.namespace):
                return False
            with suppress(Retry):
                found = await self._engine.run(view.namespace, view.name)
                if found is None or found.uid != view.uid:
                    return True
                show(found)
                if found.state.phase.ended:
                    return True
            await self._world.clock.sleep(_LOOK)

    async def settle(self) -> None:
        """Put ended runs to rest whose engine did not live to do it: their finalizer would keep them for ever."""
        for namespace in self._namespaces:
            ended = {v.uid: v for v in await self._engine.runs(namespace) if v.state.phase.ended}
            for raw in await self._world.cluster.list(PLAN_RUN, namespace):
                view = ended.get(raw["metadata"]["uid"])
                if view is not None and FINALIZER in raw["metadata"].get("finalizers", ()):
                    await self._engine.settle(view)

    async def give_up_holds(self) -> int:
        """Take the hold off every Deployment; what is paused stays so, as an ordinary pause. How many there were.

        Raises:
            Forbidden: the hold policy keeps one, for lack of the verb `release`.
        """
        held = [d for ns in self._namespaces for d in await self._world.cluster.list(DEPLOYMENT, ns) if _held(d)]
        for deployment in held:
            await self._give_up(ref_of(deployment))
        return len(held)

    async def _give_up(self, ref: Ref) -> None:
        while (found := await self._world.cluster.get(ref)) is not None and _held(found):
            token = f"uninstall.{found['metadata']['resourceVersion']}"
            try:
                left = await self._world.cluster.patch(ref, _free_ops(found, token), guard_of(found))
            except Conflict:
                continue
            except NotFound:
                return
            if _held(left):
                raise Forbidden(
                    f"the hold policy keeps {ref}: you lack the verb release on canaryplans there",
                    hint=f"ask for the ClusterRole rollout-admin in {ref.namespace}; then rollout uninstall again",
                )
            paused = "; it stays paused at the version that was tried; when it may roll: "
            paused += f"kubectl rollout resume deployment/{ref.name} -n {ref.namespace}"
            self._tell(f"{ref} is held no more" + (paused if left["spec"].get("paused") else ""))


def _held(deployment: Json) -> bool:
    meta = deployment["metadata"]
    labelled = HOLD_LABEL in (meta.get("labels") or {})
    return labelled or (meta.get("annotations") or {}).get(HELD) in MARKS


def _free_ops(deployment: Json, token: str) -> list[Json]:
    """Without the label, held by `rollout start` alone, there is none to take off."""
    ops = end_hold_ops(deployment, token)
    return ops if HOLD_LABEL in (deployment["metadata"].get("labels") or {}) else ops[:-1]


def _where(view: RunView) -> str:
    state = view.state
    text = state.holding.message if state.holding else state.message
    where = f"{state.weight:g} %" if view.spec.program.adoption is None else view.spec.program.steps[state.step].name
    return f"{state.phase}, {where}" + (f": {text}" if text else "")
