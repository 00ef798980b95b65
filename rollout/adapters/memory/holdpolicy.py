"""The hold policy as admission of the in-memory cluster: the same decisions as the shipped MutatingAdmissionPolicy.

- A changed pod template of a labelled Deployment pauses it in the same write and marks it held; nobody un-pauses a
  held one, drops the mark or drops the label, except by a release.
- A release is a new, non-empty value of the release annotation, by someone who has the verb `release` on CanaryPlans.
- Pausing without a template change stays the user's own; a restart is let through; a created Deployment starts.
- A mark without a changed template is taken back, and with it the pause that came in the same write.
"""

from __future__ import annotations

from typing import Final

from rollout.adapters.memory.apiserver import ApiServer, Review
from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.store import MemoryCluster
from rollout.plan.base import HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.holdpolicy import MARKS, NAME, documents
from rollout.plan.kinds import CANARY_PLAN, MUTATING_BINDING, MUTATING_POLICY, Ref, ref_of

_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_POLICIES: Final = (MUTATING_POLICY, MUTATING_BINDING)


def hold(review: Review) -> Json:
    """What the policy makes of one write."""
    old, new = review.old, review.new
    if new["kind"] != "Deployment" or not (_labelled(new) or (old is not None and _labelled(old))):
        return new
    marked = _notes(new).get(HELD) in MARKS
    if old is None:
        new["spec"]["paused"] = False
        if marked:
            _put(new, "annotations", HELD, "false")
        return new
    if _released(review):
        return new
    label = _labels(old).get(HOLD_LABEL) or _labels(new).get(HOLD_LABEL, "")
    was_held = _notes(old).get(HELD) in MARKS
    mark = _notes(old)[HELD] if was_held else "paused" if old["spec"].get("paused") else "true"
    if was_held or not same_template(old, new):
        _put(new, "annotations", HELD, mark)
        _put(new, "labels", HOLD_LABEL, label)
        new["spec"]["paused"] = True
    elif marked:
        _put(new, "annotations", HELD, "false")
        _put(new, "labels", HOLD_LABEL, label)
        new["spec"]["paused"] = old["spec"].get("paused", False)
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


class HoldPolicy:
    """Admission that is in force while the policy and its binding exist, as on a real server."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __call__(self, review: Review) -> Json:
        """Hold, if the policy is installed."""
        installed = all(self._objects.get(Ref(kind, "", NAME)) is not None for kind in _POLICIES)
        return hold(review) if installed else review.new


def attach_hold_policy(server: ApiServer) -> None:
    """Make the server able to run the policy; whoever creates its two objects switches it on."""
    if not any(isinstance(policy, HoldPolicy) for policy in server.policies):
        server.policies.append(HoldPolicy(server.objects))


def install_hold_policy(cluster: MemoryCluster) -> None:
    """Switch the policy on by creating the objects that are shipped."""
    attach_hold_policy(cluster.server)
    for obj in documents():
        if cluster.objects.get(ref_of(obj)) is None:
            cluster.server.create(obj, cluster.may)


def remove_hold_policy(cluster: MemoryCluster) -> None:
    """Switch it off by deleting them."""
    for obj in documents():
        cluster.objects.remove(ref_of(obj))


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
