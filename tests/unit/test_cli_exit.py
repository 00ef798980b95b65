"""Exit codes: one table for errors and phases."""

from __future__ import annotations

import pytest

from rollout import errors
from rollout.cli.exit import Code, Interrupted, TimedOut, UsageError, of_error, of_phase
from rollout.plan.run import Phase


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase.SUCCEEDED, Code.GOOD),
        (Phase.ROLLED_BACK, Code.ROLLED_BACK),
        (Phase.ABORTED, Code.ROLLED_BACK),
        (Phase.SUPERSEDED, Code.ROLLED_BACK),
        (Phase.HELD, Code.HELD),
        *((phase, Code.GOOD) for phase in Phase if not phase.ended and phase is not Phase.HELD),
    ],
)
def test_a_phase_has_its_code(phase: Phase, code: Code) -> None:
    assert of_phase(phase) is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RolloutError("x"), 1),
        (errors.NotFound("x"), 1),
        (errors.Unavailable("x"), 1),
        (UsageError("x"), 2),
        (errors.InvalidInput("x"), 4),
        (errors.Rejected("x"), 4),
        (TimedOut("x"), 5),
        (errors.Forbidden("x"), 6),
        (Interrupted("x"), 130),
    ],
)
def test_an_error_has_its_code(error: errors.RolloutError, code: int) -> None:
    assert of_error(error) == code
