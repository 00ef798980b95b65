"""PlanRun: the record of one attempt.  `spec` is the immutable snapshot, `status` is all that the engine remembers.

The engine keeps nothing in memory that it could not read back from here: killed after any write, it goes on from the
last status.  The status is the engine's `State`; conditions and printer columns are derived from it when written.

Times are seconds since the epoch (floats), so that deciding stays arithmetic.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

import orjson
from pydantic import (
    ConfigDict,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
    WrapValidator,
)

from rollout.plan.evidence import Evidence
from rollout.plan.program import STORED
from rollout.plan.stored import StoredProgram


class Phase(StrEnum):
    """Where a run is. The transitions between phases are in `decide/phase.py`, and nowhere else."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    AWAITING_APPROVAL = "AwaitingApproval"
    PAUSED = "Paused"
    HOLDING = "Holding"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    HELD = "Held"
    SUPERSEDED = "Superseded"

    @property
    def ended(self) -> bool:
        """Nothing more happens in this run by itself, and nothing of ours is left, unless the phase is Held."""
        return self in ENDED


ENDED: Final = frozenset({Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.SUPERSEDED})

LineKey = tuple[str, str, str, str, int | None]
"""Kind of the line, kind, namespace and name of its object, and its step."""
Verb = Literal["promote", "abort", "pause", "resume", "retry", "skip", "undo"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal: what is about to be done to which object, and how to undo it.

    Written before the action.  `undo` is the adapter's own: the values that were there, or nothing for a created
    object, which is undone by deleting what carries this run's UID.  Never a Secret's content.
    """

    kind: Literal["subsets", "route", "candidate", "weight", "release", "mesh"]
    api_version: str
    object_kind: str
    namespace: str
    name: str
    what: str
    uid: str = ""
    undo: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None
    """The step that did it, where steps are undone one by one."""

    @property
    def key(self) -> LineKey:
        """What tells lines apart; a fresher line with the same key takes the place of the older."""
        return self.kind, self.object_kind, self.namespace, self.name, self.step


@dataclass(frozen=True, slots=True)
class Look:
    """One judged look of one gate."""

    at: float
    verdict: Literal["pass", "fail", "inconclusive", "no-data", "unknown"]
    value: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class GateState:
    """What is remembered of one gate: recent looks, counts per look, and the counter cursor (the evidence)."""

    looks: tuple[Look, ...] = ()
    next_look: float = 0.0
    cursor: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Last seen counters per candidate pod: requests and bad requests."""
    total: float = 0.0
    """Requests counted since the last judged look."""
    bad: float = 0.0
    """Bad ones among them."""
    requests: float = 0.0
    """Requests counted in this step."""
    query: str = ""
    anew: bool = False
    """The next look only says where the counters begin: what was before is no evidence of this attempt."""
    evidence: Evidence | None = None
    """What all looks together are worth, for a gate that judges by evidence."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Where the candidate's worst pods are, so that it is known when they are gone; of pods with bad requests only."""


GATES: Final = TypeAdapter(dict[str, GateState])
"""Reads and writes what is remembered of gates."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer that a gate was shown: all that its verdict came from, beside the gate's memory (`decide.matrix`)."""

    at: float
    step: int
    gate: str
    judged: bool
    weight: float
    requests: float
    """What the gate had counted in this step."""
    anew: bool
    sample: str
    """The answer, as text."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Answers one after the other, and what the gates remembered before the first."""

    base: Mapping[str, GateState] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()


def _compressed(segments: Any, write: SerializerFunctionWrapHandler) -> str:
    """A text: the API server must not look into it, and it is a fifth as long."""
    return base64.b64encode(zlib.compress(orjson.dumps(write(segments)))).decode()


def _decompressed(stored: Any, read: ValidatorFunctionWrapHandler) -> tuple[Segment, ...]:
    if isinstance(stored, str):
        try:
            stored = orjson.loads(zlib.decompress(base64.b64decode(stored)))
        except (ValueError, zlib.error) as error:
            raise ValueError(f"the count matrix is damaged: {error}") from None
    found: tuple[Segment, ...] = read(stored)
    return found


Matrix = Annotated[
    tuple[Segment, ...],
    WrapSerializer(_compressed, return_type=str),
    WrapValidator(_decompressed),
    WithJsonSchema({"type": "string"}),
]
"""The count matrix as it lies in a run, oldest segment first: two of them at most."""


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the run's story."""

    at: float
    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """Why the run waits although nobody asked it to."""

    reason: str
    message: str
    since: float


@dataclass(frozen=True, slots=True)
class Pause:
    """A person stopped the run from going on."""

    since: float
    before: Phase
    """Where it was, and goes back to."""
    message: str


@dataclass(frozen=True, slots=True)
class HookState:
    """What is remembered of a hook: its latest call, written before it is made."""

    number: int
    """Of the call among all of this hook in the run: names the Job, and is what a receiver knows a repetition by."""
    step: int
    attempt: float
    """The attempt at the step (its `since`) that it was made for."""
    begun: float
    tries: int = 1
    repeats: int = 0
    """So often it was made again because nobody knew of it."""
    there: bool = False
    """Its Job has been seen."""
    verdict: Literal["", "passed", "failed"] = ""
    text: str = ""
    """The answer, in words."""
    at: float = 0.0
    """When it answered."""
    failures: int = 0
    """So many answers in a row were not a yes."""
    answered: bool = False
    """An earlier call of this attempt was answered."""
    gone: bool = False
    """Its Job has been removed."""


@dataclass(frozen=True, slots=True)
class State:
    """All that the engine remembers of a run."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    phase: Phase = Phase.PENDING
    step: int = 0
    """Index of the current step."""
    since: float = 0.0
    """When the step was entered; its deadline counts from here."""
    started: float = 0.0
    ended: float | None = None
    paused: Pause | None = None
    standing: float | None = None
    """Since when it has stood still by a rule (`decide.standstill`)."""
    waited: float = 0.0
    """Seconds of this step that count neither for its deadline nor for an approval's time: it was paused, or stood
    still."""
    held_since: float | None = None
    """When the step's instructions were done and its hold began."""
    hold_waited: float = 0.0
    """Seconds since then that do not count for the hold: it was paused, or stood still."""
    settled: float | None = None
    """A change of routes is relied on from this moment."""
    drained: float | None = None
    """The candidate may be deleted from this moment."""
    weight: float = 0.0
    """Percent asked of the router."""
    matched: bool = False
    """Asked of the router besides: that chosen requests go to the candidate."""
    mirrored: float = 0.0
    """Percent asked of the router besides, of copies for the candidate."""
    routed: float | None = None
    """Percent last seen in place; differs from `weight` while our own write has not landed."""
    heals: tuple[float, ...] = ()
    """When routes that somebody changed were put back, and did not stay so: the first few times, and the last."""
    prepared: int = 0
    """So many pods of the candidate have been seen ready, and had the time to reach every proxy."""
    sized: float | None = None
    """Seconds of the step's time (pauses left out) at which the candidate was asked for its size; the time that its
    pods may take counts from here."""
    floor: int = 0
    """Ready pods of stable when the run started; below it no weight goes up."""
    releases: tuple[float, ...] = ()
    """When the Deployment was released: the first few times, and the last."""
    committed: bool = False
    """The Deployment has been released. From here forward is the rule; back means that it rolls back as well."""
    outcome: Phase | None = None
    """The end that a run which is going home will have."""
    back: str = ""
    """The name of the step that a run which goes back returns to, and is held at; empty when it goes home."""
    reason: str = ""
    message: str = ""
    holding: Holding | None = None
    suspicion: tuple[str, ...] = ()
    """The reason to end the run, once for each time in a row that it was seen; it must be seen thrice to count."""
    approved: bool = False
    """A person, or the approval's own rule, let this step pass."""
    approvals: tuple[str, ...] = ()
    """Who has approved this step so far."""
    full: bool = False
    """A person ordered promotion without what is left of the analysis."""
    undo: bool = False
    """A person ordered that the Deployment gets the stable template back at the end."""
    gates: Mapping[str, GateState] = field(default_factory=dict)
    matrix: Matrix = ()
    """What the gates were shown, for `rollout replay`."""
    journal: tuple[Entry, ...] = ()
    hooks: Mapping[str, HookState] = field(default_factory=dict)
    """By name, of those that were called."""
    notes: tuple[Note, ...] = ()
    forgotten: int = 0
    """So many older lines of the story are not kept any more: the first that is kept has the number after it."""
    decisions: tuple[str, ...] = ()
    """UIDs of the decisions that were consumed in this run, each with the digest of its name and content."""
    step_times: tuple[float, ...] = ()
    """How long each finished step took."""
    failed: Note | None = None
    """What made the run go home, kept for `rollout why`."""
    undone: tuple[str, ...] = ()
    """What was undone, in order, in words."""
    undo_to: str = ""
    """After the end: digest of the template that an order to undo goes back to."""


def news(before: State, after: State) -> list[Note]:
    """The lines that came to the story in between."""
    known = set(before.notes)
    return [note for note in after.notes if note not in known]


STATE: Final = TypeAdapter(State)
"""Reads and writes the engine's part of a run's status."""


def dump_state(state: State) -> dict[str, Any]:
    """The stored form of a state."""
    stored: dict[str, Any] = STATE.dump_python(state, mode="json", by_alias=True, exclude_defaults=True)
    return stored


@dataclass(frozen=True, slots=True)
class Revision:
    """Which version is tried against which; enough to recognise both, and to tell people."""

    workload_uid: str = ""
    stable_hash: str = ""
    """pod-template-hash of the stable ReplicaSet."""
    stable_digest: str = ""
    digest: str = ""
    """Digest of the pod template that is tried."""
    undoes: str = ""
    """For an undo: digest of the template that is left; it is not tried again when somebody re-applies it."""
    rests_paused: bool = False
    """The Deployment was paused before this revision came (hold mode `paused`), and is paused again afterwards."""
    stable_images: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The immutable snapshot of what a run does."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    plan: str
    plan_uid: str
    plan_generation: int
    attempt: int
    program: StoredProgram
    revision: Revision = field(default_factory=Revision)
    started_by: str = ""
    plan_kind: Literal["CanaryPlan", "MeshAdoptionPlan"] = "CanaryPlan"


RUN_SPEC: Final = TypeAdapter(RunSpec)
"""Reads and writes a run's spec."""


def dump_spec(spec: RunSpec) -> dict[str, Any]:
    """The stored form of a run's spec."""
    stored: dict[str, Any] = RUN_SPEC.dump_python(spec, mode="json", by_alias=True, exclude_none=True)
    return stored
