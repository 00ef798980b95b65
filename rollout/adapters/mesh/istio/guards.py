"""What is watched while a namespace changes: gates of questions about Istio's own metrics.

STRICT refuses connections, and a refused connection is no request: the success rate is blind to it.  What sees it is
the volume, which falls, and callers, who report what they do not get through.

No data holds nothing up here, for many workloads have no traffic; what vanishes although it was there counts as zero
(see `watching.volume`).  A scrape of the application itself speaks plaintext: STRICT may cut it off, and then nobody
knows how the application is.  A look must not come more often than a scrape, or rates have no two samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from rollout.adapters.mesh.istio.watching import SLOW, Names, Question
from rollout.plan.base import spell
from rollout.plan.program import Gate, QueryGate, UnitName

SUCCESS: Final = 0.99
"""At least so many requests succeed."""
SLOWER: Final = 0.5
"""At most so many requests are slow. Before it has a proxy, nobody counts how slow a workload always was."""
VOLUME: Final = 0.5
"""At least so much of the traffic before is still there."""
ENDING: Final = ("CronJob", "Job")
"""Workloads whose pods end by themselves."""
TOLERATED: Final = 0.01
"""At most so many more of a caller's requests than before fail, or are refused."""


@dataclass(frozen=True, slots=True)
class IstioGuards:
    """See `plan.strategy.Guards`. Gates ask the metrics that the run asks anyway."""

    namespace: str
    names: Names

    def always(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        """What servers answer."""
        asked = self._about(unit, every)
        told = f"of the requests over {spell(SLOW / 1000)}"
        return (
            QueryGate("success", asked.success(), every, 2, 5, min=SUCCESS, unit="of the requests", on_no_data="pass"),
            QueryGate("latency", asked.slow(), every, 2, 5, max=SLOWER, unit=told, on_no_data="pass"),
        )

    def locked(self, unit: UnitName | None, every: float) -> tuple[Gate, ...]:
        """What sees that somebody is locked out. Callers are watched for the namespace: one question for all units."""
        asked, share = self._about(unit, every), "of a caller's requests, more than before"
        here, cut = self._about(None, every), "of a pod's TCP connections refused by policies, more than before"
        blind = "targets that Prometheus no longer gets an answer from"
        ends = unit is not None and unit.kind in ENDING  # and then does not answer either
        watched = [
            QueryGate("volume", asked.volume(), every, 2, 3, min=VOLUME, unit="of the traffic before"),
            QueryGate("callers", here.callers(), every, 2, 3, max=TOLERATED, unit=share),
            QueryGate("refused", here.refused(), every, 2, 3, max=TOLERATED, unit=share),
            QueryGate("connections", here.cut(), every, 2, 3, max=TOLERATED, unit=cut),
            *([] if ends else [QueryGate("scrapes", asked.unscraped(), every, 2, 3, max=0.0, unit=blind)]),
        ]
        return tuple(replace(gate, on_no_data="pass", back=asked.back) for gate in watched)

    def shadow(
        self, unit: UnitName | None, window: float, every: float, left_open: Mapping[UnitName, tuple[int, ...]]
    ) -> tuple[Gate, ...]:
        """Until nothing is counted in the whole window, the step waits: callers can be mended meanwhile."""
        query = self._about(unit, every).counted("deny", window, left_open)
        told = f"requests without mTLS in {spell(window)}"
        return (QueryGate("plaintext", query, every, 1, 1, max=0.0, unit=told),)

    def shadow_policies(self, unit: UnitName, window: float, every: float) -> tuple[Gate, ...]:
        """What is refused now is a policy that forgets somebody: it fails. Then it must be quiet for the window."""
        asked = self._about(unit, every)
        now = asked.denied("", 4 * every)
        told = f"requests refused in {spell(window)}"
        return (
            QueryGate("would-refuse", now, every, 1, 1, max=0.0, unit="requests", on_no_data="pass"),
            QueryGate("counted", asked.counted("", window), every, 1, 1, max=0.0, unit=told),
        )

    def cost(self, unit: UnitName, cores: float | None, memory: float | None, every: float) -> tuple[Gate, ...]:
        """What the kubelet counts of the proxies. A budget that cannot be measured holds, but not for what runs now
        and then."""
        asked = self._about(unit, every)
        quiet: Literal["hold", "pass"] = "pass" if unit.kind in ENDING else "hold"
        gates: list[Gate] = []
        if cores is not None:
            gates.append(QueryGate("proxy-cpu", asked.cores(), every, 2, 3, max=cores, unit="cores", on_no_data=quiet))
        if memory is not None:
            told = "bytes"
            gates.append(
                QueryGate("proxy-memory", asked.memory(), every, 2, 3, max=memory, unit=told, on_no_data=quiet)
            )
        return tuple(gates)

    def _about(self, unit: UnitName | None, every: float) -> Question:
        return Question(self.names, self.namespace, unit, every)
