"""Who would be refused: callers that were seen sending plaintext, and those whose template says that they will."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from rollout.observe.readiness.mentions import names
from rollout.observe.readiness.names import container_ports, inbound, join, several, title
from rollout.observe.survey import Survey
from rollout.plan.base import spell
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Because, Edge, Mesh, Peer, Unit


def seen(mesh: Mesh, unit: Unit, survey: Survey) -> Iterator[Finding]:
    """Plaintext in the window, by caller: RO603, RO604."""
    by_caller: dict[Peer, list[Edge]] = defaultdict(list)
    for edge in inbound(unit, survey):
        if not edge.secure:
            by_caller[edge.source if edge.source.name else Peer()].append(edge)
    window = spell(round(survey.traffic.window))
    for peer, edges in by_caller.items():
        sent = f"{_amount(edges)} in plaintext in {window}"
        yield _named(mesh, unit, peer, sent, survey) if peer.name else _nameless(mesh, unit, sent, survey)


def _amount(edges: Sequence[Edge]) -> str:
    """`412 requests and 1 connection`; what is under one is still one."""
    told = []
    for what, tcp in (("request", False), ("connection", True)):
        if amount := sum(it.amount for it in edges if (it.protocol == "tcp") is tcp):
            count = max(1, round(amount))
            told.append(f"{count} {what}{'' if count == 1 else 's'}")
    return " and ".join(told)


def _named(mesh: Mesh, unit: Unit, peer: Peer, sent: str, survey: Survey) -> Finding:
    caller = next((it for it in survey.units if (it.namespace, it.name) == (peer.namespace, peer.name)), None)
    if caller is None:
        text = f"{peer.name} in {peer.namespace} sent {sent}"
        fix = f"rollout mesh report -n {peer.namespace}: it tells why, and what to do"
    else:
        text = f"{title(caller, unit.namespace, survey)} sent {sent}"
        fix = _fix(mesh, unit, caller, survey)
        if survey.views[caller.ref].meshed:
            text += ", although it has a proxy"
    return Finding("RO603", Level.ERROR, text, where=str(unit), fix=fix)


def _fix(mesh: Mesh, unit: Unit, caller: Unit, survey: Survey) -> str:
    view = survey.views[caller.ref]
    if view.next.because is Because.HOST_NETWORK:
        return f"it can have no proxy; let plaintext in: {mesh.excuse(unit, container_ports(unit, survey))}"
    if not view.meshed:
        return join(mesh, caller, survey)
    if rules := survey.views[unit.ref].rules:
        return f"remove {rules[0].path} from {rules[0].ref}"
    return f"look for outbound ports or addresses that the pod template of {caller} keeps from its proxy"


def _nameless(mesh: Mesh, unit: Unit, sent: str, survey: Survey) -> Finding:
    """A caller without a proxy has no name in the metrics; the workloads without one are told instead."""
    suspects = sorted(_plain(survey, but=unit), key=lambda it: _likely(it, unit, survey))
    who = f"; without a proxy are {several(title(it, unit.namespace, survey) for it in suspects)}" if suspects else ""
    text = f"callers without an identity sent {sent}; the metrics cannot name them{who}"
    if suspects:
        fix = _fix(mesh, unit, suspects[0], survey)
    elif survey.namespace:
        fix = "rollout mesh report -A: look for workloads without a proxy in other namespaces"
    else:
        fix = f"let plaintext in from outside the cluster: {mesh.excuse(unit, container_ports(unit, survey))}"
    return Finding("RO604", Level.ERROR, text, where=str(unit), fix=fix)


def _likely(caller: Unit, unit: Unit, survey: Survey) -> tuple[bool, bool]:
    """Who names it comes first, then who is near."""
    return not names(caller, survey.views[unit.ref].services), caller.namespace != unit.namespace


def expected(mesh: Mesh, unit: Unit, survey: Survey) -> Iterator[Finding]:
    """Workloads without a proxy whose template names this one: RO605."""
    named = {(it.source.namespace, it.source.name) for it in inbound(unit, survey) if not it.secure}
    for caller in _plain(survey, but=unit):
        host = names(caller, survey.views[unit.ref].services)
        if host and (caller.namespace, caller.name) not in named:
            text = f"{title(caller, unit.namespace, survey)} has no proxy, and its pod template names {host}"
            yield Finding("RO605", Level.ERROR, text, where=str(unit), fix=_fix(mesh, unit, caller, survey))


def _plain(survey: Survey, but: Unit) -> Sequence[Unit]:
    return [it for it in survey.units if it.ref != but.ref and not survey.views[it.ref].meshed]
