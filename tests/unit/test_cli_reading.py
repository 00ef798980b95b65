"""The verbs that only read: plans, histories and events, also of runs that cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from rollout.cli import demo
from rollout.plan.base import Json
from rollout.plan.kinds import CANARY_PLAN, EVENT, PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.shell import BAD, GOOD, Shell

# -- get


def test_get_shows_plans_at_rest_and_under_way(shell: Shell) -> None:
    elsewhere = {**demo.PLAN["spec"], "target": {"name": "other"}}
    shell.simulation.apply({**demo.PLAN, "metadata": {"name": "idle", "namespace": "shop"}, "spec": elsewhere})
    shell.until(Phase.PROGRESSING)
    done = shell.run("get")
    assert done.exit_code == 0
    head, idle, web = done.stdout.splitlines()
    assert head.split() == ["NAME", "STRATEGY", "PHASE", "STEP", "WEIGHT", "READY", "AGE"]
    assert idle.split()[:4] == ["idle", "canary", "·", "Idle"]
    assert "◌ Progressing" in web
    assert shell.run("get", "-o", "name").stdout.split() == [f"canaryplan.meshrollout.dev/{n}" for n in ("idle", "web")]
    wide = shell.run("get", "web", "-o", "wide", "-A").exit_code
    assert wide == 2
    assert "GATE" in shell.run("get", "-A", "-o", "wide").stdout
    assert [row["plan"] for row in shell.json("get")] == ["idle", "web"]
    assert shell.json("get", "web")["strategy"] == "canary"
    assert yaml.safe_load(shell.run("get", "web", "-o", "yaml").stdout)["plan"] == "web"


def test_get_says_that_nobody_drives(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    shell.simulation.clock.run(30)  # the lease of the engine that was killed runs out
    done = shell.run("get", "web")
    assert "nobody drives its run; next: rollout start web -n shop" in done.stderr
    assert shell.json("get", "web")["next"] == "start"
    shell.control()
    assert shell.json("get", "web")["driven"] is True
    assert shell.run("get", "web").stderr == ""


def test_get_says_that_a_status_is_old(shell: Shell) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={GOOD}").exit_code == 0
    assert shell.json("get", "web")["stale"] is False
    plan = shell.simulation.get(CANARY_PLAN, "web")
    plan["spec"]["history"] = 7
    shell.simulation.replace(plan)
    done = shell.run("get", "web")
    assert "Succeeded (old)" in done.stdout
    assert "its status is about generation 1 of 2" in done.stderr
    shell.control()
    shell.simulation.clock.run(3)
    assert shell.json("get", "web")["stale"] is False


def test_get_of_nothing_says_what_to_do(shell: Shell) -> None:
    empty = shell.run("get", "-n", "elsewhere")
    assert (empty.exit_code, empty.stdout.strip()) == (0, "")
    assert "no plans in namespace elsewhere" in empty.stderr
    missing = shell.run("get", "nothing")
    assert missing.exit_code == 1
    assert "rollout get -A" in missing.stderr


@pytest.mark.parametrize("output", ["table", "json", "yaml", "name"])
def test_get_watch_prints_a_line_per_change(shell: Shell, output: str) -> None:
    shell.control()
    shell.simulation.apply(demo.PLAN)
    shell.simulation.clock.run(3)
    shell.after(6, lambda: shell.simulation.set_image("web", GOOD))
    shell.ctrl_c_after(150)
    done = shell.run("get", "-w", "-o", output)
    assert done.exit_code == 130
    match output:
        case "json":
            phases = [json.loads(line)["phase"] for line in done.stdout.splitlines()]
        case "yaml":
            phases = [doc["phase"] for doc in yaml.safe_load_all(done.stdout)]
        case "table":
            phases = [line.split()[3] for line in done.stdout.splitlines()[1:]]
        case _:
            assert set(done.stdout.split()) == {"canaryplan.meshrollout.dev/web"}
            return
    assert (phases[0], phases[-1]) == ("Idle", "Succeeded")
    assert {"Progressing", "Promoting"} <= set(phases)


def test_get_watch_tells_of_deleted_plans(shell: Shell) -> None:
    shell.simulation.apply(demo.PLAN)
    shell.after(3, lambda: shell.simulation.delete(CANARY_PLAN, "web"))
    shell.ctrl_c_after(9)
    assert "plan shop/web was deleted" in shell.run("get", "-w").stderr


# -- history and events


def test_history_tells_every_run_with_the_revision_that_undo_takes(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    done = shell.run("history", "web")
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()[1:]
    assert "✔ Succeeded" in first
    assert "1.0 → 1.1" in first
    assert "✖ RolledBack" in second
    assert "GateFailed" in second
    assert "success was" in shell.run("history", "web", "-o", "wide").stdout
    promoted, rejected = shell.json("history", "web")
    assert (promoted["deploymentRevision"], rejected["deploymentRevision"]) == (2, None)
    assert promoted["seconds"] > 0
    assert promoted["by"]
    assert len(shell.run("history", "web", "-o", "name").stdout.split()) == 2


def test_history_of_a_plan_without_runs(shell: Shell) -> None:
    shell.simulation.apply(demo.PLAN)
    done = shell.run("history", "web")
    assert done.exit_code == 0
    assert "no run yet; next: rollout start web -n shop" in done.stderr
    assert shell.run("history", "nothing").exit_code == 1


def test_events_merge_what_the_runs_remember_without_repeating(shell: Shell) -> None:
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    lines = shell.json("events", "web")
    assert [x["at"] for x in lines] == sorted(x["at"] for x in lines)
    (run,) = shell.simulation.objects.of(PLAN_RUN)
    notes = [(n["reason"], n["message"]) for n in run["status"]["state"]["notes"]]
    told = [(x["reason"], x["message"]) for x in lines]
    assert sorted(told) == sorted(notes)
    assert shell.simulation.objects.of(EVENT)
    assert "GateFailed" in shell.run("events", "web").stdout
    assert {x["type"] for x in lines} == {"Normal", "Warning"}


def event(about: Json, reason: str, note: str, name: str) -> Json:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "shop"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "somebody",
        "reportingInstance": "somebody",
        "action": reason,
        "reason": reason,
        "type": "Normal",
        "note": note,
        "regarding": {"namespace": "shop", **about},
    }


def test_events_know_the_plan_and_runs_that_are_gone_and_nobody_else(shell: Shell) -> None:
    shell.simulation.apply(demo.PLAN)
    for number, (kind, name) in enumerate(
        [("CanaryPlan", "web"), ("PlanRun", "web-12345-1"), ("CanaryPlan", "other"), ("PlanRun", "web-shop-12345-1")]
    ):
        shell.simulation.apply(event({"kind": kind, "name": name}, "Told", f"of {name}", f"e{number}"))
    assert {x["object"]["name"] for x in shell.json("events", "web")} == {"web", "web-12345-1"}


def test_events_are_followed(shell: Shell) -> None:
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}", "--timeout", "1ms")
    shell.ctrl_c_after(120)
    done = shell.run("events", "web", "-w")
    assert done.exit_code == 130
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert len(lines) == len(set(lines))
    assert "Promoted" in lines[-1] or "Released" in done.stdout


def test_events_are_followed_by_machines(shell: Shell) -> None:
    shell.control()
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    for output, read in (("json", lambda text: [*map(json.loads, text.splitlines())]), ("yaml", _documents)):
        shell.ctrl_c_after(5)
        done = shell.run("events", "web", "-w", "-o", output)
        assert read(done.stdout) == shell.json("events", "web")


def _documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


# -- a run that cannot be read, among others


def newer(shell: Shell, run: Json) -> None:
    """A newer version has written this run."""
    program = run["spec"]["program"] | {"format": 99}
    shell.simulation.objects.put({**run, "spec": run["spec"] | {"program": program}})


def damaged(shell: Shell, run: Json) -> None:
    """Somebody has edited this run's status."""
    state = run["status"]["state"] | {"step": 77}
    shell.simulation.objects.put({**run, "status": run["status"] | {"state": state}})


@pytest.fixture
def two_runs(shell: Shell) -> list[Json]:
    """A promoted version and a rejected one, the newest last."""
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    shell.run("start", shell.file(), "--image", f"app={BAD}")
    return sorted(shell.simulation.objects.of(PLAN_RUN), key=lambda run: run["spec"]["attempt"])


@pytest.mark.parametrize("what", [newer, damaged])
def test_history_shows_what_is_known_of_a_run_that_cannot_be_read(
    shell: Shell, two_runs: list[Json], what: Callable[[Shell, Json], None]
) -> None:
    what(shell, two_runs[0])
    name = two_runs[0]["metadata"]["name"]
    done = shell.run("history", "web")
    assert done.exit_code == 4
    first, second = done.stdout.splitlines()[1:]
    assert first.split()[:4] == [name, "-", "✖", "Unreadable"]
    assert "(Succeeded)" in first
    assert "✖ RolledBack" in second
    assert f"PlanRun/{name} in shop cannot be read" in done.stderr
    assert "next: upgrade rollout if a newer version wrote it; else repair it: kubectl edit prun" in done.stderr
    assert "cannot be read" in shell.run("history", "web", "-o", "wide").stdout
    unread, read = shell.json("history", "web")
    assert (unread["run"], unread["attempt"], unread["outcome"]) == (name, 1, "Succeeded")
    assert unread["ended"] == two_runs[0]["status"]["endedAt"]
    assert "cannot be read" in unread["unreadable"]
    assert (read["outcome"], read["unreadable"]) == ("RolledBack", None)


def test_an_old_run_that_cannot_be_read_is_in_nobodys_way(shell: Shell, two_runs: list[Json]) -> None:
    damaged(shell, two_runs[0])
    last = two_runs[1]["metadata"]["name"]
    assert shell.json("status", "web")["run"] == last
    assert shell.run("status", "web", "--run", last).exit_code == 3
    assert shell.run("get", "web", "-o", "wide").exit_code == 0
    assert shell.run("start", shell.file(), "--image", "app=shop/web:1.3").exit_code == 0
    done = shell.run("events", "web")
    assert (done.exit_code, "GateFailed" in done.stdout) == (4, True)
    assert "cannot be read" in done.stderr


def test_a_newest_run_that_cannot_be_read_is_named_by_every_verb_that_needs_it(
    shell: Shell, two_runs: list[Json]
) -> None:
    newer(shell, two_runs[1])
    last = two_runs[1]["metadata"]["name"]
    for words in (["status", "web"], ["status", "web", "--run", last], ["why", last], ["start", shell.file()]):
        done = shell.run(*words)
        assert (done.exit_code, done.stdout) == (4, ""), words
        assert f"PlanRun/{last} in shop cannot be read" in done.stderr, words
    for words in (["get", "-o", "wide"], ["status"]):
        done = shell.run(*words)
        assert (done.exit_code, "web" in done.stdout) == (4, True), words
        assert f"PlanRun/{last} in shop cannot be read" in done.stderr, words
    assert shell.run("get").exit_code == 0, "it reads no runs"
    first = two_runs[0]["metadata"]["name"]
    assert shell.run("status", "web", "--run", first).exit_code == 0
