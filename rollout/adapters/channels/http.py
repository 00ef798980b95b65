"""Sends requests with aiohttp, within a time limit.  What goes wrong is told without URL, header or body."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from requests.utils import get_environ_proxies

from rollout.errors import InvalidInput, OutcomeUnknown, Unavailable
from rollout.ports.channel import Answer, Request

TIMEOUT: Final = 10.0
"""Seconds for one request, its connection included."""
LONGEST: Final = 1 << 20
"""Bytes of an answer that are read."""


class AioHttp:
    """The port `Http`. Opens its session with the first request, in the loop that sends it."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Answer:
        """See `ports.channel.Http.send`."""
        url = _parts(request.url)
        proxy = get_environ_proxies(request.url).get(url.scheme)
        if self._session is None:
            # the environment is not trusted as a whole: a ~/.netrc could add credentials that nobody asked for
            self._session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.request(
                    request.method,
                    request.url,
                    data=request.body or None,
                    headers=request.headers,
                    proxy=proxy,
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(LONGEST)
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.ClientProxyConnectionError) as error:
            raise _unsent(error) from None
        except TimeoutError:
            raise OutcomeUnknown(f"no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise OutcomeUnknown(f"the connection broke ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            with suppress(aiohttp.ClientError):
                await self._session.close()


def _parts(address: str) -> SplitResult:
    try:
        url = urlsplit(address)
    except ValueError:  # `http://[::1`
        url = SplitResult("", "", "", "", "")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise InvalidInput("its address is no URL", hint="give one that begins with https://")
    return url


def _unsent(error: Exception) -> Unavailable | InvalidInput:
    match error:
        case aiohttp.InvalidURL():
            return InvalidInput("its address is no URL", hint="give one that begins with https://")
        case aiohttp.ClientConnectorCertificateError():
            return Unavailable("its certificate is not trusted")
        case aiohttp.ClientConnectorSSLError():
            return Unavailable("it speaks no TLS")
        case aiohttp.ClientConnectorDNSError():
            return Unavailable("its name cannot be resolved")
        case _:
            return Unavailable("no connection")
