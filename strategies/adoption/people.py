"""Who is concerned by an adoption: who enters, who locks plaintext out, and who stays outside by exception."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rollout.errors import InvalidInput
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.program import UnitName
from rollout.plan.strategy import MeshFacts, UnitFact
from rollout.plan.written import UnitRef
from strategies.adoption.order import Order


@dataclass(frozen=True, slots=True)
class People:
    """The workloads of the namespace by what happens to them, each in the order in which it does."""

    entering: tuple[UnitFact, ...]
    """Get proxies in this run."""
    serving: tuple[UnitFact, ...]
    """Are called, and are in the mesh once the entering ones are: what STRICT and policies are about."""
    outside: tuple[UnitName, ...]
    """Stay without proxies, by exception."""
    plaintext: dict[UnitName, tuple[int, ...]]
    """Ports that go on accepting plaintext, by exception."""
    longest_pause: float
    """Seconds between two runs of a CronJob of the namespace, at most."""


def people(plan: MeshAdoptionPlan, facts: MeshFacts, *, enrols: bool) -> People:
    """Everybody, from the plan and what is known of the namespace.

    Raises:
        InvalidInput: the plan names a workload that is not there, or excepts one that is in the mesh as a whole.
    """
    spec, where = plan.spec, place(plan)
    exceptions = [(_name(it.workload), it.ports) for it in spec.exceptions]
    outside = tuple(dict.fromkeys(unit for unit, ports in exceptions if not ports))
    ports: dict[UnitName, tuple[int, ...]] = {}
    for unit, open_ports in exceptions:
        ports[unit] = tuple(sorted({*ports.get(unit, ()), *open_ports}))
    waves = tuple(tuple(_name(ref) for ref in wave) for wave in spec.waves)
    if facts.units:
        known = {it.unit for it in facts.units}
        _exist([unit for wave in waves for unit in wave], known, "spec.waves", where)
        _exist([unit for unit, _ in exceptions], known, "spec.exceptions", where)
        _stay_out(facts, outside, where)
    order = Order(waves)
    entering = [it for it in facts.units if enrols and not (it.meshed or it.bare or it.unit in outside)]
    meshed = [it for it in facts.units if it.unit not in outside and (it.meshed or it in entering)]
    return People(
        entering=order.enrolled(entering),
        serving=order.locked([it for it in meshed if it.serves], {*outside, *(it.unit for it in meshed)}),
        outside=outside,
        plaintext={unit: open_ports for unit, open_ports in ports.items() if unit not in outside},
        longest_pause=max((it.longest_pause for it in facts.units if it.unit not in outside), default=0.0),
    )


def place(plan: MeshAdoptionPlan) -> str:
    """The plan, for messages."""
    return f"MeshAdoptionPlan/{plan.metadata.name}"


def _name(ref: UnitRef) -> UnitName:
    return UnitName(ref.kind, ref.name)


def _exist(named: Collection[UnitName], known: Collection[UnitName], field: str, where: str) -> None:
    """A name that is not there is a typo, and its workload would be treated as any other."""
    for unit in named:
        if unit not in known:
            there = ", ".join(sorted(map(str, known)))
            hint = f"correct or remove it; there are: {there}"
            raise InvalidInput(f"{field}: there is no {unit} in the namespace", where=where, hint=hint)


def _stay_out(facts: MeshFacts, outside: Collection[UnitName], where: str) -> None:
    for it in facts.units:
        if it.meshed and it.unit in outside:
            raise InvalidInput(
                f"spec.exceptions: {it.unit} cannot stay outside, it is in the mesh already",
                where=where,
                hint="name the ports that go on accepting plaintext, or take its proxies away first",
            )
