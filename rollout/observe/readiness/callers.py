"""Who would be refused: callers that were seen sending plaintext, and those whose template says that they will."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rollout.observe.readiness.names import excuse, join, several, title
from rollout.observe.readiness.scene import Scene
from rollout.plan.base import spell
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Because, Edge, Peer, Unit


def seen(unit: Unit, scene: Scene) -> Iterator[Finding]:
    """Plaintext in the window, by caller: RO603, RO604."""
    by_caller: dict[Peer, list[Edge]] = defaultdict(list)
    for edge in scene.inbound(unit):
        if not edge.secure and (edge.source.namespace, edge.source.name) not in scene.excused:
            by_caller[Peer(edge.source.namespace, edge.source.name) if edge.source.name else Peer()].append(edge)
    window = spell(round(scene.survey.traffic.window))
    for peer, edges in by_caller.items():
        if not peer.name and _explained(unit, scene):
            continue
        sent = f"{_amount(edges)} in plaintext in {window}"
        yield _named(unit, peer, sent, scene) if peer.name else _nameless(unit, sent, scene)


def _amount(edges: Sequence[Edge]) -> str:
    """`412 requests and 1 connection`; what is under one is still one."""
    told = []
    for what, tcp in (("request", False), ("connection", True)):
        if amount := sum(it.amount for it in edges if (it.protocol == "tcp") is tcp):
            count = max(1, round(amount))
            told.append(f"{count} {what}{'' if count == 1 else 's'}")
    return " and ".join(told)


def _named(unit: Unit, peer: Peer, sent: str, scene: Scene) -> Finding:
    caller = scene.units.get((peer.namespace, peer.name))
    if caller is None:
        text = f"{peer.name} in {peer.namespace} sent {sent}"
        fix = f"rollout mesh report -n {peer.namespace}: it tells why, and what to do"
    else:
        text = f"{title(caller, unit.namespace, scene.survey)} sent {sent}"
        fix = _fix(unit, caller, scene)
        if scene.view(caller).meshed:
            text += ", although it has a proxy"
    return Finding("RO603", Level.ERROR, text, where=str(unit), fix=fix)


def _fix(unit: Unit, caller: Unit, scene: Scene) -> str:
    view = scene.view(caller)
    if view.next.because is Because.HOST_NETWORK:
        return f"it can have no proxy; let plaintext in: {excuse(unit, scene)}"
    if not view.meshed:
        return join(caller, scene)
    if rules := scene.view(unit).rules:
        return f"remove {rules[0].path} from {rules[0].ref}"
    return f"look for outbound ports or addresses that the pod template of {caller} keeps from its proxy"


def _nameless(unit: Unit, sent: str, scene: Scene) -> Finding:
    """A caller without a proxy has no name in the metrics; the workloads without one are told instead."""
    suspects = sorted(_plain(unit, scene), key=lambda it: _likely(it, unit, scene))
    told = several(title(it, unit.namespace, scene.survey) for it in suspects)
    who = f"; without a proxy are {told}" if told else ""
    text = f"callers without an identity sent {sent}; the metrics cannot name them{who}"
    if suspects:
        fix = _fix(unit, suspects[0], scene)
    elif scene.survey.namespace:
        fix = "rollout mesh report -A: look for workloads without a proxy in other namespaces"
    else:
        fix = f"let plaintext in from outside the cluster: {excuse(unit, scene)}"
    return Finding("RO604", Level.ERROR, text, where=str(unit), fix=fix)


def _explained(unit: Unit, scene: Scene) -> bool:
    """Whether callers without a name are those that may be cut off: one of them names it, and nobody else does."""
    return any(scene.mention(it, unit) for it in scene.pardoned) and not any(
        scene.mention(it, unit) for it in _plain(unit, scene)
    )


def _likely(caller: Unit, unit: Unit, scene: Scene) -> tuple[bool, bool]:
    """Who names it comes first, then who is near."""
    return not scene.mention(caller, unit), caller.namespace != unit.namespace


def expected(unit: Unit, scene: Scene) -> Iterator[Finding]:
    """Workloads without a proxy whose template names this one: RO605."""
    named = {(it.source.namespace, it.source.name) for it in scene.inbound(unit) if not it.secure}
    for caller in _plain(unit, scene):
        host = scene.mention(caller, unit)
        if host and (caller.namespace, caller.name) not in named:
            text = f"{title(caller, unit.namespace, scene.survey)} has no proxy, and its pod template names {host}"
            yield Finding("RO605", Level.ERROR, text, where=str(unit), fix=_fix(unit, caller, scene))


def _plain(unit: Unit, scene: Scene) -> Sequence[Unit]:
    return [it for it in scene.plain if it is not unit]
