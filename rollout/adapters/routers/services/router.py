"""The port `Router` for every API that names Services as destinations; a subclass names its dialect."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from rollout.adapters.routers.parts import reading, selected
from rollout.adapters.routers.parts.selected import service_of, service_selector
from rollout.adapters.routers.parts.shares import divide
from rollout.adapters.routers.parts.spots import Routing, title, traffic_only
from rollout.adapters.routers.parts.weights import units
from rollout.adapters.routers.parts.writing import (
    Shift,
    body,
    candidate_name,
    entry,
    given_back,
    home_patch,
    removal,
    with_weight_line,
)
from rollout.adapters.routers.services import findings, pair
from rollout.adapters.routers.services.dialect import Dialect, Wanted
from rollout.adapters.routers.services.routes import missing, named_anywhere, owned, routing, routings, touched
from rollout.adapters.routers.services.split import split_of
from rollout.errors import AlreadyExists, NotFound
from rollout.plan.finding import Finding
from rollout.plan.kinds import SERVICE, Kind
from rollout.plan.program import Backends
from rollout.plan.run import Entry
from rollout.ports.router import ALL_WRITES, NOBODY, Change, Concerns, Crowd, Feature, Labels, Objects, Read, RouteView


class ServiceRouter:
    """Splits traffic between two Services; see `ports.router.Router`."""

    name: str
    dialect: ClassVar[Dialect]
    features: frozenset[Feature]
    concerns: Mapping[Kind, Concerns] = MappingProxyType({})
    retired: str = ""

    @property
    def part(self) -> str:
        """Each is a part of its own, unless it says otherwise."""
        return self.name

    @property
    def splits(self) -> str:
        """The kinds of its routes."""
        routes = dict.fromkeys(f"{kind.name}s" for kind in self.dialect.flat)
        return f"{' and '.join(routes)}, between two Services made for a run"

    @property
    def writes(self) -> Mapping[Kind, Collection[str]]:
        """What it does to which kinds."""
        routes = {kind: ALL_WRITES if kind in self.dialect.makes else ("patch",) for kind in self.dialect.flat}
        return {**self.dialect.sides.writes, **routes}

    def reads(self, backends: Backends) -> tuple[Read, ...]:
        """Routes, of all namespaces where others may route to the Service; and Services."""
        wide, optional = self.dialect.wide, self.dialect.dispensable
        where, about = ("", _concerned(self.dialect, backends)) if wide else (backends.namespace, ())
        routes = (Read(new, where, new in optional, about, older=tuple(older)) for new, *older in self.dialect.kinds)
        return (*routes, Read(SERVICE, backends.namespace), *self.dialect.others(backends))

    def view(self, backends: Backends, objects: Objects) -> RouteView:
        """What the routes say now."""
        found = routings(self.dialect, backends, objects)
        told = (*found, *self.dialect.sides.holders(backends, objects))
        pending, refused = (_first(word, self.dialect, backends, told) for word in ("pending", "refused"))
        return replace(self._look(backends, objects, found), pending=pending, refused=refused)

    def _look(self, backends: Backends, objects: Objects, found: Sequence[Routing]) -> RouteView:
        if traffic_only(backends):
            return reading.look(backends, found, (), (), own=False)
        left = (
            *(one.ref for one in found if owned(self.dialect, one, backends)),
            *self.dialect.sides.present(backends, objects),
        )
        if not any(touched(one) for one in found):
            return RouteView("home", leftovers=(*left, *self.dialect.sides.lodged(backends, objects)))
        return reading.look(backends, found, [*self._beside(backends, objects)], left, own=True)

    def _beside(self, backends: Backends, objects: Objects) -> Iterator[str]:
        for wanted in missing(self.dialect, backends, objects):
            yield f"{title(wanted.ref, backends)}: should exist, but callers in the mesh have no split route"
        yield from self.dialect.sides.drift(backends, service_of(backends, objects), objects)

    def steer(
        self,
        backends: Backends,
        objects: Objects,
        weight: float,
        journal: Sequence[Entry],
        owner: Mapping[str, Any],
    ) -> tuple[Change, ...]:
        """What to write so that the candidate gets `weight` percent.

        Raises:
            NotFound: no route goes to the Service and none can be made, or there is no Service.
            AlreadyExists: an object of somebody else has the name of ours.
        """
        candidate, own = units(weight), not traffic_only(backends)
        found = routings(self.dialect, backends, objects)
        lacking, service = missing(self.dialect, backends, objects), service_of(backends, objects)
        if not found and not lacking:
            kinds = " or ".join(versions[0].name for versions in self.dialect.kinds)
            text = f"no {kinds} routes to {backends.service} in {backends.namespace}"
            raise NotFound(text, hint="give it a route to the Service, or correct `service` in the plan")
        if not own and not candidate:
            return self._unshifted(backends, objects, journal)
        what = f"{weight:g} % to {candidate_name(backends)}"
        shift = Shift(backends, split_of(self.dialect, backends), candidate, what, journal, own=own)
        changes: list[Change] = []
        if own and service is not None:
            changes += self.dialect.sides.changes(backends, service, objects, owner)
        changes += [self._make(backends, objects, wanted, shift, owner) for wanted in lacking]
        for one in found:
            change = shift.change(one, made=owned(self.dialect, one, backends))
            changes += [change] if change else []
        return with_weight_line(changes, candidate, journal, self.dialect.flat)

    def _make(
        self, backends: Backends, objects: Objects, wanted: Wanted, shift: Shift, owner: Mapping[str, Any]
    ) -> Change:
        """A route of ours, split as it is made."""
        if pair.find(wanted.ref, objects) is not None:
            text = f"{title(wanted.ref, backends)} exists and is not this run's"
            raise AlreadyExists(text, hint=f"delete or rename {wanted.ref}")
        made = body(wanted.ref, wanted.spec, owner)
        for spot in routing(self.dialect, backends, wanted.ref.kind, made).steered:
            spot.route[spot.key] = divide(spot.shares, shift.candidate, shift.split)
        told = f"{title(wanted.ref, backends)}: {shift.what}"
        return Change("create", wanted.ref, told, made, entry=entry("route", wanted.ref, told))

    def _unshifted(self, backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
        """Every route as its owner wrote it."""
        changes: list[Change] = []
        for one in routings(self.dialect, backends, objects):
            ops = (
                [] if owned(self.dialect, one, backends) else given_back(one, split_of(self.dialect, backends), journal)
            )
            changes += [home_patch(backends, one.ref, one.obj, ops)] if ops else []
        return tuple(changes)

    def restore(self, backends: Backends, objects: Objects, journal: Sequence[Entry]) -> tuple[Change, ...]:
        """What to write so that all routes are the owner's again."""
        return (*self._unshifted(backends, objects, journal), *self._unmade(backends, objects))

    def _unmade(self, backends: Backends, objects: Objects) -> Iterator[Change]:
        for one in routings(self.dialect, backends, objects):
            if owned(self.dialect, one, backends):
                yield removal(backends, one.ref, one.obj)

    def sweep(self, backends: Backends, objects: Objects) -> tuple[Change, ...]:
        """Deletes of our routes; our two sides go when nothing names them any more."""
        gone = tuple(self._unmade(backends, objects))
        if traffic_only(backends) or named_anywhere(self.dialect, backends, objects):
            return gone
        return (*gone, *self.dialect.sides.removals(backends, objects))

    def findings(self, backends: Backends, objects: Objects, crowd: Crowd = NOBODY) -> tuple[Finding, ...]:
        """What would hide or break our routes."""
        return findings.find(self.dialect, backends, objects, crowd)

    def unreached(self, backends: Backends, objects: Objects, pods: Sequence[Labels]) -> Sequence[str]:
        """For each pod of the candidate, why requests would not find it."""
        if traffic_only(backends):
            return ["" for _ in pods]
        return selected.unreached([service_selector(backends, objects)], pods)


def _concerned(dialect: Dialect, backends: Backends) -> tuple[str, ...]:
    """The Services that a route of interest names, and the name of our own route."""
    if not backends.run:
        return ()
    sides = (
        [dialect.sides.place_of(side, backends) for side in (backends.stable, backends.candidate)]
        if traffic_only(backends)
        else []
    )
    names = {backends.service, backends.run, *(its.name for its in dialect.sides.refs(backends, {}))}
    said = {f"{name}.{backends.namespace}" for name in names} | {f"{it.name}.{it.namespace}" for it in sides}
    return tuple(sorted(said))


def _first(word: str, dialect: Dialect, backends: Backends, found: Sequence[Routing]) -> str:
    """The first object that is `pending` or `refused`, and why."""
    told = ((one, dialect.pending(one.obj) if word == "pending" else dialect.refused(one.obj)) for one in found)
    return next((f"{title(one.ref, backends)}: {why}" for one, why in told if why), "")
