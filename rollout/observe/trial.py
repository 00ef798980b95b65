"""The gates of a program, asked of a live target for a while, without a run: nothing is written anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.decide.gates import look
from rollout.decide.seen import Sample
from rollout.observe import questions
from rollout.plan.program import Gate, Program, ReadyGate
from rollout.plan.run import GateState
from rollout.ports.metrics import Ask
from rollout.ports.world import World


def askable(program: Program) -> tuple[Gate, ...]:
    """The gates that metrics answer, each once, in the order of the steps."""
    found = {gate.name: gate for step in program.steps for gate in step.gates if not isinstance(gate, ReadyGate)}
    return tuple(found.values())


async def tried(
    world: World, program: Program, namespace: str, gates: Sequence[Gate], *, length: float, weight: float
) -> Mapping[str, GateState]:
    """What the gates remember after `length` seconds, each having looked in its own time, and at the end.

    `weight`: percent of the requests that the candidate has been given, by whoever did.
    """
    # a version that serves already has a past, which is no evidence: the first value says where it ends
    states = {gate.name: GateState(anew=True) for gate in gates}
    end = world.clock.now() + length
    while True:
        now = world.clock.now()
        due = [gate for gate in gates if states[gate.name].next_look <= now or now >= end]
        for name, sample in (await _asked(world, program, namespace, due, states, now)).items():
            gate = next(it for it in due if it.name == name)
            states[name] = look(gate, states[name], sample, now, judged=True, weight=weight)
        if now >= end:
            return states
        following = min([end, *(state.next_look for state in states.values())])
        await world.clock.sleep(max(following - world.clock.now(), 0.1))


async def _asked(
    world: World,
    program: Program,
    namespace: str,
    gates: Sequence[Gate],
    states: Mapping[str, GateState],
    now: float,
) -> Mapping[str, Sample]:
    asks, pasts = {}, {}
    for gate in gates:
        if isinstance(gate, ReadyGate):
            continue
        state = states[gate.name]
        asks[gate.name] = questions.of(gate, program, namespace, state, now, now)
        if past := questions.before(gate, program, namespace, state, now):
            pasts[gate.name] = past
    every: list[Ask] = list(dict.fromkeys([*(ask for both in asks.values() for ask in both), *pasts.values()]))
    answers = await world.metrics.ask(every)
    by_name = {gate.name: gate for gate in gates}
    return {
        name: questions.sample(
            by_name[name], [answers[ask] for ask in both], answers[pasts[name]] if name in pasts else None
        )
        for name, both in asks.items()
    }
