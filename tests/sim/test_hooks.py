"""Hooks in whole runs: called when they should be, once, and with the effect that the plan says."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.adapters.memory.faults import Fault, FaultPlan, FaultyCluster
from rollout.adapters.memory.hooks import NO, YES, Outside
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.decide.seen import HookAnswer
from rollout.plan.base import Json
from rollout.plan.kinds import JOB, Ref, ref_of
from rollout.plan.run import Phase
from rollout.ports.hooks import Call
from tests.kit.scenes import play, reasons
from tests.kit.sim import BAD, GOOD, Sim, plan

HANGS = HookAnswer("running")


def hook(name: str, when: str, **given: Any) -> Json:
    how = {} if "job" in given else {"webhook": {"url": f"http://hooks.shop/{name}"}}
    return {"name": name, "when": when, "every": "2s"} | how | given


JOBS = {
    "job": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "k6", "image": "k6"}]}}}}
}
ALL = (
    hook("load", "before"),
    hook("smoke", "during"),
    hook("gate", "confirm"),
    hook("alarm", "askRollback"),
    hook("bad-news", "onRollback"),
    hook("news", "after"),
)


def asked(call: Call) -> HookAnswer:
    """Everybody says yes; nobody asks for the run to go home."""
    return NO if call.hook.name == "alarm" else YES


def sim(*hooks: Json, image: str = GOOD, outside: Outside | None = None) -> Sim:
    return Sim(plan=plan(hooks=list(hooks)), image=image, outside=outside or Outside(asked))


def called(it: Sim) -> list[tuple[str, float]]:
    """Who was called at which weight; repetitions of what is called again and again left out."""
    found = [(call.hook.name, call.body["weight"]) for call in it.outside.calls]
    return list(dict.fromkeys(found))


async def test_each_is_called_in_its_place_and_told_how_the_run_stands() -> None:
    it = sim(*ALL)
    view = await play(it)
    assert (view.state.phase, it.at_rest(promoted=True)) == (Phase.SUCCEEDED, [])
    assert called(it) == [
        ("load", 0.0),
        ("gate", 0.0),
        ("smoke", 10.0),
        ("alarm", 10.0),
        ("gate", 10.0),
        ("smoke", 50.0),
        ("alarm", 50.0),
        ("gate", 50.0),
        ("news", 0.0),
    ]
    body = next(call.body for call in it.outside.calls if call.hook.name == "gate" and call.body["weight"] == 50)
    assert body["plan"] == "web"
    assert body["step"]["number"] > 4
    assert [gate["verdict"] for gate in body["gates"]] == ["pass"]
    assert sum(call.hook.name == "smoke" for call in it.outside.calls) > 4, "again and again"


async def test_what_is_said_no_to_takes_the_run_home_and_is_told_there() -> None:
    it = sim(*ALL, outside=Outside(lambda call: NO if call.hook.name == "smoke" else asked(call)))
    view = await play(it)
    assert (view.state.phase, it.at_rest(promoted=False)) == (Phase.ROLLED_BACK, [])
    assert view.state.failed is not None
    assert view.state.failed.message == "hook smoke failed: it answered 500"
    assert [name for name, _ in called(it)][-2:] == ["bad-news", "news"]


async def test_a_bad_version_is_told_after_its_traffic_is_home() -> None:
    it = sim(hook("bad-news", "onRollback"), image=BAD)
    assert (await play(it)).state.phase is Phase.ROLLED_BACK
    assert called(it) == [("bad-news", 0.0)]
    assert it.at_rest(promoted=False) == []


async def test_a_hook_may_ask_for_the_run_to_go_home() -> None:
    it = sim(hook("alarm", "askRollback"), outside=Outside(lambda call: YES if call.number > 2 else NO))
    view = await play(it)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.HOOK_ASKED)
    assert it.at_rest(promoted=False) == []


async def test_no_confirmation_no_weight() -> None:
    """It is asked again until it says yes; meanwhile the gates look, and the time comes to an end."""
    late = sim(hook("gate", "confirm"), outside=Outside(lambda call: YES if call.number > 3 else NO))
    view = await play(late)
    assert (view.state.phase, late.at_rest(promoted=True)) == (Phase.SUCCEEDED, [])
    assert Reason.HOOK_WAITS in reasons(view)
    never = sim(hook("gate", "confirm", within="20s"), outside=Outside(lambda _: NO))
    view = await play(never)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.DEADLINE_PASSED)
    assert "it answered 500" in view.state.message


async def test_a_version_that_turns_bad_while_a_hook_is_waited_for_goes_home() -> None:
    it = sim(
        hook("gate", "confirm", steps=["weight-50"], timeout="10m"),
        image=BAD,
        outside=Outside(lambda _: HANGS),
    )
    it.plan["spec"]["analysis"]["gates"][0]["failures"] = 3
    it.plan["spec"]["analysis"]["hold"] = "2s"
    view = await play(it)
    assert (view.state.phase, view.state.reason) == (Phase.ROLLED_BACK, Reason.GATE_FAILED)


async def test_a_person_goes_on_without_it() -> None:
    it = sim(hook("load", "before", timeout="10m"), outside=Outside(lambda _: HANGS))

    def overrule(view: RunView) -> None:
        if view.state.message == "waits for hook load" and not it.broken and it.turns % 5 == 0:
            it.order(view, "promote")

    assert (await play(it, overrule)).state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("given", "phase", "tries"),
    [
        ({}, Phase.ROLLED_BACK, 1),
        ({"retries": 2}, Phase.ROLLED_BACK, 3),
        ({"onFailure": "hold"}, Phase.HELD, 1),
        ({"onFailure": "ignore"}, Phase.SUCCEEDED, 1),
    ],
)
async def test_what_a_failure_means(given: Json, phase: Phase, tries: int) -> None:
    it = sim(hook("load", "before", **given), outside=Outside(lambda _: NO))
    view = await play(it)
    assert (view.state.phase, len(it.outside.calls)) == (phase, tries)
    assert Reason.HOOK_FAILED in reasons(view)


async def test_who_hangs_fails_and_the_end_waits_for_nobody() -> None:
    it = sim(hook("news", "after", timeout="5s", retries=1), outside=Outside(lambda _: HANGS))
    view = await play(it)
    assert (view.state.phase, it.at_rest(promoted=True)) == (Phase.SUCCEEDED, [])
    assert any(n.message == "hook news failed: it did not answer within 5s" for n in view.state.notes)


def jobs(it: Sim) -> list[Json]:
    return [obj for ref, obj in it.memory.objects if ref.kind == JOB]


async def test_a_job_that_passes_is_removed_and_owned_by_its_run_until_then() -> None:
    it = sim(hook("load", "before", **JOBS))
    owners = []

    def look(view: RunView) -> None:
        for job in jobs(it):
            owners.append(job["metadata"]["ownerReferences"][0]["uid"] == view.uid)
            assert job["spec"]["activeDeadlineSeconds"] == 600
            it.memory.objects.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})

    view = await play(it, look)
    assert (view.state.phase, set(owners), jobs(it)) == (Phase.SUCCEEDED, {True}, [])
    assert it.at_rest(promoted=True) == []


BACKOFF = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it has failed"}


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("fails", "failed (BackoffLimitExceeded: it has failed); its log: kubectl logs job/"),
        ("hangs", "it was not done within 8s"),
        ("deleted", "was deleted before it was done"),
        ("at once", "it was called 6 times, and each time nobody knew of it afterwards"),
    ],
)
async def test_a_job_that_does_not_pass_has_a_sentence(trouble: str, said: str) -> None:
    it = sim(hook("load", "before", timeout="8s", **JOBS))

    def act(view: RunView) -> None:
        for job in jobs(it):
            it.memory.objects.put(
                {**job, "status": {"conditions": [BACKOFF] if trouble == "fails" else [], "active": 1}}
            )
            if trouble == "at once" or (trouble == "deleted" and view.state.hooks["load"].there):
                it.memory.objects.remove(ref_of(job))

    view = await play(it, act)
    assert view.state.failed is not None
    assert (view.state.phase, said in view.state.failed.message) == (Phase.ROLLED_BACK, True), view.state.failed
    it.memory.run(5)  # the garbage collector
    assert it.at_rest(promoted=False) == []


async def test_a_job_that_may_not_be_made_says_what_to_do() -> None:
    it = sim(hook("load", "before", **JOBS), hook("news", "after", **JOBS))
    engine = it.engine()
    view = await engine.start(it.plan, images={"app": it.image}, by="ana")
    it.memory.cluster.deny("create", JOB)  # before, the checks would have refused to start
    view = await engine.drive("shop", view.name, lambda _: None)
    assert view.state.failed is not None
    assert (view.state.phase, "--features hooks" in view.state.failed.message) == (Phase.ROLLED_BACK, True)
    assert it.at_rest(promoted=False) == []


async def test_a_job_that_may_not_be_removed_holds_nobody_up() -> None:
    it = sim(hook("load", "before", **JOBS))
    engine = it.engine()
    view = await engine.start(it.plan, images={"app": it.image}, by="ana")
    it.memory.cluster.deny("delete", JOB)

    def act(_: RunView) -> None:
        for job in jobs(it):
            it.memory.objects.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})

    view = await engine.drive("shop", view.name, act)
    assert view.state.phase is Phase.SUCCEEDED
    assert [job["metadata"]["ownerReferences"][0]["uid"] for job in jobs(it)] == [view.uid], "it goes with its run"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("image", "end", "fault"),
    [
        (GOOD, Phase.SUCCEEDED, Fault.CRASH_AFTER),
        (BAD, Phase.ROLLED_BACK, Fault.LOST_AFTER),
    ],
)
async def test_killed_at_every_write_it_is_called_once(image: str, end: Phase, fault: Fault) -> None:
    """Once as its receiver sees it: a call that comes again has the same key, and only where no answer was stored."""
    hooks = (
        hook("load", "before"),
        hook("bad-news", "onRollback"),
        hook("news", "after"),
        hook("job", "after", **JOBS),
    )

    def story() -> tuple[Sim, list[str]]:
        it, made = sim(*hooks, image=image), []

        def done(ref: Ref) -> None:
            job = it.memory.objects.get(ref)
            if ref.kind == JOB and job is not None and not job.get("status"):
                made.append(ref.name)
                it.memory.objects.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})

        it.memory.objects.watchers.append(done)
        return it, made

    plain, _ = story()
    cluster = FaultyCluster(plain.memory.cluster, FaultPlan())
    await plain.run(plain.engine(cluster))
    once = [call.hook.name for call in plain.outside.calls]
    for number in range(1, cluster.writes + 1):
        it, made = story()
        view = await it.survive(FaultPlan(at_write={number: fault}))
        wrong = it.at_rest(promoted=end is Phase.SUCCEEDED)
        names = [key.split("/")[1] for key in it.outside.known]
        assert (number, view.state.phase, wrong, names) == (number, end, [], once)
        assert len(it.outside.calls) <= len(once) + 1, "at most the one that was under way comes again"
        assert made == [f"{view.name}-job-1"]


def test_names_of_jobs_fit_a_label() -> None:
    from rollout.adapters.hooks.job import ref
    from rollout.plan.called import Hook, JobCall
    from rollout.plan.kinds import PLAN_RUN

    long = Hook("h" * 30, "before", JobCall({}), 60.0)
    names = {ref(Call(Ref(PLAN_RUN, "shop", f"{'p' * 57}.{run}"), "u", long, 12)).name for run in (1, 2)}
    assert len(names) == 2
    assert all(len(name) <= 63 and "." not in name for name in names)
