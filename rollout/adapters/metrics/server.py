"""One Prometheus: a query in, samples out, and every way in which that can fail as `QueryError`.

prometheus-api-client asks; it gives back the bare result and drops Prometheus' `error` and `warnings`.  A response hook
on the Session that we hand to it reads those first and raises.  That keeps the whole answer and its verdict in one
place, without state between hook and caller, which a memory of the last answer per thread would need.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from rollout.ports.hidden import WORD, Hidden
from rollout.ports.metrics import Series

WORKERS: Final = 4
"""Queries under way to one server at a time."""
LONGEST_WAIT: Final = 60.0
"""Seconds for one query, whatever a plan says: a look that takes longer comes too late."""
LONGEST: Final = 240
"""Characters of Prometheus' own words that we repeat."""


LONGEST_URL: Final = 2000
"""Characters of a query that still travels in the URL. Short ones do: a GET needs the fewest rights on the way."""


class QueryError(Exception):
    """Why there is no answer. The text holds no credentials."""


class Silence(QueryError):
    """The server said nothing in time."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a provider's Secrets hold."""

    bearer: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)


T = TypeVar("T")
_current = threading.local()
"""The call that a thread is at work on."""


class _Noted:
    """A connection that tells the call whose request it carries, so that the call can be hung up from outside."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        call = getattr(_current, "call", None)
        if call is not None:
            call.connection = self
        return super().request(*args, **kwargs)  # type: ignore[misc]  # of the connection it is mixed into


class _Plain(_Noted, HTTPConnection):
    pass


class _Secure(_Noted, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


_POOLS: Final = {"http": _PlainPool, "https": _SecurePool}


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series over time: seconds since the epoch, and values."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]


class _Adapter(HTTPAdapter):
    """Connections with our own TLS context: requests itself takes a CA only from a file, and adds public ones to it."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=WORKERS, max_retries=Retry(0, redirect=5, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        if self._context is None:
            super().cert_verify(conn, url, verify, cert)


class _Session(requests.Session):
    """A session that sends long queries as a form: in a URL, where the library puts them, proxies would cut them."""

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        params = kwargs.get("params") or {}
        if len(params.get("query", "")) > LONGEST_URL:
            method, kwargs = "POST", {**kwargs, "params": None, "data": params}
        return super().request(method, url, *args, **kwargs)


class Call(Generic[T]):
    """One query, which a thread runs and anybody may hang up."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self.sent = False
        """Whether a thread has begun."""
        self.answered = False
        """Whether the server said anything, however useless."""
        self.connection: Any = None
        self.hung_up = False
        """Whether nobody waits for it any more."""

    def run(self) -> T:
        """See `Server.query` and `Server.query_range`. Blocks."""
        if self.hung_up:
            raise QueryError("hung up")
        self.sent, _current.call = True, self
        try:
            found = self._ask()
        except Silence:
            raise
        except QueryError:
            self.answered = True
            raise
        finally:
            self.connection = _current.call = None
        self.answered = True
        return found

    def hang_up(self) -> None:
        """Give the thread back: a read has a timeout, but a server that sends a byte now and then could hold it."""
        self.hung_up = True
        line = getattr(self.connection, "sock", None)
        if line is not None:
            with suppress(OSError, ValueError):
                # of the plain socket: that of TLS would forget its state under the hands of the thread that reads
                socket.socket.shutdown(line, socket.SHUT_RDWR)


class Server:
    """A client of one Prometheus. Threads may share it."""

    def __init__(
        self,
        address: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        username: str = "",
        credentials: Credentials = Credentials(),
        insecure: bool = False,
    ) -> None:
        self.address = address.rstrip("/")
        self.timeout = min(timeout, LONGEST_WAIT)
        """Seconds for one query."""
        session = _Session()
        # the environment would be read again at every request, and a ~/.netrc could add credentials nobody asked for
        session.trust_env = False
        session.proxies = dict(get_environ_proxies(self.address))
        session.verify = not insecure
        session.hooks["response"].append(partial(_inspect, _hidden(headers or {}, username, credentials)))
        self._client = PrometheusConnect(
            url=self.address,
            headers=dict(headers or {})
            | ({"Authorization": f"Bearer {credentials.bearer}"} if credentials.bearer else {}),
            auth=(username, credentials.password) if username else None,
            session=session,
            timeout=self.timeout,
            retry=Retry(0),
        )
        # after the client, which mounts an adapter of its own
        session.mount(self.address, _Adapter(_tls(credentials.ca, insecure=insecure)))

    def call(self, text: str) -> Call[list[Series]]:
        """A query that is yet to be run."""
        return Call(lambda: self.query(text))

    def call_range(self, text: str, start: float, end: float, step: float) -> Call[list[RangeSeries]]:
        """A range query that is yet to be run."""
        return Call(lambda: self.query_range(text, start, end, step))

    def query(self, text: str) -> list[Series]:
        """The samples of an instant query; a scalar is one sample without labels. Blocks.

        Raises:
            QueryError: no answer, an error, a partial answer, or one that holds no numbers.
        """
        # the server is told to give up as well, or a heavy query would go on without us
        params = {"timeout": f"{self.timeout:g}s"}
        return _samples(self._asked(lambda: self._client.custom_query(text, params=params, timeout=self.timeout)))

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the client gives back, its errors as ours."""
        try:
            return ask()
        except (requests.RequestException, PrometheusApiClientException, urllib3.exceptions.HTTPError) as error:
            # never the error's own text: it quotes the URL, which may hold a password
            kind = Silence if _is_timeout(error) else QueryError
            raise kind(f"{self.shown}: {self._silence(error)}") from None
        except QueryError as error:
            raise QueryError(f"{self.shown}: {error}") from None
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise QueryError(f"{self.shown}: the server answers, but not as Prometheus does") from None

    def query_range(self, text: str, start: float, end: float, step: float) -> list[RangeSeries]:
        """The samples of a range query, from one moment to another, seconds since the epoch. Blocks.

        Raises:
            QueryError: as `query`.
        """
        between = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
        params = {"timeout": f"{self.timeout:g}s"}
        result = self._asked(
            lambda: self._client.custom_query_range(text, *between, f"{step:g}", params=params, timeout=self.timeout)
        )
        return _ranges(result)

    @property
    def shown(self) -> str:
        """The address without user and password, and without what else is no part of one."""
        url = urlsplit(self.address)
        return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()

    def _silence(self, error: Exception) -> str:
        match error:
            case _ if _is_timeout(error):
                return f"no answer within {self.timeout:g} s"
            case requests.exceptions.SSLError():
                return "its certificate is not trusted, or it speaks no TLS"
            case requests.ConnectionError():
                return "no connection"
            case _:
                return f"the request failed ({type(error).__name__})"

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _is_timeout(error: Exception) -> bool:
    """Also in the middle of an answer, where requests calls it a broken connection."""
    inner = [part for part in error.args if isinstance(part, urllib3.exceptions.ReadTimeoutError)]
    return bool(inner) or isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)


def _tls(ca: str, *, insecure: bool) -> ssl.SSLContext | None:
    """A context for a CA of its own, or for none; None means the usual public ones.

    Raises:
        QueryError: the CA is no certificate.
    """
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if not ca:
        return None
    try:
        return ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise QueryError("the provider's CA is no PEM certificate") from None


def _hidden(headers: Mapping[str, str], username: str, credentials: Credentials) -> Hidden:
    """What a server, or whoever stands before it, must not make us repeat."""
    found = Hidden()
    for secret in (credentials.bearer, credentials.password):
        found.add(secret)
    if username:
        found.add(base64.b64encode(f"{username}:{credentials.password}".encode()).decode())
    for value in headers.values():
        found.add(value, least=WORD)
    return found


def _inspect(hidden: Hidden, response: requests.Response, *_: object, **__: object) -> None:
    """Refuse what is no whole answer. Redirects pass: the session follows them."""
    if response.is_redirect:
        return
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        body = {}
    if response.status_code != 200:
        words = body.get("error") or ""
        raise QueryError(f"HTTP {response.status_code}" + (f": {_trim(hidden.struck(str(words)))}" if words else ""))
    if body.get("status") != "success":
        raise QueryError("the server answers, but not as Prometheus does")
    # a store that is down makes Thanos and its like answer with what is left; `infos` only comment on the query
    if body.get("warnings"):
        raise QueryError(f"partial answer: {_trim(hidden.struck('; '.join(map(str, body['warnings']))))}")
    # VictoriaMetrics' cluster says it with a flag of its own and gives no reason
    if body.get("isPartial"):
        raise QueryError("partial answer: some of the server's storage nodes did not answer")
    # the library would parse the text again: a week of counters is twenty megabytes of it
    response.json = lambda **_: body  # type: ignore[method-assign]


def _trim(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _samples(result: Any) -> list[Series]:
    """Read the result of an instant query: `[time, value]` of a scalar, or a list of series."""
    try:
        if len(result) == 2 and not isinstance(result[0], dict):
            return [Series({}, float(result[1]))]
        if any("value" not in series for series in result):
            raise QueryError("the query yields a range or a histogram, not a number")
        return [Series(_labels(series["metric"]), float(series["value"][1])) for series in result]
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise QueryError("the query yields no number") from None


def _ranges(result: Any) -> list[RangeSeries]:
    """Read the result of a range query."""
    try:
        return [
            RangeSeries(_labels(series["metric"]), tuple((float(at), float(value)) for at, value in series["values"]))
            for series in result
        ]
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise QueryError("the query yields no numbers over time") from None


def _labels(metric: Any) -> dict[str, str]:
    """Names and values of a series' labels.

    Raises:
        TypeError: they are not all texts.
    """
    if not isinstance(metric, dict) or not all(isinstance(value, str) for value in metric.values()):
        raise TypeError("labels are texts")
    return metric
