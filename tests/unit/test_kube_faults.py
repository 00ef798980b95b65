"""What an answer or a silence of the API server means, and that no secret gets into the words."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp.client_reqrep import ConnectionKey

from rollout.adapters.kube.faults import Answer, Busy, Expired, Intent, Unapplied, Unauthenticated, fault
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
from rollout.plan.kinds import DEPLOYMENT, SECRET, VIRTUAL_SERVICE

GET = Intent("get", DEPLOYMENT, "shop", "web")
PATCH = Intent("patch", DEPLOYMENT, "shop", "web")
CREATE = Intent("create", DEPLOYMENT, "shop", "web")


def status(code: int, reason: str = "", message: str = "because", **details: Any) -> Answer:
    body = {"kind": "Status", "reason": reason, "message": message, "details": details, "code": code}
    return Answer(code, orjson.dumps(body))


NAMED = {"name": "web", "kind": "deployments"}


@pytest.mark.parametrize(
    ("intent", "answer", "kind"),
    [
        (GET, status(400, "BadRequest"), Rejected),
        (GET, status(401, "Unauthorized"), Unauthenticated),
        (GET, status(403, "Forbidden"), Forbidden),
        (GET, status(404, "NotFound", **NAMED), NotFound),
        (GET, Answer(404, b"404 page not found\n"), Unsupported),
        (GET, status(404, "NotFound", "the server could not find the requested resource"), Unsupported),
        (PATCH, status(405, "MethodNotAllowed"), Unsupported),
        (CREATE, status(409, "AlreadyExists", **NAMED), AlreadyExists),
        (PATCH, status(409, "Conflict", **NAMED), Conflict),
        (GET, status(410, "Expired"), Expired),
        (PATCH, status(413, "RequestEntityTooLarge"), Rejected),
        (PATCH, status(422, "Invalid"), Unapplied),
        (PATCH, status(422, "Invalid", causes=[{"field": "spec.replicas"}], **NAMED), Rejected),
        (PATCH, status(422, "Invalid", causes=[{"field": "patch"}]), Rejected),
        (CREATE, status(422, "Invalid"), Rejected),
        (PATCH, status(429, "TooManyRequests"), Unavailable),
        (PATCH, Answer(503, b"upstream connect error"), Unavailable),
        (GET, status(500, "InternalError"), Unavailable),
        (PATCH, status(500, "InternalError", "etcdserver: request timed out"), OutcomeUnknown),
        (PATCH, status(500, "InternalError", "failed calling webhook x"), Unavailable),
        (CREATE, status(504, "Timeout"), OutcomeUnknown),
        (GET, Answer(502, b"<html>"), Unavailable),
    ],
)
def test_each_answer_means_one_error(intent: Intent, answer: Answer, kind: type[RolloutError]) -> None:
    error = fault(intent, answer)
    assert type(error) is kind
    assert "Deployment/web in shop" in str(error)


def connection_refused() -> aiohttp.ClientConnectorError:
    key = ConnectionKey(
        "api.example.com", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    return aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "Connection refused"))


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (connection_refused(), Unavailable, Unavailable),
        (aiohttp.ConnectionTimeoutError(), Unavailable, Unavailable),
        (TimeoutError(), Unavailable, OutcomeUnknown),
        (aiohttp.ServerTimeoutError(), Unavailable, OutcomeUnknown),
        (aiohttp.ServerDisconnectedError(), Unavailable, OutcomeUnknown),
        (aiohttp.ClientPayloadError(), Unavailable, OutcomeUnknown),
        (ConnectionResetError(104, "reset"), Unavailable, OutcomeUnknown),
    ],
)
def test_silence_after_a_write_was_sent_leaves_the_outcome_unknown(
    error: Exception, read: type[RolloutError], write: type[RolloutError]
) -> None:
    assert type(fault(GET, error)) is read
    assert type(fault(PATCH, error)) is write


def test_a_review_of_rights_is_not_a_write() -> None:
    assert type(fault(Intent("review", DEPLOYMENT), TimeoutError())) is Unavailable


def test_the_server_says_how_long_to_wait() -> None:
    error = fault(GET, Answer(429, b"", {"Retry-After": "7"}))
    assert isinstance(error, Busy)
    assert error.after == 7.0


def test_a_missing_right_is_named_with_the_command_that_checks_it() -> None:
    words = 'deployments.apps "web" is forbidden: User "ann" cannot patch resource "deployments" in API group "apps"'
    error = fault(Intent("patch", DEPLOYMENT, "shop", "web", "status"), status(403, "Forbidden", words))
    assert words in str(error)
    assert "kubectl auth can-i patch deployments.apps/status -n shop" in error.hint


def test_a_policy_that_refuses_is_not_mistaken_for_a_missing_right() -> None:
    error = fault(PATCH, status(403, "Forbidden", 'pods "web" is forbidden: exceeded quota: small'))
    assert "can-i" not in error.hint


def test_a_kind_that_is_not_served_says_which() -> None:
    error = fault(Intent("list", VIRTUAL_SERVICE, "shop"), Answer(404, b"404 page not found\n"))
    assert "networking.istio.io/v1 VirtualService" in str(error)
    assert error.hint


def test_an_object_that_the_server_quotes_is_cut_out() -> None:
    quoted = '{"env":[{"name":"PASSWORD","value":"hunter2"}]}'
    words = f' "" is invalid: patch: Invalid value: "{quoted}": json: cannot unmarshal number into Go struct field'
    error = fault(PATCH, status(422, "Invalid", words, causes=[{"field": "patch"}]))
    assert "hunter2" not in str(error)
    assert "cannot unmarshal number" in str(error)


@pytest.mark.parametrize("code", [400, 409, 422, 500, 503])
def test_words_about_a_secret_are_withheld(code: int) -> None:
    error = fault(Intent("create", SECRET, "shop", "db"), status(code, "Invalid", "data: hunter2", causes=[{}]))
    assert "hunter2" not in str(error)
    assert "Secret/db in shop" in str(error)


def test_long_words_are_cut() -> None:
    assert len(str(fault(GET, status(400, "BadRequest", "x" * 5000)))) < 500
