"""Requests to the API server: raw bytes out, raw bytes in, on the Kubernetes client's connection pool.

`call` is one request and its whole answer; `stream` is an answer that is read as it comes.

The generated API classes are left out on purpose: they build models for every object (17 times the cost), and their
patch calls lose the body of a 201.  Configuration, TLS, tokens and pooling are the client's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from rollout.adapters.kube.faults import Answer, Busy, Intent, Unauthenticated, fault
from rollout.errors import Unavailable

READ_SECONDS: Final = 15.0
WRITE_SECONDS: Final = 35.0
"""More than the 30 s that admission webhooks may take, so that most slow writes still get their answer."""
CONNECT_SECONDS: Final = 5.0
LONGEST_WAIT: Final = 2.0
"""A read is not repeated when the server asks for a longer pause than this: the caller decides then."""
ATTEMPTS: Final = 3
PROBES: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""How the kernel asks a silent peer whether it is still there (seconds, seconds, times): half a minute in all."""
JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"

T = TypeVar("T")
Heard = Callable[[float, float], object]
"""Told the `Date` of an answer (seconds since the epoch), and how many seconds after its request it came."""


class Stream:
    """A successful answer that is still coming."""

    def __init__(self, intent: Intent, response: aiohttp.ClientResponse) -> None:
        self._intent = intent
        self._response = response

    async def read(self) -> bytes:
        """What has come since the last call, at least a byte; empty at the orderly end.

        Raises:
            Unavailable: the connection broke, or was silent for too long.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise fault(self._intent, error) from None


class Transport:
    """Sends requests with one identity. `renew` gets fresh credentials into the client's configuration."""

    def __init__(
        self, client: ApiClient, renew: Callable[[], Awaitable[None]], heard: Heard = lambda _date, _took: None
    ) -> None:
        self._client = client
        self._heard = heard
        self._renew = renew
        self._renewing = asyncio.Lock()
        self._streams: RESTClientObject | None = None
        """Connections of their own: streams last for minutes, and must not use up those of the requests."""

    async def call(
        self,
        intent: Intent,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = JSON,
    ) -> Answer:
        """The answer to one request, if it is a success. Reads are repeated a few times while the server is down.

        Raises:
            RolloutError: everything that `faults.fault` maps.
        """
        url = self._url(path, query)
        # apart from the rest, so that a write that never left is known to have had no effect
        limits = aiohttp.ClientTimeout(WRITE_SECONDS if intent.writes else READ_SECONDS, sock_connect=CONNECT_SECONDS)
        pool = self._client.rest_client

        async def once() -> Answer:
            response = await self._send(pool, intent, method, url, limits, body, content)
            answer = await _whole(intent, response)
            if answer.status >= 400:
                raise fault(intent, answer)
            return answer

        try:
            return await self._authenticated(once)
        except Unavailable as error:
            if intent.writes or not _soon(error):
                raise
            await asyncio.sleep(_pause(error, 1))
        return await AsyncRetrying(
            retry=retry_if_exception(_soon),
            stop=stop_after_attempt(ATTEMPTS - 1),
            wait=lambda state: _pause(state.outcome.exception() if state.outcome else None, state.attempt_number + 1),
            reraise=True,
        )(self._authenticated, once)

    @asynccontextmanager
    async def stream(
        self, intent: Intent, path: str, *, query: Mapping[str, str] | None = None, silence: float
    ) -> AsyncIterator[Stream]:
        """A read whose answer may take for ever, but not be silent for `silence` seconds. Never repeated.

        Leaving before the end closes the connection at once.

        Raises:
            RolloutError: everything that `faults.fault` maps.
        """
        url = self._url(path, query)
        limits = aiohttp.ClientTimeout(None, sock_connect=CONNECT_SECONDS, sock_read=silence)
        if self._streams is None:
            self._streams = RESTClientObject(self._client.configuration)
            self._streams.maxsize = 0
        pool = self._streams

        async def once() -> aiohttp.ClientResponse:
            response = await self._send(pool, intent, "GET", url, limits)
            if response.status >= 400:
                raise fault(intent, await _whole(intent, response))
            return response

        response = await self._authenticated(once)
        _probe(response)
        try:
            yield Stream(intent, response)
        finally:
            # a response that was read to its end has given its connection back already
            response.close()

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        host: str = self._client.configuration.host
        return host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")

    async def _authenticated(self, once: Callable[[], Awaitable[T]]) -> T:
        """One request; expired credentials are renewed once. A 401 was not executed, so writes may be repeated too."""
        used = self._client.configuration.api_key.get("BearerToken")
        try:
            return await once()
        except Unauthenticated:
            async with self._renewing:
                if self._client.configuration.api_key.get("BearerToken") == used:
                    await self._renew()
            if self._client.configuration.api_key.get("BearerToken") == used:
                raise
        return await once()

    async def _send(
        self,
        pool: RESTClientObject,
        intent: Intent,
        method: str,
        url: str,
        limits: aiohttp.ClientTimeout,
        body: Any = None,
        content: str = JSON,
    ) -> aiohttp.ClientResponse:
        """The head of the answer, whatever its status."""
        headers: dict[str, str] = {
            "Accept": JSON,
            "Content-Type": content,
            "User-Agent": self._client.user_agent,
        }
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], url, method, body)
        except (ConfigException, OSError) as error:
            raise Unauthenticated(f"cannot read the service account's token ({type(error).__name__})") from None
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            answer = await pool.request(method, url, headers=headers, body=body, _request_timeout=limits)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # without the cause: an exception of the client may quote the request
            raise fault(intent, error) from None
        response: aiohttp.ClientResponse = answer.response
        if (date := _date(response.headers.get("Date", ""))) is not None:
            self._heard(date, loop.time() - begun)
        return response

    async def close(self) -> None:
        """Close all connections."""
        if self._streams is not None:
            await self._streams.close()
        await self._client.close()


def _date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date; None for what is none."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _probe(response: aiohttp.ClientResponse) -> None:
    """Have the kernel find out when the peer is gone without a word: a node that died, a gateway that forgot us."""
    transport = response.connection.transport if response.connection else None
    end = transport.get_extra_info("socket") if transport else None
    if end is None:
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in PROBES.items():
        if hasattr(socket, name):  # not every system has all of them
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _whole(intent: Intent, response: aiohttp.ClientResponse) -> Answer:
    try:
        return Answer(response.status, await response.read(), response.headers)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise fault(intent, error) from None


def _soon(error: BaseException) -> bool:
    """Another attempt may succeed, and the server does not want us to stay away for long."""
    return isinstance(error, Unavailable) and error.after <= LONGEST_WAIT


def _pause(error: BaseException | None, attempts: int) -> float:
    """Seconds before the next attempt."""
    return error.after if isinstance(error, Busy) else 0.2 * attempts
