"""PLAN: the name of a plan, with its kind in front where two kinds have one of that name: `mplan/shop`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from rollout.cli.exit import UsageError
from rollout.errors import Forbidden, NotFound, Unsupported
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, MESH_ADOPTION_PLAN, PLAN_RUN, PLANS, Kind, Ref, plan_of
from rollout.ports.cluster import Cluster

SHORT: Final[Mapping[Kind, str]] = MappingProxyType({CANARY_PLAN: "cplan", MESH_ADOPTION_PLAN: "mplan"})
"""As kubectl knows them."""


def named(text: str) -> tuple[tuple[Kind, ...], str]:
    """The kinds that may be meant, and the name: `web`, `cplan/web`, `canaryplan/web`, `canaryplans/web`.

    With the group behind it is what `-o name` prints.
    """
    kind, slash, name = text.rpartition("/")
    word = kind.partition(".")[0].lower()
    meant = tuple(it for it in PLANS if word in (SHORT[it], it.name.lower(), it.plural))
    return (meant, name) if slash and meant else (PLANS, text)


def is_named(text: str) -> bool:
    """Whether a kind stands before the name."""
    return named(text)[1] != text


def spelled(plan: Ref) -> str:
    """A plan with its kind: `mplan/shop`."""
    return f"{SHORT[plan.kind]}/{plan.name}"


async def stored(cluster: Cluster, namespace: str, text: str) -> Json | None:
    """The plan that is meant, as it is stored; None when there is none.

    Raises:
        UsageError: there are two, of two kinds.
        Forbidden: there is none that may be seen.
    """
    kinds, name = named(text)
    found, refused = [], None
    for kind in kinds:
        try:
            with suppress(Unsupported):  # the cluster's kinds are older than this one
                found.append(await cluster.get(Ref(kind, namespace, name)))
        except Forbidden as error:
            refused = error
    plans = [plan for plan in found if plan is not None]
    if not plans and refused is not None:
        raise refused
    if len(plans) > 1:
        raise _both(namespace, name)
    return plans[0] if plans else None


async def resolve(cluster: Cluster, namespace: str, text: str) -> Ref | None:
    """The plan that is meant; one that was deleted is known by its runs. None when there is neither.

    Raises:
        UsageError: there are two, of two kinds.
    """
    plan = await stored(cluster, namespace, text)
    if plan is not None:
        return Ref(next(it for it in PLANS if it.name == plan["kind"]), namespace, plan["metadata"]["name"])
    kinds, name = named(text)
    runs = await cluster.list(PLAN_RUN, namespace)
    left = {ref for run in runs if (ref := plan_of(run)).name == name and ref.kind in kinds}
    if len(left) > 1:
        raise _both(namespace, name)
    return next(iter(left), None)


def missing(namespace: str, text: str) -> NotFound:
    """What to raise when there is no such plan."""
    kinds, name = named(text)
    what = f"{kinds[0]} {name}" if len(kinds) == 1 else f"plan {name}"
    return NotFound(
        f"there is no {what} in namespace {namespace}",
        hint="rollout get -A lists all plans; a file is given by its path, such as ./canary.yaml",
    )


def _both(namespace: str, name: str) -> UsageError:
    words = " or ".join(f"{short}/{name}" for short in SHORT.values())
    kinds = " and a ".join(map(str, PLANS))
    return UsageError(f"there are a {kinds} {name} in namespace {namespace}", hint=f"say which: {words}")
