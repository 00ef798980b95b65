"""The mesh report: a line for each workload, then what stands in the way of STRICT, each with its fix."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from rollout.cli.render.findings import as_json as findings_json
from rollout.cli.render.words import BAD, GOOD, NEXT, WARN, Cell, columns, length, lines, percent
from rollout.observe.readiness import Standing
from rollout.observe.survey import Survey
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Carrier, Edge, Mesh, MeshView, Mtls, Setting, Unit

_SIGNS: Final = {
    Standing.STRICT: GOOD,
    Standing.READY: GOOD,
    Standing.UNPROVEN: WARN,
    Standing.BLOCKED: BAD,
    Standing.CALLER: NEXT,
    Standing.GATEWAY: NEXT,
}
_SHORT: Final = {
    "RO601": "pods without a proxy",
    "RO602": "proxy not ready",
    "RO603": "plaintext from a known caller",
    "RO604": "plaintext from outside the mesh",
    "RO605": "a caller without a proxy",
    "RO606": "a rule turns mTLS off",
    "RO607": "scraped in plaintext",
    "RO608": "a guessed protocol",
    "RO609": "no data",
    "RO610": "window too short",
    "RO611": "metrics too young",
    "RO612": "mode DISABLE",
}
_SHOWN: Final = 3
_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One workload."""

    unit: Unit
    view: MeshView
    inbound: tuple[Edge, ...]
    standing: Standing
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """As kubectl takes it: `deployment/web`."""
        return f"{self.unit.kind.name.lower()}/{self.unit.name}"


def table(mesh: Mesh, survey: Survey, rows: Sequence[Row], *, wide: bool) -> Text:
    """The whole report."""
    everywhere = not survey.namespace
    head: list[Cell] = ["WORKLOAD", "PROXIES", "REVISION", "MODE", "PLAINTEXT"]
    head = [*(["NAMESPACE"] if everywhere else []), *head, *(["FROM", "NEXT POD"] if wide else []), "READY FOR STRICT"]
    body = [_cells(row, survey, wide=wide, everywhere=everywhere) for row in rows]
    return lines([*columns([head, *body]), "", *_details(rows, everywhere=everywhere), _total(mesh, survey, rows)])


def _cells(row: Row, survey: Survey, *, wide: bool, everywhere: bool) -> list[Cell]:
    view = row.view
    carried = [it for it in view.proxies if it.carrier is not Carrier.NONE and it.ready]
    revisions = sorted({it.revision for it in view.proxies if it.revision})
    line: list[Cell] = [row.name, f"{len(carried)}/{len(view.proxies)}", ",".join(revisions) or "-", _mode(view.mtls)]
    line.append(_plaintext(row, survey))
    if wide:
        source = view.mtls.workload.ref
        line += [str(source) if source else "-", f"{_next(view)}: {view.next.why}"]
    return [*([row.unit.namespace] if everywhere else []), *line, _ready(row)]


def _mode(mtls: Mtls) -> str:
    """`PERMISSIVE (namespace)`, `STRICT (workload), 9090 PERMISSIVE`."""
    ports = (f"{port} {it.mode}" for port, it in sorted(mtls.ports.items()) if it.mode != mtls.workload.mode)
    return ", ".join([f"{mtls.workload.mode} ({mtls.workload.scope})", *ports])


def _next(view: MeshView) -> str:
    if not view.next.proxy:
        return "plain"
    return "ambient" if view.next.ambient else f"proxy {view.next.revision}"


def _plaintext(row: Row, survey: Survey) -> str:
    if survey.traffic.problem and row.view.services:
        return "?"
    parts = [(share(row.inbound, tcp=tcp), word) for tcp, word in ((False, ""), (True, "tcp "))]
    told = [f"{word}{percent(100 * it.share)}" for it, word in parts if it is not None]
    return ", ".join(told) or ("no data" if row.view.services else "-")


def _ready(row: Row) -> Text:
    if not row.findings:
        return Text.assemble(_SIGNS[row.standing], f" {row.standing}")
    more = f" (+{len(row.findings) - 1})" if len(row.findings) > 1 else ""
    return Text.assemble(_SIGNS[row.standing], f" {_SHORT[row.findings[0].code]}{more}")


@dataclass(frozen=True, slots=True)
class Share:
    """How much came without mTLS."""

    total: float
    plain: float

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.plain / self.total


def share(edges: Iterable[Edge], *, tcp: bool) -> Share | None:
    """Of requests, or of connections; None when there were none."""
    chosen = [it for it in edges if (it.protocol == "tcp") is tcp]
    total = sum(it.amount for it in chosen)
    return Share(total, sum(it.amount for it in chosen if not it.secure)) if total else None


def _details(rows: Sequence[Row], *, everywhere: bool) -> list[Cell]:
    """Each finding, with the workloads that it is about: what is true of all of them alike is said once."""
    about: dict[tuple[str, str, str], tuple[Finding, list[str]]] = {}
    for row in rows:
        name = f"{row.name} -n {row.unit.namespace}" if everywhere else row.name
        for it in row.findings:
            about.setdefault((it.code, it.message, it.fix), (it, []))[1].append(name)
    ordered = sorted(about.values(), key=lambda pair: (pair[0].level is not Level.ERROR, pair[0].code))
    told = [line for it, names in ordered for line in _finding(it, names)]
    return [*told, ""] if told else []


def _finding(it: Finding, names: Sequence[str]) -> list[Cell]:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    text = f"{it.code} {', '.join(names[:_SHOWN])}{more}: {it.message}"
    first, *rest = textwrap.wrap(text, _WIDTH - 2, break_on_hyphens=False, break_long_words=False)
    sign = BAD if it.level is Level.ERROR else WARN
    # commands are for copying: they are not broken
    return [Text.assemble(sign, " ", first), *(f"    {part}" for part in rest), f"    fix: {it.fix}"]


def _total(mesh: Mesh, survey: Survey, rows: Sequence[Row]) -> str:
    counts = Counter(row.standing for row in rows)
    shown = ", ".join(f"{counts[it]} {it}" for it in Standing if counts[it])
    planes = ", ".join(" ".join(filter(None, (it.revision, it.version))) for it in survey.planes)
    seen = length(survey.traffic.window) if not survey.traffic.problem else "unknown"
    some = f"{len(rows)} workload{'' if len(rows) == 1 else 's'}"
    return f"{some}: {shown}   {mesh.name}: {planes or 'no control plane seen'}   traffic: {seen}"


# -- for machines


def as_json(mesh: Mesh, survey: Survey, rows: Sequence[Row]) -> dict[str, Any]:
    """The same for machines; shares from 0 to 1, amounts in the window."""
    traffic = survey.traffic
    return {
        "mesh": mesh.name,
        "namespace": survey.namespace or None,
        "windowSeconds": traffic.window,
        "traffic": {"known": not traffic.problem, "complete": traffic.complete, "problem": traffic.problem},
        "controlPlanes": [
            {
                "revision": it.revision,
                "namespace": it.ref.namespace,
                "name": it.ref.name,
                "version": it.version,
                "ready": it.ready,
                "tags": list(it.tags),
            }
            for it in survey.planes
        ],
        "unseen": list(survey.unseen),
        "workloads": [_row_json(row) for row in rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    view = row.view
    return {
        "kind": row.unit.kind.name,
        "namespace": row.unit.namespace,
        "name": row.unit.name,
        "standing": str(row.standing),
        "pods": [
            {"name": it.pod, "carrier": str(it.carrier), "ready": it.ready, "revision": it.revision}
            for it in view.proxies
        ],
        "nextPod": {
            "proxy": view.next.proxy,
            "because": str(view.next.because),
            "why": view.next.why,
            "revision": view.next.revision,
            "ambient": view.next.ambient,
        },
        "mtls": {**_mtls_json(view.mtls), "pods": {name: _mtls_json(it) for name, it in sorted(view.pods.items())}},
        "bypassedPorts": list(view.bypassed),
        "services": [it["metadata"]["name"] for it in view.services],
        "rules": [
            {"object": str(it.ref), "path": it.path, "mode": it.mode, "callers": it.callers or None}
            for it in view.rules
        ],
        "plaintext": {
            "requests": _share_json(share(row.inbound, tcp=False)),
            "connections": _share_json(share(row.inbound, tcp=True)),
        },
        "callers": [
            {
                "namespace": it.source.namespace or None,
                "workload": it.source.name or None,
                "principal": it.source.principal or None,
                "protocol": it.protocol,
                "mtls": it.secure,
                "amount": it.amount,
            }
            for it in row.inbound
        ],
        "findings": findings_json(row.findings),
    }


def _mtls_json(mtls: Mtls) -> dict[str, Any]:
    ports = {str(port): _setting_json(it) for port, it in sorted(mtls.ports.items())}
    return {**_setting_json(mtls.workload), "ports": ports}


def _setting_json(setting: Setting) -> dict[str, Any]:
    return {"mode": str(setting.mode), "scope": setting.scope, "from": str(setting.ref) if setting.ref else None}


def _share_json(found: Share | None) -> dict[str, float] | None:
    return None if found is None else {"total": found.total, "plain": found.plain, "share": found.share}
