"""What is not proven: no data is not zero, and a window that is too short has not seen everybody."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.observe.readiness.names import title
from rollout.observe.readiness.scene import Scene
from rollout.plan.base import spell
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Unit


def doubts(unit: Unit, scene: Scene) -> Iterator[Finding]:
    """RO609, RO610, RO611."""
    survey, traffic = scene.survey, scene.survey.traffic
    window = spell(round(traffic.window))
    if traffic.problem:
        text = f"who sends plaintext cannot be known: {traffic.problem}"
        fix = "name a Prometheus that answers: --prometheus URL or ROLLOUT_PROMETHEUS"
        yield Finding("RO609", Level.WARNING, text, where=str(unit), fix=fix)
        return
    if not scene.inbound(unit):
        text = f"no data: not one request or connection in {window}, with mTLS or without"
        fix = "send it traffic, or look at Prometheus' scrape targets; a longer --window may have seen some"
        yield Finding("RO609", Level.WARNING, text, where=str(unit), fix=fix)
    rare = _rarest(scene)
    if rare is not None and survey.timetables[rare.ref].longest > traffic.window:
        longest = spell(_days_up(survey.timetables[rare.ref].longest))
        text = f"{title(rare, unit.namespace, survey)} has no proxy and pauses up to {longest}: {window} may miss it"
        yield Finding("RO610", Level.WARNING, text, where=str(unit), fix=f"rollout mesh report --window {longest}")
    if not traffic.complete:
        text = f"the metrics do not reach back {window}: what was before them is not proven"
        yield Finding("RO611", Level.WARNING, text, where=str(unit), fix="wait, or keep metrics for longer")


def _rarest(scene: Scene) -> Unit | None:
    """The CronJob without a proxy that pauses the longest."""
    tables = scene.survey.timetables
    known = (it for it in scene.plain if it.ref in tables)
    return max(known, key=lambda it: tables[it.ref].longest, default=None)


def _days_up(seconds: float) -> int:
    """In whole minutes, or whole days where it is more than one."""
    unit = 86_400 if seconds > 86_400 else 60
    return int(-(-seconds // unit) * unit)
