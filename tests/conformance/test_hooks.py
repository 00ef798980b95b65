"""Every way to call hooks passes the same suite; and what is particular of HTTP and of Jobs."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from rollout.adapters.channels.http import AioHttp
from rollout.adapters.hooks.http import KEY, HttpCalls
from rollout.adapters.hooks.job import JobCalls, manifest
from rollout.adapters.memory.hooks import NO, YES, MemoryHooks, Outside
from rollout.adapters.memory.store import MemoryCluster
from rollout.bootstrap import not_for_pods
from rollout.decide.seen import HookAnswer
from rollout.errors import Forbidden, Unavailable
from rollout.plan.called import Header, Hook, HttpCall, JobCall, host_of, of_the_link
from rollout.plan.gate import SecretKey
from rollout.plan.kinds import JOB, ref_of
from rollout.ports.channel import Request
from rollout.ports.hooks import Call, Hooks
from tests.conformance.hooks_suite import Bench, HooksSuite
from tests.kit.serving import serving

TOKEN = "s3cr3t-canary"
POD = {"restartPolicy": "Never", "containers": [{"name": "k6", "image": "k6"}]}


@dataclass
class InMemory(Bench):
    outside: Outside = field(default_factory=Outside)

    def caller(self) -> Hooks:
        return MemoryHooks(self.outside)

    def answers(self, verdict: str) -> None:
        replies = {"passed": YES, "failed": NO, "running": HookAnswer("running")}
        self.outside.replies = lambda _: replies[verdict]

    @property
    def taken(self) -> int:
        return len(self.outside.known)


class TestMemory(HooksSuite):
    @pytest.fixture
    def bench(self) -> Bench:
        return InMemory(Hook("load", "before", HttpCall("http://hooks/"), 5.0))


@dataclass
class Http(Bench):
    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    callers: list[HttpCalls] = field(default_factory=list)
    line: AioHttp = field(default_factory=AioHttp)
    status: int | None = 200
    body: str = "all is well"
    came: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    def caller(self) -> HttpCalls:
        self.callers.append(HttpCalls(self.cluster, self.line))
        return self.callers[-1]

    def answers(self, verdict: str) -> None:
        self.status = {"passed": 204, "failed": 503}.get(verdict)

    @property
    def taken(self) -> int:
        return len({headers[KEY] for headers, _ in self.came})

    async def take(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.came.append((dict(request.headers), json.loads(await request.read())))
        if self.status is None:
            await asyncio.sleep(60)
        return web.Response(status=self.status or 500, text=self.body, headers={"Location": "/elsewhere"})

    def secret(self, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        meta = {"name": "hook", "namespace": "shop"}
        self.cluster.objects.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded})

    async def say(self, how: HttpCall, within: float = 5.0) -> HookAnswer:
        """Call once, in another way."""
        self.hook = replace(self.hook, how=how, timeout=within)
        hooks = self.caller()
        await hooks.begin(self.call())
        return await self.heard(hooks)

    @property
    def url(self) -> str:
        assert isinstance(self.hook.how, HttpCall)
        return self.hook.how.url


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """The way by HTTP, to a server on this machine."""
    found = Http(Hook("load", "before", HttpCall(), 5.0))
    async with serving(found.take) as address:
        found.hook = replace(found.hook, how=HttpCall(f"{address}/gate"))
        yield found
        for caller in found.callers:
            await caller.close()
        await found.line.close()


class TestHttp(HooksSuite):
    @pytest.fixture
    def bench(self, http: Http) -> Bench:
        return http


@dataclass
class Jobs(Bench):
    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    verdict: str = "running"
    made: set[str] = field(default_factory=set)

    def caller(self) -> Hooks:
        return JobCalls(self.cluster)

    def answers(self, verdict: str) -> None:
        self.verdict = verdict

    @property
    def taken(self) -> int:
        return len(self.made)

    async def heard(self, hooks: Hooks, number: int = 1) -> HookAnswer:
        """What the Job controller makes of it."""
        for _, job in list(self.cluster.objects):
            self.made.add(job["metadata"]["uid"])
            kind = {"passed": "Complete", "failed": "Failed"}.get(self.verdict)
            done = [{"type": kind, "status": "True"}] if kind and not job.get("status") else None
            if done:
                self.cluster.objects.put({**job, "status": {"conditions": done}})
        return await hooks.look(self.call(number))


@pytest.fixture
def jobs() -> Jobs:
    """The way by Jobs."""
    return Jobs(Hook("load", "before", JobCall({"template": {"spec": POD}}), 30.0))


class TestJobs(HooksSuite):
    @pytest.fixture
    def bench(self, jobs: Jobs) -> Bench:
        return jobs


async def test_urls_and_headers_come_out_of_secrets_and_are_never_quoted(http: Http) -> None:
    http.secret(url=f"{http.url}?key={TOKEN}", token=f"Bearer {TOKEN}")
    http.status, http.body = 403, f"no: you sent Bearer {TOKEN}\n\x1b[31m and ?key={TOKEN}" + "x" * 1000
    header = Header("Authorization", value_from=SecretKey(name="hook", key="token"))
    how = HttpCall(url_from=SecretKey(name="hook", key="url"), headers=(header, Header("X-Team", "shop")))
    answer = await http.say(how)
    assert (answer.status, answer.text.startswith("it answered 403: no: you sent ***")) == ("failed", True)
    assert TOKEN not in answer.text
    assert len(answer.text) < 260
    assert answer.text.isprintable()
    headers, body = http.came[0]
    assert (headers["Authorization"], headers["X-Team"]) == (f"Bearer {TOKEN}", "shop")
    assert headers[KEY] == "uid-run/load/1"
    assert body == {"hook": "load"}


async def test_a_secret_that_is_not_there_is_named(http: Http) -> None:
    answer = await http.say(HttpCall(url_from=SecretKey(name="hook", key="url")))
    assert (answer.status, answer.text) == ("failed", "Secret/hook in shop does not exist")


async def test_who_does_not_answer_in_time_has_said_no(http: Http) -> None:
    http.status = None
    answer = await http.say(HttpCall(http.url), within=0.05)
    assert (answer.status, answer.text) == ("failed", "no answer within 50ms")


async def test_no_redirect_is_followed(http: Http) -> None:
    http.status = 302
    assert (await http.say(HttpCall(http.url))).text.startswith("it answered 302")
    assert len(http.came) == 1


async def test_nobody_there_says_no(http: Http) -> None:
    answer = await http.say(HttpCall("http://127.0.0.1:1/"))
    assert (answer.status, answer.text) == ("failed", "no connection")


async def test_two_names_at_once_say_no_in_words(http: Http) -> None:
    http.secret(key="Bearer x")
    header = Header("Authorization", value_from=SecretKey(name="hook", key="key"))
    said = await http.say(HttpCall(http.url.replace("://", "://ann:b@"), headers=(header,)))
    assert said == HookAnswer("failed", "its URL names a user, and a header says who it is, too give one of them")


async def test_an_address_that_is_no_url_says_no_whether_or_not_it_is_secret(http: Http) -> None:
    await http.cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "hooks", "namespace": "shop"},
            "data": {"url": base64.b64encode(b"http://[::1").decode()},
        }
    )
    for how in (HttpCall("http://[::1"), HttpCall(url_from=SecretKey(name="hooks", key="url"))):
        answer = await http.say(how)
        assert (answer.status, "its address is no URL" in answer.text) == ("failed", True)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://169.254.169.254/latest", True),
        ("http://[fe80::1]/", True),
        ("http://[::ffff:169.254.169.254]/", True),
        ("http://[fd00:ec2::254]/", True),
        ("http://[64:ff9b::a9fe:a9fe]/", True),
        ("http://[2002:a9fe:a9fe::]/", True),
        ("http://Metadata.Google.Internal./", True),
        ("http://100.100.100.200/", True),
        ("http://10.0.0.1/", False),
        ("http://hooks.shop/", False),
    ],
)
async def test_the_addresses_where_clouds_give_credentials_are_refused(http: Http, url: str, found: bool) -> None:
    assert of_the_link(host_of(url)) is found
    if found:
        assert "such are never called" in (await http.say(HttpCall(url))).text


@pytest.mark.parametrize(
    "said",
    [
        "x" * 195 + TOKEN,
        "x" * 12_795 + TOKEN,
        f"bad key {TOKEN}",
        f"path /hooks/{TOKEN}/a",
        "no such user: ann:p%40ss%2FWORD",
        "no such user: ann:p@ss/WORD",
        '{"authorization": "Basic YW5uOnBAc3MvV09SRA=="}',
        r'{"password": "p@ss\/WORD"}',
        "P@SS/WORD is wrong",
    ],
)
async def test_however_a_server_repeats_a_secret_it_is_struck_out(http: Http, said: str) -> None:
    http.secret(url=f"{http.url}/{TOKEN}?key={TOKEN}&b=1", token="Basic YW5uOnBAc3MvV09SRA==")
    http.status, http.body = 500, said
    header = Header("Authorization", value_from=SecretKey(name="hook", key="token"))
    answer = await http.say(HttpCall(url_from=SecretKey(name="hook", key="url"), headers=(header,)))
    assert answer.text.startswith("it answered 500: ")
    assert not any(it in answer.text.lower() for it in (TOKEN[:6], "p@ss", "p%40ss", r"ss\/word", "ywyuo", "/word"))


async def test_what_looks_like_a_key_in_a_plan_is_not_quoted_either(http: Http) -> None:
    http.status, http.body = 500, f"shop: {TOKEN} and other-{TOKEN} are wrong"
    headers = (Header("X-Key", f"other-{TOKEN}"), Header("X-Team", "shop"))
    answer = await http.say(HttpCall(f"{http.url}?key={TOKEN}", headers=headers))
    assert answer.text == "it answered 500: shop: *** and *** are wrong"


@pytest.mark.parametrize(
    ("found", "never"),
    [
        (["169.254.169.254"], True),
        (["fe80::1%2"], True),
        (["::ffff:169.254.169.254", "169.254.169.254"], True),
        (["127.0.0.1"], True),
        (["169.254.169.254", "127.0.0.2"], True),
        (["192.0.2.1"], False),
    ],
)
async def test_what_a_name_leads_to_is_looked_at_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch, found: list[str], *, never: bool
) -> None:
    """Whatever the name is: only then it is known where it leads."""
    asked = []

    async def look_up(_: object, host: str, *rest: object) -> list[dict[str, object]]:
        asked.append(host)
        common = {"hostname": host, "port": 80, "family": socket.AF_INET, "proto": 0, "flags": 0}
        return [common | {"host": address} for address in found]

    async def connect(*_: object, **__: object) -> None:
        raise OSError("nobody is there")

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", look_up)
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)
    line = AioHttp(refuses=not_for_pods)
    with pytest.raises(
        Forbidden if never else Unavailable, match="such are never called" if never else "no connection"
    ):
        await line.send(Request("http://innocent.example/"))
    await line.close()
    assert asked == ["innocent.example"]


async def test_a_controller_does_not_call_itself() -> None:
    line = AioHttp(refuses=not_for_pods)
    for host in ("127.0.0.1:15000", "localhost:15000", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "x.localhost"):
        with pytest.raises(Forbidden, match="such are never called"):
            await line.send(Request(f"http://{host}/quitquitquit"))
    await line.close()


def test_a_job_ends_by_itself_when_nobody_lives() -> None:
    spec = {"template": {"spec": POD}, "activeDeadlineSeconds": 5, "backoffLimit": 0}
    for given, limit in ((spec, 5), (spec | {"activeDeadlineSeconds": 900}, 30), ({"template": {}}, 30)):
        job = manifest(Jobs(Hook("load", "before", JobCall(given), 30.0)).call())
        assert job["spec"]["activeDeadlineSeconds"] == limit
        assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-run"


async def test_a_foreign_job_of_that_name_is_left_alone(jobs: Jobs) -> None:
    hooks = jobs.caller()
    foreign = manifest(replace(jobs.call(), uid="another"))
    await jobs.cluster.create(foreign)
    await hooks.begin(jobs.call())
    answer = await hooks.look(jobs.call())
    assert (answer.status, "exists and is not this run's" in answer.text) == ("failed", True)
    await hooks.end(jobs.call())
    assert jobs.cluster.objects.get(ref_of(foreign)) is not None


async def test_a_job_that_is_refused_is_an_answer(jobs: Jobs) -> None:
    jobs.cluster.deny("create", JOB)
    hooks = jobs.caller()
    await hooks.begin(jobs.call())
    answer = await hooks.look(jobs.call())
    assert (answer.status, "--features hooks" in answer.text) == ("failed", True)


async def test_what_is_under_way_ends_with_the_engine(http: Http) -> None:
    http.status = None
    hooks = http.caller()
    await hooks.begin(http.call())
    await hooks.close()
    with suppress(asyncio.CancelledError):
        assert (await hooks.look(http.call())).status == "absent"


def test_calls_of_one_hook_have_keys_of_their_own() -> None:
    hook = Hook("load", "before", HttpCall("http://x"), 5.0)
    keys = {Call(it.run, uid, hook, n).id for it in [InMemory(hook).call()] for uid in "ab" for n in (1, 2)}
    assert len(keys) == 4
