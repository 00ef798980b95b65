"""What is the owner's in a shop of the lab, and what of ours may stay there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.plan.base import Json

DATA_PATH = (
    "deployments.apps",
    "services",
    "virtualservices.networking.istio.io",
    "destinationrules.networking.istio.io",
)
"""Kinds whose specs belong to the shop's owner."""


def own_rules() -> tuple[Json, Json]:
    """What a careful team has: a subset, a connection pool, named routes, a timeout, and no retries to hide a loss."""
    rule = {
        "host": "web",
        "trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": 512, "maxRequestsPerConnection": 50}}},
        "subsets": [{"name": "all", "labels": {"app": "web"}}],
    }
    routes = [
        {
            "name": "internal",
            "match": [{"headers": {"x-internal": {"exact": "yes"}}}],
            "route": [{"destination": {"host": "web"}}],
        },
        {
            "name": "public",
            "timeout": "5s",
            "retries": {"attempts": 0},
            "route": [{"destination": {"host": "web", "subset": "all"}}],
        },
    ]
    api = "networking.istio.io/v1"
    spec = {"hosts": ["web"], "http": routes}
    return (
        {"apiVersion": api, "kind": "DestinationRule", "metadata": {"name": "web"}, "spec": rule},
        {"apiVersion": api, "kind": "VirtualService", "metadata": {"name": "web"}, "spec": spec},
    )


def unanswered(decisions: Iterable[Json], runs: Iterable[Json]) -> Iterator[str]:
    """Orders that are no record of an ended run: nobody has answered them, or they would outlive it."""
    heard = {run["metadata"]["uid"]: (run.get("status") or {}).get("state", {}).get("decisions", ()) for run in runs}
    for decision in decisions:
        meta, run = decision["metadata"], decision["spec"]["runUid"]
        owners = [owner["uid"] for owner in meta.get("ownerReferences") or ()]
        if meta["uid"] not in heard.get(run, ()):
            yield f"PlanDecision/{meta['name']} has no answer"
        elif owners != [run] and meta["name"].startswith(decision["spec"]["run"]):  # `rollout` named it
            yield f"PlanDecision/{meta['name']} outlives its run"
