"""Shops in the lab, each in a namespace of its own, and `rollout` as people run it: a process of its own."""

from __future__ import annotations

import calendar
import itertools
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from lab import Lab, LabError, Load, Report
from rollout.plan.base import GROUP, RUN_LABEL, Json
from tests.kit.kstatus import Conformance
from tests.kit.owned import DATA_PATH, unanswered
from tests.kit.processes import Done, Engine, Teller, Watch

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "lab/manifests/shop.yaml"
IMAGE = "lab.local/app:"
SUCCESS: Json = {"name": "success", "metric": "success", "min": "99%", "minRequests": 10}
SLOW: Json = {"name": "latency", "metric": "slow", "slowerThan": "500ms", "max": "5%", "minRequests": 10}
OURS = ("planruns", "canaryplans", "plandecisions")
"""What of ours stays: plan, runs, answered orders."""
PASSING = ("events", "pods", "replicasets", "endpoints", "endpointslices", "controllerrevisions")
"""Kinds that come and go with a Deployment's pods; their leftovers are told by our label."""


def canary(
    ns: str,
    weights: Sequence[float] = (20, 50),
    *,
    hold: str = "4s",
    bake: str = "4s",
    gates: Sequence[Json] = (SUCCESS,),
) -> Json:
    """A short plan for the Deployment `web`, with all times in seconds."""
    spec = {
        "target": {"name": "web"},
        "steps": [{"weight": weight} for weight in weights],
        "analysis": {"interval": "2s", "hold": hold, "deadline": "4m", "gates": list(gates)},
        "promotion": {"bake": bake, "deadline": "3m"},
        "candidate": {"readyWithin": "90s", "drain": "3s"},
    }
    meta = {"name": "web", "namespace": ns}
    return {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "CanaryPlan", "metadata": meta, "spec": spec}


@dataclass(slots=True)
class Shop:
    """A namespace with Deployment and Service `web` in the mesh, and a meshed client."""

    lab: Lab
    ns: str
    folder: Path
    load: Load = field(init=False)
    home: str = ""
    """The namespace of the controller that looks after it; empty: of none, or of the one that is installed."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The environment of its pods, whichever version they run."""
    begun: int = 0
    names: frozenset[str] = frozenset()
    specs: dict[str, Json] = field(default_factory=dict)
    engines: list[Engine] = field(default_factory=list)
    _runs: Watch = field(init=False)
    _pods: Watch = field(init=False)
    _number: Iterator[int] = field(default_factory=itertools.count)

    # --- opening and closing

    def open(self, replicas: int = 2) -> None:
        """Make the namespace, its pods and its client, and return when all serve."""
        labels = {"istio-injection": "enabled"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.ns, "labels": labels}})
        objects: list[Json] = list(yaml.safe_load_all(MANIFEST.read_text()))
        for found in objects:
            if found["kind"] == "Deployment":
                found["spec"]["replicas"] = replicas
                container = found["spec"]["template"]["spec"]["containers"][0]
                container["env"] = [{"name": name, "value": value} for name, value in self.variables.items()]
        self.apply(*objects)
        self.load = Load(self.lab, self.ns)
        self.load.prepare()
        self.kubectl("rollout", "status", "deployment/web", "--timeout=110s")
        self._runs = self.watch("planruns", "{.spec.attempt} {.metadata.generation} {.status}{'\\n'}")
        self._pods = self.watch(
            "pods",
            "{.metadata.uid},{.metadata.deletionTimestamp},{.metadata.deletionGracePeriodSeconds},"
            "{.status.containerStatuses[*].restartCount}{'\\n'}",
            "-l=app=web",
        )
        self.remember()

    def remember(self) -> None:
        """What is here now belongs to the owner: at rest it must be so again."""
        self.names, self.specs = self._names(), self._specs()

    def close(self) -> None:
        """Remove the namespace. Engines and runs that a failed test left behind must not keep it."""
        for engine in self.engines:
            engine.process.kill()
            engine.process.wait()
        for watch in (getattr(self, "_runs", None), getattr(self, "_pods", None)):
            if watch is not None:
                watch.close()
        self.kubectl("delete", "canaryplans", "--all", "--wait=false")
        for name in self.kubectl("get", "planruns", "-o=name").split():
            self.kubectl("patch", name, "--type=merge", '-p={"metadata":{"finalizers":null}}')
        self.lab.kubectl("delete", "namespace", self.ns, "--ignore-not-found", "--wait=false")

    def watch(self, kind: str, template: str, *options: str) -> Watch:
        """Follow the objects of a kind here, each change one line by this template; the caller closes it."""
        program = "kubectl" if self.lab.existing else self.lab.site.program("kubectl")
        argv = [program, f"--kubeconfig={self.lab.kubeconfig}", "-n", self.ns, "get", kind, "--watch"]
        return Watch([*argv, f"-o=jsonpath={template}", *options])

    # --- the cluster

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Run kubectl in this namespace."""
        return self.lab.kubectl("-n", self.ns, *args, stdin=stdin)

    def get(self, what: str, *options: str) -> Json:
        """Read an object, or a list of them."""
        found: Json = json.loads(self.kubectl("get", what, "-o=json", *options))
        return found

    def apply(self, *objects: Json) -> None:
        """Apply objects as their owner would."""
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "-f", "-", stdin=stdin)

    def pods(self) -> dict[str, Json]:
        """The pods of all versions by UID."""
        return {pod["metadata"]["uid"]: pod for pod in self.get("pods", "-l=app=web")["items"]}

    def _names(self) -> frozenset[str]:
        kinds = self.lab.kubectl("api-resources", "--verbs=list", "--namespaced", "-o=name").split()
        kept = [kind for kind in kinds if kind.partition(".")[0] not in (*OURS, *PASSING)]
        return frozenset(self.kubectl("get", ",".join(kept), "-o=name", "--ignore-not-found").split())

    def _specs(self) -> dict[str, Json]:
        found = self.get(",".join(DATA_PATH))["items"]
        return {f"{one['kind']}/{one['metadata']['name']}": one["spec"] for one in found}

    # --- rollout

    @property
    def env(self) -> dict[str, str]:
        """The environment of a terminal in which the lab's variables are set."""
        home = {"ROLLOUT_CONTROLLER_NAMESPACE": self.home} if self.home else {}
        return {**os.environ, **self.lab.environment(), **home, "NO_COLOR": "1", "COLUMNS": "160"}

    def start(self, plan: Json, image: str = "", *options: str, prometheus: str = "") -> Engine:
        """Run `rollout start` in the background."""
        number = next(self._number)
        file = self.folder / f"{self.ns}-{number}.yaml"
        file.write_text(yaml.safe_dump(plan))
        argv = [sys.executable, "-m", "rollout", "start", str(file), "--yes", *options]
        argv += [f"--image=app={IMAGE}{image}"] if image else []
        argv += [f"--prometheus={prometheus}"] if prometheus else []
        engine = Engine(argv, self.env, self.folder / f"{self.ns}-{number}.log")
        self.engines.append(engine)
        return engine

    def rollout(self, *args: str) -> Done:
        """Run `rollout` to its end."""
        argv = [sys.executable, "-m", "rollout", *args, "-n", self.ns]
        done = subprocess.run(argv, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        return Done(done.returncode, done.stdout, done.stderr)

    @property
    def run(self) -> Json:
        """The status of the newest run, as it was last written; empty before there is one."""
        newest = (0, "{}")
        for line in list(self._runs.lines):
            attempt, _, status = line.split(" ", 2)
            if int(attempt) >= newest[0]:
                newest = int(attempt), status or "{}"
        found: Json = json.loads(newest[1])
        return found

    @property
    def versions(self) -> Iterator[Json]:
        """Every version of every run that the API server told of, as far as its status goes."""
        watch: Watch | None = getattr(self, "_runs", None)  # a shop that did not open has none
        for line in list(watch.lines) if watch else ():
            attempt, generation, status = line.split(" ", 2)
            meta = {"name": f"{self.ns}/{attempt}", "uid": attempt, "generation": int(generation)}
            yield {"kind": "PlanRun", "metadata": meta, "status": json.loads(status or "{}")}

    @property
    def attempts(self) -> int:
        """How many runs there have been."""
        return max((int(line.partition(" ")[0]) for line in list(self._runs.lines)), default=0)

    @property
    def notes(self) -> list[Json]:
        """The story of the newest run."""
        notes: list[Json] = self.run.get("state", {}).get("notes", [])
        return notes

    def note(self, reason: str) -> Json | None:
        """The first line of the story with this reason."""
        return next((one for one in self.notes if one["reason"] == reason), None)

    def push(self, image: str) -> None:
        """Ask for another image, as a pipeline or a person does."""
        self.kubectl("set", "image", "deployment/web", f"app={IMAGE}{image}")

    def until(self, true: Callable[[Json], bool], engine: Teller, seconds: float = 90) -> Json:
        """The first status of the newest run of which this is true."""
        began, attempt = len(self._runs.lines), self.attempts
        assert self._runs.wait(lambda: true(self.run), seconds), (
            f"{self.ns}: not seen in {seconds:.0f} s (runs {attempt}, {len(self._runs.lines) - began} lines): "
            f"{json.dumps({k: v for k, v in self.run.items() if k != 'state'})}\n{engine.text()}"
        )
        return self.run

    # --- what must be true

    def at_rest(self, image: str, *, paused: bool = False) -> None:
        """Assert that all specs are their owner's, with this image, and that nothing of ours is left."""
        wanted = json.loads(json.dumps(self.specs))
        deployment = wanted.get("Deployment/web")
        if deployment is not None:
            deployment["template"]["spec"]["containers"][0]["image"] = IMAGE + image
            deployment.pop("paused", None)
            deployment |= {"paused": True} if paused else {}
        assert self._specs() == wanted
        came, gone = sorted((now := self._names()) - self.names), sorted(self.names - now)
        assert (came, gone) == ([], []), f"{self.ns}: there are {came} more, and no {gone}"
        left = self.kubectl("get", ",".join(PASSING), f"-l={RUN_LABEL}", "-o=name", "--ignore-not-found")
        assert left == ""
        if self.lab.kubectl("api-resources", f"--api-group={GROUP}", "-o=name"):  # else it was torn out
            assert list(unanswered(self.get("plandecisions")["items"], self.get("planruns")["items"])) == []

    def deletions(self, uids: Iterable[str]) -> dict[str, float]:
        """When each of these pods was told to go (seconds since the epoch, rounded down); none of them restarted."""
        found: dict[str, float] = {}
        wanted = set(uids)
        for line in list(self._pods.lines):
            uid, deleted, grace, restarts = line.split(",")
            if uid in wanted and deleted:
                end = calendar.timegm(time.strptime(deleted, "%Y-%m-%dT%H:%M:%SZ"))
                found.setdefault(uid, float(end - int(grace or 0)))
            elif uid in wanted:
                assert set(restarts.split()) <= {"0"}, f"{self.ns}: a container of stable restarted: {line}"
        return found

    def traffic(self, rate: int = 40) -> None:
        """Let requests flow until `account`."""
        self.begun = self.load.start(rate=rate)

    def account(self, what: str) -> Report:
        """Stop the requests a moment from now, print what became of all of them, and return it."""
        time.sleep(1)
        ended = self.load.stop()
        report = self.load.report(self.begun, ended)
        seconds = (ended - self.begun) / 1e9
        print(
            f"[{what}] {report.total} requests in {seconds:.0f} s ({report.total / seconds:.0f}/s), "
            f"{report.failed} failed; {report.versions}; p99 {report.p99_ms:.0f} ms, slowest {report.max_ms:.0f} ms"
        )
        return report


def together(*stories: Callable[[], None]) -> None:
    """Run stories at the same time; all of them to their end, and every failure is told."""
    with ThreadPoolExecutor(len(stories)) as pool:
        futures = [pool.submit(story) for story in stories]
    failures = [error for error in (future.exception() for future in futures) if isinstance(error, Exception)]
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(stories)} stories failed", failures)


def at(step: int, *, holding: bool = True) -> Callable[[Json], bool]:
    """The run is at this step; `holding`: the candidate has been given its weight."""

    def reached(run: Json) -> bool:
        state = run.get("state", {})
        here: bool = state.get("step", 0) == step and state.get("started", 0) > 0 and "ended" not in state
        told = [note["reason"] for note in state.get("notes", []) if note["reason"] in ("StepPassed", "WeightSet")]
        return here and (not holding or told[-1:] == ["WeightSet"])

    return reached


def lossless(shop: Shop, what: str) -> None:
    """Assert that every request since `traffic` was answered, and that there were many."""
    report = shop.account(what)
    assert report.failed == 0, f"{what}:\n{report}"
    assert report.total > 400, f"{what}: too few requests to mean anything: {report}"


class OpenShops(Protocol):
    """Opens shops."""

    def __call__(self, count: int, replicas: int = 2, env: Mapping[str, str] | None = None) -> list[Shop]:
        """So many shops side by side, each with so many pods that have these variables."""
        ...


@pytest.fixture
def open_shops(lab: Lab, tmp_path: Path) -> Iterator[OpenShops]:
    """Opens shops that are gone after the test."""
    opened: list[Shop] = []
    argv = [sys.executable, "-m", "rollout", "crds", "apply", "--with-hold"]
    subprocess.run(argv, env={**os.environ, **lab.environment()}, cwd=ROOT, check=True, capture_output=True)

    def some(count: int, replicas: int = 2, env: Mapping[str, str] | None = None) -> list[Shop]:
        shops = [Shop(lab, f"shop-{secrets.token_hex(3)}", tmp_path, variables=env or {}) for _ in range(count)]
        opened.extend(shops)
        together(*(partial(shop.open, replicas) for shop in shops))
        return shops

    yield some
    wrong = [line for shop in opened for line in Conformance().see_all(shop.versions)]
    for shop in opened:
        try:
            shop.close()
        except LabError as error:
            print(f"{shop.ns} was not removed: {error}")
    assert not wrong, "\n".join(wrong)  # what the runs said to GitOps tools, write by write
