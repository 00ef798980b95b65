"""Freezes that break one rule each, and a sound one; in the manner of `plans`."""

from __future__ import annotations

from typing import Any

import yaml

from tests.kit.plans import Broken

NIGHT: dict[str, Any] = {"start": "0 20 * * *", "duration": "10h", "timeZone": "Europe/Paris"}
CLEAN: dict[str, Any] = {
    "reason": "launch day",
    "since": "2026-05-01T00:00:00Z",
    "until": "2026-06-01T00:00:00+02:00",
    "windows": [NIGHT],
    "namespaces": ["shop", "team-*"],
    "plans": {"tier": "gold"},
}


def text(spec: dict[str, Any]) -> str:
    """A freeze as a file."""
    head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "ChangeFreeze", "metadata": {"name": "launch"}}
    return yaml.safe_dump({**head, "spec": spec}, sort_keys=False)


def nightly(**window: Any) -> dict[str, Any]:
    return CLEAN | {"windows": [NIGHT | window]}


BROKEN = [
    Broken("RO368", "spec", CLEAN | {"since": "2026-06-01T00:00:00Z"}),
    Broken("RO369", "spec.windows[0].start", nightly(start="0 99 * * *")),
    Broken("RO370", "spec.windows[0].timeZone", nightly(timeZone="Mars/Olympus")),
    Broken("RO371", "spec.windows[0].duration", nightly(duration="1s")),
    Broken("RO371", "spec.windows[0].duration", nightly(duration="40d")),
]
