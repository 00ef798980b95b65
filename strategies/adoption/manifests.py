"""The stages made of the user's own manifests: traffic and authorize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rollout.errors import InvalidInput
from rollout.plan.adoption import Authorize, Traffic
from rollout.plan.base import Json, seconds
from rollout.plan.program import Apply, Gate, Step, UnitName, Withdraw
from rollout.plan.strategy import UnitFact
from rollout.plan.written import Manifest
from strategies.adoption.frame import Frame, told_apart
from strategies.adoption.people import People, place

DRY_RUN: Final = "istio.io/dry-run"
NOTHING: Final[Json] = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "allow-nothing"},
    "spec": {},
}
"""A policy that allows nothing: whatever no other one allows is refused."""
_EACH: Final = 8
"""A policy about more workloads than these is watched over for the namespace."""


def traffic(frame: Frame, stage: Traffic) -> list[Step]:
    """One manifest at a time; a drill is withdrawn when it was watched long enough."""
    steps: list[Step] = []
    for number, manifest in enumerate(stage.apply, 1):
        _at_home(frame, manifest)
        name = f"apply-{number}-{manifest.kind.lower()}-{manifest.metadata.name}"
        steps.append(frame.step(name, (Apply(manifest.raw()),), frame.always(None)))
        if is_drill(manifest):
            steps.append(frame.step(f"withdraw-{name}", (Withdraw(name),), frame.always(None)))
    return steps


def authorize(frame: Frame, stage: Authorize, who: People) -> list[Step]:
    """All policies are counted together, because each alone would refuse what another allows; then each is enforced."""
    for policy in stage.policies:
        _at_home(frame, policy)
    named = [(f"{number}-{it.metadata.name}", it.raw()) for number, it in enumerate(stage.policies, 1)]
    trials = [(f"policy-dry-run-{name}", raw) for name, raw in named]
    final = [(f"policy-{name}", raw) for name, raw in named]
    if stage.deny_by_default:
        if any(raw["metadata"]["name"] == NOTHING["metadata"]["name"] for _, raw in named):
            raise InvalidInput(
                f"spec.stages.authorize.policies: {NOTHING['metadata']['name']} is what denyByDefault makes",
                where=place(frame.plan),
                hint="rename the policy, or leave denyByDefault out",
            )
        trials.append(("deny-by-default-dry-run", NOTHING))
        final.append(("deny-by-default", NOTHING))
    steps, in_force = _tried(frame, stage, who, trials), set[UnitName]()
    for name, raw in final:
        units = [it.unit for it in _selected(raw, who)]
        # a workload under a policy in force would be counted without it
        steps += _enforced(frame, stage, (name, raw), units, [it for it in units if it not in in_force])
        in_force.update(units)
    return steps


def is_drill(manifest: Manifest) -> bool:
    """Whether a manifest breaks requests on purpose."""
    routes = manifest.spec.get("http") if manifest.kind == "VirtualService" else None
    return isinstance(routes, list) and any(isinstance(it, Mapping) and it.get("fault") for it in routes)


def _tried(frame: Frame, stage: Authorize, who: People, trials: list[tuple[str, Json]]) -> list[Step]:
    """The policies without effect; the last step looks at all that they would refuse."""
    window = seconds(stage.window)
    first = trials[0][0]
    steps = [frame.step(name, (_applied(raw, dry_run=True),), frame.always(None)) for name, raw in trials[:-1]]
    guards = frame.facts.guards
    counted: tuple[Gate, ...] = ()
    if guards is not None:
        units = dict.fromkeys(it.unit for _, raw in trials for it in _selected(raw, who))
        counted = told_apart((unit, guards.shadow_policies(unit, window, frame.every)) for unit in units)
    name, raw = trials[-1]
    gates = (*counted, *frame.always(None))
    last = frame.step(name, (_applied(raw, dry_run=True),), gates, patience=window, back_to=first)
    return [*steps, last]


def _enforced(
    frame: Frame, stage: Authorize, policy: tuple[str, Json], units: list[UnitName], counted: list[UnitName]
) -> list[Step]:
    """One policy in force; right before it, what it would refuse is counted again."""
    name, raw = policy
    about: list[UnitName | None] = [None] if len(units) > _EACH or not units else [*units]
    unit = units[0] if len(units) == 1 else None
    step = frame.step(name, (_applied(raw, dry_run=False),), frame.locked(*about), unit=unit)
    guards, window = frame.facts.guards, seconds(stage.window)
    if guards is None or not counted:
        return [step]
    gates = told_apart((it, guards.shadow_policies(it, window, frame.every)) for it in counted)
    again = frame.recount(name.removeprefix("policy-"), gates, window)
    return [again, replace(step, back_to=again.name)]


def _applied(raw: Json, *, dry_run: bool) -> Apply:
    metadata: dict[str, Any] = raw["metadata"]
    annotations = metadata.get("annotations", {}) | {DRY_RUN: str(dry_run).lower()}
    return Apply(raw | {"metadata": metadata | {"annotations": annotations}})


def _selected(raw: Json, who: People) -> list[UnitFact]:
    """The workloads that a policy is about; all, where its selector tells nothing that is known."""
    wanted = ((raw["spec"].get("selector") or {}).get("matchLabels") or {}).items()
    return [it for it in who.serving if wanted <= it.labels.items()] or list(who.serving)


def _at_home(frame: Frame, manifest: Manifest) -> None:
    here, there = frame.plan.metadata.namespace, manifest.metadata.namespace
    if there is not None and there != here:
        raise InvalidInput(
            f"spec.stages.{frame.name}: {manifest.kind}/{manifest.metadata.name} is in namespace {there}",
            where=place(frame.plan),
            hint=f"a plan changes its own namespace only, {here}: leave metadata.namespace out",
        )
