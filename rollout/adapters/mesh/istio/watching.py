"""The questions of the guards: PromQL that yields one number, or nothing where nothing is known.

All rates are of a few looks; what they are compared with, `${before}`, lies so far back that a step that has just begun
is compared with what was before it, and so is one whose looks come late.  Denominators are never nothing: a share of
too few requests is no data.  A numerator may be nothing, and is zero then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rollout.adapters.mesh.istio import traffic
from rollout.plan.gate import MetricLabels
from rollout.plan.program import UnitName

LOOKS: Final = 4
"""Looks in one rate: it needs two samples, and a scrape may be missed."""
BACK: Final = 3
"""So many windows ago is `before`."""
FEW: Final = 10
"""Fewer requests in a window prove nothing."""
SLOW: Final = 1000
"""Milliseconds; an edge of Istio's histograms."""
_SERVERS: Final = "2|4|8|13|14|15"
"""gRPC statuses that are the server's fault; gRPC answers 200 all the same."""
_TCP_RBAC: Final = "envoy_tcp(_rbac)?"
_RBAC: Final = f'__name__=~"envoy_http_rbac|{_TCP_RBAC}"'
"""Envoy's counters of what policies say, of requests and of connections. Those of connections (`tcp.rbac.denied`) are
called `envoy_tcp`: Envoy makes a label, `tcp_prefix`, of the rest; seen at Envoy 1.40 under istiod 1.31."""
_LISTENER: Final = "inbound_.*_(%s)|InboundPassthroughCluster.*"
"""The listener of a port, as `http_conn_manager_prefix` names it; ports that no Service names share the second one."""
Ports = Mapping[UnitName, Sequence[int]]
_PODS: Final[Mapping[str, str]] = {
    "Deployment": "-[a-z0-9]+-[a-z0-9]{5}",
    "StatefulSet": "-[0-9]+",
    "CronJob": "-[0-9]+-[a-z0-9]{5}",
    "DaemonSet": "-[a-z0-9]{5}",
    "ReplicaSet": "-[a-z0-9]{5}",
    "Job": "-[a-z0-9]{5}",
}
"""What follows a workload's name in those of its pods."""
_OF_CRON_JOBS: Final = ".+-[0-9]{8}-[a-z0-9]{5}"
"""Names of CronJobs' pods: a Job's name ends with the minute that it is of."""


@dataclass(frozen=True, slots=True)
class Names:
    """What metrics and labels are called."""

    base: MetricLabels = field(default_factory=MetricLabels)
    more: traffic.Labels = field(default_factory=traffic.Labels)


@dataclass(frozen=True, slots=True)
class Question:
    """Whom the questions are about, and how often they are asked."""

    names: Names
    namespace: str
    unit: UnitName | None
    every: float

    @property
    def window(self) -> str:
        """Of a rate."""
        return traffic.duration(LOOKS * self.every)

    @property
    def back(self) -> float:
        """How many seconds back `before` is, while looks come on time."""
        return BACK * LOOKS * self.every

    @property
    def before(self) -> str:
        """As far back as the look says."""
        return " offset ${before}"

    @property
    def enough(self) -> str:
        """The rate of as many requests as prove something."""
        return f"{FEW / max(1, round(LOOKS * self.every)):.4g}"

    def success(self) -> str:
        """The share of requests that the server did not fail."""
        base = self.names.base
        every = self._sum(base.requests)
        good = self._sum(base.requests, f'{base.code}!~"5.."', f'grpc_response_status!~"{_SERVERS}"')
        return f"({good} or vector(0)) / ({every} > {self.enough})"

    def slow(self) -> str:
        """The share of slow requests."""
        under, every = (self._sum(self.names.base.latency, it) for it in (f'le=~"{SLOW}([.]0)?"', 'le="+Inf"'))
        return f"1 - {under} / ({every} > {self.enough})"

    def volume(self) -> str:
        """Requests and connections now over those before.

        Nothing at all now is zero, also when it is the scrape that was cut off; but not when Prometheus was away.
        """
        names = f'__name__=~"{self.names.base.requests}|{self.names.more.connections}"'
        now, before = self._sum("", names), self._sum("", names, ago=self.before)
        there = f"count_over_time({self.names.more.history}[{self.window}])"
        return f"({now} or vector(0)) / ({before} > {self.enough}) and max({there}) > 1"

    def callers(self) -> str:
        """The share of its requests that the worst caller does not get through, more than before; of the namespace."""
        more = self.names.more
        where = [f'{more.reporter}="source"', f'{more.service_namespace}="{self.namespace}"']
        by = f"{more.source_namespace},{more.source},destination_service_name"
        return self._worse(where, f'{more.flags}=~"{traffic.FLAGS}"', by)

    def refused(self) -> str:
        """The share of 403s that the worst caller gets, more than before; of the namespace."""
        base, more = self.names.base, self.names.more
        by = f"{more.source_namespace},{more.source},{base.workload}"
        return self._worse(self._where(self.namespace, None), f'{base.code}="403"', by)

    def cut(self) -> str:
        """The share of its connections that policies refuse at the worst pod, more than before; of the namespace.

        A refused connection is no request and has no 403, and its caller is not known.
        """

        def share(ago: str) -> str:
            denied, every = (
                f"sum by ({self.names.base.pod}) ({' or '.join(f'rate({it}[{self.window}]{ago})' for it in found)})"
                for found in (
                    self._policies('authz_enforce_result="denied"'),
                    self._policies('authz_enforce_result!=""'),
                )
            )
            return f"{denied} / ({every} > 0)"

        now, before = share(""), share(self.before)
        return f"max({now} - ({before} or 0 * {now}))"

    def unscraped(self) -> str:
        """Targets of scrapes that answered before and do not answer now.

        A target that is gone, because its pod is, has no series. Pods of CronJobs end, and are targets for a while
        after: they are left out. How targets are labelled is the scrape's matter; where none has labels that are known
        here, nothing is known.
        """
        targets = self._placed('__name__="up"', f'{self.names.base.pod}!~"{_OF_CRON_JOBS}"')
        now, before = " or ".join(targets), " or ".join(f"{it}{self.before}" for it in targets)
        return f"sum((({now}) == bool 0) * ({before})) or 0 * count({now})"

    def denied(self, action: str, window: float, left_open: Ports | None = None) -> str:
        """What dry runs would have refused in a window; nothing where none is known to count.

        Connections have no port in Envoy's counters: at a workload with open ports, none of them counts.
        """
        said = f'authz_dry_run_action="{action}"' if action else 'authz_dry_run_action!=""'
        grown = [traffic.grown(it, window) for it in self._counted(said, 'authz_dry_run_result="denied"')]
        length = traffic.duration(window)
        but = "".join(f" unless max_over_time({it}[{length}])" for it in self._open(said, left_open or {}))
        counted = " or ".join(f"({it})" for it in grown)
        return f"sum({f'({counted}){but}' if but else counted}) or 0 * sum({' or '.join(self._counted(said))})"

    def counted(self, action: str, window: float, left_open: Ports | None = None) -> str:
        """0 when dry runs have counted for the whole window, and would have refused nothing; nothing otherwise."""
        said = f'authz_dry_run_action="{action}"' if action else 'authz_dry_run_action!=""'
        past = " or ".join(f"{it} offset {traffic.duration(window)}" for it in self._counted(said))
        return f"(({self.denied(action, window, left_open)}) == 0) and count({past})"

    def cores(self) -> str:
        """CPU of its proxies, on average."""
        return self._cost("avg(rate(container_cpu_usage_seconds_total{%s}[" + self.window_of_cadvisor + "]))")

    def memory(self) -> str:
        """Memory of its largest proxy."""
        return self._cost("max(container_memory_working_set_bytes{%s})")

    @property
    def window_of_cadvisor(self) -> str:
        """The kubelet refreshes its counters every 10 to 15 s."""
        return traffic.duration(max(60.0, LOOKS * self.every))

    def _cost(self, query: str) -> str:
        """Zero for a workload without pods, where the kubelet's metrics are there at all."""
        where = [f'namespace="{self.namespace}"', 'container="istio-proxy"', self._pods("pod")]
        there = f'0 * count(container_memory_working_set_bytes{{namespace="{self.namespace}"}})'
        return f"{query % ','.join(it for it in where if it)} or {there}"

    def _worse(self, where: list[str], bad: str, by: str) -> str:
        def share(ago: str) -> str:
            failed, every = (
                f"sum by ({by}) (rate({self.names.base.requests}{_braces(*where, *it)}[{self.window}]{ago}))"
                for it in ([bad], [])
            )
            return f"{failed} / ({every} > 0)"

        now, before = share(""), share(self.before)
        every = f"sum(rate({self.names.base.requests}{_braces(*where)}[{self.window}]))"
        return f"max({now} - ({before} or 0 * {now})) or 0 * {every}"

    def _sum(self, metric: str, *more: str, ago: str = "") -> str:
        chosen = metric + _braces(*more, *self._where(self.namespace, self.unit))
        return f"sum(rate({chosen}[{self.window}]{ago}))"

    def _where(self, namespace: str, unit: UnitName | None) -> list[str]:
        base = self.names.base
        matchers = [f'{key}="{value}"' for key, value in base.match.items()]
        matchers.append(f'{base.namespace}="{namespace}"')
        return [*matchers, f'{base.workload}="{unit.name}"'] if unit else matchers

    def _open(self, said: str, left_open: Ports) -> Iterator[str]:
        """The counters of ports that may get plaintext."""
        for unit, ports in left_open.items():
            about = replace(self, unit=unit)
            listener = f'http_conn_manager_prefix=~"{_LISTENER % "|".join(map(str, ports))}"'
            yield from about._counted(said, listener, names='__name__="envoy_http_rbac"')
            yield from about._counted(said, names=f'__name__=~"{_TCP_RBAC}"')

    def _policies(self, said: str) -> list[str]:
        """The counters of connections under policies in force."""
        return self._counted(said, names=f'__name__=~"{_TCP_RBAC}"')

    def _counted(self, *more: str, names: str = _RBAC) -> list[str]:
        """The counters of policies."""
        return self._placed(names, *more)

    def _placed(self, *matchers: str) -> list[str]:
        """Series of the workload by labels that the scrape gives: a pod's, or those of the standard metrics."""
        base, unit = self.names.base, self.unit
        by_pod = [f'namespace="{self.namespace}"', self._pods(base.pod)]
        by_workload = [f'{base.namespace}="{self.namespace}"', f'{base.workload}="{unit.name}"' if unit else ""]
        return [_braces(*matchers, *(it for it in place if it)) for place in (by_pod, by_workload)]

    def _pods(self, label: str) -> str:
        if self.unit is None:
            return ""
        return f'{label}=~"{self.unit.name.replace(".", "[.]")}{_PODS.get(self.unit.kind, "")}"'


def _braces(*matchers: str) -> str:
    return "{" + ",".join(matchers) + "}"
