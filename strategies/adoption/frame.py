"""What all steps of a stage have in common: how long they look, by which gates, and what a failure undoes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rollout.plan import gate as written
from rollout.plan.adoption import OnTrouble, Stage
from rollout.plan.base import seconds
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.program import Approve, Gate, Instruction, Step, UnitName
from rollout.plan.query import names
from rollout.plan.strategy import MeshFacts
from strategies.adoption.people import place
from strategies.gates import Scope, compile_gate


@dataclass(frozen=True, slots=True)
class Frame:
    """One stage of a plan."""

    name: str
    stage: Stage
    plan: MeshAdoptionPlan
    facts: MeshFacts

    @property
    def every(self) -> float:
        """Seconds between two looks."""
        return seconds(self.plan.spec.analysis.interval)

    @property
    def on_failure(self) -> OnTrouble:
        """What a failure undoes."""
        return self.stage.on_failure or self.plan.spec.on_failure

    def step(
        self,
        name: str,
        instructions: Sequence[Instruction],
        gates: Iterable[Gate] = (),
        *,
        unit: UnitName | None = None,
        patience: float = 0.0,
        back_to: str = "",
    ) -> Step:
        """A step that does something, then looks. `patience`: seconds that it may take beyond a deadline of the plan.

        Its gates come before those that the plan's author wrote; `unit` is the workload that those are about.
        """
        analysis = self.plan.spec.analysis
        hold = seconds(self.stage.observe or analysis.observe)
        deadline = seconds(self.stage.deadline) if self.stage.deadline else seconds(analysis.deadline) + patience
        return Step(
            name=name,
            instructions=tuple(instructions),
            gates=_distinct((*gates, *self._written(unit))),
            hold=hold,
            warmup=min(seconds(analysis.warmup), hold),
            deadline=deadline,
            on_failure="return",
            back_to=back_to,
        )

    def recount(self, what: str, gates: Iterable[Gate], patience: float) -> Step:
        """A step that writes nothing: what was counted before somebody was asked, or before a failure, may be old.

        It passes at its first look when nothing has come up since, and waits for `patience` seconds otherwise.
        """
        deadline = seconds(self.stage.deadline or self.plan.spec.analysis.deadline) + patience
        return Step(f"recount-{what}", (), gates=tuple(gates), deadline=deadline, on_failure="return")

    def approval(self) -> list[Step]:
        """The step that waits for a person before the stage, if the plan has one."""
        approve = self.stage.approve
        if approve is None:
            return []
        within = seconds(approve.within)
        return [
            Step(
                f"approve-{_kebab(self.name)}",
                (Approve(within, "promote" if approve.otherwise == "promote" else "rollback"),),
                deadline=within + seconds(self.plan.spec.analysis.deadline),
                on_failure="rollback" if approve.otherwise == "rollback" else "hold",
            )
        ]

    def always(self, *units: UnitName | None) -> tuple[Gate, ...]:
        """The gates that every step has, about these workloads; None is the namespace."""
        guards = self.facts.guards
        return () if guards is None else told_apart((unit, guards.always(unit, self.every)) for unit in units)

    def locked(self, *units: UnitName | None) -> tuple[Gate, ...]:
        """`always`, and those that see who is locked out."""
        guards = self.facts.guards
        if guards is None:
            return ()
        return told_apart(
            (unit, (*guards.locked(unit, self.every), *guards.always(unit, self.every))) for unit in units
        )

    def _written(self, unit: UnitName | None) -> tuple[Gate, ...]:
        """The gates of the stage, or of the plan. One that is about a workload has nothing to say of a namespace."""
        gates = self.plan.spec.analysis.gates if self.stage.gates is None else self.stage.gates
        scope = Scope(
            where=place(self.plan),
            interval=self.every,
            variables={"namespace": self.plan.metadata.namespace, "workload": unit.name if unit else ""},
            templates=self.facts.templates,
        )
        return tuple(compile_gate(it, scope) for it in gates if unit is not None or not self._about_one(it))

    def _about_one(self, gate: written.Threshold) -> bool:
        template = self.facts.templates.get(gate.template or "")
        return "workload" in names(gate.query or (template.query if template else ""))


def slug(unit: UnitName) -> str:
    """A workload in the name of a step: `deployment-web`."""
    return f"{unit.kind.lower()}-{unit.name}"


def returning(stages: Sequence[tuple[Frame, Sequence[Step]]]) -> list[Step]:
    """All steps, with what a failure of each undoes. Approvals come before their stage and are not part of it."""
    first = next((step.name for frame, steps in stages for step in (*frame.approval(), *steps)), "")
    done: list[Step] = []
    for frame, steps in stages:
        done += frame.approval()
        done += [_returns(step, frame.on_failure, steps[0].name, first) for step in steps]
    return done


def _returns(step: Step, policy: OnTrouble, stage: str, first: str) -> Step:
    match policy:
        case "hold":
            return replace(step, on_failure="hold", back_to="")
        case "stage":
            return replace(step, back_to=stage)
        case "all":
            return replace(step, back_to=first)
        case "step":
            return step


def told_apart(sets: Iterable[tuple[UnitName | None, Sequence[Gate]]]) -> tuple[Gate, ...]:
    """The gates of several workloads in one step, told apart by the names of those."""
    given = list(sets)
    if len(given) == 1:
        return tuple(given[0][1])
    return tuple(
        gate if unit is None else replace(gate, name=f"{slug(unit)}-{gate.name}")
        for unit, gates in given
        for gate in gates
    )


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)


def _distinct(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """Each name once: a later gate of the same name is numbered."""
    named: dict[str, Gate] = {}
    for gate in gates:
        name, number = gate.name, 2
        while name in named:
            name, number = f"{gate.name}-{number}", number + 1
        named[name] = gate if name == gate.name else replace(gate, name=name)
    return tuple(named.values())
