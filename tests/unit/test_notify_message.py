"""Messages: facts, next commands, templates; and what answers mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.decide.reason import Reason
from rollout.decide.turn import NOTES, note
from rollout.errors import Forbidden, OutcomeUnknown, Rejected, RolloutError, Unavailable
from rollout.notify.happenings import happenings
from rollout.notify.message import change, filled, message
from rollout.notify.select import following
from rollout.notify.verdict import judge, retry_after
from rollout.plan.base import Json
from rollout.plan.channel import PLACEHOLDERS, ChannelSpec, Template
from rollout.plan.run import State, dump_spec
from rollout.ports.channel import Answer
from tests.kit.builders import run as run_spec

NOW = 1_780_000_000.0


def stored(*notes: tuple[str, str], phase: str = "Progressing") -> Json:
    """A stored run with this story; reasons with a `!` are warnings."""
    told = [
        {"at": NOW + n, "reason": reason.removesuffix("!"), "message": text, "warning": reason.endswith("!")}
        for n, (reason, text) in enumerate(notes)
    ]
    status = {"phase": phase, "step": "2/5", "weight": 10.0, "state": {"notes": told}}
    return {
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1"},
        "spec": dump_spec(run_spec()),
        "status": status,
    }


def test_a_message_has_the_facts_of_its_run() -> None:
    run = stored(("Started", "the run begins"), ("ApprovalNeeded", "sre is asked"))
    said = message(run, happenings(run)[1], cluster="prod-eu")
    assert (said.id, said.what, said.severity, said.change) == ("u1/2", "approval needed", "action", "web:1 → web:2")
    assert (said.step, said.steps, said.weight, said.by) == (2, 5, 10.0, "ana")
    assert said.next[0] == 'rollout promote web -n shop --reason "..."'


@pytest.mark.parametrize(
    ("phase", "reason", "severity"),
    [("RolledBack", "RolledBack", "warning"), ("Aborted", "Aborted", "info"), ("Superseded", "Superseded", "info")],
)
def test_an_end_is_told_as_what_it_is_and_not_as_its_cause(phase: str, reason: str, severity: str) -> None:
    run = stored(
        ("GateFailed!", "is worse"), ("GateFailed", "is home: is worse"), ("DecisionRefused!", "late"), phase=phase
    )
    run["status"]["state"]["ended"] = NOW + 1
    said = message(run, happenings(run)[1])
    assert (said.reason, said.severity, said.cause) == (reason, severity, "GateFailed")
    assert [it.reason for it in happenings(run)] == ["GateFailed", reason, "DecisionRefused"]
    channel = ChannelSpec(type="webhook", address="https://x.example")
    told, done = [], 0
    while (next_ := following(channel, happenings(run), done, NOW + 5)).happening is not None:
        told.append(next_.happening.reason)
        done = next_.happening.seq
    assert told == ["GateFailed", reason, "DecisionRefused"], "an end is no repetition of its cause"


def test_trouble_is_over_when_the_run_goes_on() -> None:
    run = stored(("NoData!", "a"), ("Cleared", "b"), ("GateFailed!", "c"), ("RolledBack!", "d"))
    events = happenings(run)
    assert [it.over for it in message(run, events[0]).troubles] == [False]
    assert [it.over for it in message(run, events[1]).troubles] == [True]
    assert {it.reason: it.over for it in message(run, events[3]).troubles} == {
        "NoData": True,
        "GateFailed": True,
        "RolledBack": False,
    }


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("${plan} in ${namespace}", "web in shop"),
        ("$plan ${nothing} $5 $$ ${", "$plan ${nothing} $5 $$ ${"),
        ("${text}", "I am ${run} and ${plan.__class__}"),
        ("${plan.__class__} {plan} {{plan}} %(plan)s", "${plan.__class__} {plan} {{plan}} %(plan)s"),
    ],
)
def test_a_template_is_filled_in_and_nothing_else(template: str, text: str) -> None:
    run = stored(("Started", "I am ${run} and ${plan.__class__}"))
    assert filled(template, message(run, happenings(run)[0]), str) == text


def test_every_placeholder_can_be_filled_in() -> None:
    run = stored(("Started", "x"))
    said = message(run, happenings(run)[0], cluster="c")
    assert "${" not in filled(" ".join(f"${{{name}}}" for name in PLACEHOLDERS), said, str)
    assert Template(title="${plan} ${paln}", text="${what}").unknown == ["paln"]


def test_only_images_that_change_are_named() -> None:
    old = {"app": "registry.example/shop/web:1.4.2", "proxy": "envoy:1"}
    new = {"app": "registry.example/shop/web@sha256:0123456789abcdef", "proxy": "envoy:1"}
    assert change(old, new) == "web:1.4.2 → web@sha256:0123456789ab"


def test_the_story_counts_what_it_forgets() -> None:
    state = State()
    for n in range(NOTES + 5):
        state = note(state, NOW + n, Reason.CLEARED, str(n))
    assert (len(state.notes), state.forgotten, state.notes[0].message) == (NOTES, 5, "5")
    assert note(replace(state, notes=()), NOW, Reason.CLEARED, "x").forgotten == 5


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, Unavailable) for status in (429, 503)),
        *((status, OutcomeUnknown) for status in (408, 425, 500, 502, 504)),
        *((status, Forbidden) for status in (302, 401, 403, 404, 410)),
        *((status, Rejected) for status in (400, 413, 422)),
    ],
)
def test_what_an_answer_means(status: int, error: type[RolloutError]) -> None:
    with pytest.raises(error) as caught:
        judge(Answer(status, {}, b"the body quotes a secret"), NOW)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_good_answer(status: int) -> None:
    judge(Answer(status), NOW)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("30", 30),
        ("0.5", 0.5),
        ("-1", 0),
        ("999999", 3600),
        ("Thu, 28 May 2026 20:27:10 GMT", 30),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(said: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": said}, NOW) == seconds
