"""simulate: what the gates of a plan would catch, before it runs."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Mapping
from pathlib import Path

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.plan import compiled
from rollout.cli.plan import preview as preview_of
from rollout.cli.render import simulate as render
from rollout.cli.render.curve import drawing
from rollout.cli.session import connected
from rollout.cli.source import from_file, is_file
from rollout.decide.simulate import Rates, Tried, foretell, tried_gates
from rollout.errors import InvalidInput
from rollout.observe import rates as observed
from rollout.plan.base import ratio
from rollout.plan.kinds import Ref
from rollout.plan.program import Program

ERRORS, SLOW = "0.1%", "1%"


def simulate(
    common: Common,
    source: str,
    *,
    rps: float | None,
    errors: str | None,
    slow: str | None,
    bursts: float,
    seed: int | None,
    svg: str | None,
) -> int:
    """Try and print."""
    if rps is None and (errors or slow):
        raise UsageError("--errors and --slow go with --rps", hint="add --rps, or leave them out to ask Prometheus")
    seed = seed if seed is not None else secrets.randbelow(1_000_000)
    if rps is not None:
        shares = {"success": _share(errors or ERRORS, "--errors"), "slow": _share(slow or SLOW, "--slow")}
        ref, program = asyncio.run(_program(common, source))
        gates = _gates(ref, program)
        rates: Mapping[str, Rates] = {gate.name: Rates(rps, shares[gate.metric], bursts) for gate in gates}
        lacking, said = "", "traffic as given"
    else:
        ref, program, gates, rates, lacking = asyncio.run(_observed(common, source))
        said = "traffic of the last 30m"
    chance = random.Random(seed)  # noqa: S311 - chance, no secret
    told = [foretell(program, gate, rates[gate.name], chance) for gate in gates if gate.name in rates]
    if not told:
        raise InvalidInput(f"nothing is known of its traffic: {lacking}", where=str(ref), hint="give it with --rps")
    found = render.Simulation(ref, seed, said, tuple(told), lacking)
    if svg is not None:
        _write(svg, drawing(found))
    Printer(common).emit(lambda: render.as_json(found), lambda: render.table(found), [ref.name])
    return Code.GOOD


async def _program(common: Common, source: str) -> tuple[Ref, Program]:
    if is_file(source):
        given = from_file(source, common.namespace)
        _ = given.canary
        found = preview_of(common, given)
        return found.ref, found.program
    async with connected(common) as session:
        given = await session.given(source, common.namespace)
        _ = given.canary
        found = await compiled(session, given)
        return found.ref, found.program


async def _observed(common: Common, source: str) -> tuple[Ref, Program, tuple[Tried, ...], Mapping[str, Rates], str]:
    async with connected(common) as session:
        given = await session.given(source, common.namespace)
        _ = given.canary
        found = await compiled(session, given)
        gates = _gates(found.ref, found.program)
        rates, lacking = await observed.recent(
            session.world.metrics, found.program, found.ref.namespace, gates, session.world.clock.now()
        )
        return found.ref, found.program, gates, rates, lacking


def _gates(ref: Ref, program: Program) -> tuple[Tried, ...]:
    gates = tried_gates(program)
    if not gates:
        raise InvalidInput(
            "has no gate that counts requests: there is nothing to try",
            where=str(ref),
            hint="use gates of type compare, or of type threshold with a metric",
        )
    return gates


def _share(text: str, option: str) -> float:
    try:
        share = ratio(text) if text.endswith("%") else -1.0
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise UsageError(f"{option} {text} is no share of requests", hint="write it as 0.5%")
    return share


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(error.strerror or str(error), where=file, hint="name a file that can be written") from error
