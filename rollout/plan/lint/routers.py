"""RO165 to RO206: what the plan asks of its router, and the router cannot do."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan.finding import Level
from rollout.plan.lint.rule import Hit, Subject, rule


@rule("RO165", Level.ERROR, "The router splits between Services and knows no subsets", "name a Service as the host")
def subset_without_subsets(subject: Subject) -> Iterator[Hit]:
    """A traffic-only plan whose side is a subset."""
    traffic = subject.spec.traffic
    if traffic is None or not subject.lacks("subsets"):
        return
    for word, side in (("stable", traffic.stable), ("candidate", traffic.candidate)):
        if side.subset:
            text = f"router {subject.spec.router.type} knows no subset {side.subset}"
            yield Hit(f"spec.traffic.{word}.subset", text)


@rule("RO166", Level.ERROR, "The router has no VirtualServices", "remove it: every route to the Service is steered")
def virtual_services_elsewhere(subject: Subject) -> Iterator[Hit]:
    """Names of VirtualServices for a router of another API."""
    if subject.spec.router.virtual_services and subject.lacks("named"):
        text = f"router {subject.spec.router.type} does not steer VirtualServices"
        yield Hit("spec.router.virtualServices", text)


@rule("RO169", Level.ERROR, "The router cannot tell requests apart", "remove match, or use a router that can")
def match_without_matches(subject: Subject) -> Iterator[Hit]:
    """Chosen requests for a router that only knows weights."""
    if subject.spec.match and subject.lacks("matches"):
        yield Hit("spec.match", f"router {subject.spec.router.type} sends no chosen requests to a side")


@rule("RO206", Level.ERROR, "The router cannot copy requests", "remove mirror, or use a router that can")
def mirror_without_copies(subject: Subject) -> Iterator[Hit]:
    """Copies asked of a router that has none; and of a traffic-only plan, whose sides are both the owner's."""
    for step in subject.steps:
        if step.mirror and subject.spec.traffic is not None:
            yield Hit(f"{step.path}.mirror", "a traffic-only plan divides requests and copies none")
        elif step.mirror and subject.lacks("mirror"):
            yield Hit(f"{step.path}.mirror", f"router {subject.spec.router.type} copies no requests")


@rule("RO167", Level.WARNING, "The router has no future", "choose another router")
def retired_router(subject: Subject) -> Iterator[Hit]:
    """An API that its makers have given up."""
    name = subject.spec.router.type
    if why := subject.known.retired.get(name):
        yield Hit("spec.router.type", f"router {name}: {why}")
