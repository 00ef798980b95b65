"""Prometheus' Alertmanager, by its API v2: what waits for a person or goes wrong fires, until it is over.

Alerts are known by their labels, so that one that is sent twice is one.  An alert of which nothing more is heard ends
after `LASTS`.  Good news alone is no alert, and only resolves others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.adapters.channels.base import Plain, cut, post
from rollout.notify.message import text, title
from rollout.plan.base import Json, rfc3339
from rollout.ports.channel import Letter, Request, Trouble

LASTS: Final = 4 * 3600.0
"""Seconds until an alert ends by itself."""


class Alertmanager(Plain):
    """The channel `alertmanager`."""

    needs = (frozenset({"address"}), frozenset({"addressFrom"}))
    pace = 0.0
    certain = True

    def requests(self, letter: Letter) -> Sequence[Request]:
        """See `ports.channel.Channel.requests`."""
        alerts = [_alert(letter, it) for it in letter.message.troubles if it.over or it.reason == letter.message.reason]
        if not alerts:
            return ()
        return (post(f"{letter.address.rstrip('/')}/api/v2/alerts", alerts, bearer=letter.token),)


def _alert(letter: Letter, trouble: Trouble) -> Json:
    message = letter.message
    labels = {
        "alertname": f"Rollout{trouble.reason}",
        "namespace": message.namespace,
        "kind": message.kind,
        "plan": message.plan,
        "run": message.run,
        **({"cluster": message.cluster} if message.cluster else {}),
    }
    end = message.at if trouble.over else max(letter.now, trouble.at) + LASTS
    return {
        "labels": labels,
        "annotations": {
            "summary": cut(title(letter, str), 256),
            "description": cut(text(letter, str), 4000),
            "next": "\n".join(message.next),
        },
        "startsAt": rfc3339(trouble.at),
        "endsAt": rfc3339(max(end, trouble.at + 1)),
    }
