"""Channels that break one rule each, and a sound one; in the manner of `plans`."""

from __future__ import annotations

from typing import Any

import yaml

from rollout.plan.lint import Known
from tests.kit.plans import Broken

URL = {"name": "hooks", "key": "url"}
CLEAN: dict[str, Any] = {
    "type": "slack",
    "addressFrom": URL,
    "cluster": "prod-eu",
    "events": {"severity": "detail", "reasons": ["RolledBack"], "plans": ["web-*"], "namespaces": ["*"]},
    "quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Europe/Paris", "days": ["Mon", "Sun"]},
    "template": {"title": "${plan} ${what}", "text": "costs $5: ${text}"},
    "repeatAfter": "5m",
    "giveUpAfter": "30m",
}
KNOWN = Known(
    channels={"slack": (frozenset({"addressFrom"}),), "webhook": (frozenset({"address"}), frozenset({"addressFrom"}))},
    reasons=frozenset({"RolledBack", "Promoted"}),
    zones=frozenset({"UTC", "Europe/Paris"}),
)


def text(spec: dict[str, Any], name: str = "team", namespace: str = "shop") -> str:
    """A channel as a file."""
    head = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "NotificationChannel"}
    return yaml.safe_dump(head | {"metadata": {"name": name, "namespace": namespace}, "spec": spec}, sort_keys=False)


def hook(address: str, **more: Any) -> dict[str, Any]:
    return {"type": "webhook", "address": address, **more}


BROKEN = [
    Broken("RO270", "spec", hook("https://ana:secret@hooks.example/a"), KNOWN),
    Broken("RO271", "spec", hook("https://hooks.example/a", addressFrom=URL), KNOWN),
    Broken("RO272", "spec", hook("https://hooks.slack.com/services/T0/B0/x"), KNOWN),
    Broken("RO272", "spec", hook("https://prod-01.westeurope.logic.azure.com:443/workflows/1?sig=x"), KNOWN),
    Broken("RO272", "spec", hook("https://discord.com/api/webhooks/1/x"), KNOWN),
    Broken("RO273", "spec.type", CLEAN | {"type": "slak"}, KNOWN),
    Broken("RO274", "spec", {"type": "slack"}, KNOWN),
    Broken(
        "RO275",
        "spec.quietHours.timeZone",
        CLEAN | {"quietHours": {"start": "22:00", "end": "07:00", "timeZone": "Mars"}},
        KNOWN,
    ),
    Broken("RO276", "spec.events.reasons[1]", CLEAN | {"events": {"reasons": ["Promoted", "RolledBak"]}}, KNOWN),
    Broken("RO277", "spec.template", CLEAN | {"template": {"text": "${message}"}}, KNOWN),
]
