"""The in-memory API server: what a write means.  Synchronous; `store.MemoryCluster` is the door to it.

Guards, admission, subresources, deletion with finalizers: as a real kube-apiserver does them, because the conformance
suite runs against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import jsonpatch
from jsonpointer import JsonPointerException

from rollout.adapters.memory.objects import WITHOUT_GENERATION, Objects, body_of, clone, rfc3339
from rollout.adapters.memory.rules import STATUS_SUBRESOURCE, defaulted, validate
from rollout.errors import AlreadyExists, Conflict, NotFound, Rejected, Unsupported
from rollout.plan.base import Json
from rollout.plan.kinds import CRD, KINDS, POD, Kind, Ref, kind_of
from rollout.ports.cluster import Guard

Allowed = Callable[[str, Kind, str], bool]
"""Whether the writer may do a verb to a kind in a namespace."""

FOREGROUND: Final = "foregroundDeletion"
"""The finalizer of an object that waits for its dependents to go."""

_SERVER_OWNED: Final = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_KEPT: Final = (*_SERVER_OWNED, "generation", "deletionGracePeriodSeconds")


@dataclass(frozen=True, slots=True)
class Review:
    """What admission is shown. `new` is a private copy that may be changed."""

    old: Json | None
    new: Json
    allowed: Allowed


Admission = Callable[[Review], Json]
"""Returns the object to store.

Raises:
    Forbidden: the write is denied.
"""


class ApiServer:
    """The objects and the rules of writing them.

    `policies` run first, then `webhooks`, then the policies again if a webhook changed something: the order of a real
    server with `reinvocationPolicy: IfNeeded`.
    """

    def __init__(self, objects: Objects, unserved: Iterable[Kind] = (), version: str = "v1.36.3") -> None:
        self.objects = objects
        self.unserved = set(unserved)
        self.version = version
        self.policies: list[Admission] = []
        self.webhooks: list[Admission] = []

    def create(self, obj: Json, allowed: Allowed, *, dry_run: bool = False) -> Json:
        """Store a new object; see `ports.cluster.Cluster.create`."""
        kind = self.kind_of(obj)
        obj = self._named(kind, obj)
        ref = Ref(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if self.objects.get(ref) is not None:
            raise AlreadyExists(f"{ref} already exists")
        if obj["metadata"].get("resourceVersion"):
            raise Rejected(f"{ref}: resourceVersion should not be set on objects to be created")
        meta = {key: value for key, value in obj["metadata"].items() if key not in _KEPT}
        new = {key: value for key, value in obj.items() if key != "status" or kind.name not in STATUS_SUBRESOURCE}
        new = self._admit(None, clone({**new, "metadata": meta}), allowed)
        validate(kind, None, new)
        born = self.objects.born(new)
        if dry_run:
            return born
        if kind == CRD:
            self._serve(born)
        return self.objects.put(born)

    def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, allowed: Allowed, *, dry_run: bool = False) -> Json:
        """Apply a JSON patch; see `ports.cluster.Cluster.patch`."""
        old = self._guarded(ref, guard)
        new = _patched(ref, old, ops)
        return self._update(ref, old, new, allowed, dry_run=dry_run)

    def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """Replace the status; see `ports.cluster.Cluster.put_status`."""
        if ref.kind.name not in STATUS_SUBRESOURCE:
            raise NotFound(f"{ref} has no status subresource")
        old = self._guarded(ref, guard)
        return old if old.get("status", {}) == status else self.objects.put({**old, "status": clone(status)})

    def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """Delete, or mark as being deleted; see `ports.cluster.Cluster.delete`."""
        if self.objects.get(ref) is None:
            return
        old = self._guarded(ref, guard)
        meta = old["metadata"]
        if "deletionTimestamp" in meta:
            return
        finalizers = [*meta.get("finalizers", ()), *([FOREGROUND] if foreground else ())]
        # the kubelet, which stops the containers, ends the deletion of a pod that runs somewhere
        graceful = ref.kind == POD and old["spec"].get("nodeName")
        if not finalizers and not graceful:
            self.objects.remove(ref)
            return
        grace = old["spec"].get("terminationGracePeriodSeconds", 30) if graceful else 0
        leaving = {
            **meta,
            "deletionTimestamp": rfc3339(self.objects.now()),
            "deletionGracePeriodSeconds": grace,
        }
        if "generation" in meta:
            leaving["generation"] = meta["generation"] + 1
        if finalizers:
            leaving["finalizers"] = finalizers
        self.objects.put({**old, "metadata": leaving})

    def served(self, kind: Kind) -> bool:
        """Whether the server knows this kind."""
        return kind not in self.unserved

    def kind_of(self, obj: Json) -> Kind:
        """The kind of an object that somebody wants to create."""
        try:
            kind = kind_of(obj)
        except KeyError as error:
            raise Unsupported(f"no kind {obj.get('kind')!r} in {obj.get('apiVersion')!r}") from error
        self.require(kind)
        return kind

    def require(self, kind: Kind) -> None:
        """Raise `Unsupported` unless the kind is served."""
        if not self.served(kind):
            raise Unsupported(
                f"the cluster does not serve {kind.plural}.{kind.group or 'core'}/{kind.version}",
                hint=f"install the CustomResourceDefinition of {kind}",
            )

    def _named(self, kind: Kind, obj: Json) -> Json:
        meta = obj.get("metadata", {})
        if kind.namespaced and not meta.get("namespace"):
            raise Rejected(f"{kind}: an empty namespace may not be set during creation")
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise Rejected(f"{kind}: name or generateName is required")
            meta = {**meta, "name": self.objects.name_for(meta["generateName"])}
        return {**obj, "metadata": meta}

    def _guarded(self, ref: Ref, guard: Guard) -> Json:
        self.require(ref.kind)
        obj = self.objects.get(ref)
        if obj is None:
            raise NotFound(f"{ref} does not exist")
        meta = obj["metadata"]
        if guard.uid and guard.uid != meta["uid"]:
            raise Conflict(f"{ref} is another object now: uid {meta['uid']} instead of {guard.uid}")
        if guard.version and guard.version != meta["resourceVersion"]:
            raise Conflict(
                f"{ref} was changed by somebody else: version {meta['resourceVersion']}, read {guard.version}"
            )
        return obj

    def _update(self, ref: Ref, old: Json, new: Json, allowed: Allowed, *, dry_run: bool) -> Json:
        new = _owned_by_server(ref, old, new)
        new = _owned_by_server(ref, old, self._admit(old, new, allowed))
        validate(ref.kind, old, new)
        if new == old:
            return old
        if ref.kind.name not in WITHOUT_GENERATION and body_of(new) != body_of(old):
            new = {**new, "metadata": {**new["metadata"], "generation": old["metadata"]["generation"] + 1}}
        if dry_run:
            return new
        stored = self.objects.put(new)
        if "deletionTimestamp" in stored["metadata"] and not stored["metadata"].get("finalizers"):
            if not (ref.kind == POD and stored["spec"].get("nodeName")):
                self.objects.remove(ref)
        return stored

    def _admit(self, old: Json | None, new: Json, allowed: Allowed) -> Json:
        new = defaulted(new)
        for policy in self.policies:
            new = defaulted(policy(Review(old, clone(new), allowed)))
        before = new
        for webhook in self.webhooks:
            new = defaulted(webhook(Review(old, clone(new), allowed)))
        if new != before:
            for policy in self.policies:
                new = defaulted(policy(Review(old, clone(new), allowed)))
        return new

    def _serve(self, crd: Json) -> None:
        spec = crd["spec"]
        for version in spec.get("versions", ()):
            kind = KINDS.get((f"{spec['group']}/{version['name']}", spec["names"]["kind"]))
            if kind is not None:
                self.unserved.discard(kind)


def _patched(ref: Ref, old: Json, ops: Sequence[Json]) -> Json:
    try:
        patched: Json = jsonpatch.JsonPatch(clone({"ops": list(ops)})["ops"]).apply(clone(old), in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise Conflict(f"{ref} is not what the patch expects: {error}") from error
    except (jsonpatch.JsonPatchException, JsonPointerException) as error:
        raise Rejected(f"the patch does not fit {ref}: {error}") from error
    return patched


def _owned_by_server(ref: Ref, old: Json, new: Json) -> Json:
    """The object with what only the server writes put back.

    Raises:
        Rejected: another name, kind, or a new finalizer on what is being deleted.
        Conflict: the patch names another uid or version than the object has.
    """
    was, meta = old["metadata"], new.get("metadata", {})
    if (new.get("kind"), new.get("apiVersion"), meta.get("name"), meta.get("namespace", "")) != (
        old["kind"],
        old["apiVersion"],
        ref.name,
        ref.namespace,
    ):
        raise Rejected(f"{ref}: kind, name and namespace are immutable")
    for key in ("uid", "resourceVersion"):
        if meta.get(key, was[key]) != was[key]:
            raise Conflict(f"{ref}: {key} is {was[key]}, the patch says {meta[key]}")
    if "deletionTimestamp" in was and set(meta.get("finalizers", ())) - set(was.get("finalizers", ())):
        raise Rejected(f"{ref}: no new finalizers can be added while the object is being deleted")
    meta = {**meta, **{key: was[key] for key in _KEPT if key in was}}
    new = {**new, "metadata": {k: v for k, v in meta.items() if k in was or k not in _KEPT}}
    if ref.kind.name in STATUS_SUBRESOURCE:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    return new
