"""What a run looks like from outside: everything that the terminal, JSON and messages are made from."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.decide.seen import Seen
from rollout.errors import RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import Ref, plan_kind, plan_of
from rollout.plan.run import RunSpec, State


@dataclass(frozen=True, slots=True)
class RunView:
    """One run at one moment. `seen` is there only in the process that drives the run."""

    namespace: str
    name: str
    uid: str
    spec: RunSpec
    state: State
    now: float
    seen: Seen | None = None

    @property
    def plan(self) -> str:
        """Its plan's name."""
        return self.spec.plan

    @property
    def owner(self) -> Ref:
        """Its plan."""
        return Ref(plan_kind(self.spec.plan_kind), self.namespace, self.spec.plan)


@dataclass(frozen=True, slots=True)
class UnreadRun:
    """A run that this version cannot read: what its object says all the same, and why."""

    run: Json
    error: RolloutError

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.run["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.run["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.run["metadata"]["uid"])

    @property
    def plan(self) -> str:
        """Its plan's name."""
        return str(self.run["spec"]["plan"])

    @property
    def owner(self) -> Ref:
        """Its plan."""
        return plan_of(self.run)

    @property
    def status(self) -> Json:
        """What people are shown of its status; `state`, the engine's own part of it, may be what cannot be read."""
        status: Json = self.run.get("status") or {}
        return status


StoredRun = RunView | UnreadRun
