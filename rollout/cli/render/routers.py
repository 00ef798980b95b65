"""What each router can do, as a table: what the routers themselves declare, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rollout.ports.router import Feature, Router

_TITLES: Final[Mapping[Feature, str]] = {
    Feature.FRACTIONS: "below 1 %",
    Feature.SUBSETS: "subsets of a Service",
    Feature.NAMED: "chosen routes",
    Feature.TCP: "TCP",
    Feature.MATCHES: "chosen requests",
    Feature.MIRROR: "copies of requests",
}


def capabilities(routers: Mapping[str, Router]) -> str:
    """The table in Markdown."""
    head = ["router", "writes", *_TITLES.values(), "remark"]
    rows = [
        [
            f"`{name}`",
            ", ".join(sorted({kind.name for kind in router.writes})),
            *("yes" if feature in router.features else "-" for feature in _TITLES),
            router.retired,
        ]
        for name, router in sorted(routers.items())
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"
