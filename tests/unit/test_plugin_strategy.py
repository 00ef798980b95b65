"""A strategy from a package of somebody else's: found by its entry point, and run to its end like ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.cli.lint import known
from rollout.decide.reason import Reason
from rollout.plan.lint import lint
from rollout.plan.parse import parse
from rollout.plan.run import Phase
from rollout.registry import strategies
from tests.kit import sim as kit
from tests.kit.packages import installed
from tests.kit.plans import CLEAN, text
from tests.kit.scenes import at_weight, play
from tests.kit.shell import Shell
from tests.kit.sim import BAD, GOOD, Sim

TOY = """
from rollout.errors import InvalidInput
from rollout.plan.program import Backends, Conclude, CountGate, Prepare, Program, Release, Route, Side, Step


class Sprint:
    name = "toy-sprint"

    def compile(self, plan, facts):
        spec = plan.spec
        if spec.target is None:
            raise InvalidInput("toy-sprint needs a target")
        name = spec.target.name
        gate = CountGate("success", "success", every=2.0, failures=2, over=5, min=0.99, min_requests=10)
        both = Backends(
            plan.metadata.namespace,
            spec.service or name,
            facts.run,
            Side(name, labels={"pod-template-hash": facts.stable_hash}),
            Side(f"{name}-canary", labels={"meshrollout.dev/run": facts.run}),
        )
        steps = (
            Step("sprint", (Prepare(42), Route(42)), (gate,), hold=6.0),
            Step("finish", (Prepare(100), Route(100))),
            Step("release", (Release("shift"),), on_failure="hold"),
            Step("conclude", (Conclude(),), on_failure="hold"),
        )
        return Program(self.name, name, both, steps)
"""
PLAN = CLEAN | {"strategy": "toy-sprint"}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, installed as long as a test runs."""
    with installed(tmp_path, monkeypatch, "toystrategy", TOY, "rollout.strategies", toy_sprint="Sprint"):
        yield


def test_a_plan_that_names_it_is_sound_where_it_is_installed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = known()
    assert [it.code for it in lint(parse(text(PLAN)), here)] == ["RO155"]


def test_it_is_found_linted_and_printed_like_ours(toy: None, shell: Shell) -> None:
    assert lint(parse(text(PLAN)), known()) == ()
    path = shell.folder / "toy.yaml"
    path.write_text(text(PLAN))
    printed = shell.run("plan", str(path)).stdout
    assert "toy-sprint by istio" in printed
    assert "42" in printed


@pytest.mark.parametrize(("image", "end"), [(GOOD, Phase.SUCCEEDED), (BAD, Phase.ROLLED_BACK)])
async def test_its_program_runs_to_the_end_and_leaves_nothing(
    toy: None, monkeypatch: pytest.MonkeyPatch, image: str, end: Phase
) -> None:
    monkeypatch.setattr(kit, "STRATEGIES", strategies())
    sim = Sim(image=image)
    sim.plan["spec"]["strategy"] = "toy-sprint"
    seen: list[float] = []
    view = await play(sim, lambda view: seen.append(view.state.weight) if at_weight(42)(view) else None)
    assert view.state.phase is end
    assert (view.state.reason == Reason.GATE_FAILED) is (image == BAD)
    assert set(seen) >= {42.0}
    assert view.spec.program.strategy == "toy-sprint"
    assert sim.at_rest(promoted=end is Phase.SUCCEEDED) == []
