"""The program: the flat list of steps that a strategy compiles a plan into, and that the engine interprets.

The instruction set is closed. A strategy composes instructions; it never runs inside the loop, so it cannot break
rollback, and `rollout plan` can print what any strategy will do. A program is stored in its PlanRun with its format
version and never changes during the run.

All times are seconds, all weights and percents 0..100, all shares 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Discriminator
from pydantic.alias_generators import to_camel

from rollout.plan.called import Hook
from rollout.plan.canary import OnFailure
from rollout.plan.gate import MetricLabels, Provider

# a program has its gates and units: who reads one finds them here
from rollout.plan.limits import ConditionGate as ConditionGate
from rollout.plan.limits import CountGate as CountGate
from rollout.plan.limits import Gate as Gate
from rollout.plan.limits import Limits as Limits
from rollout.plan.limits import QueryGate as QueryGate
from rollout.plan.limits import ReadyGate as ReadyGate
from rollout.plan.limits import UnitName as UnitName
from rollout.plan.limits import beyond_plain as beyond_plain

FORMAT: Final = 3
"""The newest format that this version reads. Raised when a stored program could be misread by an older engine, or an
older program by this one. 3: programs with hooks, with approvals by certain people, with requests that are chosen for
the candidate or copied to it, or with gates that `limits.beyond_plain` tells, all of which an engine of format 2 would
leave out."""
PLAIN: Final = 2
"""The format of programs that older engines read as well."""

LEAST: Final = 0.01
"""Percent: routers count in this unit, and what is neither nothing nor all is never rounded to it."""

STORED: Final = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="ignore",
    allow_inf_nan=False,
    defer_build=True,
)
"""Configuration of everything we store in the cluster; `ignore` lets an older engine read a newer record."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have a candidate ready for `percent` of the traffic, behind a route that is pinned to stable first."""

    percent: float
    kind: Literal["prepare"] = "prepare"


@dataclass(frozen=True, slots=True)
class Route:
    """Give the candidate `weight` percent of the requests, and besides those that match (`Backends.matches`)."""

    weight: float
    matched: bool = False
    """Whether what matches goes to the candidate."""
    mirror: float = 0.0
    """Percent of the requests that are copied to the candidate besides."""
    kind: Literal["route"] = "route"


@dataclass(frozen=True, slots=True)
class Approve:
    """Wait for so many people, `within` seconds; then do `otherwise`."""

    within: float
    otherwise: Literal["rollback", "promote", "hold"]
    users: tuple[str, ...] = ()
    """Who may approve, with the members of `groups`; everybody with the right to promote when both are empty."""
    groups: tuple[str, ...] = ()
    count: int = 1
    kind: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True)
class Release:
    """The commit point: let the Deployment roll to the new template.

    `shift`: while all traffic is on the candidate. `native`: under the plain Service, the route taken home before.
    """

    mode: Literal["shift", "native"]
    kind: Literal["release"] = "release"


@dataclass(frozen=True, slots=True)
class Conclude:
    """Leave no trace: the user's own route, no candidate, nothing of ours.

    `keep_route`: the shifted route itself is the result (traffic-only plans); it stays as it is.
    """

    keep_route: bool = False
    kind: Literal["conclude"] = "conclude"


@dataclass(frozen=True, slots=True)
class Call:
    """Have a hook say yes."""

    hook: str
    """Its name."""
    kind: Literal["call"] = "call"


@dataclass(frozen=True, slots=True)
class Enrol:
    """Have every pod of a workload carried by a ready proxy, by way of its pod template."""

    unit: UnitName
    kind: Literal["enrol"] = "enrol"


@dataclass(frozen=True, slots=True)
class Label:
    """Have the namespace ask for proxies, for whatever is made in it from now on."""

    kind: Literal["label"] = "label"


@dataclass(frozen=True, slots=True)
class SetMode:
    """Set what servers accept: of the whole namespace, of a workload, or of some of its pods."""

    mode: Literal["PERMISSIVE", "STRICT"]
    unit: UnitName | None = None
    """None: the namespace."""
    pods: int = 0
    """So many running pods of the unit, by a label of their own; 0: all that it has and will have."""
    plaintext: tuple[int, ...] = ()
    """Container ports of the unit that go on accepting plaintext."""
    kind: Literal["mode"] = "mode"


@dataclass(frozen=True, slots=True)
class Shadow:
    """Count what STRICT would refuse, without refusing it: of a workload, or of the namespace."""

    unit: UnitName | None = None
    kind: Literal["shadow"] = "shadow"


@dataclass(frozen=True, slots=True)
class Apply:
    """Have an object as it is written here: made, or the fields that it names changed."""

    manifest: Mapping[str, Any]
    kind: Literal["apply"] = "apply"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Undo what an earlier step did, by its own lines in the journal: it has served its purpose."""

    step: str
    """The name of that step."""
    kind: Literal["withdraw"] = "withdraw"


MeshInstruction = Enrol | Label | SetMode | Shadow | Apply
"""What a mesh driver makes come true."""
Instruction = Annotated[
    Prepare | Route | Approve | Call | Release | Conclude | MeshInstruction | Withdraw,
    Discriminator("kind"),
]


@dataclass(frozen=True, slots=True)
class Step:
    """Do the instructions in order, then hold while the gates look."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    name: str
    instructions: tuple[Instruction, ...]
    gates: tuple[Gate, ...] = ()
    hold: float = 0.0
    warmup: float = 0.0
    deadline: float = 3600.0
    on_failure: OnFailure | Literal["return"] = "rollback"
    """`return`: undo what was done since the step `back_to`, and hold there."""
    back_to: str = ""
    """The name of the step that a failure returns to; this one when empty."""
    early: bool = False
    """Over before the hold is, once every gate has proved its case."""
    during: tuple[str, ...] = ()
    """Names of the hooks that are called again and again while it holds."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a split. `labels` select pods for a subset of ours; `host` and `subset` name what the user runs."""

    workload: str
    host: str = ""
    subset: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """A condition for a text, all of it for `exact` and `regex`."""

    how: Literal["exact", "prefix", "regex"]
    value: str


@dataclass(frozen=True, slots=True)
class Match:
    """Requests that are chosen: every condition holds."""

    headers: Mapping[str, Text] = field(default_factory=dict)
    """By name, in small letters."""
    query: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backends:
    """Whose traffic is split between what: all that a router needs to know."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    namespace: str
    service: str
    run: str
    """Unique; names the objects and subsets that a router makes for this run."""
    stable: Side
    candidate: Side
    virtual_services: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()
    """Requests that go to the candidate whatever its weight is, while a route says so; one of them is enough."""
    mirror: float = 0.0
    """Percent of the requests that are copied to the candidate, while a route says so; of several steps, the most."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """Which namespace enters which mesh: all that a mesh driver needs to know."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    namespace: str
    run: str
    """Names the objects that the run makes for its own time."""
    mesh: str = "istio"
    """The driver's name."""
    home: str = ""
    """Namespace of the control plane; the driver's usual one when empty."""
    revision: str = ""
    """The revision or tag that new proxies shall have; the mesh's default one when empty."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times and policies that hold for the whole run."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    router: str = "istio"
    drift: Literal["heal", "hold", "report"] = "heal"
    settle: float = 2.0
    drain: float = 5.0
    ready_within: float = 600.0
    replicas: int | None = None
    hold_mode: Literal["policy", "paused"] = "paused"
    provider: Provider | None = None
    labels: MetricLabels = field(default_factory=MetricLabels)


@dataclass(frozen=True, slots=True)
class Program:
    """What one run does. `workload` is empty for a traffic-only plan; either `backends` or `adoption` is there."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    strategy: str
    workload: str
    backends: Backends | None
    steps: tuple[Step, ...]
    settings: Settings = field(default_factory=Settings)
    adoption: Adoption | None = None
    format: int = PLAIN
    hooks: tuple[Hook, ...] = ()
    """Who is called in the course of the run."""

    def hook(self, name: str) -> Hook:
        """The hook of this name."""
        return next(hook for hook in self.hooks if hook.name == name)

    @property
    def split(self) -> Backends:
        """Whose traffic is split; only for programs that route."""
        assert self.backends is not None, "a program without an adoption has backends"
        return self.backends

    @property
    def namespace(self) -> str:
        """Where all of it happens."""
        return self.adoption.namespace if self.adoption is not None else self.split.namespace


def weight_of(step: Step) -> float | None:
    """The weight that a step routes to, if it routes."""
    return next((i.weight for i in step.instructions if isinstance(i, Route)), None)
