"""How the versions of a simulated application behave, by container image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rollout.plan.base import Json


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What containers of one image do. The default is a good version that starts in two seconds."""

    error_rate: float = 0.0
    """Share of requests answered 5xx."""
    error_burst: int = 1
    """So many of a pod's requests in a row fail together; their share stays the same."""
    slow_rate: float = 0.0
    """Share of requests that take `slow_seconds` instead of 20 ms."""
    slow_seconds: float = 0.8
    """How long a slow request takes."""
    start_seconds: float = 2.0
    """From being scheduled to being ready."""
    stop_seconds: float = 1.0
    """From the deletion of the pod to its end."""
    crash: bool = False
    """The container ends again and again: CrashLoopBackOff."""
    never_ready: bool = False
    """The container runs, and its readiness probe fails."""
    image_pull_error: bool = False
    """The image cannot be pulled."""
    unschedulable_after: int | None = None
    """No node has room for more than so many pods of this image."""
    run_seconds: float = 20.0
    """How long the containers of a Job run."""
    proxy_start_seconds: float = 1.0
    """From being scheduled to the readiness of the pod's proxy, where it has one; only then do the others start."""
    proxy_never_ready: bool = False
    """The pod's proxy does not get ready."""
    proxy_seconds: float = 0.0
    """What the pod's proxy adds to each request."""
    proxy_cores: float = 0.02
    """What the pod's proxy takes of the node's CPU."""
    proxy_bytes: float = 60e6
    """And of its memory."""


GOOD: Final = Behaviour()


class Behaviours:
    """Which image behaves how. `changes` counts the edits, so that nobody computes what cannot have changed."""

    def __init__(self) -> None:
        self._by_image: dict[str, Behaviour] = {}
        self.changes = 0

    def set(self, image: str, behaviour: Behaviour) -> None:
        """From now on containers of this image behave so, those that run already included."""
        self._by_image[image] = behaviour
        self.changes += 1

    def of(self, image: str) -> Behaviour:
        """The behaviour of an image."""
        return self._by_image.get(image, GOOD)

    def of_pod(self, pod: Json) -> Behaviour:
        """The behaviour of the first container that has one of its own: the one that answers requests."""
        images = [container["image"] for container in pod["spec"]["containers"]]
        return next((self._by_image[image] for image in images if image in self._by_image), GOOD)
