"""mesh-adoption: a namespace enters a mesh stage by stage, workload by workload; what is reached stays."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.errors import InvalidInput
from rollout.plan.adoption import Enrolment, Permissive, ShadowStrict, Stages, Strict
from rollout.plan.base import seconds
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.program import FORMAT, PLAIN, Adoption, Conclude, Program, Settings, Step, beyond_plain
from rollout.plan.strategy import MeshFacts
from strategies.adoption import manifests, modes
from strategies.adoption.frame import Frame, returning
from strategies.adoption.people import People, people, place


class MeshAdoption:
    """Proxies, both modes, traffic, a count of what STRICT would refuse, STRICT, authorization: in this order."""

    name = "mesh-adoption"

    def compile(self, plan: MeshAdoptionPlan, facts: MeshFacts) -> Program:
        """The program for one run.

        Raises:
            InvalidInput: the plan does not fit the namespace, or a gate names what does not exist.
        """
        spec = plan.spec
        wanted = _wanted(plan, facts)
        who = people(plan, facts, enrols=wanted.enrol is not None)
        _never_lower(plan, facts, wanted, who)
        conclude = Step("conclude", (Conclude(),), deadline=seconds(spec.analysis.deadline), on_failure="hold")
        steps = (*returning(_stages(plan, facts, wanted, who)), conclude)
        new = any(beyond_plain(gate) for step in steps for gate in step.gates)
        return Program(
            strategy=self.name,
            workload="",
            backends=None,
            steps=steps,
            format=FORMAT if new else PLAIN,
            settings=Settings(drift=spec.drift, provider=spec.analysis.provider, labels=spec.analysis.labels),
            adoption=Adoption(
                namespace=plan.metadata.namespace,
                run=facts.run,
                mesh=spec.mesh.driver,
                home=spec.mesh.namespace or "",
                revision=spec.mesh.revision,
            ),
        )


def _wanted(plan: MeshAdoptionPlan, facts: MeshFacts) -> Stages:
    """The stages of the plan: the classic ones when it names none, and both modes before only one."""
    stages = plan.spec.stages
    if stages == Stages():
        stages = Stages(enrol=Enrolment(), permissive=Permissive(), shadow_strict=ShadowStrict(), strict=Strict())
    if stages.strict is None:
        return stages
    # a namespace that has arrived is not set back on the way there
    permissive = None if facts.mode == "STRICT" else stages.permissive or Permissive()
    return stages.model_copy(update={"permissive": permissive})


def _stages(
    plan: MeshAdoptionPlan, facts: MeshFacts, wanted: Stages, who: People
) -> list[tuple[Frame, Sequence[Step]]]:
    done: list[tuple[Frame, Sequence[Step]]] = []
    if wanted.enrol is not None:
        frame = Frame("enrol", wanted.enrol, plan, facts)
        done.append((frame, modes.enrol(frame, wanted.enrol, who)))
    if wanted.permissive is not None:
        frame = Frame("permissive", wanted.permissive, plan, facts)
        done.append((frame, modes.permissive(frame)))
    if wanted.traffic is not None:
        frame = Frame("traffic", wanted.traffic, plan, facts)
        done.append((frame, manifests.traffic(frame, wanted.traffic)))
    if wanted.shadow_strict is not None:
        frame = Frame("shadowStrict", wanted.shadow_strict, plan, facts)
        steps = modes.shadow_strict(frame, wanted.shadow_strict, who, then_strict=wanted.strict is not None)
        done.append((frame, steps))
    if wanted.strict is not None:
        frame = Frame("strict", wanted.strict, plan, facts)
        steps = modes.strict(frame, wanted.strict, who, wanted.shadow_strict)
        done.append((frame, steps))
    if wanted.authorize is not None:
        frame = Frame("authorize", wanted.authorize, plan, facts)
        done.append((frame, manifests.authorize(frame, wanted.authorize, who)))
    return [(frame, steps) for frame, steps in done if steps]


def _never_lower(plan: MeshAdoptionPlan, facts: MeshFacts, wanted: Stages, who: People) -> None:
    """A namespace where only mTLS is accepted: nothing here makes it accept plaintext again."""
    if facts.mode != "STRICT":
        return
    if wanted.permissive is not None:
        raise InvalidInput(
            f"spec.stages.permissive: namespace {plan.metadata.namespace} accepts mTLS only, and would be lowered",
            where=place(plan),
            hint="leave the stage out; whoever means it writes a PeerAuthentication with mode PERMISSIVE himself",
        )
    cut_off = next((it.unit for it in who.entering if it.serves), None)
    if cut_off is not None:
        raise InvalidInput(
            f"spec.stages.enrol: {cut_off} would refuse plaintext as soon as it has a proxy, because namespace "
            f"{plan.metadata.namespace} inherits or has mode STRICT",
            where=place(plan),
            hint="write a PeerAuthentication with mode PERMISSIVE for the namespace and commit it to Git; the stage "
            "strict raises it again. Or except the workload",
        )
