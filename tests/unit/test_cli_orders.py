"""Orders: written, answered or refused, and said which; without a controller some verbs do the work themselves."""

from __future__ import annotations

import pytest

from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, PLAN_DECISION, PLAN_RUN
from rollout.plan.run import Phase
from tests.kit.shell import BAD, GOOD, Shell

APPROVAL = [{"weight": 20}, {"approve": {"within": "1h"}}]


def decisions(shell: Shell) -> list[Json]:
    return [d["spec"] for d in shell.simulation.objects.of(PLAN_DECISION)]


def phase(shell: Shell, run: str) -> str:
    return str(shell.simulation.get(PLAN_RUN, run)["status"]["phase"])


@pytest.mark.parametrize("verb", ["pause", "promote", "skip"])
def test_an_order_that_nobody_hears_says_so(shell: Shell, verb: str) -> None:
    view = shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    done = shell.run(verb, "web", "--reason", "because", *(["--yes"] if verb == "skip" else []))
    assert done.exit_code == 0, done.output
    assert "it waits for an engine" in done.stdout
    assert "nobody drives this run" in done.stderr
    assert "rollout start web -n shop" in done.stderr
    (spec,) = decisions(shell)
    assert (spec["verb"], spec["run"], spec["runUid"], spec["reason"]) == (verb, view.name, view.uid, "because")


def test_the_controller_obeys_and_the_order_says_so(shell: Shell) -> None:
    view = shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    shell.control()
    shell.simulation.clock.run(20)  # the lease of the engine that was killed runs out
    paused = shell.run("pause", "web", "--reason", "lunch")
    assert paused.exit_code == 0, paused.output
    assert f"✔ pause of run {view.name} obeyed: Paused" in paused.stdout
    assert "lunch" in paused.stdout
    assert phase(shell, view.name) == "Paused"
    body = shell.json("resume", "web")
    assert (body["outcome"], body["phase"], body["driven"]) == ("obeyed", "AwaitingApproval", True)
    assert body["decision"] in {d["metadata"]["name"] for d in shell.simulation.objects.of(PLAN_DECISION)}
    promoted = shell.run("promote", "web", "--reason", "good")
    assert "obeyed: " in promoted.stdout
    assert shell.run("status", "web", "--wait-for", "done").exit_code == 0
    assert shell.at_rest()


def test_a_refusal_of_the_engine_is_an_error_in_its_own_words(shell: Shell) -> None:
    shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    shell.control()
    shell.simulation.clock.run(20)
    done = shell.run("resume", "web")
    assert done.exit_code == 1
    assert "✖ resume of run" in done.stdout
    assert "was refused: " in done.stdout
    assert shell.json("resume", "web")["outcome"] == "refused"


@pytest.mark.parametrize(
    "words",
    [
        ["pause", "web"],
        ["resume", "web"],
        ["retry", "web"],
        ["skip", "web", "--yes"],
        ["undo", "web", "--reason", "x", "--yes"],
        ["promote", "web", "--reason", "x"],
        ["abort", "web", "--reason", "x", "--yes"],
    ],
    ids=lambda words: words[0],
)
def test_an_order_that_the_api_server_refuses_exits_with_6(shell: Shell, words: list[str]) -> None:
    shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    shell.simulation.cluster.deny("create", PLAN_DECISION)
    done = shell.run(*words)
    assert done.exit_code == 6, done.output
    assert 'cannot create resource "plandecisions"' in done.stderr
    assert not decisions(shell)


@pytest.mark.parametrize(
    "words", [["skip", "web"], ["undo", "web", "--reason", "x"], ["promote", "web", "--full", "--reason", "x"]]
)
def test_what_cannot_be_taken_back_asks_first(shell: Shell, words: list[str]) -> None:
    shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    done = shell.run(*words)
    assert done.exit_code == 2
    assert "--yes" in done.stderr
    assert not decisions(shell)


@pytest.mark.parametrize("verb", ["pause", "resume", "skip"])
def test_a_run_that_has_ended_takes_no_such_order(shell: Shell, verb: str) -> None:
    shell.run("start", shell.file(), "--image", f"app={GOOD}")
    done = shell.run(verb, "web", *(["--yes"] if verb == "skip" else []))
    assert done.exit_code == 4
    assert "has ended already: Succeeded" in done.stderr


def test_abort_follows_the_controller_home(shell: Shell) -> None:
    shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    shell.control()
    shell.simulation.clock.run(20)
    done = shell.run("abort", "web", "--reason", "changed my mind", "--yes")
    assert done.exit_code == 0, done.output
    assert "Aborted" in done.stdout
    assert "from here" not in done.stderr
    assert shell.at_rest()


def test_retry_without_a_controller_tries_the_same_version_again(shell: Shell) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={BAD}").exit_code == 3
    shell.simulation.behaviour(BAD, shell.simulation.behaviours.of(GOOD))
    shell.simulation.clock.run(30)
    done = shell.run("retry", "web", "--reason", "the database was down")
    assert done.exit_code == 0, done.output
    assert "✔ Succeeded" in done.stdout
    first, second = shell.json("history", "web")
    assert [first["outcome"], second["outcome"]] == ["RolledBack", "Succeeded"]
    assert first["revision"] == second["revision"]
    assert f"retry of {first['run']}: the database was down" in second["by"]


def test_retry_with_a_controller_is_an_order(shell: Shell) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={BAD}").exit_code == 3
    shell.simulation.behaviour(BAD, shell.simulation.behaviours.of(GOOD))
    shell.control()
    done = shell.run("retry", "web", "--reason", "again")
    assert done.exit_code == 0, done.output
    newest = shell.json("history", "web")[-1]["run"]
    assert f"run {newest} started" in done.stderr
    assert shell.run("status", "web", "--wait-for", "done", "--run", newest).exit_code == 0
    assert shell.image() == BAD


@pytest.mark.parametrize("controlled", [False, True])
def test_undo_after_a_rollback_ends_the_hold(shell: Shell, *, controlled: bool) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={BAD}").exit_code == 3
    assert shell.image() == BAD
    if controlled:
        shell.control()
    done = shell.run("undo", "web", "--reason", "never again", "--yes")
    assert done.exit_code == 0, done.output
    assert "rollout handoff web -n shop" in done.stderr
    shell.simulation.clock.run(20)
    assert shell.image() == "shop/web:1.0"
    assert not shell.simulation.get(DEPLOYMENT, "web")["spec"].get("paused")
    assert shell.at_rest()


@pytest.mark.parametrize("revision", [[], ["--to-revision", "1"]])
@pytest.mark.parametrize("controlled", [False, True])
def test_undo_after_a_promotion_goes_back_without_steps(shell: Shell, revision: list[str], *, controlled: bool) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={GOOD}").exit_code == 0
    shell.simulation.clock.run(10)
    if controlled:
        shell.control()
        shell.simulation.clock.run(5)
    done = shell.run("undo", "web", "--reason", "it leaks", "--yes", *revision)
    assert done.exit_code == 0, done.output
    assert "goes back to 1.0 (revision 1)" in done.stderr
    assert shell.run("status", "web", "--wait-for", "done").exit_code == 0
    assert shell.image() == "shop/web:1.0"
    promotion, way_back = shell.json("history", "web")
    assert (promotion["outcome"], way_back["outcome"]) == ("Succeeded", "Succeeded")
    assert way_back["images"]["candidate"] == {"app": "shop/web:1.0"}
    assert way_back["steps"] < promotion["steps"]
    assert shell.at_rest()


def test_undo_of_a_run_under_way_goes_home(shell: Shell) -> None:
    shell.until(Phase.AWAITING_APPROVAL, steps=APPROVAL)
    shell.control()
    shell.simulation.clock.run(20)
    refused = shell.run("undo", "web", "--reason", "x", "--to-revision", "1", "--yes")
    assert refused.exit_code == 2
    done = shell.run("undo", "web", "--reason", "x", "--yes")
    assert done.exit_code == 0, done.output
    assert shell.run("status", "web", "--wait-for", "done").exit_code == 3
    shell.simulation.clock.run(10)
    assert shell.image() == "shop/web:1.0"


def test_undo_names_the_revisions_that_there_are(shell: Shell) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={GOOD}").exit_code == 0
    before = shell.simulation.objects.revision
    unknown = shell.run("undo", "web", "--reason", "x", "--to-revision", "7", "--yes")
    assert unknown.exit_code == 4
    assert "there is no revision 7" in unknown.stderr
    assert "revisions that are kept: 1, 2" in unknown.stderr
    assert shell.simulation.objects.revision == before


def test_undo_without_a_controller_needs_the_right_to_order_it(shell: Shell) -> None:
    assert shell.run("start", shell.file(), "--image", f"app={BAD}").exit_code == 3
    shell.simulation.cluster.deny("create", PLAN_DECISION)
    assert shell.run("undo", "web", "--reason", "x", "--yes").exit_code == 6
    assert shell.image() == BAD
