"""Simulated requests: clients, who sends and who answers, and the counters that a Prometheus would scrape."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rollout.adapters.memory.behaviour import Behaviour, Behaviours
from rollout.adapters.memory.connection import Link, link, workload_of
from rollout.adapters.memory.injector import carried
from rollout.adapters.memory.kubelet import runs
from rollout.adapters.memory.ledger import Failure, Leak, Ledger
from rollout.adapters.memory.mesh import ROUTING, Caller, Cause, Share, Snapshot, copied, resolve, snapshot
from rollout.adapters.memory.objects import Objects
from rollout.adapters.memory.splits import fqdn
from rollout.adapters.memory.telemetry import Telemetry
from rollout.plan.base import ROLE_LABEL, Json
from rollout.plan.kinds import POD, Ref, ref_of

FAST: Final = 0.02
"""Seconds that an ordinary request takes."""
NOBODY: Final = ""
"""The workload of a request that no pod answered."""

Routes = list[tuple[Share, tuple[Link, ...]]]
"""The shares of a caller's requests, each with what becomes of them at its pods."""


@dataclass(slots=True)
class Sender:
    """One caller of a client: itself, or one of its pods."""

    caller: Caller
    turn: int = 0
    routed: tuple[int, Routes] = (-1, [])
    """Where its requests went last, and at which revision of the cluster."""
    copied: Routes = field(default_factory=list)
    """Where copies of them went."""


@dataclass(slots=True)
class Client:
    """Somebody who calls one Service at a steady rate."""

    host: str
    rate: float
    """Requests per second, of all its pods together."""
    caller: Caller
    pods: bool = False
    """The caller is a workload of the simulation: its pods call, each as it is, while there are any."""
    carry: float = 0.0
    turn: int = 0
    senders: dict[tuple[str, str], Sender] = field(default_factory=dict)
    sent_at: int = -1
    """The revision of the cluster that `senders` are of."""


@dataclass(slots=True)
class PodCounters:
    """Cumulative counters of one pod, as its sidecar has them."""

    namespace: str
    workload: str
    requests: int = 0
    errors: int = 0
    slow: int = 0
    slow_seconds: float = 0.0
    fast_seconds: float = FAST

    def slower_than(self, edge: float) -> int:
        """Requests that took longer than so many seconds."""
        if edge < self.fast_seconds:
            return self.requests
        return self.slow if edge < self.slow_seconds else 0


class Traffic:
    """Sends every client's requests each virtual second, by the routes and policies of that moment.

    Proxies learn of changes `delay` seconds late.  Routes that existed only between two seconds are judged too: one
    request goes to each destination of them that would fail, so that no wrong order of writes stays unseen.
    """

    def __init__(self, objects: Objects, behaviours: Behaviours, seed: int = 0, delay: float = 0.0) -> None:
        self.delay = delay
        self.clients: list[Client] = []
        self.ledger = Ledger()
        self.pods: dict[str, PodCounters] = {}
        self.telemetry = Telemetry()
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
        hostname: str = "",
    ) -> Client:
        """A new client of a Service; outside the mesh it knows no routes, only the Service, or comes by a Gateway."""
        caller = Caller(client_namespace or namespace, meshed, labels or {}, headers or {}, hostname=hostname)
        client = Client(fqdn(service, namespace), rate, caller)
        self.clients.append(client)
        return client

    def add_workload(
        self, workload: str, service: str, namespace: str, rate: float, *, client_namespace: str = "", port: str = ""
    ) -> Client:
        """The pods of a workload as a client: each in the mesh if it has a proxy, and known by its service account."""
        caller = Caller(client_namespace or namespace, workload=workload, port=port)
        client = Client(fqdn(service, namespace), rate, caller, pods=True)
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
            senders = self._senders(seen, client)
            if not senders:
                continue
            client.carry += client.rate * elapsed
            count = int(client.carry)
            client.carry -= count
            for sender, part in zip(senders, _dealt(count, len(senders), client.turn), strict=True):
                self._send(seen, client, sender, part)
            client.turn += count % len(senders)

    def _notice(self, ref: Ref) -> None:
        if ref.kind in ROUTING:
            self._known.append(snapshot(self._objects))
            self._stale = False
        elif ref.kind == POD:
            self._stale = True
            if self._objects.get(ref) is None:
                self.telemetry.forget((ref.namespace, ref.name))

    def _senders(self, seen: Snapshot, client: Client) -> Sequence[Sender]:
        """Who sends for a client at this moment."""
        if client.sent_at == seen.revision:
            return [*client.senders.values()]
        callers = [client.caller]
        if client.pods:
            own, name = client.caller.namespace, client.caller.workload
            mine = (it for it in seen.pods if it["metadata"]["namespace"] == own and workload_of(it) == name)
            callers = [_caller(client.caller, pod) for pod in mine if runs(pod)]
        known = client.senders
        client.senders = {it.pod: known.get(it.pod) or Sender(it) for it in callers}
        client.sent_at = seen.revision
        return [*client.senders.values()]

    def _routes(self, seen: Snapshot, client: Client, sender: Sender) -> Routes:
        if sender.routed[0] != seen.revision:
            sender.routed = (seen.revision, _linked(seen, client, sender, resolve(seen, sender.caller, client.host)))
            taken = [share for share in copied(seen, sender.caller, client.host) if share.cause is None]
            sender.copied = _linked(seen, client, sender, taken)
        return sender.routed[1]

    def _judge(self, seen: Snapshot) -> None:
        for client in self.clients:
            if client.rate <= 0:
                continue
            for sender in self._senders(seen, client):
                for share, links in self._routes(seen, client, sender):
                    for cause in [share.cause, *(it.cause for it in links)]:
                        if cause is not None:
                            self.ledger.requests += 1
                            self._fail(client, cause, NOBODY, 1)

    def _send(self, seen: Snapshot, client: Client, sender: Sender, count: int) -> None:
        if count == 0:
            return
        self.ledger.requests += count
        self.ledger.by_source[client.caller.title] += count
        routes = self._routes(seen, client, sender)
        for (share, links), part in zip(routes, self._split([share for share, _ in routes], count), strict=True):
            if share.cause is not None:
                self._fail(client, share.cause, NOBODY, part)
                continue
            parts = _dealt(part, len(share.pods), sender.turn)
            for pod, found, amount in zip(share.pods, links, parts, strict=True):
                self._meet(client, sender, share, pod, found, amount)
            sender.turn += part % len(share.pods)
        for share, links in sender.copied:
            for pod, found, amount in zip(share.pods, links, _dealt(count, len(share.pods), sender.turn), strict=True):
                self._copy(pod, found, self._some(amount, share.weight))

    def _copy(self, pod: Json, found: Link, count: int) -> None:
        """Copies arrive at a pod: it answers and is counted, and nobody hears the answer."""
        if count and found.cause is None:
            self.ledger.copies[found.target.workload] += count
            self._serve(pod, found, count)

    def _split(self, shares: list[Share], count: int) -> list[int]:
        if len(shares) == 1:
            return [count]
        chosen = Counter(self._random.choices(range(len(shares)), [share.weight for share in shares], k=count))
        return [chosen[index] for index in range(len(shares))]

    def _meet(self, client: Client, sender: Sender, share: Share, pod: Json, found: Link, count: int) -> None:
        """Requests arrive at a pod."""
        if count == 0:
            return
        if self.delay > 0 and self._gone(pod):
            self._fail(client, Cause.KILLED, found.target.workload, count)
            return
        place, caller = (pod["metadata"]["namespace"], pod["metadata"]["name"]), sender.caller.pod
        for tags in found.tags:
            self.telemetry.verdict(place, found.target, found.protocol, tags, count)
        if found.cause is not None:
            code, flags = ("503", "UF,URX") if found.cause is Cause.REFUSED else ("403", "-")
            if found.called and found.cause is not Cause.REFUSED:
                self.telemetry.count(place, found.seen("destination", code), count)
            if found.calls:
                self.telemetry.count(caller, found.seen("source", code, flags), count)
            self._fail(client, found.cause, found.target.workload, count)
            return
        self._answer(client, sender, share, pod, found, count)

    def _answer(self, client: Client, sender: Sender, share: Share, pod: Json, found: Link, count: int) -> None:
        workload = found.target.workload
        self.ledger.by_workload[workload] += count
        if _leaks(share, pod):
            self.ledger.leaks.append(Leak(self._objects.now(), client.host, workload, count))
        errors, durations = self._serve(pod, found, count)
        if errors:
            self._fail(client, Cause.ANSWERED_5XX, workload, errors)
        if found.calls:
            self._tell(sender.caller.pod, found, "source", count, errors, durations)

    def _serve(self, pod: Json, found: Link, count: int) -> tuple[int, dict[float, int]]:
        """A pod answers, and its own proxy counts; how many are errors, and how long they took."""
        workload, name = found.target.workload, pod["metadata"]["name"]
        behaviour = self._behaviours.of_pod(pod)
        errors, slow = self._errors(pod, count, behaviour), self._some(count, behaviour.slow_rate)
        extra = behaviour.proxy_seconds if carried(pod) else 0.0
        durations = {FAST + extra: count - slow} | ({behaviour.slow_seconds + extra: slow} if slow else {})
        place = (pod["metadata"]["namespace"], name)
        if found.called:
            self._tell(place, found, "destination", count, errors, durations)
            counters = self.pods.setdefault(name, PodCounters(place[0], workload))
            counters.requests += count
            counters.errors += errors
            counters.slow += slow
            counters.slow_seconds, counters.fast_seconds = behaviour.slow_seconds + extra, FAST + extra
        return errors, durations

    def _tell(
        self, pod: tuple[str, str], found: Link, reporter: str, count: int, errors: int, durations: dict[float, int]
    ) -> None:
        """What one of the proxies counts of answered requests."""
        if count > errors:
            self.telemetry.count(pod, found.seen(reporter, "200"), count - errors, durations)
        if errors:
            self.telemetry.count(pod, found.seen(reporter, "500"), errors, None if count > errors else durations)

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
            failure = Failure(self._objects.now(), client.host, cause, workload, count, client.caller.title)
            self.ledger.failures.append(failure)


def _linked(seen: Snapshot, client: Client, sender: Sender, shares: list[Share]) -> Routes:
    """The shares, each with what becomes of the requests at its pods."""
    return [(it, tuple(link(seen, sender.caller, client.host, pod, it.subset) for pod in it.pods)) for it in shares]


def _dealt(count: int, hands: int, turn: int) -> list[int]:
    """Equal parts, the rest by turns."""
    base, more = divmod(count, hands)
    return [base + ((index + turn) % hands < more) for index in range(hands)]


def _caller(whole: Caller, pod: Json) -> Caller:
    meta, account = pod["metadata"], pod["spec"].get("serviceAccountName") or "default"
    place = (meta["namespace"], meta["name"])
    return replace(whole, meshed=carried(pod), labels=meta.get("labels") or {}, account=account, pod=place)


def _leaks(share: Share, pod: Json) -> bool:
    if share.chosen or not _canary(pod):
        return False
    return not any(_images(other) == _images(pod) for other in share.pods if not _canary(other))


def _canary(pod: Json) -> bool:
    return bool(pod["metadata"].get("labels", {}).get(ROLE_LABEL) == "canary")


def _images(pod: Json) -> list[str]:
    return [container["image"] for container in pod["spec"]["containers"]]
