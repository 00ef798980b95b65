"""The border: what the API server or the network answered, as our error tree.  `fault` is the only place that maps.

Texts that leave here hold no secret: never a header, never the body of a request; a Secret's objects are refused in our
own words only, and values that the API server quotes whole (it does so when a patch breaks a type) are cut out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson

from rollout.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    NotFound,
    OutcomeUnknown,
    Rejected,
    RolloutError,
    Unavailable,
    Unsupported,
)
from rollout.plan.kinds import SECRET, Kind

READS: Final = frozenset({"get", "list", "review", "watch"})
"""Verbs that may be repeated without harm."""
LONGEST: Final = 400
"""Characters of the server's own words that we repeat."""

# an object inside a message, as JSON, in quotes, or as Go prints it: it may hold environment variables, and it is too
# long to be read; when it was cut off, nobody knows where it ends
_QUOTED: Final = r'Invalid value: (?:"[\[{]|&?[\w.]*[\[{]).*'
_QUOTED_OBJECT: Final = re.compile(rf'{_QUOTED}[\]}}]"?: |{_QUOTED}', re.DOTALL)
_SECONDS: Final = re.compile("[0-9]{1,6}")
_AUTH_HINT: Final = "log in to the cluster again, or name another kubeconfig context"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a request is meant to do, in the words of RBAC. Without a kind it is about the API server itself."""

    verb: str
    kind: Kind | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def writes(self) -> bool:
        """The request may change something."""
        return self.verb not in READS

    @property
    def resource(self) -> str:
        """`deployments.apps/status`, as `kubectl auth can-i` wants it."""
        if self.kind is None:
            return "the API server"
        group = f".{self.kind.group}" if self.kind.group else ""
        return f"{self.kind.plural}{group}{'/' + self.subresource if self.subresource else ''}"

    def __str__(self) -> str:
        if self.kind is None:
            return f"{self.verb} {self.name or 'the API server'}"
        thing = f"{self.kind}/{self.name}" if self.name else f"{self.kind}s"
        status = "the status of " if self.subresource == "status" else ""
        return f"{self.verb} {status}{thing}{' in ' + self.namespace if self.namespace else ''}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body, parsed; None when it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class Unapplied(Rejected):
    """A JSON patch did not fit the object: a test failed or a path is missing. The API server does not say which."""


class Expired(Conflict):
    """A chunked list or a watch begins at a version that is gone: list again."""


class Busy(Unavailable):
    """The server says when to come back."""


class Unauthenticated(Forbidden):
    """The credentials are refused or have expired."""


def fault(intent: Intent, outcome: Answer | Exception) -> RolloutError:
    """The error that an unsuccessful answer, or an exception of the HTTP client, means."""
    if isinstance(outcome, Answer):
        return _refusal(intent, outcome)
    return _silence(intent, outcome)


def _silence(intent: Intent, error: Exception) -> RolloutError:
    """No answer. Before the connection stood nothing can have happened; after that a write may have."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unavailable(
            f"cannot {intent}: the API server's certificate is not trusted",
            after=5.0,
            hint="check certificate-authority and tls-server-name of the cluster in the kubeconfig",
        )
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unavailable(
            f"cannot {intent}: no connection to the API server ({_network_words(error)})",
            after=2.0,
            hint="check that the cluster is up and reachable: kubectl cluster-info",
        )
    lost = "no answer in time" if isinstance(error, asyncio.TimeoutError) else "the connection broke"
    if intent.writes:
        return OutcomeUnknown(f"cannot tell whether {intent} happened: {lost} ({type(error).__name__})")
    return Unavailable(f"cannot {intent}: {lost} ({type(error).__name__})", after=1.0)


def _network_words(error: Exception) -> str:
    """The operating system's words. Never the exception's own text: a proxy's address may hold a password."""
    cause = getattr(error, "os_error", None)
    return (getattr(cause, "strerror", None) or type(cause or error).__name__).lower()


def _refusal(intent: Intent, answer: Answer) -> RolloutError:
    status, words = _Status.of(answer), _words(intent, answer)
    cannot = f"cannot {intent}: {words}"
    match answer.status:
        case 401:
            return Unauthenticated(f"cannot {intent}: the credentials are refused or have expired", hint=_AUTH_HINT)
        case 403:
            return Forbidden(cannot, hint=_forbidden_hint(intent, words))
        case 404 if status.is_status and status.names:
            return NotFound(cannot)
        case 404 | 405 | 406:
            return Unsupported(
                f"cannot {intent}: the API server does not serve {_served_as(intent)}",
                hint="install what provides this kind, or check its version: kubectl api-resources",
            )
        case 409 if status.reason == "AlreadyExists":
            return AlreadyExists(cannot)
        case 409:
            return Conflict(cannot)
        case 410:
            return Expired(cannot)
        case 422 if intent.verb == "patch" and not status.names and not status.causes:
            return Unapplied(f"cannot {intent}: the patch does not fit the object")
        case 429 | 503:
            # RFC 9110 also allows a date there, which the API server never sends
            asked = answer.headers.get("Retry-After", "")
            return Busy(cannot, after=float(asked)) if _SECONDS.fullmatch(asked) else Unavailable(cannot)
        case code if code >= 500:
            return _server_error(intent, cannot, words)
        case _:
            return Rejected(cannot)


def _server_error(intent: Intent, cannot: str, words: str) -> RolloutError:
    """500, 502, 504. A write may have reached etcd, unless a webhook is to blame: those are asked before."""
    if intent.writes and "webhook" not in words:
        return OutcomeUnknown(cannot)
    return Unavailable(cannot)


@dataclass(frozen=True, slots=True)
class _Status:
    """What we read of a `Status` object."""

    is_status: bool
    reason: str
    names: bool
    """It says which object or kind it is about."""
    causes: tuple[Any, ...]

    @classmethod
    def of(cls, answer: Answer) -> _Status:
        body = answer.json()
        if not isinstance(body, dict) or body.get("kind") != "Status":
            return cls(is_status=False, reason="", names=False, causes=())
        details = body.get("details")
        details = details if isinstance(details, dict) else {}
        causes = details.get("causes")
        return cls(
            is_status=True,
            reason=str(body.get("reason", "")),
            names=bool(details.get("name")),
            causes=tuple(causes) if isinstance(causes, list) else (),
        )


def _words(intent: Intent, answer: Answer) -> str:
    """The server's explanation, cut to what is safe and readable."""
    if intent.kind == SECRET and answer.status not in (403, 404):
        return f"refused with status {answer.status} (the server's words are withheld: they may quote the Secret)"
    body = answer.json()
    message = body.get("message", "") if isinstance(body, dict) else ""
    message = _QUOTED_OBJECT.sub("", message).strip() if isinstance(message, str) else ""
    if not message:
        return f"the API server answered with status {answer.status}"
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"


def _served_as(intent: Intent) -> str:
    return f"{intent.kind.api_version} {intent.kind.name}" if intent.kind else "this path"


def _forbidden_hint(intent: Intent, words: str) -> str:
    """Who refuses: RBAC names the user and the verb; a quota or an admission policy names itself."""
    if "cannot " not in words or intent.kind is None:
        return "an admission policy or a quota refuses it; its words say which"
    where = f" -n {intent.namespace}" if intent.namespace else " -A" if intent.kind.namespaced else ""
    check = f"kubectl auth can-i {intent.verb} {intent.resource}{where}"
    return f"grant the verb {intent.verb} on {intent.resource}; check with: {check}"
