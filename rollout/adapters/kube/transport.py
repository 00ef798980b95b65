"""One request to the API server: raw bytes out, raw bytes in, on the Kubernetes client's connection pool.

The generated API classes are left out on purpose: they build models for every object (17 times the cost), and their
patch calls lose the body of a 201.  Configuration, TLS, tokens and pooling are the client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient
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
JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"


class Transport:
    """Sends requests with one identity. `renew` gets fresh credentials into the client's configuration."""

    def __init__(self, client: ApiClient, renew: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._renew = renew
        self._renewing = asyncio.Lock()

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
        url = self._client.configuration.host.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")

        async def once() -> Answer:
            return await self._authenticated(intent, method, url, body, content)

        try:
            return await once()
        except Unavailable as error:
            if intent.writes or not _soon(error):
                raise
            await asyncio.sleep(_pause(error, 1))
        return await AsyncRetrying(
            retry=retry_if_exception(_soon),
            stop=stop_after_attempt(ATTEMPTS - 1),
            wait=lambda state: _pause(state.outcome.exception() if state.outcome else None, state.attempt_number + 1),
            reraise=True,
        )(once)

    async def _authenticated(self, intent: Intent, method: str, url: str, body: Any, content: str) -> Answer:
        """One request; expired credentials are renewed once. A 401 was not executed, so writes may be repeated too."""
        used = self._client.configuration.api_key.get("BearerToken")
        try:
            return await self._once(intent, method, url, body, content)
        except Unauthenticated:
            async with self._renewing:
                if self._client.configuration.api_key.get("BearerToken") == used:
                    await self._renew()
            if self._client.configuration.api_key.get("BearerToken") == used:
                raise
        return await self._once(intent, method, url, body, content)

    async def _once(self, intent: Intent, method: str, url: str, body: Any, content: str) -> Answer:
        headers: dict[str, str] = {
            "Accept": JSON,
            "Content-Type": content,
            "User-Agent": self._client.user_agent,
        }
        # apart from the rest, so that a write that never left is known to have had no effect
        timeout = aiohttp.ClientTimeout(WRITE_SECONDS if intent.writes else READ_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], url, method, body)
        except (ConfigException, OSError) as error:
            raise Unauthenticated(f"cannot read the service account's token ({type(error).__name__})") from None
        try:
            response = await self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=timeout
            )
            answer = Answer(response.status, await response.read(), response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # without the cause: an exception of the client may quote the request
            raise fault(intent, error) from None
        if answer.status >= 400:
            raise fault(intent, answer)
        return answer

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _soon(error: BaseException) -> bool:
    """Another attempt may succeed, and the server does not want us to stay away for long."""
    return isinstance(error, Unavailable) and error.after <= LONGEST_WAIT


def _pause(error: BaseException | None, attempts: int) -> float:
    """Seconds before the next attempt."""
    return error.after if isinstance(error, Busy) else 0.2 * attempts
