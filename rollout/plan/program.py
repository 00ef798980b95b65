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

import orjson
from pydantic import (
    ConfigDict,
    Discriminator,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

from rollout.plan.canary import OnFailure
from rollout.plan.gate import MetricLabels, Provider
from rollout.plan.sequential import CompareGate, SloGate, TrafficGate

FORMAT: Final = 2
"""Raised when a stored program could be misread by an older engine, or an older program by this one."""

LEAST: Final = 0.01
"""Percent: routers count in this unit, and what is neither nothing nor all is never rounded to it."""

STORED: Final = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="ignore",
    use_attribute_docstrings=True,
    allow_inf_nan=False,
)
"""Configuration of everything we store in the cluster; `ignore` lets an older engine read a newer record."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have a candidate ready for `percent` of the traffic, behind a route that is pinned to stable first."""

    percent: float
    kind: Literal["prepare"] = "prepare"


@dataclass(frozen=True, slots=True)
class Route:
    """Give the candidate `weight` percent of the requests."""

    weight: float
    kind: Literal["route"] = "route"


@dataclass(frozen=True, slots=True)
class Approve:
    """Wait for a person, `within` seconds; then do `otherwise`."""

    within: float
    otherwise: Literal["rollback", "promote"]
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
class UnitName:
    """A workload of the run's namespace, as people write it: `Deployment/web`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


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
    Prepare | Route | Approve | Release | Conclude | MeshInstruction | Withdraw,
    Discriminator("kind"),
]


@dataclass(frozen=True, slots=True)
class CountGate:
    """A threshold on a built-in metric: shares of raw request counts of the candidate."""

    name: str
    metric: Literal["success", "slow"]
    every: float
    failures: int
    over: int
    min: float | None = None
    max: float | None = None
    min_requests: int = 20
    slower_than: float | None = None
    on_no_data: Literal["hold", "pass", "fail"] = "hold"
    observe_only: bool = False
    kind: Literal["count"] = "count"


@dataclass(frozen=True, slots=True)
class QueryGate:
    """A threshold on any PromQL scalar. `query` is complete: every variable has been replaced."""

    name: str
    query: str
    every: float
    failures: int
    over: int
    min: float | None = None
    max: float | None = None
    unit: str = ""
    provider: Provider | None = None
    on_no_data: Literal["hold", "pass", "fail"] = "hold"
    observe_only: bool = False
    kind: Literal["query"] = "query"


@dataclass(frozen=True, slots=True)
class ReadyGate:
    """Nobody is known who would be cut off by STRICT. As long as somebody is, the step waits and names them."""

    name: str
    units: tuple[UnitName, ...]
    window: float
    """Seconds of traffic that are looked at."""
    every: float
    excused: tuple[UnitName, ...] = ()
    """Callers that the plan excepts, with a reason: cutting them off is meant."""
    failures: int = 1
    over: int = 1
    min: float | None = None
    max: float | None = 0.0
    unit: str = "blockers"
    on_no_data: Literal["hold"] = "hold"
    observe_only: bool = False
    kind: Literal["ready"] = "ready"


Limits = CountGate | QueryGate | ReadyGate
"""A gate that compares each look with fixed limits."""
Gate = Annotated[CountGate | QueryGate | ReadyGate | CompareGate | SloGate | TrafficGate, Discriminator("kind")]


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


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a split. `labels` select pods for a subset of ours; `host` and `subset` name what the user runs."""

    workload: str
    host: str = ""
    subset: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


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
    format: int = FORMAT

    @property
    def split(self) -> Backends:
        """Whose traffic is split; only for programs that route."""
        assert self.backends is not None, "a program without an adoption has backends"
        return self.backends

    @property
    def namespace(self) -> str:
        """Where all of it happens."""
        return self.adoption.namespace if self.adoption is not None else self.split.namespace


_GATES: Final[TypeAdapter[tuple[Gate, ...]]] = TypeAdapter(tuple[Gate, ...], config=STORED)


def _with_table(program: Program, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """Write each gate once: the steps of a program mostly have the same ones, and name them by place."""
    stored: dict[str, Any] = write(program)
    table: list[Any] = []
    for step in stored["steps"]:
        table += [gate for number, gate in enumerate(step["gates"]) if gate not in (*table, *step["gates"][:number])]
        step["gates"] = [table.index(gate) for gate in step["gates"]]
    return stored | {"gates": table}


def _from_table(stored: Any, read: ValidatorFunctionWrapHandler) -> Program:
    """Give each step its gates; equal ones are one object in memory, too."""
    if isinstance(stored, Mapping) and isinstance(stored.get("steps"), bytes):
        stored = dict(stored, steps=orjson.loads(stored["steps"]))
    if isinstance(stored, Mapping):
        stored = {"backends": None, **stored}
    if isinstance(stored, Mapping) and "gates" in stored:
        table = dict(enumerate(_GATES.validate_python(stored["gates"])))
        try:
            steps = [dict(step, gates=[table[place] for place in step["gates"]]) for step in stored["steps"]]
        except (LookupError, TypeError) as error:
            raise ValueError(f"the steps do not fit the table of gates: {error!r}") from None
        stored = dict(stored, steps=steps)
    program: Program = read(stored)
    return program


StoredProgram = Annotated[Program, WrapSerializer(_with_table), WrapValidator(_from_table)]
"""A program as it lies in a run."""

PROGRAM: Final[TypeAdapter[Program]] = TypeAdapter(StoredProgram)
"""Reads and writes a stored program."""


def dump(program: Program) -> dict[str, Any]:
    """The stored form of a program."""
    stored: dict[str, Any] = PROGRAM.dump_python(program, mode="json", by_alias=True, exclude_none=True)
    return stored


def packed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored program with its steps as bytes, a sixth of their size in memory; it is read as the other is."""
    steps = stored.get("steps")
    return {**stored, "steps": orjson.dumps(steps)} if isinstance(steps, list) else dict(stored)


def weight_of(step: Step) -> float | None:
    """The weight that a step routes to, if it routes."""
    return next((i.weight for i in step.instructions if isinstance(i, Route)), None)
