"""The controller's own metrics, `meshrollout_*`: gauges are read from the stores when somebody scrapes.

Labels are bounded: kind, namespace and plan, never a run.  A plan that is deleted has no series any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rollout.controller.reach import Reach
from rollout.controller.stores import Stores
from rollout.controller.view import RunView
from rollout.plan.kinds import CANARY_PLAN, PLANS, Ref
from rollout.plan.run import State, news

DURATIONS: Final = (60, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400)
"""Buckets of a run's length, seconds: a minute to a day."""


class _State(Collector):
    """What the stores know, told at each scrape."""

    def __init__(self, stores: Stores, reach: Reach) -> None:
        self._stores, self._reach = stores, reach

    def collect(self) -> Iterable[Metric]:
        """The phase and weight of each plan, what is kept, which watches are blind and what we may not read."""
        phase = GaugeMetricFamily(
            "meshrollout_phase", "1 for the phase a plan is in", labels=["kind", "namespace", "plan", "phase"]
        )
        weight = GaugeMetricFamily(
            "meshrollout_weight_ratio", "Share of requests asked for each side", labels=["namespace", "plan", "backend"]
        )
        for plan in (plan for kind in PLANS if (store := self._stores.of(kind, "")) for plan in store.list()):
            names = [plan["metadata"]["namespace"], plan["metadata"]["name"]]
            status = plan.get("status") or {}
            phase.add_metric([plan["kind"], *names, status.get("phase", "Unknown")], 1)
            if plan["kind"] != CANARY_PLAN.name:
                continue
            share = float(status.get("weight") or 0) / 100
            weight.add_metric([*names, "candidate"], share)
            weight.add_metric([*names, "stable"], 1 - share)
        kept = GaugeMetricFamily("meshrollout_objects", "Objects that are kept in memory", labels=["kind"])
        for kind, number in self._stores.sizes().items():
            kept.add_metric([kind.name], number)
        blind = GaugeMetricFamily("meshrollout_watches_blind", "Watches that are broken at the moment")
        blind.add_metric([], len(self._stores.blind))
        reach = GaugeMetricFamily(
            "meshrollout_namespace_readable", "0 for a namespace that we may not read (* for all)", labels=["namespace"]
        )
        for name in self._reach.names:
            reach.add_metric([name or "*"], 0 if name in self._reach.lost else 1)
        yield from (phase, weight, kept, blind, reach)


@dataclass
class Telemetry:
    """Counts what happens. One for each process."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    last_tick: float = 0.0
    """When the loop was last alive, monotonic."""

    def __post_init__(self) -> None:
        self._runs = Counter(
            "meshrollout_runs", "Runs that ended", ["strategy", "outcome", "reason"], registry=self.registry
        )
        self._duration = Histogram(
            "meshrollout_run_duration_seconds",
            "From the first step to the end",
            ["strategy", "outcome"],
            buckets=DURATIONS,
            registry=self.registry,
        )
        self._verdicts = Counter(
            "meshrollout_gate_verdicts", "Judged looks at gates", ["verdict"], registry=self.registry
        )
        self._notes = Counter("meshrollout_events", "What happened to runs", ["reason"], registry=self.registry)
        self._errors = Counter(
            "meshrollout_reconcile_errors", "Turns that failed and are taken again", ["error"], registry=self.registry
        )
        self._notifications = Counter(
            "meshrollout_notifications",
            "Messages to people",
            ["namespace", "channel", "result"],
            registry=self.registry,
        )
        self._turns = Counter("meshrollout_turns", "Turns of runs", registry=self.registry)
        self._leading = Gauge("meshrollout_leading", "1 while this process leads", registry=self.registry)
        self._values = Gauge(
            "meshrollout_gate_value",
            "What a gate of a run under way was last judged by; shares are 0 to 1",
            ["kind", "namespace", "plan", "gate"],
            registry=self.registry,
        )

    def told(self, channel: Ref, result: str) -> None:
        """A message to people was sent, failed, or was refused."""
        self._notifications.labels(channel.namespace, channel.name, result).inc()

    def watch(self, stores: Stores, reach: Reach) -> None:
        """Tell of what these stores know, and can know, at each scrape."""
        self.registry.register(_State(stores, reach))

    def ticked(self, now: float) -> None:
        """The loop is alive."""
        self.last_tick = now

    def failed(self, error: str) -> None:
        """A turn failed."""
        self._errors.labels(error).inc()

    def leads(self, number: int) -> None:
        """1 when this process leads, 0 when it does not."""
        self._leading.set(number)

    def turned(self, view: RunView, before: State) -> None:
        """A run had a turn."""
        self._turns.inc()
        for note in news(before, view.state):
            self._notes.labels(note.reason).inc()
        for name, gate in view.state.gates.items():
            known_gate = before.gates.get(name)
            if gate.looks and (known_gate is None or gate.looks != known_gate.looks):
                self._verdicts.labels(gate.looks[-1].verdict).inc()
                if gate.looks[-1].value is not None:
                    self._values.labels(view.spec.plan_kind, view.namespace, view.spec.plan, name).set(
                        gate.looks[-1].value
                    )
        if view.state.phase.ended and not before.phase.ended:
            self._ended(view)

    def _ended(self, view: RunView) -> None:
        strategy, state = view.spec.program.strategy, view.state
        self._runs.labels(strategy, str(state.phase), state.reason).inc()
        if state.started and state.ended is not None:
            self._duration.labels(strategy, str(state.phase)).observe(state.ended - state.started)
        for gate in state.gates:
            with suppress(KeyError):  # it was never judged
                self._values.remove(view.spec.plan_kind, view.namespace, view.spec.plan, gate)
