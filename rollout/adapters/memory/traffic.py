"""Simulated requests: clients, what became of every request, and the counters that a Prometheus would scrape."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rollout.adapters.memory.behaviour import Behaviour, Behaviours
from rollout.adapters.memory.mesh import ROUTING, Caller, Cause, Share, Snapshot, fqdn, resolve, snapshot
from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.rolling import HASH_LABEL
from rollout.plan.base import ROLE_LABEL, Json
from rollout.plan.kinds import POD, Ref, ref_of

FAST: Final = 0.02
"""Seconds that an ordinary request takes."""
NOBODY: Final = ""
"""The workload of a request that no pod answered."""


@dataclass(slots=True)
class Client:
    """Somebody who calls one Service at a steady rate."""

    host: str
    rate: float
    """Requests per second."""
    caller: Caller
    carry: float = 0.0
    turn: int = 0
    routed: tuple[int, list[Share]] = (-1, [])
    """Where its requests went last, and at which revision of the cluster."""


@dataclass(slots=True)
class PodCounters:
    """Cumulative counters of one pod, as its sidecar has them."""

    namespace: str
    workload: str
    requests: int = 0
    errors: int = 0
    slow: int = 0
    slow_seconds: float = 0.0

    def slower_than(self, edge: float) -> int:
        """Requests that took longer than so many seconds."""
        if edge < FAST:
            return self.requests
        return self.slow if edge < self.slow_seconds else 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Requests that failed together."""

    at: float
    host: str
    cause: Cause
    workload: str
    count: int


@dataclass(frozen=True, slots=True)
class Leak:
    """Requests that reached a canary pod through the plain Service: its share was nobody's decision.

    Once the Deployment itself runs that version behind the same Service, it is none.
    """

    at: float
    host: str
    workload: str
    count: int


@dataclass(slots=True)
class Ledger:
    """What became of the requests."""

    requests: int = 0
    by_workload: Counter[str] = field(default_factory=Counter)
    """Requests that reached a pod of the workload."""
    failures: list[Failure] = field(default_factory=list)
    leaks: list[Leak] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Requests that did not get an answer below 500."""
        return sum(failure.count for failure in self.failures)

    @property
    def dropped(self) -> int:
        """Requests that no application answered: our fault, if anybody's."""
        return sum(failure.count for failure in self.failures if failure.cause is not Cause.ANSWERED_5XX)

    def failed_by(self, workload: str) -> int:
        """Requests that this workload answered 5xx."""
        return sum(f.count for f in self.failures if f.workload == workload and f.cause is Cause.ANSWERED_5XX)

    def share(self, workload: str) -> float:
        """The part of all answered requests that reached the workload, 0..1."""
        total = self.by_workload.total()
        return self.by_workload[workload] / total if total else 0.0


class Traffic:
    """Sends every client's requests each virtual second, by the routes of that moment.

    Proxies learn of changes `delay` seconds late.  Routes that existed only between two seconds are judged too: one
    request goes to each destination of them that would fail, so that no wrong order of writes stays unseen.
    """

    def __init__(self, objects: Objects, behaviours: Behaviours, seed: int = 0, delay: float = 0.0) -> None:
        self.delay = delay
        self.clients: list[Client] = []
        self.ledger = Ledger()
        self.pods: dict[str, PodCounters] = {}
        self._objects = objects
        self._behaviours = behaviours
        self._random = random.Random(seed)  # noqa: S311 - simulated, reproducible luck
        self._known: deque[Snapshot] = deque([snapshot(objects)])
        self._stale = False
        self._bursts: dict[str, int] = {}
        """By pod: requests that a burst of errors still has to hit."""
        self._last = objects.now()
        objects.watchers.append(self._notice)

    def add_client(
        self,
        service: str,
        namespace: str,
        rate: float,
        *,
        meshed: bool = True,
        client_namespace: str = "",
        labels: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Client:
        """A new client of a Service; outside the mesh it knows no routes, only the Service."""
        caller = Caller(client_namespace or namespace, meshed, labels or {}, headers or {})
        client = Client(fqdn(service, namespace), rate, caller)
        self.clients.append(client)
        return client

    def fresh_ledger(self) -> Ledger:
        """Start counting anew; return the ledger so far."""
        ledger, self.ledger = self.ledger, Ledger()
        return ledger

    def tick(self) -> None:
        """Send the requests of the time since the last tick."""
        now = self._objects.now()
        elapsed, self._last = now - self._last, now
        if self._stale:
            self._known.append(snapshot(self._objects))
            self._stale = False
        while len(self._known) > 1 and self._known[1].at <= now - self.delay:
            self._known.popleft()
            if len(self._known) > 1 and self._known[1].at <= now - self.delay:
                self._judge(self._known[0])
        seen = self._known[0]
        for client in self.clients:
            client.carry += client.rate * elapsed
            count = int(client.carry)
            client.carry -= count
            self._send(seen, client, count)

    def _notice(self, ref: Ref) -> None:
        if ref.kind in ROUTING:
            self._known.append(snapshot(self._objects))
            self._stale = False
        elif ref.kind == POD:
            self._stale = True

    def _judge(self, seen: Snapshot) -> None:
        for client in self.clients:
            if client.rate > 0:
                for share in resolve(seen, client.caller, client.host):
                    if share.cause is not None:
                        self.ledger.requests += 1
                        self._fail(client, share.cause, NOBODY, 1)

    def _send(self, seen: Snapshot, client: Client, count: int) -> None:
        if count == 0:
            return
        self.ledger.requests += count
        if client.routed[0] != seen.revision:
            client.routed = (seen.revision, resolve(seen, client.caller, client.host))
        shares = client.routed[1]
        for share, part in zip(shares, self._split(shares, count), strict=True):
            if share.cause is not None:
                self._fail(client, share.cause, NOBODY, part)
                continue
            base, more = divmod(part, len(share.pods))
            for index, pod in enumerate(share.pods):
                extra = (index + client.turn) % len(share.pods) < more
                self._answer(client, share, pod, base + extra)
            client.turn += more

    def _split(self, shares: list[Share], count: int) -> list[int]:
        if len(shares) == 1:
            return [count]
        chosen = Counter(self._random.choices(range(len(shares)), [share.weight for share in shares], k=count))
        return [chosen[index] for index in range(len(shares))]

    def _answer(self, client: Client, share: Share, pod: Json, count: int) -> None:
        if count == 0:
            return
        workload = workload_of(pod)
        if self.delay > 0 and self._gone(pod):
            self._fail(client, Cause.KILLED, workload, count)
            return
        behaviour = self._behaviours.of_pod(pod)
        errors, slow = self._errors(pod, count, behaviour), self._some(count, behaviour.slow_rate)
        self.ledger.by_workload[workload] += count
        if _leaks(share, pod):
            self.ledger.leaks.append(Leak(self._objects.now(), client.host, workload, count))
        if errors:
            self._fail(client, Cause.ANSWERED_5XX, workload, errors)
        if client.caller.meshed:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            counters = self.pods.setdefault(name, PodCounters(namespace, workload))
            counters.requests += count
            counters.errors += errors
            counters.slow += slow
            counters.slow_seconds = behaviour.slow_seconds

    def _gone(self, pod: Json) -> bool:
        """Late proxies may know a pod that is no more."""
        current = self._objects.get(ref_of(pod))
        return current is None or current["metadata"]["uid"] != pod["metadata"]["uid"]

    def _errors(self, pod: Json, count: int, behaviour: Behaviour) -> int:
        """Requests that fail: alone, or what is left of earlier bursts and the new ones."""
        if behaviour.error_burst <= 1:
            return self._some(count, behaviour.error_rate)
        uid = pod["metadata"]["uid"]
        begun = self._some(count, behaviour.error_rate / behaviour.error_burst)
        due = self._bursts.get(uid, 0) + begun * behaviour.error_burst
        self._bursts[uid] = due - min(due, count)
        return min(due, count)

    def _some(self, count: int, rate: float) -> int:
        return sum(self._random.random() < rate for _ in range(count)) if rate > 0 else 0

    def _fail(self, client: Client, cause: Cause, workload: str, count: int) -> None:
        if count > 0:
            self.ledger.failures.append(Failure(self._objects.now(), client.host, cause, workload, count))


def _leaks(share: Share, pod: Json) -> bool:
    if share.subset or not _canary(pod):
        return False
    return not any(_images(other) == _images(pod) for other in share.pods if not _canary(other))


def _canary(pod: Json) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(ROLE_LABEL) == "canary")


def _images(pod: Json) -> list[str]:
    return [container["image"] for container in pod["spec"]["containers"]]


def workload_of(pod: Json) -> str:
    """The name of the Deployment behind a pod, as the mesh's metrics have it."""
    owners = pod["metadata"].get("ownerReferences", ())
    hash_ = pod["metadata"].get("labels", {}).get(HASH_LABEL, "")
    name: str = owners[0]["name"] if owners else ref_of(pod).name
    return name.removesuffix(f"-{hash_}") if hash_ else name
