"""Whether all pods of a workload are of its newest template, and why they will not be by waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rollout.adapters.mesh.istio.ground import blocked, broken
from rollout.adapters.mesh.istio.proxies import proxies
from rollout.decide.seen import Trouble
from rollout.observe import candidate
from rollout.plan.base import HELD, Json
from rollout.plan.kinds import DAEMON_SET, DEPLOYMENT, STATEFUL_SET
from rollout.ports.mesh import Proxy, Unit


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the pods shall be."""

    made: Callable[[Proxy], bool]
    """By the newest template; other pods have to be replaced."""
    ready: Callable[[Proxy], bool]
    told: str
    """For people: `have a ready proxy`."""


@dataclass(frozen=True, slots=True)
class Roll:
    """How far a workload is."""

    waits: str = ""
    """Empty: all pods are as wanted."""
    trouble: Trouble | None = None


def roll(unit: Unit, wanted: Wanted) -> Roll:
    """How far the pods of a Deployment, StatefulSet or DaemonSet are."""
    status = unit.raw.get("status") or {}
    if status.get("observedGeneration", 0) < unit.raw["metadata"].get("generation", 0):
        return Roll(f"the controller of {unit} has not seen its newest template yet")
    pods = proxies(unit)
    good = [it for it in pods if wanted.made(it) and wanted.ready(it)]
    stale = [it.pod for it in pods if not wanted.made(it)]
    if len(good) == len(pods) >= _desired(unit) and (paused(unit) or _through(unit)):
        return Roll()
    text = f"{len(good)} of {max(_desired(unit), len(pods))} pods of {unit.kind}/{unit.name} {wanted.told}"
    fresh = [it for it in unit.pods if it["metadata"]["name"] not in stale]
    return Roll(text, next(_troubles(unit, stale, fresh), None))


def paused(unit: Unit) -> bool:
    """Whether the controller does not roll because it was told so."""
    return unit.kind == DEPLOYMENT and bool(unit.raw["spec"].get("paused"))


def held(unit: Unit) -> bool:
    """Whether a new version is being held, which a release would set free."""
    return unit.kind == DEPLOYMENT and HELD in (unit.raw["metadata"].get("annotations") or {})


def resting(unit: Unit) -> Trouble | None:
    """Why a new template would not roll."""
    if held(unit):
        text = f"{unit} holds a new version that has not been released; promote it or undo it first"
        return blocked("Held", text)
    if paused(unit):
        how = f"kubectl rollout resume deployment/{unit.name} -n {unit.namespace}"
        return blocked("DeploymentPaused", f"{unit} is paused, so its pods are not made anew: {how}")
    return None


def stuck(unit: Unit) -> str:
    """Why its roll does not go on, in its controller's words."""
    for condition in (unit.raw.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message") or condition["reason"])
    return ""


def _desired(unit: Unit) -> int:
    if unit.kind == DAEMON_SET:
        return int((unit.raw.get("status") or {}).get("desiredNumberScheduled", 0))
    return int(unit.raw["spec"].get("replicas", 1))


def _through(unit: Unit) -> bool:
    """Whether the controller has replaced all pods, and all that it wants are ready."""
    status, wanted = unit.raw.get("status") or {}, _desired(unit)
    if unit.kind == DAEMON_SET:
        fresh, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
    else:
        fresh, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    replaced = fresh >= wanted and status.get("replicas", fresh) <= fresh
    # what its owner replaces himself, or not yet, counts by its pods alone
    return (replaced or _on_delete(unit) or _partition(unit) > 0) and int(ready) >= wanted


def _on_delete(unit: Unit) -> bool:
    """Whether its owner replaces pods himself."""
    return (unit.raw["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"


def _partition(unit: Unit) -> int:
    """The ordinal below which pods of a StatefulSet are not replaced."""
    strategy = unit.raw["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition", 0)) if unit.kind == STATEFUL_SET else 0


def _troubles(unit: Unit, stale: Sequence[str], fresh: Sequence[Json]) -> Iterator[Trouble]:
    found = candidate.parse(unit.raw, fresh, "").trouble
    if found is not None and found.kind == "broken":
        yield found
    if unit.kind == DEPLOYMENT:
        if (resting_ := resting(unit)) is not None:
            yield resting_
        if text := stuck(unit):
            yield broken("ProgressDeadlineExceeded", f"{unit} does not get through: {text}")
    if found is not None:
        yield found
    yield from _left_alone(unit, stale)


def _left_alone(unit: Unit, stale: Sequence[str]) -> Iterator[Trouble]:
    """Pods that nobody replaces."""
    where, delete = f"-n {unit.namespace}", f"kubectl delete pod {stale[0] if stale else ''} -n {unit.namespace}"
    if stale and _on_delete(unit):
        how = f"delete them one by one, each when the one before is ready: {delete}"
        yield blocked("OnDelete", f"{unit} does not replace its pods {', '.join(stale)} itself (OnDelete); {how}")
        return
    yield from _waited_for(unit, stale)
    partition = _partition(unit)
    kept = [it for it in stale if int(it.rpartition("-")[2]) < partition] if partition else []
    if kept and len(kept) == len(stale):
        patch = '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'
        how = f"kubectl patch statefulset {unit.name} {where} --type merge -p '{patch}'"
        yield blocked("Partition", f"{unit} leaves {', '.join(kept)} as they are (partition {partition}): {how}")
    elif stale and not partition and _through(unit):
        how = f"kubectl rollout restart {unit.kind.name.lower()}/{unit.name} {where}"
        yield blocked("NotReplaced", f"{', '.join(stale)} of {unit} are not as the template asks: {how}")


def _waited_for(unit: Unit, stale: Sequence[str]) -> Iterator[Trouble]:
    """A StatefulSet waits until a pod is ready before it replaces it, even by the template that would mend it."""
    if unit.kind != STATEFUL_SET or unit.raw["spec"].get("podManagementPolicy") == "Parallel":
        return
    for pod in unit.pods:
        name, conditions = pod["metadata"]["name"], (pod.get("status") or {}).get("conditions") or ()
        if name in stale and any(it["type"] == "Ready" and it["status"] != "True" for it in conditions):
            text = f"pod {name} is not ready, and {unit} waits for it before it makes it anew"
            yield blocked("Waiting", f"{text}: kubectl delete pod {name} -n {unit.namespace}")
