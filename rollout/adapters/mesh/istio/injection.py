"""Whether the next pod of a unit gets a proxy, and why.

Two have a say: the API server, which sends a pod to the webhooks whose selectors match its namespace and its labels;
and the injector behind them, which may still leave it out.  The webhooks' own selectors are read, instead of the rules
that usually stand in them: they differ with revision, tags and installation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rollout.adapters.mesh.istio.controlplane import REVISION, Hook, Injector
from rollout.adapters.mesh.istio.selectors import selects
from rollout.ports.mesh import Because, Injection, Unit

INJECT: Final = "sidecar.istio.io/inject"
"""Label and annotation of pods; the label counts where both are there."""
NAMESPACE: Final = "istio-injection"
"""Label of namespaces; it counts before a revision."""
DATAPLANE: Final = "istio.io/dataplane-mode"
"""Label of namespaces and pods; `ambient` and `none`."""
_SYSTEM: Final = ("kube-system", "kube-public", "kube-node-lease", "local-path-storage")

Labels = Mapping[str, str]


def decide(
    unit: Unit, namespace: Labels | None, hooks: Sequence[Hook] | None, injector: Callable[[str], Injector]
) -> Injection:
    """What the next pod gets. `namespace` are the labels of its namespace; None is what may not be read."""
    if unit.spec.get("hostNetwork"):
        return Injection(Because.HOST_NETWORK, "its pods use the network of their node (hostNetwork)")
    if unit.namespace in _SYSTEM:
        return Injection(Because.SYSTEM, f"Istio leaves namespace {unit.namespace} alone")
    if namespace is None or hooks is None:
        what = f"namespace {unit.namespace}" if namespace is None else "the webhooks that inject"
        return Injection(Because.UNSEEN, f"you may not read {what}")
    asked = wish(unit)
    if asked == "false":
        refused = Injection(Because.REFUSED, f'the pod template says {INJECT}: "false"')
        return _ambient(unit, namespace) or refused  # it refuses only a proxy of its own
    taken = [hook for hook in hooks if selects(hook.namespaces, namespace) and selects(hook.pods, unit.labels)]
    if not taken:
        return _ambient(unit, namespace) or _untaken(unit, namespace, hooks)
    hook = taken[0]
    settings = injector(hook.revision)
    if not asked and any(selects(it, unit.labels) for it in settings.never):
        return Injection(Because.NEVER, f"a neverInjectSelector of revision {hook.revision} leaves its pods out")
    always = any(selects(it, unit.labels) for it in settings.always)
    if not (asked or always or settings.enabled):
        return Injection(Because.NEVER, f"revision {hook.revision} injects only pods that ask (policy: disabled)")
    because, why = _reason(unit, namespace)
    return Injection(because, why, hook.revision)


def wish(unit: Unit) -> str:
    """What the pod template asks for: `true`, `false` or nothing; other values are ignored, as Istio does."""
    said = unit.labels.get(INJECT) if INJECT in unit.labels else unit.annotations.get(INJECT)
    return said if said in ("true", "false") else ""


def _reason(unit: Unit, namespace: Labels) -> tuple[Because, str]:
    for key in (NAMESPACE, REVISION):
        if key in namespace:
            return Because.NAMESPACE, f"namespace {unit.namespace} has the label {key}={namespace[key]}"
    for key in (REVISION, INJECT):
        if key in unit.labels:
            return Because.POD, f"its pods have the label {key}={unit.labels[key]}"
    return Because.DEFAULT, "Istio injects every pod that does not refuse"


def _ambient(unit: Unit, namespace: Labels) -> Injection | None:
    """Pods without a sidecar may be carried by their node's proxy; no webhook is asked for that."""
    if unit.labels.get(DATAPLANE) == "ambient":
        return Injection(Because.POD, f"its pods have the label {DATAPLANE}=ambient", ambient=True)
    if namespace.get(DATAPLANE) == "ambient" and unit.labels.get(DATAPLANE) != "none":
        why = f"namespace {unit.namespace} has the label {DATAPLANE}=ambient"
        return Injection(Because.NAMESPACE, why, ambient=True)
    return None


def _untaken(unit: Unit, namespace: Labels, hooks: Sequence[Hook]) -> Injection:
    """No webhook takes its pods: because nobody asks, or because what is asked for does not exist."""
    known = {name for hook in hooks for name in (hook.tag, hook.revision) if name}
    if namespace.get(NAMESPACE) == "disabled":
        return Injection(Because.REFUSED, f"namespace {unit.namespace} has the label {NAMESPACE}=disabled")
    wanted = namespace.get(REVISION) or unit.labels.get(REVISION)
    if wanted and wanted not in known:
        shown = ", ".join(sorted(known)) or "none"
        return Injection(Because.NO_REVISION, f"revision {wanted} is asked for; there are: {shown}")
    return Injection(Because.UNASKED, "neither its namespace nor its pod template asks for a proxy")
