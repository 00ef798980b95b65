"""Sends requests with aiohttp, within a time limit.  What goes wrong is told without URL, header or body.

Addresses that must not be called are refused where the connection is made: whatever a name leads to, and whenever that
changes.  Only behind a proxy the proxy looks names up.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from requests.utils import get_environ_proxies

from rollout.errors import Forbidden, InvalidInput, OutcomeUnknown, Unavailable
from rollout.plan.called import of_the_link
from rollout.ports.channel import Answer, Request

TIMEOUT: Final = 10.0
"""Seconds for one request, its connection included."""
LONGEST: Final = 1 << 20
"""Bytes of an answer that are read."""


Refuses = Callable[[str], bool]
"""Whether a host or an address must not be called."""


class _NeverCalled(OSError):
    """A name leads to nothing but addresses that must not be called."""


class _Resolver(aiohttp.ThreadedResolver):
    """Looks names up, and forgets addresses that must not be called."""

    def __init__(self, refuses: Refuses) -> None:
        super().__init__()
        self._refuses = refuses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """See `aiohttp.abc.AbstractResolver.resolve`."""
        found = await super().resolve(host, port, family)
        allowed = [it for it in found if not self._refuses(it["host"])]
        if found and not allowed:
            raise _NeverCalled
        return allowed


class AioHttp:
    """The port `Http`. Opens its session with the first request, in the loop that sends it."""

    def __init__(self, timeout: float = TIMEOUT, refuses: Refuses = of_the_link) -> None:
        self._timeout = timeout
        self._refuses = refuses
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Answer:
        """See `ports.channel.Http.send`."""
        url = _parts(request.url)
        if self._refuses(url.hostname or ""):
            raise _never("its URL is")
        if url.username and any(name.lower() == "authorization" for name in request.headers):
            raise InvalidInput("its URL names a user, and a header says who it is, too", hint="give one of them")
        proxy = get_environ_proxies(request.url).get(url.scheme)
        if self._session is None:
            # the environment is not trusted as a whole: a ~/.netrc could add credentials that nobody asked for
            connector = aiohttp.TCPConnector(resolver=_Resolver(self._refuses))
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
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
        _ = url.port  # whose error would quote it
    except ValueError:  # `http://[::1`, `http://host:word`
        url = SplitResult("", "", "", "", "")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise InvalidInput("its address is no URL", hint="give one that begins with https://")
    return url


def _never(what: str) -> Forbidden:
    text = f"{what} an address of the machine's or of the engine's own; such are never called"
    return Forbidden(text, hint="name a Service or a host")


def _unsent(error: Exception) -> Unavailable | InvalidInput | Forbidden:
    match error:
        case aiohttp.InvalidURL():
            return InvalidInput("its address is no URL", hint="give one that begins with https://")
        case aiohttp.ClientConnectorCertificateError():
            return Unavailable("its certificate is not trusted")
        case aiohttp.ClientConnectorSSLError():
            return Unavailable("it speaks no TLS")
        case aiohttp.ClientConnectorDNSError(os_error=_NeverCalled()):
            return _never("its name leads to")
        case aiohttp.ClientConnectorDNSError():
            return Unavailable("its name cannot be resolved")
        case _:
            return Unavailable("no connection")
