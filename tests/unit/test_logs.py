"""Logs: JSON, one line each, and nothing that could hold a secret."""

from __future__ import annotations

import io
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from rollout.adapters.kube import transport
from rollout.adapters.kube.cluster import connect
from rollout.controller.logs import JsonLines, story, to_stderr
from rollout.controller.view import RunView
from rollout.errors import RolloutError
from rollout.plan.kinds import CONFIGMAP, SECRET, Ref
from rollout.plan.run import Note
from rollout.ports.cluster import Guard
from tests.kit.builders import progressing, run

TOKEN = "s3cr3t-t0ken"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged since, read as JSON; the logging of the tests is put back."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [orjson.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


Lines = Callable[[], list[dict[str, Any]]]


def test_a_line_is_a_constant_message_and_keys(lines: Lines) -> None:
    logging.getLogger("rollout.x").warning("a turn failed", extra={"plan": "web", "failures": 3, "kind": CONFIGMAP})
    (line,) = lines()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "rollout.x",
        "message": "a turn failed",
        "plan": "web",
        "failures": 3,
        "kind": line["kind"],
    }


def test_an_exception_is_one_line_too(lines: Lines) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("rollout.x").exception("a turn failed")
    (line,) = lines()
    assert "ValueError: first\nsecond" in line["error"]


@pytest.mark.parametrize("value", ["\udcff", 2**70, {1: "a"}, {"a": {"b": object()}}, b"\xff"])
def test_whatever_is_logged_becomes_a_line(lines: Lines, value: object) -> None:
    """A line that cannot be written is a line that is missed."""
    logging.getLogger("rollout.x").info("odd", extra={"value": value})
    (line,) = lines()
    assert line["message"] == "odd"
    assert line["value"]


def test_the_story_of_a_run_names_it_in_every_line_and_tells_news_only(lines: Lines) -> None:
    before = progressing(step=1, notes=(Note(1.0, "Started", "the run begins"),))
    notes = (*before.notes, Note(2.0, "WeightSet", "10 % to web-canary"), Note(3.0, "GateFailed", "97 %", warning=True))
    after = replace(before, notes=notes)
    story(RunView("shop", "web-bbbbb-1", "uid", run(), after, 4.0), before)
    weight, gate = lines()
    keys = {"namespace": "shop", "plan": "web", "run": "web-bbbbb-1", "phase": "Progressing", "step": 2}
    assert keys.items() <= weight.items()
    assert keys.items() <= gate.items()
    assert (weight["message"], weight["detail"], weight["level"]) == ("WeightSet", "10 % to web-canary", "info")
    assert (gate["message"], gate["detail"], gate["level"]) == ("GateFailed", "97 %", "warning")


def test_a_process_logs_to_stderr_and_leaves_out_the_chatter(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    chatty = {name: logging.getLogger(name).level for name in ("apscheduler", "aiohttp.access")}
    try:
        to_stderr()
        logging.getLogger("apscheduler.scheduler").info("tick")
        logging.getLogger("rollout").info("leads")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in chatty.items():
            logging.getLogger(name).setLevel(before)
    said = capsys.readouterr()
    assert said.out == ""
    assert [orjson.loads(line)["message"] for line in said.err.splitlines()] == ["leads"]


async def _version(_: web.Request) -> web.StreamResponse:
    return web.json_response({"gitVersion": "v1.36.3"})


async def _hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _fail(_: web.Request) -> web.StreamResponse:
    return web.json_response({"message": "no", "reason": "InternalError"}, status=500)


async def _forget(_: web.Request) -> web.StreamResponse:
    return web.json_response({"message": "who are you", "reason": "Unauthorized"}, status=401)


async def _babble(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>no JSON</html>", content_type="text/html")


@pytest.mark.parametrize("handler", [_hang_up, _fail, _forget, _babble, None])
async def test_no_error_of_the_transport_quotes_the_token_or_what_was_sent(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]] | None,
    lines: Lines,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None: nobody listens there any more."""
    monkeypatch.setattr(transport, "_pause", lambda *_: 0.0)
    app = web.Application()
    app.router.add_get("/version", _version)
    app.router.add_route("*", "/{rest:.*}", handler or _fail)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    content = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_bytes(orjson.dumps(content))
    failed = 0
    async with connect(str(tmp_path / "config")) as cluster:
        if handler is None:
            await runner.cleanup()
        ops = [{"op": "add", "path": "/data/password", "value": "hunter2"}]
        for call in (
            cluster.get(Ref(CONFIGMAP, "shop", "x")),
            cluster.list(CONFIGMAP, "shop"),
            cluster.patch(Ref(SECRET, "shop", "x"), ops, Guard("u", "1")),
            cluster.delete(Ref(CONFIGMAP, "shop", "x"), Guard("u", "1")),
        ):
            try:
                await call
            except RolloutError as error:
                failed += 1
                logging.getLogger("rollout.x").exception(
                    "a turn failed", extra={"error": str(error), "why": error.hint}
                )
    await runner.cleanup()
    assert failed >= 3
    text = orjson.dumps(lines()).decode()
    assert "a turn failed" in text
    for secret in (TOKEN, "Authorization", "Bearer", "hunter2"):
        assert secret not in text
