"""What servers accept: PeerAuthentications of a namespace, of a workload, of some of its pods by a label of their own.

Of several policies of one scope the oldest counts, so the one that counts is changed, and only where there is none one
is made.  A mode that is stricter already is never lowered, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rollout.adapters.mesh.istio import remedies
from rollout.adapters.mesh.istio.fields import nested
from rollout.adapters.mesh.istio.ground import Ground, Outlook, blocked
from rollout.adapters.mesh.istio.lines import Aim
from rollout.adapters.mesh.istio.proxies import proxies
from rollout.adapters.mesh.istio.selectors import selects
from rollout.decide.seen import Trouble
from rollout.plan.base import ROLE_LABEL, Json, label
from rollout.plan.kinds import PEER_AUTHENTICATION, POD, Ref
from rollout.plan.program import SetMode
from rollout.ports.mesh import Mode, Mtls, Setting, Unit

TRIED: Final = label("strict")
"""Label of the pods on which STRICT is tried."""


def outlook(wanted: SetMode, ground: Ground) -> Outlook:
    """See `ports.mesh.Mesh.progress`. A workload that is gone accepts nothing."""
    if not ground.sees(PEER_AUTHENTICATION):
        return Outlook(trouble=blocked("Forbidden", f"PeerAuthentications of {ground.namespace} may not be read"))
    if wanted.unit is None:
        return _of_namespace(wanted, ground)
    unit = ground.stage.units.get(wanted.unit)
    if unit is None:
        return Outlook()
    return _of_pods(wanted, unit, ground) if wanted.pods else _of_unit(wanted, unit, ground)


def _of_namespace(wanted: SetMode, ground: Ground) -> Outlook:
    namespace = ground.namespace
    setting = ground.survey.mtls(namespace, {}).workload
    # both modes are said explicitly, so that the mesh's default may change; what is STRICT already is enough
    explicit = setting.scope == "namespace" or wanted.mode == "STRICT"
    if setting.mode == wanted.mode and explicit:
        return Outlook()
    if namespace == ground.survey.root:
        text = f"{namespace} is the mesh's root namespace: what is set there holds for the whole mesh"
        return Outlook(trouble=blocked("RootNamespace", text))
    if trouble := _lowers(wanted, setting, f"namespace {namespace}"):
        return Outlook(trouble=trouble)
    names = [Ref(PEER_AUTHENTICATION, namespace, it) for it in ("default", "namespace")]
    ref = ground.survey.whole(namespace) or next((it for it in names if ground.find(it) is None), names[-1])
    return Outlook((ground.aim(ref, f"mTLS {wanted.mode} in {namespace}", _spec(wanted)),))


def _of_unit(wanted: SetMode, unit: Unit, ground: Ground) -> Outlook:
    found = ground.survey.mtls(unit.namespace, unit.labels)
    if _is(wanted, found):
        return Outlook()
    if trouble := _lowers(wanted, found.workload, str(unit)):
        return Outlook(trouble=trouble)
    what = f"mTLS {wanted.mode} at {unit.kind}/{unit.name}{_but(wanted)}"
    if found.narrow is not None:
        if others := _others(ground, found.narrow, unit):
            text = f"{found.narrow} counts for {unit} and for {others}; split it, so that each has a policy of its own"
            return Outlook(trouble=blocked("SharedPolicy", text))
        return Outlook((ground.aim(found.narrow, what, _spec(wanted)),))
    selector = selector_of(unit, ground)
    if isinstance(selector, Trouble):
        return Outlook(trouble=selector)
    return Outlook((_made(ground, unit, "mtls", what, _spec(wanted, selector)),))


def _of_pods(wanted: SetMode, unit: Unit, ground: Ground) -> Outlook:
    """Some running pods. Where a policy for the workload counts already, a younger one beside it would not."""
    ready = {it.pod for it in proxies(unit) if it.ready}
    pods = [it for it in unit.pods if "deletionTimestamp" not in it["metadata"]]
    count = min(wanted.pods, len(pods))
    mode = ground.survey.mtls(unit.namespace, unit.labels)
    selector = selector_of(unit, ground)
    if not count or _is(wanted, mode) or mode.narrow is not None:
        return Outlook()
    if isinstance(selector, Trouble):
        return Outlook(trouble=selector)
    tried = [it for it in pods if TRIED in (it["metadata"].get("labels") or {})]
    more = [it for it in pods if it not in tried and it["metadata"]["name"] in ready][: max(0, count - len(tried))]
    what = f"mTLS {wanted.mode} at {count} of the pods of {unit.kind}/{unit.name}{_but(wanted)}"
    aims = [_made(ground, unit, "mtls-pods", what, _spec(wanted, {**selector, TRIED: "true"}))]
    for pod in (*tried, *more):
        ref = Ref(POD, unit.namespace, pod["metadata"]["name"])
        aims.append(
            ground.aim(ref, f"mTLS {wanted.mode} is tried on it", nested(("metadata", "labels", TRIED), "true"))
        )
    few = count - len(tried) - len(more)
    return Outlook(tuple(aims), f"{few} more pods of {unit} need a ready proxy first" if few > 0 else "")


def _is(wanted: SetMode, found: Mtls) -> bool:
    ports = all(found.at(port).mode is not Mode.STRICT for port in wanted.plaintext)
    return found.workload.mode == wanted.mode and ports


def _lowers(wanted: SetMode, setting: Setting, whose: str) -> Trouble | None:
    if wanted.mode == "STRICT" or setting.mode is not Mode.STRICT:
        return None
    where = f"by {setting.ref}" if setting.ref else "by default"
    text = f"{whose} accepts mTLS only ({where}), and is not lowered; whoever means it sets PERMISSIVE himself"
    return blocked("Stricter", text)


def _spec(wanted: SetMode, selector: Mapping[str, str] | None = None) -> Json:
    spec: dict[str, Any] = {"mtls": {"mode": wanted.mode}}
    if wanted.plaintext:
        spec["portLevelMtls"] = {str(port): {"mode": "PERMISSIVE"} for port in wanted.plaintext}
    if selector is not None:
        spec["selector"] = {"matchLabels": dict(selector)}
    return {"spec": spec}


def _made(ground: Ground, unit: Unit, suffix: str, what: str, wanted: Json) -> Aim:
    """A policy with a readable name that is free, or is this one already."""
    names = [f"{unit.name}-{suffix}", f"{unit.name}-{unit.kind.name.lower()}-{suffix}"]
    aims = [ground.aim(Ref(PEER_AUTHENTICATION, unit.namespace, it), what, wanted) for it in names]
    selector = wanted["spec"]["selector"]
    return next((it for it in aims if it.found is None or it.found["spec"].get("selector") == selector), aims[-1])


def selector_of(unit: Unit, ground: Ground) -> Mapping[str, str] | Trouble:
    """Labels that select this workload and no other: those that never change, else all that say whose pods they are."""
    fixed = (unit.raw["spec"].get("selector") or {}).get("matchLabels") or {}
    every = {key: value for key, value in unit.labels.items() if key not in remedies.OWN_LABELS}
    for labels in (fixed, every):
        if labels and not _sharing(ground, labels, unit):
            return dict(labels)
    others = _sharing(ground, every, unit)
    why = f"the labels of its pods select {others} as well" if every and others else "its pods have no labels"
    return blocked("NoLabels", f"{unit} cannot have a mode of its own: {why}; give its pod template a label of its own")


def _others(ground: Ground, policy: Ref, unit: Unit) -> str:
    found = ground.find(policy)
    selector = ((found or {}).get("spec") or {}).get("selector") or {}
    return _sharing(ground, selector.get("matchLabels") or {}, unit)


def _sharing(ground: Ground, labels: Mapping[str, str], unit: Unit) -> str:
    """Other workloads that labels select; a canary of this one is none."""
    others = [
        f"{it.kind}/{it.name}"
        for it in ground.stage.units.values()
        if it.ref != unit.ref and ROLE_LABEL not in it.labels and selects({"matchLabels": labels}, it.labels)
    ]
    return ", ".join(others)


def _but(wanted: SetMode) -> str:
    ports = ", ".join(str(port) for port in wanted.plaintext)
    return f", plaintext at {ports}" if ports else ""
