"""CanaryPlan: what is wanted of a new version of a workload, as people write it in Git."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from rollout.plan.base import Duration, Model, Moment, Name, Percent, Rule, ratio
from rollout.plan.gate import Gates, MetricLabels, Provider
from rollout.plan.hook import Hooks
from rollout.plan.window import ALWAYS, Windows

Weight = Annotated[float, Field(ge=0, le=100)]
Person = Annotated[str, Field(min_length=1, max_length=256)]
OnFailure = Literal["rollback", "hold"]


class Target(Model):
    """The workload that gets a new version."""

    kind: Literal["Deployment"] = "Deployment"
    """The kind of the workload."""
    name: Name
    """Its name."""


class Hold(Model):
    """How a new revision is kept from rolling until its candidate has proved itself."""

    mode: Literal["auto", "policy", "paused"] = "auto"
    """`policy`: an admission policy pauses the Deployment in the write that changes its template (Kubernetes 1.36).
    `paused`: the Deployment stays paused, at rest too. `auto`: `policy` where it is installed, else `paused`."""


class Backend(Model):
    """One side of a traffic-only plan: a subset of the host, a Service, or another host."""

    host: Annotated[str, Field(max_length=253)] | None = None
    """A Service or host; the plan's service when absent."""
    subset: Annotated[str, Field(max_length=63)] | None = None
    """A subset of a DestinationRule of the user's."""


class TrafficOnly(Model):
    """Shift an existing route between two backends that the user runs; no workload is touched."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO153",
            # compared field by field: objects of two fields have two types in CEL
            "(has(self.stable.host) ? self.stable.host : '') != (has(self.candidate.host) ? self.candidate.host : '')"
            " || (has(self.stable.subset) ? self.stable.subset : '')"
            " != (has(self.candidate.subset) ? self.candidate.subset : '')",
            "stable and candidate are two different backends",
            lambda it: it.stable != it.candidate,
        ),
    )

    stable: Backend
    """Where the traffic is today."""
    candidate: Backend
    """Where it shall go."""
    workloads: tuple[Name, Name] | None = None
    """Names of the stable and the candidate workload in the metrics; needed for built-in metrics."""


class Router(Model):
    """Who splits the traffic."""

    type: Annotated[str, Field(max_length=63)] = "istio"
    """The router's name, as in `rollout version`."""
    drift: Literal["heal", "hold", "report"] = "heal"
    """When somebody else changes a route during the run: put our weights back, stop and ask, or only say so."""
    virtual_services: tuple[Name, ...] = Field(default=(), max_length=16)
    """The VirtualServices to steer; all that route to the service when empty."""
    settle: Duration = "2s"
    """How long a change of routes may take to reach every proxy, before it is relied on."""


_HEADER: Final = re.compile("[a-z0-9][a-z0-9-]*")


class Text(Model):
    """A condition for a text: exactly one way."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO118",
            "[has(self.exact), has(self.prefix), has(self.regex)].exists_one(given, given)",
            "a condition has exactly one of exact, prefix and regex",
            lambda it: sum(given is not None for given in (it.exact, it.prefix, it.regex)) == 1,
        ),
    )

    exact: Annotated[str, Field(max_length=512)] | None = None
    """The whole text."""
    prefix: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """How the text begins."""
    regex: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """A regular expression (RE2) for the whole text."""


class Match(Model):
    """Requests that are chosen by what they carry: all conditions hold."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO119",
            "has(self.headers) && size(self.headers) > 0 || has(self.cookies) && size(self.cookies) > 0"
            " || has(self.query) && size(self.query) > 0",
            "a match has a condition: headers, cookies or query",
            lambda it: bool(it.headers or it.cookies or it.query),
        ),
        Rule(
            "RO126",
            "!has(self.cookies) || size(self.cookies) == 0 || !has(self.headers) || !('cookie' in self.headers)",
            "cookies are read from the header cookie, which cannot have another condition",
            lambda it: not it.cookies or "cookie" not in it.headers,
        ),
        Rule(
            "RO128",
            "!has(self.headers) || self.headers.all(name, name.matches('^[a-z0-9][a-z0-9-]*$'))",
            "names of headers are written in small letters",
            lambda it: all(_HEADER.fullmatch(name) for name in it.headers),
        ),
    )

    headers: dict[str, Text] = Field(default_factory=dict, max_length=8)
    """By name, in small letters."""
    cookies: dict[Annotated[str, Field(max_length=128)], Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default_factory=dict, max_length=1
    )
    """One cookie and its value."""
    query: dict[Annotated[str, Field(max_length=128)], Text] = Field(default_factory=dict, max_length=8)
    """Query parameters by name."""


class Approve(Model):
    """Wait for a person, or for several."""

    within: Duration = "24h"
    """How long to wait."""
    otherwise: Literal["rollback", "promote", "hold"] = "rollback"
    """What happens when too few answer in time."""
    users: tuple[Person, ...] = Field(default=(), max_length=32)
    """Who may approve, by the name that the API server knows; besides the members of `groups`. Everybody with the right
    to promote when both are empty; they need that right in any case."""
    groups: tuple[Person, ...] = Field(default=(), max_length=32)
    """Whose members may approve."""
    count: Annotated[int, Field(ge=1, le=10)] = 1
    """So many different people have to."""


class Step(Model):
    """One step: change something, hold, look, go on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO103",
            "has(self.weight) != has(self.approve)",
            "a step has either a weight or an approve",
            lambda it: (it.weight is None) != (it.approve is None),
        ),
        Rule(
            "RO203",
            "!has(self.mirror) || has(self.weight)",
            "a step that copies requests has a weight besides, which may be 0",
            lambda it: it.mirror is None or it.weight is not None,
        ),
    )

    name: Name | None = None
    """Shown in status; made from the weight when absent."""
    weight: Weight | None = None
    """Percent of the requests that the candidate gets. Fractions where the router can."""
    mirror: Annotated[float, Field(gt=0, le=100)] | None = None
    """Percent of the requests that are copied to the candidate, besides its weight. What a copy answers is counted and
    goes to nobody. A request that changes something changes it twice."""
    approve: Approve | None = None
    """Stop here until somebody runs `rollout promote`."""
    hold: Duration | None = None
    """How long to stay at the weight while the gates look; `analysis.hold` when absent."""
    gates: Gates | None = None
    """The gates of this step; the plan's gates when absent, none when empty."""
    deadline: Duration | None = None
    """How long the step may take in all, waiting included; `analysis.deadline` when absent."""
    on_failure: OnFailure | None = None
    """Roll back, or stop in place and wait for a person; `analysis.onFailure` when absent."""


class Linear(Model):
    """A preset: equal steps up to a weight."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO104",
            "self.to <= self.step * 50.0",
            "a linear preset makes at most 50 steps",
            lambda it: it.to <= it.step * 50,
        ),
    )

    step: Annotated[float, Field(gt=0, le=100)]
    """Percent added by each step."""
    every: Duration
    """How long each step holds."""
    to: Annotated[float, Field(gt=0, le=100)] = 50
    """The last weight before promotion."""


class BlueGreen(Model):
    """All traffic in one change, after a trial beside production; the old version stays warm for a time."""

    preview: Duration = "1m"
    """How long the new version is tried, at full size and without any traffic, before the switch. It is reached by
    `meshrollout.dev/role: canary` in the selector of a Service of yours."""
    preview_gates: Gates = ()
    """The gates of the trial; nobody calls the new version there but testers."""
    approve: Approve | None = None
    """Wait for a person before the switch."""
    keep_stable: Duration = "10m"
    """How long the old version stays at full size after the switch, while the gates look: the way back is one change
    of routes. Then the Deployment rolls."""


class Analysis(Model):
    """What every step has in common, unless it says otherwise."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO125",
            "!has(self.falseRollback) || double(self.falseRollback.replace('%', '')) > 0.0"
            " && double(self.falseRollback.replace('%', '')) <= 50.0",
            "falseRollback is over 0 and up to 50 %",
            lambda it: 0 < ratio(it.false_rollback) <= 0.5,
        ),
    )

    interval: Duration = "15s"
    """Time between two looks at the metrics."""
    warmup: Duration = "0s"
    """Looks in the first part of each step are recorded, not judged."""
    hold: Duration = "1m"
    """How long a step holds."""
    early: bool = False
    """A step is over before its hold is, once every gate has *proved* that the version is not worse: gates of type
    compare and slo can, a threshold cannot."""
    deadline: Duration = "1h"
    """How long a step may take in all, waiting for pods or for data included."""
    on_failure: OnFailure = "rollback"
    """What a failed gate, a broken candidate or a passed deadline does."""
    false_rollback: Percent = "2%"
    """How likely a whole run may reject a sound version; divided over the gates that judge by evidence."""
    gates: Gates | None = None
    """The gates of every step without its own. When absent: success and latency are compared with stable, and the
    traffic must divide as the weights say. None when empty."""
    provider: Provider | None = None
    """Where metrics come from; the engine's `--prometheus` when absent."""
    labels: MetricLabels = MetricLabels()
    """Names in the mesh's metrics."""


class Candidate(Model):
    """The pods of the new version before promotion."""

    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """A fixed number of pods; sized for the weight of the step when absent."""
    ready_within: Duration = "10m"
    """How long the candidate may take to become ready."""
    drain: Duration = "5s"
    """Time between taking the traffic away and deleting the pods."""
    pulls_work: Literal["refuse", "allow"] = "refuse"
    """Weights bound requests only. `allow`: the workload may also take work by itself (queues, timers); the plan
    accepts that the candidate does so from its start. `refuse`: signs of it are a warning, a command that does nothing
    else is an error."""
    outside_callers: Literal["refuse", "accept"] = "refuse"
    """Callers outside the mesh reach the candidate through the plain Service. `refuse`: observed ones are an error."""


class Promotion(Model):
    """How the new version becomes the version."""

    mode: Literal["shift", "native"] = "shift"
    """`shift`: the candidate grows to full size and takes all traffic while stable stays warm, then the Deployment
    rolls unseen. `native`: the Deployment rolls under the plain Service; no spare capacity needed."""
    bake: Duration = "0s"
    """For `shift`: how long the gates watch at 100 % before the Deployment is released."""
    deadline: Duration = "30m"
    """How long the roll of the Deployment may take."""


class RollbackWindow(Model):
    """Going back to what ran recently needs no steps."""

    revisions: Annotated[int, Field(ge=0, le=20)] = 0
    """A held template that equals one of the last so many revisions is released at once."""


class CanarySpec(Model):
    """What a CanaryPlan holds."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO150",
            "has(self.target) != has(self.traffic)",
            "a plan has either a target workload or a traffic section (two backends that you run)",
            lambda it: (it.target is None) != (it.traffic is None),
        ),
        Rule(
            "RO151",
            "[has(self.steps), has(self.linear), has(self.blueGreen)].exists_one(given, given)",
            "a plan has either steps, or a linear preset, or a blueGreen section",
            lambda it: sum(given is not None for given in (it.steps, it.linear, it.blue_green)) == 1,
        ),
        Rule(
            "RO152",
            "!has(self.traffic) || has(self.service)",
            "a traffic-only plan names its service",
            lambda it: it.traffic is None or it.service is not None,
        ),
        Rule(
            "RO127",
            "!has(self.match) || size(self.match) == 0 || has(self.target)",
            "match is for a new version of a workload: a traffic-only plan's routes are its owner's",
            lambda it: not it.match or it.target is not None,
        ),
        Rule(
            "RO162",
            "has(self.blueGreen) == (has(self.strategy) && self.strategy == 'blue-green')",
            "strategy blue-green and the section blueGreen go together",
            lambda it: (it.blue_green is not None) == (it.strategy == "blue-green"),
        ),
        Rule(
            "RO168",
            "!has(self.blueGreen) || !has(self.promotion) || !has(self.promotion.mode)"
            " || self.promotion.mode == 'shift'",
            "blueGreen keeps the old version warm, and promotion mode native rolls it away at once: use shift",
            lambda it: it.blue_green is None or it.promotion.mode == "shift",
        ),
    )

    strategy: Annotated[str, Field(min_length=1, max_length=63)] = "canary"
    """The name of the strategy that compiles this plan into steps."""
    target: Target | None = None
    """The workload. Leave it out for a traffic-only plan."""
    traffic: TrafficOnly | None = None
    """Shift traffic between two backends that you run, instead of giving a workload a new version."""
    service: Name | None = None
    """The Service whose traffic is split; the target's name when absent."""
    router: Router = Router()
    """Who splits the traffic."""
    hold: Hold = Hold()
    """How a new revision is held."""
    match: tuple[Match, ...] = Field(default=(), max_length=8)
    """Requests that go to the candidate from the first step that routes, whatever its weight: a first step of weight 0
    is for testers only, and plans of such a step alone are A/B tests. One match is enough. Where requests are chosen,
    nothing is said about how they divide: gates of type `traffic` do not look."""
    steps: tuple[Step, ...] | None = Field(default=None, min_length=1, max_length=50)
    """The steps, in order."""
    linear: Linear | None = None
    """Equal steps, instead of a list."""
    blue_green: BlueGreen | None = None
    """For strategy `blue-green`: a trial and a switch, instead of steps."""
    analysis: Analysis = Analysis()
    """Gates, looks and deadlines for all steps."""
    hooks: Hooks = ()
    """Webhooks and Jobs that a run calls, in the order of the list."""
    candidate: Candidate = Candidate()
    """The pods of the new version."""
    promotion: Promotion = Promotion()
    """How the new version becomes the version."""
    rollback_window: RollbackWindow = RollbackWindow()
    """Fast way back to what ran recently."""
    restarts: Literal["follow", "canary"] = "follow"
    """`kubectl rollout restart` without another change: let it roll, or treat it as a new version."""
    windows: Windows = ALWAYS
    """When a run may start and go on."""
    start_at: Moment | None = None
    """No run begins before this time."""
    depends_on: tuple[Name, ...] = Field(default=(), max_length=16)
    """CanaryPlans of the namespace that come first: a run begins when each of them runs what it asks for."""
    at_most: Annotated[int, Field(ge=1, le=1000)] | None = None
    """A run begins while fewer than so many runs of CanaryPlans are under way in the namespace; otherwise the plan
    queues, the one first whose version came first. No limit when absent."""
    history: Annotated[int, Field(ge=1, le=50)] = 5
    """How many ended runs are kept."""
