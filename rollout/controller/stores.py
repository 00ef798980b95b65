"""What is known of the cluster from its watches, and how new it is.

A store takes whatever is newer: of two versions of one object the one with the higher resourceVersion (comparable
since Kubernetes 1.35 made that official, and in fact always), so that the answer to our own write is not overwritten
by a watch that lags behind it.  What went stays away under its UID until something newer is told of it.  Objects are
never changed in place.
"""

from __future__ import annotations

import builtins
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Final

from rollout.errors import Terminal
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
        self._graves: dict[str, float] = {}
        """Of what went: the version up to which nothing about it is news."""

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
        if _version(obj) <= self._graves.get(meta["uid"], -1) or (known is not None and not _newer(obj, known)):
            return False
        if known is not None:
            self._unfile(ref, known)
            del self._objects[ref]
            if known["metadata"]["uid"] != meta["uid"]:
                self._bury(known["metadata"]["uid"], math.inf)
        if "deletionTimestamp" in meta and not meta.get("finalizers") and obj["kind"] != "Pod":
            self._bury(meta["uid"], math.inf)  # the answer to a write that took the last finalizer off
            return known is not None
        self._objects[ref] = stored = kept(obj)
        self._file(ref, stored)
        return True

    def remove(self, ref: Ref, uid: str, version: str = "") -> bool:
        """Forget an object that went at this version (empty: for good); whether it was known."""
        until = float(version) if version else math.inf
        self._bury(uid, until)
        known = self._objects.get(ref)
        if known is None or known["metadata"]["uid"] != uid or _version(known) > until:
            return False
        self._unfile(ref, known)
        del self._objects[ref]
        return True

    def replace(self, scope: Scope, listed: Listed) -> builtins.list[Json]:
        """Take a whole list; what came, changed (as it was and as it is) or went.

        What we wrote after the list was made stays.
        """
        there = {ref_of(obj) for obj in listed.objects}
        missing = [obj for obj in self._in(scope) if ref_of(obj) not in there]
        changed = [obj for obj in missing if self.remove(ref_of(obj), obj["metadata"]["uid"], listed.version)]
        for obj in listed.objects:
            changed += self.renewed(obj)
        return changed

    def renewed(self, obj: Json) -> builtins.list[Json]:
        """Take an object; if it was news, what was known of that name and what is told now."""
        known = self._objects.get(ref_of(obj))
        if not self.put(obj):
            return []
        return [obj] if known is None else [known, obj]

    def _bury(self, uid: str, until: float) -> None:
        self._graves[uid] = max(until, self._graves.pop(uid, 0.0))
        if len(self._graves) > GRAVES:
            del self._graves[next(iter(self._graves))]

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
        self.heard: Callable[[Json], None] = lambda _: None
        """Told of what was written by ourselves: no watch tells that anew."""
        self._listed: dict[tuple[Kind, str], int] = {}
        """By kind and namespace, the version of the newest list."""
        self._selectors = {kind: {s.selector for s in scopes if s.selector} for kind, scopes in self._by_kind.items()}
        self._answering: dict[Hashable, Store | None] = {}
        """What `of` found; every look of a run asks a dozen times."""

    def take(self, scope: Scope, told: Told) -> list[Json]:
        """Take what a watch told; the objects that came, changed (as they were and as they are) or went."""
        store = self._stores[scope.kind]
        if isinstance(told, Listed | Blind | Seeing):
            self._answering.clear()
        match told:
            case Listed():
                self._unknown.discard(scope)
                self._blind.pop(scope, None)
                self._listed[scope.kind, scope.namespace] = int(told.version or 0)
                (self._unserved.discard if told.served else self._unserved.add)(scope)
                return store.replace(scope, told)
            case Put():
                return store.renewed(told.obj)
            case Gone():
                known = store.get(told.ref)
                return [known] if store.remove(told.ref, told.uid, told.version) and known is not None else []
            case Blind():
                self._blind[scope] = told
                return []
            case Seeing():
                self._blind.pop(scope, None)
                return []

    def of(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None = None) -> Store | None:
        """The store that can answer for such objects (namespace empty: wherever we may look); None when none can."""
        named = tuple(selector for selector in self._selectors.get(kind, ()) if selector in (labels or {}))
        key = kind, namespace, named
        if key not in self._answering:
            self._answering[key] = self._able(kind, namespace, named)
        return self._answering[key]

    def _able(self, kind: Kind, namespace: str, named: Collection[str]) -> Store | None:
        scopes = [
            scope
            for scope in self._by_kind.get(kind, ())
            if (not scope.namespace or namespace in ("", scope.namespace))
            and (not scope.selector or scope.selector in named)
        ]
        if not namespace:
            scopes = [scope for scope in scopes if not self._refused(scope)]
        if not scopes or any(scope in self._unknown for scope in scopes):
            return None
        return self._stores[kind]

    def _refused(self, scope: Scope) -> bool:
        """Whether nothing was ever seen of a scope, because we may not."""
        return scope in self._unknown and scope in self._blind and isinstance(self._blind[scope].error, Terminal)

    def refusal(self, kind: Kind) -> str:
        """Why nothing was ever seen of a watched kind, because we may not; empty when it is known, or may be soon."""
        scopes = self._by_kind.get(kind, [])
        refused = bool(scopes) and all(map(self._refused, scopes))
        return str(self._blind[scopes[0]].error) if refused else ""

    def served(self, kind: Kind) -> bool:
        """Whether the API server knows a watched kind."""
        return not any(scope.kind == kind for scope in self._unserved)

    def learned(self, obj: Json, kind: Kind) -> None:
        """Take the answer to a write of ours, unless a list that was made later has come first."""
        where = obj["metadata"].get("namespace", "")
        newest = max(self._listed.get((kind, namespace), 0) for namespace in ("", where))
        if kind in self._stores and _version(obj) > newest and self._stores[kind].put(obj):
            self.heard(obj)

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
