"""What would hide or break a split between Services, found before anything is written.

| code | level | what |
|---|---|---|
| RO307 | error | an object has a name that the run needs |
| RO311 | error | an object answers for the Service, but no list of it goes there; or no list gives it weight |
| RO315 | warning | Argo CD or Flux manages a route and may put the weights back |
| RO320 | error | there is no such Service, or it has no pods of its own |
| RO321 | error | the Service is headless: clients pick pods themselves |
| RO322 | error | the Service's selector leaves out stable's or the candidate's pods |
| RO325 | error | pods of others get requests today, and would get none while requests are pinned |
| RO330 | error | traffic-only: a side names a Service that is not there, or has a subset |
| RO331 | error | traffic-only: the candidate gets traffic already |

What only one API can get wrong: RO34x in its module.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.adapters.routers.parts import findings as common
from rollout.adapters.routers.parts.selected import Selector, service_of, service_selector
from rollout.adapters.routers.parts.shares import fraction
from rollout.adapters.routers.parts.spots import title, traffic_only
from rollout.adapters.routers.services.dialect import Dialect
from rollout.adapters.routers.services.pair import find as find_object
from rollout.adapters.routers.services.pair import marked
from rollout.adapters.routers.services.routes import answering, missing, owned, routings
from rollout.plan.finding import Finding, Level
from rollout.plan.program import Backends
from rollout.ports.router import Crowd, Objects


def find(dialect: Dialect, backends: Backends, objects: Objects, crowd: Crowd) -> tuple[Finding, ...]:
    """All findings, by code."""
    found = [*dialect.findings(backends, objects), *_managed(dialect, backends, objects)]
    if traffic_only(backends):
        found += _sides(dialect, backends, objects)
    else:
        found += common.of_service(backends, service_of(backends, objects))
        found += common.of_pods(backends, service_selector(backends, objects), [Selector("the route")], crowd)
        found += _answering(dialect, backends, objects)
        found += _names_taken(dialect, backends, objects)
    return tuple(sorted(found, key=lambda finding: (finding.code, finding.where)))


def _managed(dialect: Dialect, backends: Backends, objects: Objects) -> Iterator[Finding]:
    for one in routings(dialect, backends, objects):
        if not owned(dialect, one, backends):
            yield from common.managed(one, backends, dialect.fields)


def _answering(dialect: Dialect, backends: Backends, objects: Objects) -> Iterator[Finding]:
    for one in answering(dialect, backends, objects):
        where = title(one.ref, backends)
        if not one.steered:
            yield Finding(
                "RO311",
                Level.ERROR,
                f"{where} decides where requests to {backends.service} go, and none of its destinations is that "
                "Service: the candidate would get no share",
                where,
                "give the Service a share, name the right Service in the plan, or shift between its destinations with "
                "a traffic-only plan (`traffic`)",
            )
        elif all(fraction(spot.shares) is None for spot in one.steered):
            yield Finding(
                "RO311",
                Level.ERROR,
                f"{where} gives {backends.service} weight 0 everywhere: there is no traffic to split",
                where,
                "give the Service a share in one route",
            )


def _names_taken(dialect: Dialect, backends: Backends, objects: Objects) -> Iterator[Finding]:
    needed = [*dialect.sides.refs(backends, objects), *(wanted.ref for wanted in missing(dialect, backends, objects))]
    for its in needed:
        obj = find_object(its, objects)
        if obj is not None and not marked(obj, backends):
            yield common.taken(str(its), f"{its.kind}/{its.name}")


def _sides(dialect: Dialect, backends: Backends, objects: Objects) -> Iterator[Finding]:
    found = routings(dialect, backends, objects)
    stable, candidate = (dialect.sides.place_of(side, backends) for side in (backends.stable, backends.candidate))
    if not found:
        yield Finding(
            "RO311",
            Level.ERROR,
            f"no {dialect.kinds[0][0].name} routes to {stable}: there is nothing to shift",
            "traffic.stable",
            "write a route to it",
        )
    for word, side in (("stable", backends.stable), ("candidate", backends.candidate)):
        yield from dialect.sides.misnamed(word, side, backends, objects)
    yield from common.shifted(found, backends, str(candidate))
