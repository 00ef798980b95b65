"""Istio with sidecars: what is there, who speaks plaintext, and how a namespace gets in.

Ambient pods are seen; their traffic is not asked for.

| question | module |
|---|---|
| which control planes there are, which webhooks inject for them | `controlplane` |
| whether the next pod gets a proxy, and why | `injection` |
| which pods have one | `proxies` |
| which mTLS mode counts, and where it comes from | `mtls` |
| which callers are told not to speak mTLS | `rules` |
| which ports are scraped, which protocols are guessed | `ports` |
| who called whom | `traffic` |
| what to do about it | `remedies` |
| what all of this says about a unit | `survey` |

| instruction | module |
|---|---|
| proxies for a workload, and how far its pods are | `enrolment`, `rolling` |
| mTLS modes | `modes` |
| the namespace's label, shadow, manifests | `policies` |
| how any of them is written, journalled and undone | `adopting`, `lines`, `fields`, on a `ground` |
| what is watched meanwhile | `guards`, `watching` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout.adapters.istiod import HOME
from rollout.adapters.mesh.istio import adopting, controlplane, lines, remedies, traffic
from rollout.adapters.mesh.istio.ground import Ground
from rollout.adapters.mesh.istio.guards import IstioGuards
from rollout.adapters.mesh.istio.survey import Survey
from rollout.adapters.mesh.istio.watching import Names
from rollout.decide.seen import Progress
from rollout.plan.base import Json
from rollout.plan.gate import MetricLabels, Provider
from rollout.plan.kinds import (
    CONFIGMAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    MUTATING_WEBHOOK,
    NAMESPACE,
    PEER_AUTHENTICATION,
    SERVICE,
    Ref,
)
from rollout.plan.program import Adoption, MeshInstruction, Program
from rollout.plan.run import Entry
from rollout.plan.strategy import Guards
from rollout.ports.mesh import Capability, ControlPlane, MeshView, Stage, Traffic, Unit
from rollout.ports.metrics import Ask, Reading, ScalarAsk, VectorAsk
from rollout.ports.router import Change, Objects, Read


class Istio:
    """A mesh of Istio sidecars; see `ports.mesh.Mesh`."""

    name: str = "istio"
    home: str = HOME
    capabilities: frozenset[Capability] = frozenset(
        {
            Capability.SHADOW_STRICT,
            Capability.SHADOW_AUTHORIZATION,
            Capability.RESTART_TO_ENROL,
            Capability.LIVE_POLICY,
        }
    )

    def __init__(self, labels: traffic.Labels | None = None) -> None:
        self._labels = labels or traffic.Labels()

    def reads(self, namespace: str, home: str) -> tuple[Read, ...]:
        """Policies of the namespace and of the root one; rules of all namespaces, for any may hold for callers."""
        policies = {namespace, home} if namespace else {""}
        return (
            *(Read(PEER_AUTHENTICATION, it) for it in sorted(policies)),
            Read(DESTINATION_RULE),
            Read(SERVICE, namespace),
            Read(NAMESPACE),
            Read(MUTATING_WEBHOOK),
            Read(DEPLOYMENT, home),
            Read(CONFIGMAP, home),
        )

    def control_planes(self, objects: Objects) -> tuple[ControlPlane, ...]:
        """The istiods."""
        return controlplane.planes(objects)

    def views(self, units: Sequence[Unit], objects: Objects, home: str) -> Mapping[Ref, MeshView]:
        """What each unit has."""
        survey = Survey(objects, home)
        return {unit.ref: survey.view(unit) for unit in units}

    def questions(self, namespace: str, window: float, provider: Provider | None = None) -> tuple[Ask, ...]:
        """Requests, connections, and whether there is history."""
        metrics = (self._labels.requests, self._labels.connections)
        asked = [VectorAsk(traffic.callers(self._labels, it, namespace, window), provider, namespace) for it in metrics]
        return (*asked, ScalarAsk(traffic.history(self._labels, window), provider, namespace))

    def traffic(self, questions: Sequence[Ask], window: float, readings: Mapping[Ask, Reading]) -> Traffic:
        """The answers as edges."""
        return traffic.read(self._labels, questions, window, readings)

    def enrol(self, unit: Unit, planes: Sequence[ControlPlane]) -> str:
        """A label in the pod template."""
        return remedies.enrol(unit, planes)

    def excuse(self, unit: Unit, ports: Sequence[int], view: MeshView) -> str:
        """A PeerAuthentication for the ports, or a patch of the one that counts already."""
        return remedies.excuse(unit, ports, view.mtls.narrow)

    def admit(self, unit: Unit, principals: Sequence[str]) -> Json:
        """An AuthorizationPolicy for the workload."""
        return remedies.admit(unit, principals)

    def touches(self, program: Program) -> tuple[Read, ...]:
        """Policies, and the kinds of the plan's manifests."""
        return adopting.touches(program)

    def guards(self, adoption: Adoption, labels: MetricLabels, provider: Provider | None) -> Guards:
        """Gates on Istio's metrics; they ask where the run asks, so `provider` need not be said in each."""
        return IstioGuards(adoption.namespace, Names(labels, self._labels))

    def progress(self, instruction: MeshInstruction, stage: Stage) -> Progress:
        """How far the world is from what the instruction wants."""
        return adopting.progress(instruction, Ground(stage, self.home))

    def render(self, instruction: MeshInstruction, stage: Stage, owner: Mapping[str, Any]) -> tuple[Change, ...]:
        """Guarded patches of what is there, and objects that are not."""
        return adopting.render(instruction, Ground(stage, self.home), owner)

    def undone(self, entry: Entry, stage: Stage) -> Progress:
        """Whether nothing of what a line tells is left, pods with proxies included."""
        return adopting.undone(entry, Ground(stage, self.home))

    def undo(self, entry: Entry, stage: Stage) -> tuple[Change, ...]:
        """Field by field what was there before; what its owner wrote since then stays."""
        return adopting.undo(entry, Ground(stage, self.home))

    def wrote(self, entry: Entry) -> Json:
        """The fields of a line, with the values that they were given."""
        return lines.wrote(entry)
