"""The command line of the bench: see the package."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import bench.scale
from bench.scale.api import Api, Json
from bench.scale.exporter import Exporter
from bench.scale.figures import Window, gaps, ready, rollbacks, told, triggered, weights
from bench.scale.report import Start, active, idle, rolled_back
from bench.scale.rig import CONTROLLER, Rig
from bench.scale.shops import candidate_pods, change, install, make, stable_pods
from bench.scale.usage import Mark, memory
from lab.wait import wait_for

RUNS = "/apis/meshrollout.dev/v1alpha1/planruns"
PLANS = "/apis/meshrollout.dev/v1alpha1/canaryplans"
PATIENCE = 300.0
"""Seconds for anything to come true: much more than it takes, so that a slow machine still tells how slow it is."""


def say(line: str) -> None:
    """Print a line of progress, beside the figures."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Measure, print figures, and return the exit code: 1 when something did not happen at all."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=bench.scale.__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=50, help="how many (N)")
    parser.add_argument("--namespaces", type=int, default=5, help="over so many namespaces")
    parser.add_argument("--idle", type=float, default=120, help="seconds at rest")
    parser.add_argument("--active", type=float, default=120, help="seconds with weights going up")
    parser.add_argument("--victims", type=int, default=20, help="how many turn bad at the end")
    parser.add_argument("--seed", type=int, default=1, help="chooses them")
    parser.add_argument("--lab", default="bench-scale", help="name of the lab")
    parser.add_argument("--profile", type=Path, help="let the controller write its cProfile here; makes it slower")
    parser.add_argument("--keep", action="store_true", help="leave the lab up, to look into it")
    args = parser.parse_args(argv)
    rig, exporter = Rig(args.lab, say), Exporter()
    try:
        return _Bench(args, rig, exporter).run()
    finally:
        exporter.stop()
        if not args.keep:
            rig.down()


class _Bench:
    """One measurement from beginning to end."""

    def __init__(self, args: argparse.Namespace, rig: Rig, exporter: Exporter) -> None:
        self.args, self.rig, self.exporter = args, rig, exporter
        self.shops = make(args.plans, args.namespaces)
        self.api: Api
        self.wrong: list[str] = []

    def run(self) -> int:
        """All phases."""
        self._set_up()
        initialized = self._at_rest()
        started = self._begin()
        self._go(started)
        self._spoil(initialized)
        self.rig.stop_controller()
        for line in self.wrong:
            say(f"WRONG: {line}")
        return 1 if self.wrong else 0

    def _set_up(self) -> None:
        self.api = self.rig.up()
        self.rig.start_prometheus(self.exporter.start())
        say(f"{len(self.shops)} shops")
        install(self.api, self.shops)
        self._wait("pods", lambda: len(stable_pods(self.api, self.shops)) == len(self.shops))
        self.exporter.add(stable_pods(self.api, self.shops))
        time.sleep(10)  # Prometheus knows the stable pods, the controllers of Kubernetes are done

    def _at_rest(self) -> float:
        began = time.monotonic()
        self.rig.start_controller(self.args.profile)
        self._wait("plans at rest", lambda: self._phases().count("Idle") == len(self.shops), 0.5)
        took = time.monotonic() - began
        say(f"all at rest {took:.1f} s after the controller's start")
        time.sleep(5)
        before = Mark.now(self.rig)
        time.sleep(self.args.idle)
        window = Window.between(self.rig, before, Mark.now(self.rig))
        print(idle(len(self.shops), window, memory(self.rig.pid(CONTROLLER))[0]), flush=True)
        if window.ours or window.asked:
            self.wrong.append(f"at rest {dict(window.kinds())}, {window.asked} queries")
        return took

    def _phases(self) -> list[str]:
        return [(plan.get("status") or {}).get("phase", "") for plan in self.api.items(PLANS)]

    def _begin(self) -> Mark:
        """Ask for the new version of all, and return when the slowest has its first traffic."""
        before = Mark.now(self.rig)
        change(self.api, self.shops)

        def all_started() -> bool:
            self.exporter.add(candidate_pods(self.api, self.shops))
            return sum(len(times) > 1 for times in weights(self.rig, before.audited).values()) == len(self.shops)

        self._wait("first traffic", all_started, watched=CONTROLLER)
        self.exporter.add(candidate_pods(self.api, self.shops))
        return before

    def _go(self, trigger: Mark) -> None:
        """The weights go up."""
        before = Mark.now(self.rig)
        time.sleep(self.args.active)
        window = Window.between(self.rig, before, Mark.now(self.rig))
        written, asked = weights(self.rig, trigger.audited), triggered(self.rig, trigger.audited)
        first = [times[1] - asked[key] for key, times in written.items() if len(times) > 1]
        there = ready(self.rig, trigger.audited)
        after = [times[1] - there[key] for key, times in written.items() if len(times) > 1 and key in there]
        starting = Window.between(self.rig, trigger, before)
        resident = memory(self.rig.pid(CONTROLLER))
        print(active(len(self.shops), window, gaps(written.values(), window), resident))
        print(Start(first, after, starting).text(), flush=True)

    def _spoil(self, initialized: float) -> None:
        """Some turn bad."""
        chance = random.Random(self.args.seed)  # noqa: S311 - chooses victims, keeps no secret
        victims = chance.sample(self.shops, min(self.args.victims, len(self.shops)))
        self.exporter.spoil(shop.candidate for shop in victims)
        bad = {(shop.namespace, shop.name) for shop in victims}

        def ended() -> bool:
            runs = [run for run in self._runs() if (run["metadata"]["namespace"], run["spec"]["plan"]) in bad]
            return all((run.get("status") or {}).get("endedAt") for run in runs)

        self._wait("rollbacks", ended, 3)
        runs, written = self._runs(), weights(self.rig, 0)
        result = rollbacks(runs, victims, written, self.exporter.first_bad_scrape)
        print(rolled_back(len(self.shops), initialized, result, len(victims)))
        self.wrong += [f"not rolled back: {name}" for name in result.missing]
        self.wrong += [f"rolled back without a reason: {name}" for name in result.innocent]
        self._cross_check(runs, written, {(shop.namespace, shop.name) for shop in victims})

    def _cross_check(
        self, runs: list[Json], written: dict[tuple[str, str], list[float]], bad: set[tuple[str, str]]
    ) -> None:
        """What the runs say that they did is what the API server saw: a pin, and each weight once."""
        for key, number in told(runs).items():
            seen = len(written.get(key, ())) - 1
            # the last weight may be written but not told yet, or the other way round
            if key not in bad and abs(seen - number) > 1:
                self.wrong.append(f"{key}: {seen} weights written, {number} told of")

    def _runs(self) -> list[Json]:
        return self.api.items(RUNS)

    def _wait(self, what: str, true: Callable[[], bool], pause: float = 1.0, watched: str = "kube-apiserver") -> None:
        """Wait for something that needs the program `watched`, whose death is an error at once."""
        began = time.monotonic()
        if not wait_for(lambda: bool(self.rig.pid(watched)) and true(), PATIENCE, pause):
            self.wrong.append(f"{what}: not after {PATIENCE:.0f} s")
        say(f"{what}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
