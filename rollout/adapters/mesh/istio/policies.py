"""Objects that are written as they are: the namespace's label, the policy that only counts, and users' manifests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rollout.adapters.mesh.istio import modes, remedies
from rollout.adapters.mesh.istio.controlplane import REVISION
from rollout.adapters.mesh.istio.fields import GONE
from rollout.adapters.mesh.istio.ground import Ground, Outlook, blocked
from rollout.adapters.mesh.istio.injection import DATAPLANE, NAMESPACE
from rollout.adapters.mesh.istio.lines import owner_of
from rollout.adapters.mesh.istio.proxies import proxies
from rollout.decide.seen import Trouble
from rollout.plan import kinds
from rollout.plan.base import Json
from rollout.plan.kinds import AUTHORIZATION_POLICY, Kind, Ref
from rollout.plan.program import Apply, Shadow
from rollout.ports.mesh import Carrier

DRY_RUN: Final = "istio.io/dry-run"
_PLAIN: Final[Json] = {"action": "DENY", "rules": [{"from": [{"source": {"notPrincipals": ["*"]}}]}]}
"""Refuses requests without a peer identity: exactly those that STRICT would refuse."""
_GROUPS: Final = ("istio.io", "gateway.networking.k8s.io")


def label(ground: Ground) -> Outlook:
    """Have the namespace ask for proxies: by one label, for the older one hides the newer."""
    ref = Ref(kinds.NAMESPACE, "", ground.namespace)
    labels = ground.survey.labels(ground.namespace)
    if labels is None:
        return Outlook(trouble=blocked("Forbidden", f"namespace {ground.namespace} may not be read"))
    named = ground.revision or remedies.revision(ground.planes).get(REVISION, "")
    if not ground.revision and (labels.get(NAMESPACE) == "enabled" or (REVISION in labels and NAMESPACE not in labels)):
        return Outlook()  # it asks already, in its owner's way
    said = {REVISION: named, NAMESPACE: GONE} if named else {NAMESPACE: "enabled", REVISION: GONE}
    what = f"{REVISION}={named}" if named else f"{NAMESPACE}=enabled"
    return Outlook((ground.aim(ref, f"label {what}", {"metadata": {"labels": said}}),))


def shadow(wanted: Shadow, ground: Ground) -> Outlook:
    """Count what STRICT would refuse."""
    if not ground.sees(AUTHORIZATION_POLICY):
        return Outlook(trouble=blocked("Forbidden", f"AuthorizationPolicies of {ground.namespace} may not be read"))
    spec, name, whose = dict(_PLAIN), "shadow-strict", f"in {ground.namespace}"
    if wanted.unit is not None:
        unit = ground.stage.units.get(wanted.unit)
        if unit is None:
            return Outlook()
        selector = modes.selector_of(unit, ground)
        if isinstance(selector, Trouble):
            return Outlook(trouble=selector)
        spec, name = {**spec, "selector": {"matchLabels": selector}}, f"{unit.name}-shadow-strict"
        whose = f"at {unit.kind}/{unit.name}"
    body = {"metadata": {"annotations": {DRY_RUN: "true"}}, "spec": spec}
    ref = Ref(AUTHORIZATION_POLICY, ground.namespace, name)
    aim = ground.aim(ref, f"counts what STRICT would refuse {whose}", body)
    if aim.found is not None and not aim.met and not owner_of(aim.found):
        return Outlook(trouble=blocked("NameTaken", f"{ref} exists and is somebody else's; rename it"))
    return Outlook((aim,), trouble=_ambient(ground))


def _ambient(ground: Ground) -> Trouble | None:
    """Older proxies of nodes enforce what shall only be counted."""
    labels = ground.survey.labels(ground.namespace) or {}
    carried = any(it.carrier is Carrier.AMBIENT for unit in ground.stage.units.values() for it in proxies(unit))
    if labels.get(DATAPLANE) != "ambient" and not carried:
        return None
    text = f"pods of {ground.namespace} are carried by ztunnel, which before Istio 1.29 enforces a dry run"
    return blocked("Ambient", f"{text}; count and lock what is ambient by hand")


def applied(wanted: Apply, ground: Ground) -> Outlook:
    """A manifest: made, or the fields that it names changed."""
    manifest, meta = wanted.manifest, wanted.manifest["metadata"]
    kind = kind_of(manifest)
    if kind is None:
        what = f"{manifest.get('apiVersion')} {manifest.get('kind')}"
        return Outlook(trouble=blocked("UnknownKind", f"{what} {meta['name']}: no kind that is applied here"))
    ref = Ref(kind, meta.get("namespace") or ground.namespace, meta["name"])
    if not ground.sees(kind):
        return Outlook(trouble=blocked("Forbidden", f"{kind.plural} of {ref.namespace} may not be read"))
    body = {key: it for key, it in manifest.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    said = {key: dict(meta[key]) for key in ("labels", "annotations") if meta.get(key)}
    return Outlook((ground.aim(ref, "applied", {**({"metadata": said} if said else {}), **body}),))


def kind_of(manifest: Mapping[str, Any]) -> Kind | None:
    """The kind of a manifest in the version that we read: all versions of Istio's kinds hold the same."""
    group = str(manifest.get("apiVersion", "")).partition("/")[0]
    if not group.endswith(_GROUPS):
        return None
    found = (it for it in kinds.KINDS.values() if (it.group, it.name) == (group, manifest.get("kind")))
    return next(found, None)
