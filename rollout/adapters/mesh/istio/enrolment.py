"""Proxies for a workload, by labels in its pod template; the controller then makes its pods anew, as for any change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rollout.act.release import release_ops
from rollout.adapters.mesh.istio import remedies
from rollout.adapters.mesh.istio.controlplane import REVISION
from rollout.adapters.mesh.istio.fields import nested
from rollout.adapters.mesh.istio.ground import Ground, Outlook, blocked
from rollout.adapters.mesh.istio.injection import INJECT
from rollout.adapters.mesh.istio.lines import left
from rollout.adapters.mesh.istio.proxies import proxies
from rollout.adapters.mesh.istio.rolling import Roll, Wanted, held, resting, roll, stuck
from rollout.decide.seen import Progress, Trouble
from rollout.plan.base import HOLD_LABEL, Json
from rollout.plan.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, STATEFUL_SET
from rollout.plan.program import Enrol
from rollout.plan.run import Entry
from rollout.ports.mesh import Because, Carrier, Injection, Proxy, Unit

TEMPLATED: Final = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB)
"""Kinds that make their pods anew when their template changes."""


def outlook(wanted: Enrol, ground: Ground) -> Outlook:
    """See `ports.mesh.Mesh.progress`. A workload that is gone has no pods to carry."""
    unit = ground.stage.units.get(wanted.unit)
    if unit is None:
        return Outlook()
    labels = _labels(ground)
    now, then = ground.survey.injection(unit), ground.survey.injection(_with(unit, labels))
    stale = [it for it in proxies(unit) if not _made(it, then)]
    asks = now.proxy and now.revision == then.revision
    if unit.kind not in TEMPLATED:
        return _bare(unit, ground, asks=asks and not stale)
    todo = ground.aim(unit.ref, "asks for a proxy", nested(_path(unit), labels), release(unit, ground))
    if unit.kind == CRON_JOB and asks:
        return Outlook()
    if (not asks or stale) and not todo.met:
        trouble = _refused(unit, ground, then) or resting(unit) or _stuck(unit)
        return Outlook((todo,), trouble=trouble)
    if unit.kind == CRON_JOB:
        return Outlook(trouble=_refused(unit, ground, then))
    far = roll(unit, Wanted(lambda it: _made(it, then), lambda it: it.ready, "have a ready proxy"))
    # a pod that gets none whatever the template says
    trouble = _refused(unit, ground, then) if stale else None
    return Outlook((), far.waits, trouble or far.trouble)


def undone(entry: Entry, unit: Unit, ground: Ground) -> Progress:
    """Whether the template is as before, and no pod has a proxy that it does not ask for."""
    if left(entry, unit.raw):
        return Progress(done=False, text=f"{unit} still asks for a proxy", write=True)
    if unit.kind == CRON_JOB or ground.survey.injection(unit).proxy:
        return Progress(done=True)
    far = _leaving(unit)
    blocks = far.trouble if far.trouble is not None and far.trouble.kind == "blocked" else None
    return Progress(done=not far.waits, text=far.waits, trouble=blocks)


def release(unit: Unit, ground: Ground) -> tuple[Json, ...]:
    """What lets a new template roll where new versions are held; not while one is, for it would roll, too."""
    if HOLD_LABEL not in (unit.raw["metadata"].get("labels") or {}) or held(unit):
        return ()
    token = f"{ground.stage.adoption.run}.{unit.raw['metadata'].get('generation', 0)}"
    return tuple(op for op in release_ops(unit.raw, token) if op["path"] != "/spec/paused")


def _leaving(unit: Unit) -> Roll:
    def plain(proxy: Proxy) -> bool:
        return proxy.carrier in (Carrier.NONE, Carrier.AMBIENT)

    return roll(unit, Wanted(plain, plain, "are without a proxy again"))


def _labels(ground: Ground) -> Mapping[str, str]:
    """What the template shall say; the revision only where the plan names one, or there is no default one."""
    if ground.revision:
        return {INJECT: "true", REVISION: ground.revision}
    return {INJECT: "true", **remedies.revision(ground.planes)}


def _path(unit: Unit) -> tuple[str, ...]:
    above = ("spec", "jobTemplate", "spec") if unit.kind == CRON_JOB else ("spec",)
    return (*above, "template", "metadata", "labels")


def _with(unit: Unit, labels: Mapping[str, str]) -> Unit:
    """The unit with these labels in its template."""
    meta = unit.template.get("metadata") or {}
    return replace(unit, template={**unit.template, "metadata": {**meta, "labels": {**unit.labels, **labels}}})


def _made(proxy: Proxy, then: Injection) -> bool:
    """Whether a pod was made as the next one will be; a pod that does not say its revision may be."""
    right = not proxy.revision or not then.revision or proxy.revision == then.revision
    return proxy.carrier is not Carrier.NONE and (right or proxy.carrier is Carrier.AMBIENT)


def _refused(unit: Unit, ground: Ground, then: Injection) -> Trouble | None:
    """Why its pods would get no proxy, or one of another revision, even if the template asked."""
    if not then.proxy and then.because is not Because.UNSEEN:
        text = f"{unit} cannot have proxies: {then.why}; mend that, or except the workload in the plan"
        return blocked(str(then.because), text)
    known = {name: it.revision for it in ground.planes for name in (it.revision, *it.tags)}
    wanted = known.get(ground.revision, "")
    if wanted and then.revision and then.revision != wanted:
        text = f"{unit} would get proxies of revision {then.revision}, not {ground.revision}: {then.why}"
        return blocked("OtherRevision", f"{text}; take that label away first")
    return None


def _stuck(unit: Unit) -> Trouble | None:
    text = stuck(unit)
    return blocked("RollStuck", f"{unit} is in the middle of a roll that does not end: {text}") if text else None


def _bare(unit: Unit, ground: Ground, *, asks: bool) -> Outlook:
    """Nothing makes its pods anew."""
    if asks and all(it.ready for it in proxies(unit)):
        return Outlook()
    if asks:
        return Outlook(waits=f"the proxy of {unit} is not ready")
    return Outlook(trouble=blocked("Bare", f"{unit} is made anew by nobody: {remedies.enrol(unit, ground.planes)}"))
