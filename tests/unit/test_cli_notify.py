"""rollout notify test: shows what would be sent, sends it, and says what is wrong; never a secret."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from rollout.plan.base import Json
from rollout.plan.kinds import NOTIFICATION_CHANNEL
from rollout.registry import channels
from tests.kit import shell as kit
from tests.kit.shell import GOOD, Shell
from tests.kit.vendors import SECRET, VENDORS, MemoryHttp, Receiver, SlackApi, Vendor

BASE = "https://vendor.example"


def wired(shell: Shell, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, **spec: object) -> Shell:
    """The shell in a world with a channel and its vendor."""
    from contextlib import asynccontextmanager

    from rollout import bootstrap

    vendor.now = shell.simulation.clock.now
    shell.world = replace(shell.world, channels=channels(), http=MemoryHttp(vendor))

    @asynccontextmanager
    async def connect(*, namespace: str | None, **_: str | None):  # type: ignore[no-untyped-def]
        yield shell.world, namespace or "shop"

    monkeypatch.setattr(bootstrap, "connect", connect)
    data = {key: base64.b64encode(it.encode()).decode() for key, it in vendor.secret(BASE).items()}
    meta: Json = {"name": "hook", "namespace": "shop"}
    shell.simulation.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})
    head: Json = {"apiVersion": NOTIFICATION_CHANNEL.api_version, "kind": "NotificationChannel"}
    shell.simulation.apply(head | {"metadata": {"name": "team", "namespace": "shop"}, "spec": vendor.spec(BASE) | spec})
    return shell


@pytest.mark.parametrize("kind", VENDORS, ids=lambda it: it.type)
def test_it_shows_what_would_be_sent_and_sends_nothing(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, kind: type[Vendor]
) -> None:
    vendor = kind(lambda: 0.0)
    done = wired(shell, vendor, monkeypatch).run("notify", "test", "team")
    assert (done.exit_code, vendor.requests) == (0, 0)
    assert f"team ({vendor.type}) would send:" in done.stdout
    assert "nothing has happened" in done.stdout
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("kind", VENDORS, ids=lambda it: it.type)
def test_it_sends_a_test_that_the_vendor_takes(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, kind: type[Vendor]
) -> None:
    vendor = kind(lambda: 0.0)
    done = wired(shell, vendor, monkeypatch).run("notify", "test", "--send")
    assert (done.exit_code, len(vendor.told), vendor.broken) == (0, 1, [])
    assert "sent" in done.stdout


def test_it_says_in_json_what_came_of_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = Receiver(lambda: 0.0)
    vendor.closed = True
    done = wired(shell, vendor, monkeypatch).run("notify", "test", "team", "--send", "-o", "json")
    assert (done.exit_code, '"outcome": "failed"' in done.stdout, SECRET in done.stdout) == (6, True, False)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["notify", "test", "nobody"], 1, "there is no channel nobody in shop"),
        (["notify", "test", "team", "--event", "RolledBak"], 2, "did you mean RolledBack?"),
    ],
)
def test_what_is_wrong_with_the_question(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    done = wired(shell, Receiver(lambda: 0.0), monkeypatch).run(*words)
    assert (done.exit_code, said in done.stderr) == (code, True)


def test_a_channel_that_cannot_work_exits_with_4(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    done = wired(shell, Receiver(lambda: 0.0), monkeypatch, type="slak").run("notify", "test", "team")
    assert (done.exit_code, "there is no type slak" in done.stdout) == (4, True)


def test_a_terminal_that_drives_a_run_tells_people(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = SlackApi(lambda: 0.0)
    wired(shell, vendor, monkeypatch)
    done = shell.run("start", shell.file(), "--image", f"app={GOOD}")
    assert done.exit_code == 0
    assert len(vendor.parents) == 1
    assert "Succeeded" in vendor.parents[0]["text"]
    assert any("promoted" in it for it in vendor.told)


def test_where_a_controller_tells_the_terminal_does_not(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = SlackApi(lambda: 0.0)
    wired(shell, vendor, monkeypatch)
    shell.control()
    assert shell.run("start", shell.file(), "--image", f"app={kit.GOOD}").exit_code == 0
    assert vendor.requests == 0
