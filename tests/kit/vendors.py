"""The other ends of all channels, as their documentation says that they behave: limits, errors, what they know again.

Each is a function from a request to an answer, so the same one serves in memory and behind a real socket.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from rollout.errors import OutcomeUnknown, Unavailable
from rollout.plan.base import Json
from rollout.ports.channel import Answer, Request
from tests.kit.serving import serving

Fault = int | Literal["refused", "lost", "dropped"]
"""A status to answer with; or no connection, the request done and no answer, the request lost and no answer."""
SECRET = "s3cr3t-canary"
KEY = f"whsec_{base64.b64encode(b'canary-key-canary').decode()}"
MENTION = "<!channel> <@U123> @everyone <users/all>"


@dataclass
class Vendor(ABC):
    """One vendor. `told` is what people see, in order."""

    now: Callable[[], float]
    told: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    """What happens to the next requests, one after the other."""
    retry_after: str = "7"
    requests: int = 0
    at: list[float] = field(default_factory=list)
    """When requests came."""
    broken: list[str] = field(default_factory=list)
    """What the vendor would not stand."""
    open: bool = False
    """Anybody may write here."""
    closed: bool = False
    """Nobody of that name lives here any more."""
    type = ""
    path = "/hook"
    exact = True
    """Each event is told once, whatever happens."""

    def spec(self, base: str) -> Json:
        """The channel that leads here; its Secret is `secret`."""
        return {"type": self.type, "addressFrom": {"name": "hook", "key": "url"}}

    def secret(self, base: str) -> dict[str, str]:
        """What the Secret `hook` holds."""
        return {"url": f"{base}{self.path}?key={SECRET}"}

    def answer(self, request: Request) -> Answer:
        """What comes back, without a fault."""
        if self.closed:
            return Answer(404, {}, f"no service {SECRET}".encode())
        if not self.open and SECRET not in request.url + str(request.headers):
            self.broken.append("the secret is missing")
        return self.take(request, json.loads(request.body) if request.body else {})

    @abstractmethod
    def take(self, request: Request, body: Any) -> Answer:
        """Its own manners."""

    def meet(self, request: Request) -> tuple[Fault | None, Answer]:
        """A request comes: the fault that it meets, and the answer if there is none."""
        self.requests += 1
        self.at.append(self.now())
        fault = self.faults.pop(0) if self.faults else None
        match fault:
            case None | "lost":
                return fault, self.answer(request)
            case int():
                headers = {"retry-after": self.retry_after} if fault in (429, 503) else {}
                return fault, Answer(fault, headers | ({"location": "/elsewhere"} if fault == 302 else {}), b"{}")
            case _:
                return fault, Answer(0)

    def harmless(self, text: str) -> str:
        """Complains of mentions that would call somebody."""
        self.broken += [f"mentions: {it}" for it in ("<!channel>", "<@U123>", "<users/all>") if it in text]
        return text


class Receiver(Vendor):
    """A receiver of CloudEvents: verifies signatures, knows events by source and id."""

    type = "webhook"

    def spec(self, base: str) -> Json:
        return super().spec(base) | {"signature": {"name": "hook", "key": "key"}}

    def secret(self, base: str) -> dict[str, str]:
        return super().secret(base) | {"key": KEY}

    def take(self, request: Request, body: Any) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not self.open and not self._verifies(headers, request.body):
            return Answer(401)
        assert headers["content-type"].startswith("application/cloudevents+json")
        assert body["specversion"] == "1.0"
        assert datetime.fromisoformat(body["time"])
        known = (body["source"], body["id"])
        if known not in self.__dict__.setdefault("ids", set()):
            self.__dict__["ids"].add(known)
            self.told.append(body["data"]["message"])
        return Answer(202)

    def _verifies(self, headers: dict[str, str], body: bytes) -> bool:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = hmac.new(base64.b64decode(KEY.removeprefix("whsec_")), signed, hashlib.sha256).digest()
        return headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


class SlackHook(Vendor):
    """An incoming webhook of Slack."""

    type = "slack"
    exact = False

    def take(self, request: Request, body: Any) -> Answer:
        if not body.get("text") or wrong_blocks(body["blocks"]):
            return Answer(400, {}, b"invalid_blocks")
        self.told.append(self.harmless(body["blocks"][0]["text"]["text"]))
        return Answer(200, {}, b"ok")


class SlackApi(Vendor):
    """Slack's Web API, for one bot in one channel."""

    type = "slack-bot"
    path = "/api"
    may_read = True

    def spec(self, base: str) -> Json:
        token = {"name": "hook", "key": "token"}
        return {"type": "slack-bot", "address": f"{base}{self.path}", "token": token, "channel": "C1"}

    def secret(self, base: str) -> dict[str, str]:
        return {"token": f"xoxb-{SECRET}"}

    @property
    def sent(self) -> list[Json]:
        return self.__dict__.setdefault("_sent", [])  # type: ignore[no-any-return]

    @property
    def parents(self) -> list[Json]:
        """Messages that are not in a thread."""
        return [it for it in self.sent if not it.get("thread_ts")]

    def take(self, request: Request, body: Any) -> Answer:
        url = urlsplit(request.url)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        match url.path.rpartition("/")[2]:
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                found = [it for it in self.sent if it["ts"] == body["ts"]]
                if not found:
                    return _said(ok=False, error="message_not_found")
                found[0].update(text=body["text"], blocks=body["blocks"])
                return _said(ok=True, channel="C1", ts=body["ts"])
            case _ if not self.may_read:
                return _said(ok=False, error="missing_scope")
            case "conversations.history":
                return _said(ok=True, messages=[m for m in self.parents if float(m["ts"]) >= float(asked["oldest"])])
            case "conversations.replies":
                return _said(ok=True, messages=[m for m in self.sent if asked["ts"] in (m["ts"], m.get("thread_ts"))])
        return _said(ok=False, error="unknown_method")

    def _post(self, body: Json) -> Answer:
        if wrong_blocks(body["blocks"]) or len(body["text"]) > 4000:
            return _said(ok=False, error="invalid_blocks")
        moment = f"{self.now():.6f}{len(self.sent):03d}"
        self.sent.append(body | {"ts": moment})
        if body.get("thread_ts"):
            self.told.append(self.harmless(body["blocks"][0]["text"]["text"]))
        return _said(ok=True, channel="C1", ts=moment)


class TeamsFlow(Vendor):
    """A workflow of Teams."""

    type = "teams"
    exact = False

    def take(self, request: Request, body: Any) -> Answer:
        card = body["attachments"][0]["content"]
        if len(request.body) > 28_000 or body["type"] != "message" or card["type"] != "AdaptiveCard":
            return Answer(413)
        self.told.append(card["body"][1]["text"])
        return Answer(202)


class DiscordHook(Vendor):
    """A webhook of Discord."""

    type = "discord"
    exact = False

    def take(self, request: Request, body: Any) -> Answer:
        embed = body["embeds"][0]
        sizes = [len(embed["title"]), len(embed["description"]), *(len(it["value"]) for it in embed["fields"])]
        names = [len(it["name"]) for it in embed["fields"]]
        if sizes[0] > 256 or sizes[1] > 4096 or max(sizes[2:]) > 1024 or sum(sizes) + sum(names) > 6000:
            return Answer(400)
        if body["allowed_mentions"] != {"parse": []}:
            self.broken.append("mentions everyone")
        if "wait=true" not in request.url:
            self.broken.append("does not wait for the verdict")
        self.told.append(embed["description"])
        return Answer(200, {}, b"{}")


class ChatSpace(Vendor):
    """A space of Google Chat: a request ID that is known makes no second message."""

    type = "google-chat"

    def take(self, request: Request, body: Any) -> Answer:
        if len(request.body) > 32_000:
            return Answer(400)
        asked = parse_qs(urlsplit(request.url).query)
        known = self.__dict__.setdefault("ids", set())
        if asked["requestId"][0] not in known:
            known.add(asked["requestId"][0])
            self.told.append(self.harmless(body["text"]))
        assert body["thread"]["threadKey"]
        assert asked["messageReplyOption"]
        return Answer(200, {}, b"{}")


class Alerts(Vendor):
    """Alertmanager: alerts are known by their labels; of what is over nobody is told anew."""

    type = "alertmanager"

    def spec(self, base: str) -> Json:
        token = {"name": "hook", "key": "token"}
        return {"type": "alertmanager", "address": base, "token": token}

    def secret(self, base: str) -> dict[str, str]:
        return {"token": SECRET}

    @property
    def firing(self) -> dict[str, str]:
        """Names of the alerts that were sent, each with its end."""
        return self.__dict__.setdefault("_firing", {})  # type: ignore[no-any-return]

    def take(self, request: Request, body: Any) -> Answer:
        assert urlsplit(request.url).path == "/api/v2/alerts"
        for alert in body:
            name = alert["labels"]["alertname"]
            over = datetime.fromisoformat(alert["endsAt"]).timestamp() <= self.now()
            if name not in self.firing and not over:
                self.told.append(alert["annotations"]["description"])
            self.firing[name] = "over" if over else "firing"
        return Answer(200)


VENDORS: tuple[type[Vendor], ...] = (Receiver, SlackHook, SlackApi, TeamsFlow, DiscordHook, ChatSpace, Alerts)


def wrong_blocks(blocks: list[Json]) -> bool:
    """Whether Slack would refuse these blocks."""
    texts = [it["text"]["text"] for it in blocks if it["type"] == "section"]
    return len(blocks) > 50 or any(not 0 < len(text) <= 3000 for text in texts)


@dataclass
class MemoryHttp:
    """The port `Http` without a network: every address leads to the one vendor."""

    vendor: Vendor

    async def send(self, request: Request) -> Answer:
        """See `ports.channel.Http.send`."""
        fault, answer = self.vendor.meet(request)
        if fault == "refused":
            raise Unavailable("no connection")
        if fault in ("lost", "dropped"):
            raise OutcomeUnknown("no answer within 10 s")
        return answer


@asynccontextmanager
async def served(vendor: Vendor) -> AsyncIterator[str]:
    """The vendor behind a real socket; its base URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = Request(str(request.url), await request.read(), dict(request.headers), request.method)
        fault, answer = vendor.meet(asked)
        if fault in ("lost", "dropped"):
            await asyncio.sleep(60)
        if fault == "refused":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status or 500, headers=answer.headers, body=answer.body)

    async with serving(handle) as address:
        yield address


def _said(**body: object) -> Answer:
    return Answer(200, {}, json.dumps(body).encode())


def texts(told: Iterable[str], marks: Iterable[str]) -> list[str]:
    """Which of these marks is in each of the texts, in order."""
    return [next((mark for mark in marks if mark in text), text) for text in told]
