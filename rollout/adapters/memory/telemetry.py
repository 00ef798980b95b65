"""What the proxies of the simulated traffic count, with the names and labels of Istio's standard metrics.

Servers and callers each count for themselves (`reporter`), as far as they have a proxy.  What a server refuses before
it is a request, it does not count.  Counters go with the pod that has them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rollout.adapters.memory.series import Key, labelled

UNKNOWN: Final = "unknown"

Value = tuple[Key, float]
"""One series and its value."""


class Party(NamedTuple):
    """One end of a connection, as metrics name it."""

    namespace: str = UNKNOWN
    workload: str = UNKNOWN
    principal: str = UNKNOWN


class Flow(NamedTuple):
    """Requests or connections that are counted together; which pod counts them is said apart."""

    reporter: str
    source: Party
    target: Party
    host: str
    protocol: str
    security: str
    """`mutual_tls` or `none`; a caller says `unknown`."""
    code: str = "200"
    flags: str = "-"


class Telemetry:
    """All counters, by the pod that has them."""

    def __init__(self) -> None:
        self._flows: dict[Pod, dict[Flow, int]] = defaultdict(lambda: defaultdict(int))
        self._durations: dict[Pod, dict[Flow, dict[float, int]]] = defaultdict(lambda: defaultdict(dict))
        self._verdicts: dict[Pod, dict[_Verdict, int]] = defaultdict(lambda: defaultdict(int))
        self._keys: dict[Pod, dict[tuple[str, Flow | _Verdict, float | None], Key]] = {}

    def count(self, pod: Pod, flow: Flow, requests: int, durations: Mapping[float, int] | None = None) -> None:
        """Count requests, or connections where the protocol is `tcp`; `durations` in seconds, by how many."""
        self._flows[pod][flow] += requests
        if durations and pod != NOBODY:
            seen = self._durations[pod][flow]
            for seconds, count in durations.items():
                seen[seconds] = seen.get(seconds, 0) + count

    def verdict(self, pod: Pod, party: Party, protocol: str, tags: tuple[tuple[str, str], ...], requests: int) -> None:
        """Count what authorization policies said, with Envoy's tags for it."""
        self._verdicts[pod][_Verdict(party.namespace, party.workload, protocol, tags)] += requests

    def scrape(self, pods: Sequence[Pod]) -> Iterator[Value]:
        """All series of these pods, and of callers that are no pods."""
        for pod in (*pods, NOBODY):
            for flow, count in self._flows.get(pod, {}).items():
                yield from self._of(pod, flow, count)
            for verdict, count in self._verdicts.get(pod, {}).items():
                yield self._key(verdict.name, pod, verdict), float(count)

    def forget(self, pod: Pod) -> None:
        """Drop the counters of a pod that is gone: one of its name begins at nothing."""
        for table in (self._flows, self._durations, self._verdicts, self._keys):
            table.pop(pod, None)

    def _of(self, pod: Pod, flow: Flow, count: int) -> Iterator[Value]:
        if flow.protocol == "tcp":
            yield self._key("istio_tcp_connections_opened_total", pod, flow), float(count)
            yield self._key("istio_tcp_connections_closed_total", pod, flow), float(count)
            return
        yield self._key("istio_requests_total", pod, flow), float(count)
        for seconds, many in self._durations[pod].get(flow, {}).items():
            yield self._key("istio_request_duration_milliseconds", pod, flow, seconds), float(many)

    def _key(self, name: str, pod: Pod, what: Flow | _Verdict, seconds: float | None = None) -> Key:
        known = self._keys.setdefault(pod, {})
        key = known.get((name, what, seconds))
        if key is None:
            labels = what.labels(pod) if isinstance(what, _Verdict) else _labels(pod, what)
            key = known[name, what, seconds] = Key(name, labelled(labels), seconds)
        return key


class _Verdict(NamedTuple):
    """Requests of which policies said the same."""

    namespace: str
    workload: str
    protocol: str
    tags: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return "envoy_tcp" if self.protocol == "tcp" else "envoy_http_rbac"

    def labels(self, pod: Pod) -> dict[str, str]:
        where = {"destination_workload_namespace": self.namespace, "destination_workload": self.workload}
        return {**where, "namespace": pod[0], "pod": pod[1], **dict(self.tags)}


Pod = tuple[str, str]
"""Namespace and name."""
NOBODY: Final[Pod] = ("", "")
"""A caller that is no pod of the simulation."""


def _labels(pod: Pod, flow: Flow) -> dict[str, str]:
    name, _, rest = flow.host.partition(".")
    return {
        "reporter": flow.reporter,
        "namespace": pod[0],
        "pod": pod[1],
        "source_workload": flow.source.workload,
        "source_workload_namespace": flow.source.namespace,
        "source_principal": flow.source.principal,
        "destination_workload": flow.target.workload,
        "destination_workload_namespace": flow.target.namespace,
        "destination_principal": flow.target.principal,
        "destination_service": flow.host,
        "destination_service_name": name,
        "destination_service_namespace": rest.partition(".")[0],
        "request_protocol": flow.protocol,
        "response_flags": flow.flags,
        "connection_security_policy": flow.security,
        **({} if flow.protocol == "tcp" else {"response_code": flow.code}),
        **({"grpc_response_status": "0" if flow.code == "200" else "14"} if flow.protocol == "grpc" else {}),
    }
