"""What somebody who installs can choose, and how every object of ours is named and marked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from rollout import __version__
from rollout.controller.leader import HOME
from rollout.plan.base import Json
from rollout.plan.decisionpolicy import Mode
from rollout.plan.kinds import Kind
from rollout.registry import routers

CONTROLLER: Final = "rollout-controller"
"""The name of the Deployment, its account, its Service and the like."""
PORT: Final = 8080
"""Health and metrics."""
IMAGE: Final = f"mesh-rollout:{__version__}"
INSTALLED: Final = "app.kubernetes.io/managed-by"
"""The label by which uninstalling finds what installing made; its value is `BY`."""
BY: Final = "mesh-rollout"
MARKS: Final[Mapping[str, str]] = {"app.kubernetes.io/name": "rollout", INSTALLED: BY}
"""Labels of every object of ours."""
SELECTOR: Final[Mapping[str, str]] = {"app.kubernetes.io/name": "rollout", "app.kubernetes.io/component": "controller"}
"""Labels of the controller's pods."""

Hold = Literal["policy", "none"]
USUAL: Final = ("canary", "mesh-adoption")
"""The parts that there are unless more is asked for: rights on other routers' objects and watches of them are for who
has such a router."""


def parts() -> tuple[str, ...]:
    """Plans that the controller can have rights for, routers that not every installation has, and the Jobs of hooks.

    An adoption holds Deployments as a canary does, and so includes that.
    """
    return (*USUAL, *sorted({it.part for it in routers().values() if it.part}), "hooks")


def routers_of(chosen: Collection[str]) -> tuple[str, ...]:
    """The routers that come with these parts of an installation: with any plan those that need no part of their own."""
    plans = bool({*USUAL} & set(chosen))
    found = sorted(routers().items(), key=lambda it: (bool(it[1].part), it[0]))
    return tuple(name for name, it in found if (it.part in chosen if it.part else plans))


@dataclass(frozen=True, slots=True)
class Options:
    """One installation. The defaults are what every supported API server (1.30 and newer) can do."""

    image: str = IMAGE
    namespace: str = HOME
    """Where the controller runs."""
    namespaces: tuple[str, ...] = ()
    """The namespaces that it looks after; empty means all."""
    selector: str = ""
    """Only plans with these labels."""
    prometheus: str = ""
    """For plans that name no provider."""
    replicas: int = 2
    """One leads, the others wait."""
    secrets: tuple[tuple[str, str], ...] = ()
    """Namespace and name of each Secret of a metrics provider or a channel that it may read."""
    decisions: Mode = "match"
    """How the caller of a decision is made sure of."""
    hold: Hold = "none"
    """Whether the hold policy is part of it."""
    features: tuple[str, ...] = USUAL
    """What it is given rights for, and looks at."""
    notifications: bool = True
    """Whether it tells people through NotificationChannels."""


def document(
    kind: Kind, name: str, namespace: str = "", *, notes: Mapping[str, str] | None = None, **body: Any
) -> Json:
    """One object of ours, with its marks; `notes` are annotations."""
    meta: Json = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    meta["labels"] = dict(MARKS)
    if notes:
        meta["annotations"] = dict(notes)
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, **body}


def marked(obj: Json) -> Json:
    """A document that was made elsewhere, with our marks."""
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "labels": {**meta.get("labels", {}), **MARKS}}}
