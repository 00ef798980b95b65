"""Releases in the lab that are judged by evidence, and what their callers saw of it.

A shop's callers send so many requests that the candidate gets about ten a second: little, for a service that matters.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lab import Report
from rollout.decide import matrix, memory
from rollout.decide.evidence.effect import judge, least_effect
from rollout.decide.evidence.tempered import log_e
from rollout.plan.base import Json
from rollout.plan.evidence import Evidence
from rollout.plan.run import RUN_SPEC, STATE, RunSpec, Segment, State
from rollout.plan.sequential import CompareGate
from tests.kit.processes import Engine
from tests.kit.shop import Shop, canary

RATE: Final = 40
WEIGHT: Final = 25.0
"""Requests/s of a shop's callers, and percent of them that the candidate gets."""
PATIENCE: Final = 300.0
"""Seconds that a run may take on a busy machine."""
FIXED: Final[Json] = {
    "name": "fixed",
    "metric": "success",
    "min": "99%",
    "minRequests": 1,
    "failures": 1,
    "over": 1,
    "observeOnly": True,
}
"""What most canaries are judged by, beside the real judgement: it only says what it would have done."""


def plan(ns: str, hold: str, gates: Sequence[Json] | None = None) -> Json:
    """One step, then a native roll. Without gates: those that a plan has when it names none."""
    whole = canary(ns, (WEIGHT,), hold=hold, gates=gates or ())
    whole["spec"]["promotion"] = {"mode": "native", "deadline": "10m"}
    whole["spec"]["analysis"]["deadline"] = "20m"  # on a busy machine it must not be what ends a run
    if gates is None:
        del whole["spec"]["analysis"]["gates"]
    return whole


@dataclass(frozen=True, slots=True)
class Caught:
    """A bad version that was taken back, as its callers saw it."""

    seconds: float
    """From its first bad request (where none was answered 5xx: from its first) to its last of any kind."""
    bad: int
    """Bad requests that it answered."""
    message: str


def bad(report: Report, version: str) -> int:
    """Bad requests of one version."""
    return sum(one.count for one in report.counts if one.version == version and one.bad)


def caught(shop: Shop, image: str, wanted: Json) -> Caught:
    """Start a bad version, and assert that it is taken back by a gate."""
    shop.traffic(RATE)
    engine = shop.start(wanted, image)
    code = engine.wait(PATIENCE)
    report = shop.account(image)
    assert code == 3, engine.text()
    failed = shop.run["state"]["failed"]
    assert failed["reason"] == "GateFailed", failed
    served = [one for one in report.counts if one.version == image]
    first = min(one.first_ns for one in served if one.bad or not bad(report, image))
    last = max(one.last_ns for one in served)
    found = Caught((last - first) / 1e9, bad(report, image), failed["message"])
    print(f"[{shop.ns}, {image}] home after {found.seconds:.1f} s and {found.bad} bad requests: {found.message}")
    return found


def good(shop: Shop, image: str, wanted: Json) -> Report:
    """Start a good version, and assert that it is promoted."""
    shop.traffic(RATE)
    return ended_well(shop, shop.start(wanted, image))


def ended_well(shop: Shop, engine: Engine) -> Report:
    """Assert that a run ends with its version promoted, and never had another mind; what the callers saw."""
    code = engine.wait(PATIENCE)
    report = shop.account(f"{shop.ns}, promoted")
    assert code == 0, engine.text()
    assert shop.run["phase"] == "Succeeded"
    assert shop.note("GateFailed") is None
    return report


def stored(shop: Shop) -> tuple[RunSpec, State]:
    """The newest run as the cluster keeps it."""
    run = max(shop.get("planruns")["items"], key=lambda it: int(it["spec"]["attempt"]))
    return RUN_SPEC.validate_python(run["spec"]), STATE.validate_python(run["status"]["state"])


def replayed(shop: Shop) -> list[Json]:
    """All looks of the newest run by `rollout replay`; asserts that each comes out as the run remembers it."""
    done = shop.rollout("replay", "web", "-o", "json")
    assert done.code == 0, done
    found = json.loads(done.out)
    assert (found["same"], found["complete"], found["differences"]) == (True, True, []), found
    looks: list[Json] = [it for it in found["looks"] if it["verdict"]]
    _, state = stored(shop)
    for name, gate in state.gates.items():
        told = [(it["verdict"], it["text"]) for it in looks if it["gate"] == name]
        kept = [(it.verdict, it.text) for it in gate.looks]
        assert kept, f"{name} has not looked"
        assert told[-len(kept) :] == kept
    if state.failed is not None:
        assert state.failed.message in {f"{it['gate']}: {it['text']}" for it in looks if it["verdict"] == "fail"}
    return looks


def verdicts(shop: Shop) -> set[str]:
    """The words of all looks of the newest run."""
    spec, state = stored(shop)
    looks, _ = matrix.replay(spec.program, state.matrix)
    return {it.look.verdict for it in looks if it.look is not None}


def by_fixed_limit(shop: Shop) -> bool:
    """Whether the gate `FIXED` would have taken the newest run's version back."""
    spec, state = stored(shop)
    looks, _ = matrix.replay(spec.program, state.matrix)
    return any(it.look is not None and it.look.verdict == "fail" for it in looks if it.row.gate == FIXED["name"])


def without_burst_factor(shop: Shop) -> bool:
    """Whether the newest run's version would have been taken back, were each error taken for one of its own."""
    spec, state = stored(shop)
    (segment,) = state.matrix
    gates = {gate.name: gate for gate in spec.program.steps[0].gates if isinstance(gate, CompareGate)}
    for count, row in enumerate(segment.rows, 1):
        _, states = matrix.replay(spec.program, (Segment(segment.base, segment.rows[:count]),))
        gate, known = gates.get(row.gate), states[row.gate].evidence
        if gate is not None and known is not None and _fails(gate, known, phi=1.0):
            return True
    return False


def _fails(gate: CompareGate, known: Evidence, *, phi: float) -> bool:
    strength, seen = log_e(memory.tempered(known.worse), phi), memory.tallied(known)
    return judge(strength, seen, alpha=gate.alpha, gates=1, least=least_effect(gate.tolerance), phi=phi).failed


def holding(shop: Shop, engine: Engine, reason: str, *words: str) -> None:
    """Wait until the run holds for a reason; assert that `why` and `status` tell it, in these words."""

    def told(run: Json) -> bool:
        found: bool = run.get("phase") == "Holding" and run.get("reason") == reason
        return found and all(word in run.get("message", "") for word in words)

    shop.until(told, engine, 120)
    why, status = shop.rollout("why", "web"), shop.rollout("status", "web")
    assert (why.code, status.code) == (0, 0), (why, status)
    for done in (why, status):
        text = " ".join(done.out.split())
        assert all(word in text for word in words), f"not said: {words}\n{done.out}"
    print(f"[{shop.ns}] holds, {reason}: {shop.run['message']}")
