"""The hold policy as admission of the in-memory cluster: the same decisions as the shipped MutatingAdmissionPolicy.

- A changed pod template of a labelled Deployment pauses it in the same write and marks it held; nobody un-pauses a
  held one, drops the mark or drops the label, except by a release.
- A release is a new, non-empty value of the release annotation, by someone who has the verb `release` on CanaryPlans.
- Pausing without a template change stays the user's own; a restart is let through; a created Deployment starts.
"""

from __future__ import annotations

from typing import Final

from rollout.adapters.memory.apiserver import Review
from rollout.adapters.memory.store import MemoryCluster
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.kinds import CANARY_PLAN, MUTATING_BINDING, MUTATING_POLICY, Ref

POLICY_NAME: Final = "rollout-hold"
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_POLICIES: Final = (MUTATING_POLICY, MUTATING_BINDING)


def hold(review: Review) -> Json:
    """What the policy makes of one write."""
    old, new = review.old, review.new
    if new["kind"] != "Deployment" or not (_labelled(new) or (old is not None and _labelled(old))):
        return new
    if old is None:
        new["spec"]["paused"] = False
        return new
    if _released(review):
        return new
    label = _labels(old).get(HOLD_LABEL) or _labels(new).get(HOLD_LABEL, "")
    was_held = _notes(old).get(HELD) == "true"
    if was_held or not same_template(old, new):
        _put(new, "annotations", HELD, "true")
        _put(new, "labels", HOLD_LABEL, label)
        new["spec"]["paused"] = True
    elif _labels(old).get(HOLD_LABEL):
        _put(new, "labels", HOLD_LABEL, label)
    return new


def same_template(old: Json, new: Json) -> bool:
    """Whether two Deployments ask for the same pods, but for the mark of `kubectl rollout restart`."""
    before, after = old["spec"]["template"], new["spec"]["template"]
    return (
        bool(before["spec"] == after["spec"])
        and _labels(before) == _labels(after)
        and {**_notes(before), _RESTARTED: ""} == {**_notes(after), _RESTARTED: ""}
    )


def install_hold_policy(cluster: MemoryCluster) -> None:
    """Switch the policy on, and create the two objects by which `check` and the engine recognise it."""
    server = cluster.server
    if hold not in server.policies:
        server.policies.append(hold)
    for kind, spec in zip(_POLICIES, ({"failurePolicy": "Fail"}, {"policyName": POLICY_NAME}), strict=True):
        if server.objects.get(Ref(kind, "", POLICY_NAME)) is None:
            obj = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": POLICY_NAME}, "spec": spec}
            server.create(obj, cluster.may)


def remove_hold_policy(cluster: MemoryCluster) -> None:
    """Switch it off."""
    server = cluster.server
    server.policies[:] = [policy for policy in server.policies if policy is not hold]
    for kind in _POLICIES:
        server.objects.remove(Ref(kind, "", POLICY_NAME))


def _released(review: Review) -> bool:
    new = review.new
    value = _notes(new).get(RELEASE, "")
    if not value or (review.old is not None and value == _notes(review.old).get(RELEASE, "")):
        return False
    return review.allowed("release", CANARY_PLAN, new["metadata"]["namespace"])


def _labelled(obj: Json) -> bool:
    return HOLD_LABEL in _labels(obj)


def _labels(obj: Json) -> Json:
    labels: Json = obj.get("metadata", {}).get("labels") or {}
    return labels


def _notes(obj: Json) -> Json:
    notes: Json = obj.get("metadata", {}).get("annotations") or {}
    return notes


def _put(obj: Json, field: str, key: str, value: str) -> None:
    obj["metadata"][field] = {**(obj["metadata"].get(field) or {}), key: value}
