"""Load on the shop, from a pod, with an exact account of every answer."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.mesh import namespace

if TYPE_CHECKING:
    from lab.cluster import Lab


@dataclass(frozen=True)
class Count:
    """How many requests ended this way. `code` 0 is no answer at all; `error` then says why."""

    version: str
    code: int
    error: str
    count: int
    first_ns: int = 0
    """When the first of them was sent, by the pod's clock."""
    last_ns: int = 0

    @property
    def bad(self) -> bool:
        """Whether it is no answer, or a 5xx."""
        return self.code == 0 or self.code >= 500


@dataclass(frozen=True)
class Report:
    """What became of the requests sent in an interval; latencies in milliseconds, over all of them."""

    total: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    counts: tuple[Count, ...]
    now_ns: int  # the pod's clock, for the next report to begin at

    @property
    def versions(self) -> dict[str, int]:
        """Requests per version of the server; the empty one for those that no server answered."""
        found: Counter[str] = Counter()
        for one in self.counts:
            found[one.version] += one.count
        return dict(found)

    @property
    def codes(self) -> dict[int, int]:
        """Requests per status code; 0 for those without an answer."""
        found: Counter[int] = Counter()
        for one in self.counts:
            found[one.code] += one.count
        return dict(found)

    @property
    def failed(self) -> int:
        """Requests that got no answer, or a 5xx."""
        return sum(one.count for one in self.counts if one.bad)

    def __str__(self) -> str:
        lines = [
            f"{self.total} requests, {self.failed} failed; p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, "
            f"slowest {self.max_ms:.1f} ms"
        ]
        lines += [
            f"{one.count:8d}  {one.code:3d}  {one.version or '-':12s} {one.error}".rstrip() for one in self.counts
        ]
        return "\n".join(lines)


class Load:
    """A client pod in a namespace; with `meshed=False` it has no sidecar, as a stranger to the mesh has none."""

    def __init__(self, lab: Lab, ns: str = "shop", pod: str = "load", *, meshed: bool = True) -> None:
        self.lab, self.ns, self.pod, self.meshed = lab, ns, pod, meshed

    def start(
        self,
        rate: int = 100,
        url: str = "http://web/",
        *,
        duration: float = 0,
        keepalive: bool = True,
        timeout: float = 10,
    ) -> int:
        """Send `rate` requests a second, for `duration` seconds or until stopped; return the pod's clock."""
        self.prepare()
        times = [f"duration={duration}s", f"timeout={timeout}s"]
        return int(self._ask("start", f"rate={rate}", f"url={url}", f"keepalive={str(keepalive).lower()}", *times))

    def stop(self) -> int:
        """Stop sending, wait for the answers under way, and return the pod's clock. Its reports stay available."""
        return int(self._ask("stop"))

    def report(self, since: int = 0, until: int | None = None) -> Report:
        """Account for the requests sent from `since` on and before `until` (nanoseconds, of the pod's clock)."""
        until_pair = [] if until is None else [f"until={until}"]
        answer = json.loads(self._ask("report", f"since={since}", *until_pair))
        counts = sorted((Count(**one) for one in answer.pop("counts")), key=lambda one: -one.count)
        return Report(**answer, counts=tuple(counts))

    def prepare(self) -> None:
        """Create the client pod unless it is there, and return when it can send."""
        labels = {"istio-injection": "enabled"} if self.meshed else {}
        if not self.lab.kubectl("get", "namespace", self.ns, "--ignore-not-found", "-o=name"):
            self.lab.kubectl("create", "-f", "-", stdin=json.dumps(namespace(self.ns, **labels)))
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": self._manifests()})
        if not self.lab.kubectl("get", "-n", self.ns, f"pod/{self.pod}", "--ignore-not-found", "-o=name"):
            self.lab.kubectl("apply", "-f", "-", stdin=manifest)
        self.lab.kubectl("wait", "-n", self.ns, f"pod/{self.pod}", "--for=condition=Ready", "--timeout=60s")

    def remove(self) -> None:
        """Delete the client pod, and with it what it counted."""
        self.lab.kubectl("delete", "-n", self.ns, f"pod/{self.pod}", f"serviceaccount/{self.pod}", "--ignore-not-found")

    def _ask(self, *words: str) -> str:
        return self.lab.kubectl("exec", "-n", self.ns, self.pod, "-c=load", "--", "/load", *words)

    def _manifests(self) -> list[dict[str, object]]:
        # the account is called as the pod: Prometheus tells the callers of a workload apart by it
        named = {"name": self.pod, "namespace": self.ns}
        labels = {"app": self.pod, "sidecar.istio.io/inject": str(self.meshed).lower()}
        container = {
            "name": "load",
            "image": "lab.local/load:1",
            "args": ["serve"],
            "readinessProbe": {"exec": {"command": ["/load", "report", "until=0"]}, "periodSeconds": 1},
        }
        spec = {"serviceAccountName": self.pod, "terminationGracePeriodSeconds": 1, "containers": [container]}
        return [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
            {"apiVersion": "v1", "kind": "Pod", "metadata": {**named, "labels": labels}, "spec": spec},
        ]
