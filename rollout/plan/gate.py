"""Gates as people write them, and MetricTemplate, the reusable query."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from rollout.plan.base import Duration, Limit, Model, Name, Percent, Rule, Tolerance, ratio
from rollout.plan.sequential import GateFails


class SecretKey(Model):
    """One key of a Secret in the plan's namespace. Its value never appears in status, events or logs."""

    name: Name
    """The Secret."""
    key: Annotated[str, Field(max_length=253)]
    """The key in it."""


class BasicAuth(Model):
    """User name and password for HTTP basic authentication."""

    username: Annotated[str, Field(max_length=256)]
    """The user."""
    password: SecretKey
    """The password."""


class Provider(Model):
    """A Prometheus, or something that speaks its query API."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO140",
            "!self.address.matches('^https?://[^/?#]*@')",
            "an address holds no user name or password: use basic or bearer, which name a Secret",
            lambda it: "@" not in it.address.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0],
        ),
        Rule(
            "RO141",
            "!has(self.bearer) || !has(self.basic)",
            "a provider has either bearer or basic, not both",
            lambda it: it.bearer is None or it.basic is None,
        ),
        Rule(
            "RO142",
            "!has(self.headers) || !self.headers.exists(name, name.lowerAscii() == 'authorization')",
            "a header holds no credentials: use basic or bearer instead of Authorization, they name a Secret",
            lambda it: all(name.lower() != "authorization" for name in it.headers),
        ),
    )

    address: Annotated[str, Field(pattern=r"^https?://", max_length=1024)]
    """Base URL, for example `http://prometheus.istio-system:9090`."""
    headers: dict[str, Annotated[str, Field(max_length=1024)]] = Field(default_factory=dict, max_length=16)
    """Extra request headers, for example a tenant. Not for secrets: use `bearer` or `basic`."""
    bearer: SecretKey | None = None
    """Bearer token."""
    basic: BasicAuth | None = None
    """User name and password."""
    ca: SecretKey | None = None
    """PEM of the certificate authority to trust."""
    insecure_skip_verify: bool = False
    """Accept any certificate. For labs."""
    timeout: Duration = "5s"
    """Give up on one query after this time, a minute at most; the look counts as `unknown`, never as failed."""


class MetricLabels(Model):
    """Names in the mesh's standard metrics, for installations that rename them."""

    requests: str = "istio_requests_total"
    """Counter of requests."""
    latency: str = "istio_request_duration_milliseconds_bucket"
    """Histogram of durations, in milliseconds: its buckets. Where there are none, a native histogram of the same name
    without `_bucket` is read."""
    workload: str = "destination_workload"
    """Label with the workload's name."""
    namespace: str = "destination_workload_namespace"
    """Label with the workload's namespace."""
    code: str = "response_code"
    """Label with the HTTP status code."""
    pod: str = "pod"
    """Label with the pod that answered."""
    security: str = "connection_security_policy"
    """Label that says `none` for requests from outside the mesh."""
    match: dict[str, str] = Field(default_factory=lambda: {"reporter": "destination"}, max_length=16)
    """Label values that every counted series must have."""


_FAILURES: Final = Rule(
    "RO132",
    "(has(self.failures) ? self.failures : 2) <= (has(self.over) ? self.over : 5)",
    "failures cannot be more than the looks it is counted in: over",
    lambda it: it.failures <= it.over,
)


class _Looks(Model):
    """What all gates have that are judged look by look."""

    name: Name
    """Names the gate in status, events and messages; unique in its step."""
    failures: Annotated[int, Field(ge=1, le=100)] = 2
    """Roll back when so many of the last `over` looks failed."""
    over: Annotated[int, Field(ge=1, le=100)] = 5
    """The number of looks that `failures` is counted in."""
    every: Duration | None = None
    """Time between two looks; the plan's `analysis.interval` when absent."""
    window: Duration = "1m"
    """What `${window}` in a query stands for."""
    on_no_data: Literal["hold", "pass", "fail"] = "hold"
    """What a look without data means. `hold` waits: no data is not bad data."""
    on_inconclusive: Literal["hold", "pass", "fail"] = "hold"
    """What it means when the step's hold has been over for `maxHold` and no look could be judged in all that time,
    because requests were too few or the metrics could not be asked. `hold` waits, until the step's deadline."""
    max_hold: Duration = "30m"
    """How long after the step's hold `onInconclusive: pass` and `fail` wait for a look that can be judged."""
    on_failure: GateFails = None
    """What the failure of this gate does, where it shall not be what the step's or the plan's `onFailure` says.
    `rollback`: go back. `hold`: stop in place and wait for a person, while the controller has the gates that roll back
    look on. `promote`: say so, and go on as if it had passed."""
    observe_only: bool = False
    """Look and record, never decide."""


class Threshold(_Looks):
    """A gate that compares one number with fixed limits, look by look."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO130",
            "[has(self.metric), has(self.template), has(self.query)].exists_one(given, given)",
            "a gate has exactly one of metric, template and query",
            lambda it: sum(source is not None for source in (it.metric, it.template, it.query)) == 1,
        ),
        Rule(
            "RO131",
            "(has(self.metric) && self.metric == 'slow') == has(self.slowerThan)",
            "slowerThan goes with the metric slow, and slow needs it",
            lambda it: (it.metric == "slow") == (it.slower_than is not None),
        ),
        _FAILURES,
        Rule(
            "RO235",
            "!has(self.relativeTo) || !has(self.metric)",
            "relativeTo goes with template or query; a built-in metric is compared by type compare",
            lambda it: it.relative_to is None or it.metric is None,
        ),
    )

    type: Literal["threshold"] = "threshold"
    """The rule that judges. `threshold`: a value against fixed limits."""
    metric: Literal["success", "slow"] | None = None
    """A built-in metric of the router's mesh, counted from raw per-pod counters: `success` is the share of requests
    without a 5xx, `slow` the share slower than `slowerThan`."""
    template: Name | None = None
    """The MetricTemplate of this namespace to ask instead of a built-in metric."""
    query: Annotated[str, Field(max_length=4096)] | None = None
    """PromQL that yields one scalar, instead of `metric` or `template`. `${namespace}`, `${workload}`, `${candidate}`,
    `${service}` and `${window}` are replaced."""
    variables: dict[str, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict, max_length=16)
    """More `${name}` values for the query."""
    slower_than: Duration | None = None
    """For `slow`: the latency that counts as slow; the next histogram edge at or above it is used, or exactly
    this where histograms are native."""
    min: Limit | None = None
    """Fail below this value. Shares may be written `99%`."""
    max: Limit | None = None
    """Fail above this value. Shares may be written `5%`."""
    relative_to: Literal["stable"] | None = None
    """`stable`: `min` and `max` are factors of what the same query says of stable at the same moment, with stable's
    name for `${candidate}`: `max: 1.5` is half as much again, and so is `150%`. Where all requests are on the candidate
    there is nothing to compare with, and the gate passes."""
    min_requests: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """For built-in metrics: a look is judged once it has seen so many requests; fewer are carried into the next."""


class Number(Model):
    """One number of a condition, of the candidate or of stable."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO177",
            "has(self.template) != has(self.query)",
            "a number of a condition has either a template or a query",
            lambda it: (it.template is None) != (it.query is None),
        ),
    )

    template: Name | None = None
    """The MetricTemplate of this namespace to ask."""
    query: Annotated[str, Field(max_length=4096)] | None = None
    """PromQL that yields one scalar, with the same variables as a threshold's."""
    variables: dict[str, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict, max_length=16)
    """More `${name}` values for the query."""
    of: Literal["candidate", "stable"] = "candidate"
    """Whose name `${candidate}` stands for: so that a condition can compare both versions. Where all requests are on
    the candidate there is nothing to compare with, and a gate that asks for a number of stable passes."""


class Condition(_Looks):
    """A gate that asks for several numbers at once and judges them together."""

    rules: ClassVar[tuple[Rule, ...]] = (_FAILURES,)

    type: Literal["condition"]
    """`condition`: an expression over several numbers."""
    metrics: dict[str, Number] = Field(min_length=1, max_length=6)
    """The numbers, by the names that the condition calls them by."""
    condition: Annotated[str, Field(min_length=1, max_length=512)]
    """What must be true of each look, in CEL: `errors < 0.01 && latency < 0.5`. Numbers are compared, added,
    subtracted, multiplied and combined; there are no calls and no division. A look is judged when all are known."""


class _Sequential(Model):
    """What all gates that judge by evidence have."""

    name: Name
    """Names the gate in status, events and messages; unique in its step."""
    every: Duration | None = None
    """Time between two looks; the plan's `analysis.interval` when absent."""
    observe_only: bool = False
    """Look and record, never decide."""


class _Judging(_Sequential):
    """What those of them have that can fail a candidate."""

    metric: Literal["success", "slow"] = "success"
    """What is counted, from raw per-pod counters: `success` counts requests answered 5xx, `slow` those slower than
    `slowerThan`."""
    slower_than: Duration | None = None
    """For `slow`: the latency that counts as slow; the next histogram edge at or above it is used, or exactly
    this where histograms are native."""
    min_requests: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    """A step passes once its candidate has had so many requests."""
    on_inconclusive: Literal["hold", "pass", "fail"] = "hold"
    """What too little evidence means once the step's hold has been over for `maxHold`. `hold` waits for more, until
    the step's deadline."""
    max_hold: Duration = "30m"
    """How long after the step's hold `onInconclusive: pass` and `fail` wait for evidence."""
    on_failure: GateFails = None
    """What the failure of this gate does, where it shall not be what the step's or the plan's `onFailure` says.
    `rollback`: go back. `hold`: stop in place and wait for a person, while the controller has the gates that roll back
    look on. `promote`: say so, and go on as if it had passed."""


_SLOWER: Final = Rule(
    "RO131",
    "!has(self.slowerThan) || (has(self.metric) && self.metric == 'slow')",
    "slowerThan goes with the metric slow",
    lambda it: it.slower_than is None or it.metric == "slow",
)


class Compare(_Judging):
    """A gate that compares the candidate with stable, which serves beside it: evidence instead of limits."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _SLOWER,
        Rule(
            "RO147",
            "!has(self.tolerance) || self.tolerance.endsWith('pp') && double(self.tolerance.replace('pp', '')) > 0.0"
            " && double(self.tolerance.replace('pp', '')) <= 50.0",
            "a difference of shares is written in points, over 0 and up to 50: 1pp",
            lambda it: it.tolerance.endswith("pp") and 0 < ratio(it.tolerance) <= 0.5,
        ),
    )

    type: Literal["compare"]
    """`compare`: is the candidate worse than stable, by the evidence of all looks?"""
    tolerance: Tolerance = "1pp"
    """How much larger the candidate's share of bad requests may be, in points: 1pp is from 0.5 % to 1.5 %."""


class Slo(_Judging):
    """A gate that compares the candidate with an objective: it needs no other version."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO131",
            "(has(self.metric) && self.metric == 'slow') == has(self.slowerThan)",
            "slowerThan goes with the metric slow, and slow needs it",
            lambda it: (it.metric == "slow") == (it.slower_than is not None),
        ),
        Rule(
            "RO149",
            "!has(self.objective) ||"
            " (has(self.burn) ? self.burn : 1.0) * (100.0 - double(self.objective.replace('%', ''))) > 0.0"
            " && (has(self.burn) ? self.burn : 1.0) * (100.0 - double(self.objective.replace('%', ''))) < 100.0",
            "an objective allows some bad requests, and not all: burn times what it allows is over 0 and under 100 %",
            lambda it: 0 < it.burn * (100 - float(it.objective.removesuffix("%"))) < 100,
        ),
    )

    type: Literal["slo"]
    """`slo`: has the candidate more bad requests than its objective allows?"""
    objective: Percent
    """The share of good requests that is promised."""
    burn: Annotated[float, Field(gt=0, le=1000)] = 1
    """How many times the bad requests that the objective allows still pass."""


class TrafficSplit(_Sequential):
    """A gate that holds the run while the traffic does not divide as the weight says; it never rolls back."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO148",
            "!has(self.tolerance) || self.tolerance.endsWith('%') && double(self.tolerance.replace('%', '')) > 0.0"
            " && double(self.tolerance.replace('%', '')) < 100.0",
            "the tolerance of traffic is a part of the weight, over 0 and under 100 %: 25%",
            lambda it: it.tolerance.endswith("%") and 0 < ratio(it.tolerance) < 1,
        ),
    )

    type: Literal["traffic"]
    """`traffic`: does the traffic divide as the weight says?"""
    tolerance: Tolerance = "25%"
    """How much more or less than its weight the candidate may get, as a part of the weight."""


def _typed(value: Any) -> Any:
    """A gate without a type is a threshold."""
    return {"type": "threshold", **value} if isinstance(value, dict) and "type" not in value else value


Gate = Annotated[
    Annotated[Threshold | Condition | Compare | Slo | TrafficSplit, Field(discriminator="type")],
    BeforeValidator(_typed),
]
"""Every gate type, told apart by `type`; without one it is a threshold."""


def decides(gate: Gate) -> bool:
    """Whether a gate can stop a run."""
    return not gate.observe_only and (isinstance(gate, TrafficSplit) or gate.on_failure != "promote")


def compares(gate: Gate) -> bool:
    """Whether a gate tells something only where stable has requests beside the candidate."""
    match gate:
        case Compare():
            return True
        case Threshold():
            return gate.relative_to is not None
        case Condition():
            return any(it.of == "stable" for it in gate.metrics.values())
        case _:
            return False


def sources(gate: Gate) -> tuple[tuple[str, Threshold | Number], ...]:
    """What a gate asks in PromQL, and where in it that is written: `.metrics.errors`."""
    if isinstance(gate, Condition):
        return tuple((f".metrics.{name}", number) for name, number in gate.metrics.items())
    return (("", gate),) if isinstance(gate, Threshold) else ()


_NAMED: Final = Field(
    max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
)
Gates = Annotated[tuple[Gate, ...], _NAMED]
"""The gates of one step, told apart by their names."""
Thresholds = Annotated[tuple[Threshold, ...], _NAMED]
"""The same, where there is no candidate to compare with anything."""


class TemplateSpec(Model):
    """What a MetricTemplate holds."""

    query: Annotated[str, Field(min_length=1, max_length=4096)]
    """PromQL that yields one number. `${namespace}`, `${workload}`, `${candidate}`, `${service}`, `${window}` and the
    gate's own variables are replaced."""
    unit: Annotated[str, Field(max_length=32)] = ""
    """Printed after the value: `ms`, `%`, `req/s`."""
    description: Annotated[str, Field(max_length=512)] = ""
    """What the number means, for the person on call."""
    provider: Provider | None = None
    """Where to ask; the plan's own provider when absent."""
