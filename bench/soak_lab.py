"""The lab's half of `make soak`: real runs under load, with two controllers as pods and random faults around them.

Good and bad versions alternate.  After each run the invariants are checked, and at the end a table tells all of them.
`python -m bench.soak_lab --runs 1 --first N` tells the story of seed N again, as far as a real cluster can.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab import Lab, LabError
from lab.wait import wait_for
from rollout.plan.base import Json
from tests.kit.installed import NAME, Installed, commit
from tests.kit.shop import SUCCESS, Shop, canary

RATE: Final = 20
"""Requests per second."""
LONG: Final = 600.0
"""Seconds that a run gets; without a fault it takes about 40."""
AWAY: Final[Mapping[str, float]] = {"no kube-apiserver": 60.0, "no prometheus": 120.0}
"""Seconds that what is stopped stays away; other faults last 3 to 20."""
SPREAD: Final = 25.0
"""Seconds from the push in which faults begin."""
BAD: Final = "1.2-errors"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks `at` seconds after the push, and lasts `seconds` where it is no crash."""

    name: str
    at: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.name}@{self.at:.0f}s" + (f"/{self.seconds:.0f}s" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Line:
    """One run in the report."""

    number: int
    seed: int
    faults: tuple[Fault, ...]
    version: str
    outcome: str
    requests: int
    failed: int
    seconds: float
    wrong: Mapping[str, str]
    """What was broken: the invariant, and how."""


HOLDS: Final = (
    "the run ends",
    "it ends as its version deserves",
    "one run for one revision",
    "each weight is set once",
    "specs are their owner's again, and nothing of ours is left",
    "one version runs",
    "no request fails but the bad version's own",
    "the lab heals",
)
"""The invariants that are looked at after each run."""


def faults(seed: int) -> tuple[Fault, ...]:
    """What goes wrong in the run with this seed: one to three things, in order of time."""
    rng = random.Random(seed)  # noqa: S311  a story, not a secret
    found = []
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(tuple(BREAK))
        lasting = 0.0 if name.startswith("kill") else AWAY.get(name) or rng.uniform(3, 20)
        found.append(Fault(name, rng.uniform(0, SPREAD), lasting))
    return tuple(sorted(found, key=lambda it: it.at))


def _pod(controller: Installed, *, leads: bool) -> str:
    """The controller's pod that leads, or one that does not."""
    pods, holder = controller.lab.controller.pods(), controller.holder()
    chosen = [pod for pod in pods if (pod == holder) is leads] or pods
    return f"rollout-system/{chosen[0]}"


def _kill(target: Callable[[Installed], str]) -> Callable[[Installed, float], None]:
    return lambda controller, _: controller.lab.faults.kill(target(controller))


def _freeze(target: Callable[[Installed], str]) -> Callable[[Installed, float], None]:
    def freeze(controller: Installed, seconds: float) -> None:
        with controller.lab.faults.frozen(target(controller)):
            time.sleep(seconds)

    return freeze


def _away(program: str) -> Callable[[Installed, float], None]:
    def away(controller: Installed, seconds: float) -> None:
        controller.lab.faults.stop(program)
        time.sleep(seconds)
        controller.lab.faults.start(program)

    return away


def _network(*, delay_ms: float = 0, loss: float = 0) -> Callable[[Installed, float], None]:
    def network(controller: Installed, seconds: float) -> None:
        controller.lab.faults.network(delay_ms=delay_ms, loss=loss)
        time.sleep(seconds)

    return network


BREAK: Final[Mapping[str, Callable[[Installed, float], None]]] = {
    "kill leader": _kill(lambda it: _pod(it, leads=True)),
    "kill follower": _kill(lambda it: _pod(it, leads=False)),
    "freeze leader": _freeze(lambda it: _pod(it, leads=True)),
    "kill kube-apiserver": _kill(lambda _: "kube-apiserver"),
    "freeze kube-apiserver": _freeze(lambda _: "kube-apiserver"),
    "no kube-apiserver": _away("kube-apiserver"),
    "freeze etcd": _freeze(lambda _: "etcd"),
    "slow etcd": lambda controller, seconds: controller.lab.faults.stutter("etcd", seconds),
    "kill prometheus": _kill(lambda _: "prometheus"),
    "freeze prometheus": _freeze(lambda _: "prometheus"),
    "no prometheus": _away("prometheus"),
    "network delay": _network(delay_ms=100),
    "network loss": _network(loss=0.05),
}
"""Everything that can go wrong. All is between the controller and its servers: no fault excuses a lost request."""


@dataclass(slots=True)
class Breaking:
    """Faults that happen beside a run."""

    controller: Installed
    planned: tuple[Fault, ...]
    trouble: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Let each happen when it is due, one after the other, and heal in the end."""
        began = time.monotonic()
        for fault in self.planned:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            try:
                BREAK[fault.name](self.controller, fault.seconds)
            except LabError as error:
                print(f"{fault} did not happen: {error}", file=sys.stderr)  # what it aims at was away already
            self._heal()

    def _heal(self) -> None:
        try:
            self.controller.lab.faults.heal()
        except LabError as error:
            self.trouble.append(f"the lab does not heal: {error}")


@dataclass(slots=True)
class Soak:
    """One shop that gets version after version."""

    shop: Shop
    controller: Installed
    stable: str = "1.0"

    def run(self, number: int, seed: int, *, bad: bool) -> Line:
        """Push a version, break things, wait for the end, and check the invariants."""
        version = BAD if bad else {"1.0": "1.1", "1.1": "1.0"}[self.stable]
        attempt, began = self._attempt() + 1, time.monotonic()
        breaking = Breaking(self.controller, faults(seed))
        self.shop.traffic(RATE)
        self.shop.push(version)
        thread = threading.Thread(target=breaking.play)
        thread.start()
        over = wait_for(lambda: self._ended(attempt), LONG, 0.5)
        seconds = time.monotonic() - began
        thread.join()
        wrong = self._wrong(attempt, version, bad=bad) if over else {"the run ends": f"not in {LONG:.0f} s"}
        if breaking.trouble:
            wrong["the lab heals"] = "; ".join(breaking.trouble)
        report = self.shop.account(f"soak {number}, seed {seed}, {version}")
        excused = sum(one.count for one in report.counts if one.version == BAD and one.code >= 500) if bad else 0
        if report.failed > excused:
            wrong["no request fails but the bad version's own"] = f"{report.failed - excused} failed"
        phase = self._phase(attempt)
        if phase == "Succeeded":
            self.stable = version
        return Line(number, seed, breaking.planned, version, phase, report.total, report.failed, seconds, wrong)

    def _runs(self) -> dict[int, Json]:
        """The status of each stored run by its number. Asked for: a watch of ours dies with the API server."""
        return {run["spec"]["attempt"]: run.get("status", {}) for run in self.shop.get("planruns")["items"]}

    def _attempt(self) -> int:
        return max(self._runs(), default=0)

    def _phase(self, attempt: int) -> str:
        return str(self._runs().get(attempt, {}).get("phase", "no run"))

    def _ended(self, attempt: int) -> bool:
        try:
            return "endedAt" in self._runs().get(attempt, {})
        except LabError:
            return False

    def _wrong(self, attempt: int, version: str, *, bad: bool) -> dict[str, str]:
        """What is not as it must be after the end."""
        run, wanted = self._runs()[attempt], "RolledBack" if bad else "Succeeded"
        wrong = {}
        if run["phase"] != wanted:
            wrong["it ends as its version deserves"] = f"{run['phase']}, not {wanted}: {run.get('message')}"
        if (more := self._attempt() - attempt) > 0:
            wrong["one run for one revision"] = f"there are {more + 1}"
        told = [note["message"] for note in run["state"]["notes"] if note["reason"] == "WeightSet"]
        if len(told) != len(set(told)):
            wrong["each weight is set once"] = ", ".join(told)
        try:
            self.shop.at_rest(version, paused=bad)
        except AssertionError as error:
            wrong["specs are their owner's again, and nothing of ours is left"] = " ".join(str(error).split())[:300]
        running = {
            one["spec"]["containers"][0]["image"].rpartition(":")[2]
            for one in self.shop.pods().values()
            if "deletionTimestamp" not in one["metadata"]
        }
        if running != {self.stable if bad else version}:
            wrong["one version runs"] = ", ".join(sorted(running)) or "none"
        return wrong


def soak(
    lab: Lab, folder: Path, seeds: Iterable[int], keep: Callable[[Sequence[Line]], object] = lambda _: None
) -> list[Line]:
    """One run for each seed, in a shop of its own; a bad version every second time. `keep` is given all after each."""
    controller = Installed(lab)
    controller.install()
    shop = Shop(lab, f"shop-{secrets.token_hex(3)}", folder)
    lines = []
    try:
        shop.open(1)
        commit(shop, canary(shop.ns, (30, 60), hold="8s", bake="4s", gates=(SUCCESS,)), controller)
        story = Soak(shop, controller)
        for number, seed in enumerate(seeds, start=1):
            lines.append(story.run(number, seed, bad=number % 2 == 0))
            print(told(lines[-1:]), flush=True)
            keep(lines)
    finally:
        lab.faults.heal()
        shop.close()
    return lines


def told(lines: Sequence[Line]) -> str:
    """The report: one line for each run, and under it what was wrong."""
    rows = []
    for it in lines:
        happened = ", ".join(str(one) for one in it.faults)
        rows.append(
            f"{it.number:3d}  {it.seed:5d}  {it.version:10s}  {it.outcome:10s}  {it.requests:6d}  {it.failed:5d}  "
            f"{it.seconds:5.0f}  {happened}"
        )
        rows += [f"     WRONG: {invariant}: {how}" for invariant, how in it.wrong.items()]
    return "\n".join(rows)


HEAD: Final = "run   seed  version     outcome     requests failed  secs  faults"


def written(lines: Sequence[Line]) -> str:
    """The report as it is kept: every run, and in how many of them each invariant held."""
    broken = Counter(invariant for it in lines for invariant in it.wrong)
    met = Counter(fault.name for it in lines for fault in it.faults)
    kinds = ", ".join(f"{name} {met[name]}" for name in BREAK)
    held = [f"| {it} | {len(lines) - broken[it]} of {len(lines)} |" for it in HOLDS]
    requests, failed = sum(it.requests for it in lines), sum(it.failed for it in lines)
    return "\n".join(
        [
            f"# Soak in the lab: {len(lines)} runs, {requests} requests, {failed} failed",
            "",
            f"Two controllers as pods; faults: {kinds}. A bad version every second time, whose own errors are excused.",
            "",
            "| invariant | held |",
            "|---|---|",
            *held,
            "",
            "```",
            HEAD,
            told(lines),
            "```",
            "",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Exit code 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak_lab", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--name", default=NAME, help="the lab, which is brought up and taken down")
    parser.add_argument("--report", type=Path, default=Path("soak-report.md"), help="where the report is kept")
    args = parser.parse_args(argv)
    lab = Lab(args.name)
    with tempfile.TemporaryDirectory() as folder:
        try:
            lab.up("istio", print)
            seeds = range(args.first, args.first + args.runs)
            lines = soak(lab, Path(folder), seeds, lambda lines: args.report.write_text(written(lines)))
        finally:
            lab.down()
    broken = [line.seed for line in lines if line.wrong]
    print(f"\n{HEAD}\n{told(lines)}")
    print(f"{len(lines)} runs under load: {len(broken)} broken" + (f" (seeds {broken})" if broken else ""))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
