"""Who called whom, with or without mTLS: the questions to Prometheus, and the answers as edges.

Servers tell (`reporter="destination"`): only they know whether a connection had mTLS.  A caller without a proxy has no
name there.  HTTP and TCP are counted by different metrics, so both are always asked for.

`increase()` loses the first value of a series.  A caller that calls once (a CronJob) makes a series that never grows,
so for series that are younger than the window their highest value counts instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.ports.mesh import Edge, Peer, Traffic
from rollout.ports.metrics import Ask, Reading, Series

_NOBODY: Final = "unknown"
_SECURE: Final = "mutual_tls"
FLAGS: Final = "UF.*|UC|UH|NR|URX|UO|DPE"
"""Envoy's response flags of a connection that the server refused, dropped, or that nobody could take."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names in Istio's standard metrics, for installations that rename them."""

    requests: str = "istio_requests_total"
    connections: str = "istio_tcp_connections_opened_total"
    namespace: str = "destination_workload_namespace"
    workload: str = "destination_workload"
    service_namespace: str = "destination_service_namespace"
    source_namespace: str = "source_workload_namespace"
    source: str = "source_workload"
    principal: str = "source_principal"
    security: str = "connection_security_policy"
    protocol: str = "request_protocol"
    flags: str = "response_flags"
    reporter: str = "reporter"
    history: str = "up"
    """A metric that is there whenever Prometheus runs."""

    @property
    def edge(self) -> tuple[str, ...]:
        """What tells edges apart."""
        ends = (self.source_namespace, self.source, self.principal, self.namespace, self.workload)
        return (*ends, self.protocol, self.security)


def callers(labels: Labels, metric: str, namespace: str, window: float) -> str:
    """Requests, or connections, in the window by edge; `namespace` empty means all."""
    chosen = metric + _selector(labels, "destination", {labels.namespace: namespace})
    return f"sum by ({','.join(labels.edge)}) ({grown(chosen, window)})"


def plain_share(labels: Labels, namespace: str, window: float) -> str:
    """The share of requests without mTLS by workload; a workload without requests is not in it."""
    where, without = {labels.namespace: namespace}, f'{labels.security}!="{_SECURE}"'
    by = f"sum by ({labels.namespace},{labels.workload})"
    every = f"{by} ({grown(labels.requests + _selector(labels, 'destination', where), window)})"
    plain = f"{by} ({grown(labels.requests + _selector(labels, 'destination', where, without), window)})"
    # numerators may be absent, denominators may not: nothing by nothing is no data
    return f"({plain} or 0 * {every}) / {every}"


def grown(series: str, window: float) -> str:
    """By how much counters grew in the window; those that were not there before it grew from nothing."""
    length = duration(window)
    return f"(max_over_time({series}[{length}]) unless {series} offset {length}) or increase({series}[{length}])"


def client_failures(labels: Labels, namespace: str, window: float) -> str:
    """Requests per second that callers could not get through, by workload that called and by Envoy's flag."""
    failed = f'{labels.flags}=~"{FLAGS}"'
    chosen = labels.requests + _selector(labels, "source", {labels.service_namespace: namespace}, failed)
    by = f"{labels.source_namespace},{labels.source},{labels.flags}"
    return f"sum by ({by}) (rate({chosen}[{duration(window)}]))"


def volume(labels: Labels, metric: str, namespace: str, workload: str, window: float, before: float) -> str:
    """Requests now over those `before` seconds ago: the one gate that sees callers vanish."""
    chosen = metric + _selector(labels, "destination", {labels.namespace: namespace, labels.workload: workload})
    rate = f"sum(rate({chosen}[{duration(window)}]"
    return f"{rate})) / {rate} offset {duration(before)}))"


def history(labels: Labels, window: float) -> str:
    """Whether the metrics reach back to where the window begins."""
    return f"count({labels.history} offset {duration(window)})"


def edges(labels: Labels, series: Sequence[Series], *, connections: bool) -> tuple[Edge, ...]:
    """The answers to `callers`, largest first."""
    found = [_edge(labels, one, connections=connections) for one in series]
    return tuple(
        sorted((edge for edge in found if edge.name and edge.amount > 0), key=lambda it: (-it.amount, it.source))
    )


def read(labels: Labels, questions: Sequence[Ask], window: float, readings: Mapping[Ask, Reading]) -> Traffic:
    """The answers to three questions: requests, connections, and whether there is history."""
    requests, connections, past = (readings[ask] for ask in questions)
    failed = next((it for it in (requests, connections) if it.status not in ("value", "no-data")), None)
    if failed is not None:
        return Traffic(window, problem=failed.detail or "the metrics do not answer", complete=False)
    seen = (
        *edges(labels, requests.series, connections=False),
        *edges(labels, connections.series, connections=True),
    )
    return Traffic(window, seen, complete=past.status == "value")


def _edge(labels: Labels, one: Series, *, connections: bool) -> Edge:
    def said(label: str) -> str:
        value = one.labels.get(label, "")
        return "" if value == _NOBODY else value

    return Edge(
        source=Peer(said(labels.source_namespace), said(labels.source), said(labels.principal)),
        namespace=said(labels.namespace),
        name=said(labels.workload),
        protocol="tcp" if connections else said(labels.protocol) or "http",
        secure=one.labels.get(labels.security) == _SECURE,
        amount=one.value,
    )


def _selector(labels: Labels, reporter: str, equal: Mapping[str, str], *more: str) -> str:
    matchers = [
        f'{labels.reporter}="{reporter}"',
        *(f'{key}="{value}"' for key, value in equal.items() if value),
        *more,
    ]
    return "{" + ",".join(matchers) + "}"


def duration(seconds: float) -> str:
    """Whole seconds, as PromQL writes them."""
    return f"{max(1, round(seconds))}s"
