"""The command line and a namespace on its way into the mesh: every verb, in front of a simulated cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from rollout import bootstrap, registry
from rollout.adapters.memory.watch import MemoryWatcher
from rollout.cli import demo
from rollout.cli.app import app
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.errors import Unavailable
from rollout.plan.base import Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    DEPLOYMENT,
    MESH_ADOPTION_PLAN,
    PEER_AUTHENTICATION,
    PLAN_DECISION,
    PLAN_RUN,
    Kind,
    Ref,
)
from rollout.plan.run import Phase, dump_spec
from rollout.ports.world import World
from tests.kit.adopted import SHOP, Adopted, peers
from tests.kit.builders import run as canary_run
from tests.kit.journey import allows, authorize
from tests.kit.shell import Controller

PLAN = Ref(MESH_ADOPTION_PLAN, SHOP, "shop")
QUICK: Json = {"interval": "2s", "observe": "4s", "deadline": "10m"}


@dataclass
class Desk:
    """A terminal in front of the namespace."""

    scene: Adopted
    world: World
    folder: Path

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json").stdout)

    def plan(self, stages: Mapping[str, Any] | None = None, **spec: Any) -> Json:
        wanted = {"enrol": {}, "permissive": {}} if stages is None else stages
        head: Json = {"apiVersion": MESH_ADOPTION_PLAN.api_version, "kind": MESH_ADOPTION_PLAN.name}
        meta = {"name": "shop", "namespace": SHOP}
        return {**head, "metadata": meta, "spec": {"stages": wanted, "analysis": QUICK, **spec}}

    def file(self, stages: Mapping[str, Any] | None = None, **spec: Any) -> str:
        path = self.folder / "adoption.yaml"
        path.write_text(yaml.safe_dump(self.plan(stages, **spec)), encoding="utf-8")
        return str(path)

    def until(self, done: Callable[[RunView], bool], **spec: Any) -> RunView:
        """Another engine drives the run so far, and is killed there."""

        async def drive() -> RunView:
            engine = Foreground(self.world)
            view = await engine.start(self.plan(**spec), images={}, by="somebody else")
            return await engine.drive(SHOP, view.name, lambda _: None, until=done)

        return asyncio.run(drive())

    def stored(self) -> Json:
        return self.scene.memory.get(MESH_ADOPTION_PLAN, "shop")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    scene = Adopted()
    world = replace(scene.world(), watcher=MemoryWatcher(scene.memory.cluster), strategies=registry.strategies())

    @asynccontextmanager
    async def connect(*, namespace: str | None, **_: str | None) -> AsyncIterator[tuple[World, str]]:
        yield world, namespace or SHOP

    monkeypatch.setattr(bootstrap, "connect", connect)
    return Desk(scene, world, tmp_path)


def at_step(number: int) -> Callable[[RunView], bool]:
    return lambda view: view.state.step + 1 >= number


# -- before


def test_a_plan_shows_a_step_for_each_workload_that_is_there(desk: Desk) -> None:
    done = desk.run("plan", desk.file())
    assert done.exit_code == 0, done.output
    for unit in ("Deployment/web", "StatefulSet/db", "DaemonSet/agent", "CronJob/report"):
        assert f"enrol {unit}" in done.stdout
    assert "keep what was reached" in done.stdout
    assert "an abort undoes" in done.stdout
    body = desk.json("plan", desk.file())
    assert (body["kind"], body["mesh"], body["service"], body["unknown"]) == ("MeshAdoptionPlan", "istio", None, None)


def test_without_a_cluster_it_says_what_is_missing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def nowhere(**_: str | None) -> AsyncIterator[tuple[World, str]]:
        raise Unavailable("connection refused")
        yield

    monkeypatch.setattr(bootstrap, "connect", nowhere)
    done = desk.run("plan", desk.file())
    assert done.exit_code == 0, done.output
    assert "enrol Deployment" not in done.stdout
    assert "PERMISSIVE namespace" in done.stdout
    assert "connection refused" in " ".join(done.stdout.split())


def test_an_obstacle_stops_the_start_unless_its_workload_stays_outside(desk: Desk) -> None:
    greeter = desk.scene.memory.get(DEPLOYMENT, "greeter")
    greeter["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"runAsUser": 1337}
    desk.scene.memory.replace(greeter)
    desk.scene.memory.run(30)
    refused = desk.run("start", desk.file(), "--yes")
    assert refused.exit_code == 1
    assert "RO508" in refused.stderr
    assert not desk.scene.memory.objects.of(PLAN_RUN)
    outside = {"workload": {"name": "greeter"}, "reason": "rewritten in spring", "until": "2027-03-31"}
    done = desk.run("start", desk.file(exceptions=[outside]), "--yes")
    assert done.exit_code == 0, done.output
    labels = desk.scene.memory.get(DEPLOYMENT, "greeter")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "greeter"}


def test_an_exception_that_is_over_is_no_excuse(desk: Desk) -> None:
    over = {"workload": {"name": "greeter"}, "reason": "later", "until": "2025-12-31"}
    done = desk.run("start", desk.file(exceptions=[over]), "--yes")
    assert done.exit_code == 1
    assert "RO540" in done.stderr
    assert "ended on 2025-12-31 (later)" in done.stderr


# -- a run


def test_a_namespace_is_adopted_from_a_terminal_and_every_verb_tells_of_it(desk: Desk) -> None:
    done = desk.run("start", desk.file(), "--yes")
    assert done.exit_code == 0, done.output
    assert "Ctrl-C stops it, and leaves what has been done as it is" in done.stderr
    assert "namespace shop is in the mesh as its plan says" in done.stdout
    status = desk.stored()["status"]
    assert (status["phase"], status["conditions"][0]["status"]) == ("Succeeded", "True")
    assert "weight" not in status
    assert desk.json("status", "shop")["weight"] is None
    assert desk.json("get", "shop")["kind"] == "MeshAdoptionPlan"
    assert "mesh-adoption" in desk.run("status").stdout
    assert desk.run("why", "shop").exit_code == 0
    assert "shop-g1-1" in desk.run("history", "shop").stdout
    assert "StepPassed" in desk.run("events", "shop").stdout
    assert desk.scene.failed("front") == 0


def test_git_is_told_what_holds_the_namespace_in_the_mesh(desk: Desk) -> None:
    assert desk.run("start", desk.file(), "--yes").exit_code == 0
    found = list(yaml.safe_load_all(desk.run("handoff", "shop").stdout))
    by_name = {(it["kind"], it["metadata"]["name"]): it for it in found}
    labels = {"sidecar.istio.io/inject": "true"}
    assert by_name["Deployment", "web"]["spec"] == {"template": {"metadata": {"labels": labels}}}
    cron = by_name["CronJob", "report"]["spec"]
    assert cron == {"jobTemplate": {"spec": {"template": {"metadata": {"labels": labels}}}}}
    assert "istio-injection" in by_name["Namespace", "shop"]["metadata"]["labels"]
    policy = by_name["PeerAuthentication", "default"]
    assert policy["spec"] == {"mtls": {"mode": "PERMISSIVE"}}
    assert set(policy["metadata"]) == {"name", "namespace"}, "nothing of ours, and nothing of the API server's"


def told(desk: Desk) -> dict[tuple[str, str], Json]:
    """What `rollout handoff` prints, by kind and name."""
    found = list(yaml.safe_load_all(desk.run("handoff", "shop").stdout))
    return {(it["kind"], it["metadata"]["name"]): it for it in found}


def kept_by(desk: Desk, kind: Kind, name: str, spec: Json) -> Callable[[RunView], bool]:
    """Somebody puts back a spec before every turn; until the run waits for him."""

    def put_back(view: RunView) -> bool:
        found = desk.scene.memory.get(kind, name)
        if found["spec"] != spec:
            desk.scene.memory.replace({**found, "spec": spec})
        return view.state.phase is Phase.HOLDING and view.state.reason is Reason.DRIFT

    return put_back


def test_git_is_told_the_labels_that_it_takes_back(desk: Desk) -> None:
    git = desk.scene.memory.get(DEPLOYMENT, "web")["spec"]
    view = desk.until(kept_by(desk, DEPLOYMENT, "web", git))
    assert "rollout handoff shop" in view.state.message
    found = told(desk)
    labels = {"sidecar.istio.io/inject": "true"}
    assert found["Deployment", "web"]["spec"] == {"template": {"metadata": {"labels": labels}}}
    assert desk.scene.memory.get(DEPLOYMENT, "web")["spec"] == git


def test_git_is_told_the_mode_that_it_takes_back_and_keeps_in_the_end(desk: Desk) -> None:
    git = peers("DISABLE")
    desk.scene.memory.apply(git)
    desk.until(kept_by(desk, PEER_AUTHENTICATION, "default", git["spec"]))
    wanted = {**git, "spec": {"mtls": {"mode": "PERMISSIVE"}}}
    assert told(desk)["PeerAuthentication", "default"] == wanted
    desk.scene.memory.apply(wanted)
    assert desk.run("start", desk.file(), "--yes").exit_code == 0
    assert told(desk)["PeerAuthentication", "default"] == wanted


def test_a_second_start_goes_on_where_the_first_was_killed(desk: Desk) -> None:
    view = desk.until(at_step(3))
    done = desk.run("start", desk.file(), "--yes")
    assert done.exit_code == 0, done.output
    assert f"run {view.name} resumed" in done.stderr
    assert len(desk.scene.memory.objects.of(PLAN_RUN)) == 1


def test_an_abort_undoes_all_of_it(desk: Desk) -> None:
    desk.until(at_step(4))
    done = desk.run("abort", "mplan/shop", "--reason", "not today", "--yes")
    assert done.exit_code == 0, done.output
    assert "every object is as it was before the run" in desk.stored()["status"]["message"]
    assert desk.scene.owned() == desk.scene.before
    (decision,) = desk.scene.memory.objects.of(PLAN_DECISION)
    assert decision["spec"]["kind"] == "MeshAdoptionPlan"
    undo = desk.run("undo", "shop", "--reason", "no")
    assert undo.exit_code == 4
    assert "not undone like a version" in undo.stderr


def test_ctrl_c_leaves_what_was_reached(desk: Desk) -> None:
    import signal

    at = desk.scene.memory.clock.now() + 20
    told: list[bool] = []

    def press() -> None:
        if not told and desk.scene.memory.clock.now() >= at:
            told.append(True)
            signal.raise_signal(signal.SIGINT)

    desk.scene.memory.clock.each_second(press)
    done = desk.run("start", desk.file(), "--yes")
    assert done.exit_code == 130
    assert "what has been done stays as it is" in done.stderr
    labels = desk.scene.memory.get(DEPLOYMENT, "front")["spec"]["template"]["metadata"]["labels"]
    assert "sidecar.istio.io/inject" in labels


def test_who_blocks_strict_is_the_headline(desk: Desk) -> None:
    stages = authorize(allows("web", "shop/front"))
    stages["shadowStrict"] = {"window": "1m"}
    view = desk.until(lambda view: view.state.reason == "Blockers", stages=stages)
    status = desk.stored()["status"]
    assert (view.state.phase, status["stage"]) == (Phase.HOLDING, "shadowStrict")
    assert "still block STRICT: Deployment/web: callers without an identity" in status["message"]
    assert "without a proxy are Deployment/legacy in old" in status["message"]
    assert status["blockers"]
    done = desk.run("status", "shop")
    assert "rollout mesh report -n shop" in done.stdout
    kinds = {kind for kind, _ in told(desk)}
    assert "PeerAuthentication" in kinds
    assert "AuthorizationPolicy" not in kinds, "neither what only counts, nor what is not in force"
    modes = [it["spec"]["mtls"]["mode"] for it in desk.scene.memory.objects.of(PEER_AUTHENTICATION)]
    assert "STRICT" not in modes


def test_where_a_controller_is_its_run_is_followed(desk: Desk) -> None:
    controller = Controller(replace(desk.world, identity="controller-0"))
    desk.scene.memory.clock.each_second(controller.tick)
    controller.tick()
    done = desk.run("start", desk.file(), "--yes")
    assert done.exit_code == 0, done.output
    assert "the controller has it" in done.stderr
    again = desk.run("start", desk.file(), "--yes")
    assert again.exit_code == 1
    assert "run shop-g1-1 has done what this plan asks for" in again.stderr


# -- beside canaries


def canary(name: str = "shop", target: str = "web") -> Json:
    spec = {"target": {"name": target}, "steps": [{"weight": 50}]}
    return {**demo.PLAN, "metadata": {"name": name, "namespace": SHOP}, "spec": spec}


def test_a_name_that_two_plans_have_needs_its_kind(desk: Desk) -> None:
    desk.scene.memory.apply(canary())
    assert desk.run("start", desk.file(), "--yes").exit_code == 0
    both = desk.run("status", "shop")
    assert both.exit_code == 2
    assert "cplan/shop or mplan/shop" in both.stderr
    assert desk.json("status", "mplan/shop")["kind"] == "MeshAdoptionPlan"
    assert "plan shop has no run yet" in desk.run("status", "cplan/shop").stderr
    names = desk.run("get", "-o", "name").stdout.split()
    assert names == ["canaryplan.meshrollout.dev/shop", "meshadoptionplan.meshrollout.dev/shop"]
    assert desk.json("get", names[1])["kind"] == "MeshAdoptionPlan", "what -o name prints is taken"
    assert "shop-g1-1" not in desk.run("history", "cplan/shop").stdout


def test_an_adoption_waits_for_the_canary_that_is_under_way(desk: Desk) -> None:
    meta = {"name": "web-abc-1", "namespace": SHOP}
    spec = dump_spec(canary_run(10.0))
    desk.scene.memory.apply({"apiVersion": PLAN_RUN.api_version, "kind": "PlanRun", "metadata": meta, "spec": spec})
    done = desk.run("start", desk.file(), "--yes")
    assert done.exit_code == 1
    assert "run web-abc-1 of plan web is under way on Deployment/web" in done.stderr


def test_a_canary_waits_for_the_adoption_that_is_at_work_on_its_target(desk: Desk) -> None:
    view = desk.until(lambda view: view.spec.program.steps[view.state.step].name == "enrol-deployment-web")
    desk.scene.memory.apply(canary("web"))
    found = desk.run("check", "web", "-o", "json").stdout
    assert f"run {view.name} of MeshAdoptionPlan shop is under way on Deployment/web" in found
    desk.scene.memory.apply(canary("greeter", "greeter"))
    assert "under way on Deployment/greeter" not in desk.run("check", "greeter", "-o", "json").stdout


def test_the_oldest_adoption_of_a_namespace_acts(desk: Desk) -> None:
    first = {**desk.plan(), "metadata": {"name": "first", "namespace": SHOP}}
    desk.scene.memory.apply(first)
    desk.scene.memory.run(5)
    done = desk.run("start", desk.file(), "--yes")
    assert done.exit_code == 1
    assert "MeshAdoptionPlan first is older" in done.stderr
    assert CANARY_PLAN not in {ref.kind for ref, _ in desk.scene.memory.objects}
