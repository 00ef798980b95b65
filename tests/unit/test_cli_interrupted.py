"""Ctrl-C during `rollout start`: at any moment it says where the traffic is, and what goes on or goes home."""

from __future__ import annotations

import asyncio
import signal

import pytest

from rollout.controller import foreground
from rollout.plan.kinds import DEPLOYMENT
from tests.kit.shell import GOOD, Shell


def press_ctrl_c(shell: Shell, times: int) -> None:
    """Once the candidate has traffic, and again nine simulated seconds later."""
    since: list[float] = []

    def tick() -> None:
        now = shell.simulation.clock.now()
        routed = shell.simulation.traffic.ledger.by_workload["web-canary"] > 0
        if routed and len(since) < times and (not since or now - since[-1] >= 9):
            since.append(now)
            signal.raise_signal(signal.SIGINT)

    shell.simulation.clock.each_second(tick)


def test_ctrl_c_takes_the_traffic_home(shell: Shell) -> None:
    press_ctrl_c(shell, times=1)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 130
    assert "taking the traffic home; Ctrl-C again leaves it where it is" in done.stderr
    assert "Aborted" in done.stdout
    assert "next: rollout why" in done.stderr
    assert shell.at_rest()


def interrupted_in(shell: Shell, function: str, *, done: bool) -> str:
    """Ctrl-C when the engine begins (or has done) a part of the start; what is said."""
    real = getattr(foreground, function)

    async def pressed(*args: object) -> None:
        if done:
            await real(*args)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(foreground, function, pressed)
        result = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert result.exit_code == 130
    return " ".join(result.stderr.split())


def test_ctrl_c_before_anything_was_held_says_so(shell: Shell) -> None:
    assert "nothing but the plan was written" in interrupted_in(shell, "arm", done=False)
    assert shell.image() == "shop/web:1.0"


def test_ctrl_c_between_the_hold_and_the_run_says_how_to_go_on_and_how_to_let_go(shell: Shell) -> None:
    said = interrupted_in(shell, "create_run", done=False)
    assert "Deployment/web holds the new version, and nobody tries it" in said
    assert "next: rollout start web -n shop tries it" in said
    assert "rollout start web -n shop --image app=shop/web:1.0 lets it go" in said
    assert shell.run("start", "web", "-n", "shop", "--image", "app=shop/web:1.0").exit_code != 0
    assert not shell.simulation.get(DEPLOYMENT, "web")["spec"].get("paused")
    assert shell.at_rest()


def test_ctrl_c_when_there_is_a_run_that_nobody_drives_says_so(shell: Shell) -> None:
    said = interrupted_in(shell, "create_run", done=True)
    assert "is there, and nobody drives it" in said
    assert shell.run("start", "web", "-n", "shop").exit_code == 0


def test_ctrl_c_twice_leaves_and_says_what_that_means(shell: Shell) -> None:
    press_ctrl_c(shell, times=2)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 130
    assert "nobody watches it" in done.stderr
    assert "rollout start web -n shop resumes" in done.stderr
    assert not shell.at_rest()


def test_ctrl_c_with_leave_leaves_at_once(shell: Shell) -> None:
    press_ctrl_c(shell, times=1)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}", "--leave")
    assert done.exit_code == 130
    assert "the traffic stays where it is" in done.stderr
    assert not shell.at_rest()
    assert shell.run("start", "web").exit_code == 0
    assert shell.at_rest()
