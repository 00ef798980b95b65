"""The mesh: who carries the traffic of workloads.  A mesh driver is sans-I/O, as a router is: objects in, answers out.

It tells what is there (who has a proxy, which mTLS mode counts where, and where that comes from), and which questions
to the metrics say who speaks plaintext.  It never decides *when* something is done.  Adding one is one package and one
entry point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from rollout.decide.seen import Progress
from rollout.plan.base import Json
from rollout.plan.gate import MetricLabels, Provider
from rollout.plan.kinds import Kind, Ref
from rollout.plan.program import Adoption, MeshInstruction, Program, UnitName
from rollout.plan.run import Entry
from rollout.plan.strategy import Guards
from rollout.ports.metrics import Ask, Reading
from rollout.ports.router import Change, Objects, Read


@dataclass(frozen=True, slots=True)
class Unit:
    """One workload as a mesh sees it."""

    kind: Kind
    namespace: str
    name: str
    template: Mapping[str, Any]
    """`metadata` and `spec` of the pods that it makes; those of the Pod itself for a bare one."""
    raw: Json
    pods: tuple[Json, ...]
    """Its pods that are not over, sorted by name; those that are going are among them."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name} in {self.namespace}"

    @property
    def ref(self) -> Ref:
        """Its name, as a key."""
        return Ref(self.kind, self.namespace, self.name)

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of its pods, by the template."""
        return (self.template.get("metadata") or {}).get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of its pods, by the template."""
        return (self.template.get("metadata") or {}).get("annotations") or {}

    @property
    def spec(self) -> Mapping[str, Any]:
        """The pod spec of the template."""
        return self.template.get("spec") or {}

    @property
    def containers(self) -> tuple[Json, ...]:
        """The containers that stay: init containers that restart always are sidecars, and count."""
        lasting = [c for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        return (*lasting, *(self.spec.get("containers") or ()))


class Capability(StrEnum):
    """What a mesh may be able to do; a plan whose stage needs more is refused by name."""

    SHADOW_STRICT = "shadow-strict"
    """Counts the requests that STRICT would refuse, without refusing them."""
    SHADOW_AUTHORIZATION = "shadow-authorization"
    """Counts what an authorization policy would refuse, without refusing it."""
    RESTART_TO_ENROL = "restart-to-enrol"
    """A pod joins or leaves only by being made anew."""
    ENROL_PODS = "enrol-pods"
    """A running pod can join by a label of its own."""
    LIVE_POLICY = "live-policy"
    """mTLS modes and policies act on running pods, within seconds."""


class Carrier(StrEnum):
    """What carries a pod's traffic."""

    NONE = "none"
    CLASSIC = "classic"
    """A proxy among the containers."""
    NATIVE = "native"
    """A proxy among the init containers, which starts before the others and stops after them."""
    AMBIENT = "ambient"
    """A proxy of the node."""
    GATEWAY = "gateway"
    """The pod is itself a proxy."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Who carries the traffic of one pod."""

    pod: str
    carrier: Carrier
    ready: bool = False
    revision: str = ""
    """The control plane's; empty when the pod does not say."""


class Because(StrEnum):
    """Why the next pod of a unit gets a proxy or not."""

    NAMESPACE = "namespace-label"
    POD = "pod-label"
    DEFAULT = "default"
    """The mesh takes every pod that does not refuse."""
    HOST_NETWORK = "host-network"
    REFUSED = "refused"
    """The pod template says no."""
    NEVER = "never-inject"
    """The mesh's own configuration leaves these pods out."""
    SYSTEM = "system-namespace"
    UNASKED = "unasked"
    NO_REVISION = "no-such-revision"
    UNSEEN = "unseen"
    """What decides may not be read."""


@dataclass(frozen=True, slots=True)
class Injection:
    """What the next pod of a unit gets."""

    because: Because
    why: str
    """For people."""
    revision: str = ""
    """The control plane's that injects it."""
    ambient: bool = False
    """It is carried by a proxy of the node."""

    @property
    def proxy(self) -> bool:
        """Whether it is in the mesh."""
        return self.because in (Because.NAMESPACE, Because.POD, Because.DEFAULT)


class Mode(StrEnum):
    """What a server accepts: only plaintext, both, only mTLS."""

    DISABLE = "DISABLE"
    PERMISSIVE = "PERMISSIVE"
    STRICT = "STRICT"


@dataclass(frozen=True, slots=True)
class Setting:
    """A mode, and where it comes from; `ref` is None only for the mesh's built-in default."""

    mode: Mode
    scope: Literal["default", "mesh", "namespace", "workload", "port"] = "default"
    ref: Ref | None = None


@dataclass(frozen=True, slots=True)
class Mtls:
    """The effective modes of a workload."""

    workload: Setting
    ports: Mapping[int, Setting] = field(default_factory=dict)
    """Container ports with a setting of their own."""
    narrow: Ref | None = field(default=None, compare=False)
    """The policy that selects the workload; only there can ports be set."""

    def at(self, port: int) -> Setting:
        """What counts at a container port."""
        return self.ports.get(port, self.workload)


@dataclass(frozen=True, slots=True)
class ClientRule:
    """A rule by which callers in the mesh do not speak its mTLS to a host."""

    ref: Ref
    mode: str
    """What they do instead: `DISABLE`, `SIMPLE`, `MUTUAL`."""
    path: str
    """The field in it."""
    callers: str = ""
    """The namespace whose callers follow it; empty for all."""


@dataclass(frozen=True, slots=True)
class GuessedPort:
    """A port of a Service whose protocol the mesh has to guess, although its server speaks first: callers hang."""

    service: Ref
    index: int
    """In `spec.ports`."""
    port: int


@dataclass(frozen=True, slots=True)
class MeshView:
    """One unit as the mesh has it."""

    proxies: tuple[Proxy, ...]
    """Of its pods that are not going, by name."""
    next: Injection
    mtls: Mtls
    """By the labels of the template."""
    pods: Mapping[str, Mtls] = field(default_factory=dict)
    """Pods whose own labels give them other modes."""
    services: tuple[Json, ...] = ()
    """The Services that send to it."""
    rules: tuple[ClientRule, ...] = ()
    bypassed: tuple[int, ...] = ()
    """Ports that the template keeps from the proxy: whatever the mode, plaintext goes in there."""
    scraped: tuple[int, ...] = ()
    """Ports of the application that annotations offer to a scraper, which speaks plaintext."""
    guessed: tuple[GuessedPort, ...] = ()

    @property
    def meshed(self) -> bool:
        """Whether all that it has, pods or only a template, is in the mesh."""
        return all(it.carrier is not Carrier.NONE for it in self.proxies) if self.proxies else self.next.proxy


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """One revision of the mesh's control plane."""

    revision: str
    ref: Ref
    version: str
    """By its image; empty when that has no tag."""
    ready: bool
    tags: tuple[str, ...] = ()
    """Other names under which namespaces and pods may ask for it."""


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Who called, as the metrics say it; without a name it is a caller that has no identity."""

    namespace: str = ""
    name: str = ""
    principal: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """Traffic from one caller to one workload, of one protocol, with or without mTLS."""

    source: Peer
    namespace: str
    """Of the workload that was called."""
    name: str
    protocol: str
    secure: bool
    amount: float
    """In the window: requests, or connections where the protocol is `tcp`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the metrics say about a window of time. Without data nothing is known, and nothing is zero."""

    window: float
    """Seconds."""
    edges: tuple[Edge, ...] = ()
    problem: str = ""
    """Why it is not known."""
    complete: bool = True
    """Whether the metrics reach back over the whole window."""


@dataclass(frozen=True, slots=True)
class Stage:
    """An adoption under way, and everything that was read for its next turn."""

    adoption: Adoption
    units: Mapping[UnitName, Unit]
    """Of the namespace."""
    objects: Objects
    """What `Mesh.reads` and `Mesh.touches` name."""
    journal: Sequence[Entry] = ()


class Mesh(Protocol):
    """One mesh. Stateless."""

    name: str
    home: str
    """The namespace of its control plane where nobody says otherwise."""
    capabilities: frozenset[Capability]

    def reads(self, namespace: str, home: str) -> tuple[Read, ...]:
        """What the other methods need to see of a namespace, or of all where that is empty."""
        ...

    def control_planes(self, objects: Objects) -> tuple[ControlPlane, ...]:
        """The revisions of the control plane that are installed."""
        ...

    def views(self, units: Sequence[Unit], objects: Objects, home: str) -> Mapping[Ref, MeshView]:
        """What each unit has. A kind that is missing in `objects` was not allowed to be read."""
        ...

    def questions(self, namespace: str, window: float, provider: Provider | None = None) -> tuple[Ask, ...]:
        """What to ask the metrics, to know who called whom in the last `window` seconds."""
        ...

    def traffic(self, questions: Sequence[Ask], window: float, readings: Mapping[Ask, Reading]) -> Traffic:
        """The answers to `questions`, read."""
        ...

    def enrol(self, unit: Unit, planes: Sequence[ControlPlane]) -> str:
        """The command that brings the next pods of a unit into the mesh."""
        ...

    def excuse(self, unit: Unit, ports: Sequence[int], view: MeshView) -> str:
        """What lets plaintext into these container ports of a unit although the rest is STRICT."""
        ...

    def admit(self, unit: Unit, principals: Sequence[str]) -> Json:
        """A policy that admits these identities to a unit, and nobody else; as the metrics write identities."""
        ...

    def touches(self, program: Program) -> tuple[Read, ...]:
        """What has to be read besides `reads`, to see how far the instructions of a program are."""
        ...

    def guards(self, adoption: Adoption, labels: MetricLabels, provider: Provider | None) -> Guards:
        """Gates on this mesh's metrics, for a compiler."""
        ...

    def progress(self, instruction: MeshInstruction, stage: Stage) -> Progress:
        """How far the world is from what the instruction wants."""
        ...

    def render(self, instruction: MeshInstruction, stage: Stage, owner: Mapping[str, Any]) -> tuple[Change, ...]:
        """What to write for it; each change that is not a repetition has its journal line.

        `owner` is metadata (labels, annotations) that every created object must carry.  A line's `undo` is the
        driver's own: enough to put back exactly what was there, for `undo` and `undone`; `Entry.step` is left to the
        caller.
        """
        ...

    def undone(self, entry: Entry, stage: Stage) -> Progress:
        """Whether the world is as it was before a line; what its owner wrote since then is as good."""
        ...

    def undo(self, entry: Entry, stage: Stage) -> tuple[Change, ...]:
        """What to write to get there; none of what its owner wrote since then is lost."""
        ...

    def wrote(self, entry: Entry) -> Json:
        """The fields that a line gave an object which was there, nested: what its owner has to write to keep them.

        Empty for an object that was made.
        """
        ...
