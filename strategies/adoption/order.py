"""In which order workloads enter the mesh, and lock plaintext out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.plan.program import UnitName
from rollout.plan.strategy import UnitFact

_RANKS: Final[Mapping[str, int]] = {"Deployment": 0, "ReplicaSet": 0, "StatefulSet": 1, "DaemonSet": 2, "CronJob": 3}
"""What is harder to take back, or shows itself later, comes later."""
_LAST: Final = 4


@dataclass(frozen=True, slots=True)
class Order:
    """The plan's waves; who is in none follows, the one whose trouble would reach the fewest first."""

    waves: tuple[tuple[UnitName, ...], ...] = ()

    def enrolled(self, units: Sequence[UnitFact]) -> tuple[UnitFact, ...]:
        """The order in which workloads get proxies."""
        places = self._places()
        named = sorted((it for it in units if it.unit in places), key=lambda it: places[it.unit])
        return (*named, *_computed([it for it in units if it.unit not in places]))

    def locked(self, units: Sequence[UnitFact], safe: Collection[UnitName]) -> tuple[UnitFact, ...]:
        """The order in which workloads stop accepting plaintext: first those whose callers are all `safe`."""
        places = self._places()

        def key(it: UnitFact) -> tuple[Any, ...]:
            return not set(it.callers) <= set(safe), places.get(it.unit, len(places)), *_reach(it)

        return tuple(sorted(units, key=key))

    def _places(self) -> dict[UnitName, int]:
        return {unit: place for place, unit in enumerate(dict.fromkeys(unit for wave in self.waves for unit in wave))}


def _computed(units: Sequence[UnitFact]) -> list[UnitFact]:
    """A caller and what it calls first, so that mTLS is tried where it hurts least; then by rising reach."""
    ordered = sorted(units, key=_reach)
    by_name = {it.unit: it for it in ordered}
    pairs = [
        (by_name[caller], it) for it in ordered for caller in it.callers if caller in by_name and caller != it.unit
    ]
    if not pairs:
        return ordered
    pair = min(pairs, key=lambda two: (max(map(_rank, two)), sum(map(_blast, two)), str(two[1].unit), str(two[0].unit)))
    return [*pair, *(it for it in ordered if it not in pair)]


def _reach(it: UnitFact) -> tuple[Any, ...]:
    return _rank(it), _blast(it), it.requests, len(it.callers), str(it.unit)


def _blast(it: UnitFact) -> float:
    return len(it.callers) * it.requests


def _rank(it: UnitFact) -> int:
    return _RANKS.get(it.unit.kind, _LAST)
