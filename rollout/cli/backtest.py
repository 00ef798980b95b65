"""simulate --history: the gates of a plan on what its service really did, with nothing new in it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.text import Text

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common, duration
from rollout.cli.out import Printer
from rollout.cli.plan import compiled
from rollout.cli.render.words import columns, length, lines, stamp
from rollout.cli.session import connected
from rollout.decide.backtest import End, Start, backtest, starts, summed
from rollout.decide.backtest import length as duration_of
from rollout.decide.simulate import tried_gates
from rollout.errors import InvalidInput, RolloutError
from rollout.observe.questions import STEP
from rollout.observe.rates import pasts
from rollout.plan.kinds import Ref

SHOWN: Final = 10
"""So many rejections are printed; -o json has all."""
_WORDS: Final[Mapping[End, str]] = {
    "finish": "would finish",
    "rejected": "would be rejected",
    "wait": "would wait for more traffic",
    "no-data": "would wait for data",
}


@dataclass(frozen=True, slots=True)
class Tested:
    """What came out."""

    ref: Ref
    window: float
    starts: Sequence[Start]
    lacking: str


def history(common: Common, source: str, *, window: str, step: str) -> int:
    """Ask, judge, print. 3 when a sound version would have been rejected."""
    back, every = duration(window) or 0.0, duration(step) or 0.0
    if back <= 0 or every <= 0:
        raise UsageError("--history and --step are times over 0", hint="write them as 7d and 1h")
    return asyncio.run(_history(common, source, back, every))


async def _history(common: Common, source: str, back: float, every: float) -> int:
    async with connected(common) as session:
        given = await session.given(source, common.namespace)
        _ = given.canary
        found = await compiled(session, given)
        program, gates, metrics = found.program, tried_gates(found.program), session.world.metrics
        now = session.world.clock.now() // STEP * STEP
        known, lacking = await pasts(metrics, program, found.ref.namespace, gates, now - back, now)
    if not known:
        raise _nothing(found.ref, lacking)
    moments = starts(program, known, now - back, now, every)
    if not moments:
        raise InvalidInput(
            f"the plan lasts {length(duration_of(program))}, longer than its metrics reach back",
            where=str(found.ref),
            hint="use a longer --history",
        )
    tested = Tested(found.ref, back, backtest(program, known, gates, moments), lacking)
    Printer(common).emit(lambda: _json(tested), lambda: _table(tested), [found.ref.name])
    return Code.ROLLED_BACK if summed(tested.starts).get("rejected") else Code.GOOD


def _nothing(ref: Ref, lacking: str) -> RolloutError:
    return InvalidInput(
        f"nothing is known of its past: {lacking or 'no gate counts requests'}",
        where=str(ref),
        hint="rollout check says what its metrics lack",
    )


def _table(tested: Tested) -> Text:
    ref, total = tested.ref, len(tested.starts)
    head = Text.assemble((f"BACKTEST {ref.namespace or 'default'}/{ref.name}", "bold"))
    head.append(f"   {length(tested.window)} of its own metrics, {total} start times, nothing new in any of them")
    counts = summed(tested.starts)
    ends = [(word, counts.get(end, 0)) for end, word in _WORDS.items()]
    rows = [[word, str(count), f"{100 * count / total:.1f} %"] for word, count in ends]
    parts: list[Text | str] = [head, *columns(rows, indent="  ")]
    rejected = [start for start in tested.starts if start.end == "rejected"]
    parts += [f"  {stamp(one.at)} step {one.step}: {one.text}" for one in rejected[:SHOWN]]
    if len(rejected) > SHOWN:
        parts.append(f"  and {len(rejected) - SHOWN} more: -o json")
    waits = Counter((one.gate, one.step) for one in tested.starts if one.end in ("wait", "no-data"))
    parts += [f"  waits at step {step} for {gate}: {count}" for (gate, step), count in waits.most_common(SHOWN)]
    if tested.lacking:
        parts.append(f"not tried: {tested.lacking}")
    return lines(parts)


def _json(tested: Tested) -> dict[str, Any]:
    return {
        "namespace": tested.ref.namespace,
        "plan": tested.ref.name,
        "windowSeconds": tested.window,
        "outcomes": dict(summed(tested.starts)),
        "starts": [
            {"at": stamp(one.at), "outcome": one.end, "gate": one.gate, "step": one.step, "text": one.text}
            for one in tested.starts
        ],
        "notTried": tested.lacking,
    }
