"""What is known of the cluster from its watches, and how new it is.

A store takes whatever is newer: of two versions of one object the one with the higher resourceVersion (comparable
since Kubernetes 1.35 made that official, and in fact always), so that the answer to our own write is not overwritten
by a watch that lags behind it.  What was deleted stays deleted under its UID.  Objects are never changed in place.
"""

from __future__ import annotations

import builtins
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from rollout.observe.kept import kept
from rollout.plan.base import Json
from rollout.plan.kinds import Kind, Ref, ref_of
from rollout.ports.router import Concerns
from rollout.ports.watch import Blind, Gone, Listed, Put, Scope, Seeing, Told

GRAVES: Final = 2000
"""So many deleted UIDs are remembered: longer than any answer is on its way."""

_ANYBODY: Final = "*"


class Store:
    """All known objects of one kind, found by name, by label, and by the Service that they are about."""

    def __init__(self, concerns: Concerns | None = None) -> None:
        self._objects: dict[Ref, Json] = {}
        self._by_label: dict[tuple[str, str, str], set[Ref]] = defaultdict(set)
        self._by_namespace: dict[str, set[Ref]] = defaultdict(set)
        self._by_service: dict[str, set[Ref]] = defaultdict(set)
        self._concerns = concerns
        self._graves: deque[str] = deque(maxlen=GRAVES)

    def __len__(self) -> int:
        return len(self._objects)

    def get(self, ref: Ref) -> Json | None:
        """The object as it was last told of."""
        return self._objects.get(ref)

    def list(
        self, namespace: str = "", labels: Mapping[str, str] | None = None, about: Collection[str] = ()
    ) -> builtins.list[Json]:
        """The objects that fit, sorted by namespace and name; `about` some Services, or everything."""
        sets = [self._by_label.get((namespace, *pair), set()) for pair in (labels or {}).items()]
        if namespace and not sets:
            sets.append(self._by_namespace.get(namespace, set()))
        if about and self._concerns is not None:
            sets.append(set().union(*(self._by_service.get(service, ()) for service in (*about, _ANYBODY))))
        found = set.intersection(*sorted(sets, key=len)) if sets else self._objects
        return [self._objects[ref] for ref in sorted(found)]

    def put(self, obj: Json) -> bool:
        """Take an object; whether it was news."""
        meta = obj["metadata"]
        ref = ref_of(obj)
        known = self._objects.get(ref)
        if meta["uid"] in self._graves or (known is not None and not _newer(obj, known)):
            return False
        if "deletionTimestamp" in meta and not meta.get("finalizers") and obj["kind"] != "Pod":
            return self.remove(ref, meta["uid"])  # the answer to a write that took the last finalizer off
        if known is not None:
            self._unfile(ref, known)
        self._objects[ref] = stored = kept(obj)
        self._file(ref, stored)
        return True

    def remove(self, ref: Ref, uid: str) -> bool:
        """Forget an object; whether it was known."""
        self._graves.append(uid)
        known = self._objects.get(ref)
        if known is None or known["metadata"]["uid"] != uid:
            return False
        self._unfile(ref, known)
        del self._objects[ref]
        return True

    def replace(self, scope: Scope, listed: Listed) -> builtins.list[Json]:
        """Take a whole list; the objects that came, changed or went. What we wrote after it was made stays."""
        there = {ref_of(obj) for obj in listed.objects}
        gone = [
            obj
            for obj in self._in(scope)
            if ref_of(obj) not in there and not (listed.version and _version(obj) > int(listed.version))
        ]
        for obj in gone:
            self.remove(ref_of(obj), obj["metadata"]["uid"])
        return [*gone, *(obj for obj in listed.objects if self.put(obj))]

    def _in(self, scope: Scope) -> Iterable[Json]:
        return self.list(scope.namespace, None)

    def _file(self, ref: Ref, obj: Json) -> None:
        for index, key in self._keys(obj):
            index[key].add(ref)

    def _unfile(self, ref: Ref, obj: Json) -> None:
        for index, key in self._keys(obj):
            index[key].discard(ref)
            if not index[key]:
                del index[key]

    def _keys(self, obj: Json) -> Iterable[tuple[dict[object, set[Ref]], object]]:
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        yield self._by_namespace, namespace  # type: ignore[misc]  # each index has keys of its own type
        for pair in (meta.get("labels") or {}).items():
            yield self._by_label, (namespace, *pair)  # type: ignore[misc]
            yield self._by_label, ("", *pair)  # type: ignore[misc]
        if self._concerns is not None:
            services = self._concerns(obj)
            for service in (_ANYBODY,) if services is None else services:
                yield self._by_service, service  # type: ignore[misc]


class Stores:
    """The stores of all watched kinds, and which of their scopes are known."""

    def __init__(self, scopes: Iterable[Scope], concerns: Mapping[Kind, Concerns]) -> None:
        self.scopes = tuple(scopes)
        self._stores = {kind: Store(concerns.get(kind)) for kind in {scope.kind for scope in self.scopes}}
        self._by_kind = {kind: [s for s in self.scopes if s.kind == kind] for kind in self._stores}
        self._unknown = set(self.scopes)
        self._blind: dict[Scope, Blind] = {}
        self._unserved: set[Scope] = set()

    def take(self, scope: Scope, told: Told) -> list[Json]:
        """Take what a watch told; the objects that came, changed or went."""
        store = self._stores[scope.kind]
        match told:
            case Listed():
                self._unknown.discard(scope)
                self._blind.pop(scope, None)
                (self._unserved.discard if told.served else self._unserved.add)(scope)
                return store.replace(scope, told)
            case Put():
                return [told.obj] if store.put(told.obj) else []
            case Gone():
                known = store.get(told.ref)
                return [known] if store.remove(told.ref, told.uid) and known is not None else []
            case Blind():
                self._blind[scope] = told
                return []
            case Seeing():
                self._blind.pop(scope, None)
                return []

    def of(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None) -> Store | None:
        """The store that can answer for such objects (namespace empty: wherever we look); None when none can."""
        scopes = [
            scope
            for scope in self._by_kind.get(kind, ())
            if (not scope.namespace or namespace in ("", scope.namespace))
            and (not scope.selector or scope.selector in (labels or {}))
        ]
        if not scopes or any(scope in self._unknown for scope in scopes):
            return None
        return self._stores[kind]

    def served(self, kind: Kind) -> bool:
        """Whether the API server knows a watched kind."""
        return not any(scope.kind == kind for scope in self._unserved)

    def learned(self, obj: Json, kind: Kind) -> None:
        """Take the answer to a write of ours."""
        if kind in self._stores:
            self._stores[kind].put(obj)

    @property
    def unknown(self) -> frozenset[Scope]:
        """Scopes whose first list has not come yet."""
        return frozenset(self._unknown)

    @property
    def blind(self) -> Mapping[Scope, Blind]:
        """Scopes whose watch is broken at the moment."""
        return self._blind

    def sizes(self) -> Mapping[Kind, int]:
        """How many objects of each kind are kept."""
        return {kind: len(store) for kind, store in self._stores.items()}


def _version(obj: Json) -> int:
    return int(obj["metadata"].get("resourceVersion") or 0)


def _newer(obj: Json, known: Json) -> bool:
    return _version(obj) > _version(known)
