"""Kubernetes Events: what happened to an object, in one word for programs and one sentence for people."""

from __future__ import annotations

import hashlib
import logging
from typing import Final

from rollout.controller.lease import micro_time
from rollout.errors import Forbidden, RolloutError
from rollout.plan.base import Json
from rollout.plan.kinds import EVENT
from rollout.plan.run import Note
from rollout.ports.world import World

REPORTER: Final = "meshrollout.dev/rollout"
log = logging.getLogger(__name__)


def event(regarding: Json, note: Note) -> Json:
    """An events.k8s.io Event. Its name derives from its content: told twice, it is refused the second time."""
    meta = regarding["metadata"]
    key = f"{meta['uid']}/{note.at}/{note.reason}/{note.message}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{meta['name'][:200]}.{hashlib.sha256(key.encode()).hexdigest()[:12]}",
            "namespace": meta["namespace"],
        },
        "eventTime": micro_time(note.at),
        "reportingController": REPORTER,
        "reportingInstance": "rollout",
        "action": note.reason,
        "reason": note.reason,
        "type": "Warning" if note.warning else "Normal",
        "note": note.message[:1024],
        "regarding": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
    }


async def tell(world: World, regarding: Json, note: Note) -> None:
    """Write it down if that is possible. Nothing depends on it; one that exists was told by a turn that died.

    That a right is missing is logged.
    """
    try:
        await world.cluster.create(event(regarding, note))
    except Forbidden as error:
        log.info("an Event could not be written", extra={"reason": note.reason, "error": str(error)})
    except RolloutError:
        return
