"""`Prometheus`: the metrics port on prometheus-api-client; each server has a lane of its own."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rollout.adapters.metrics import counts, past
from rollout.adapters.metrics.lane import Lane, Threads
from rollout.adapters.metrics.server import Credentials, QueryError, Server
from rollout.errors import RolloutError
from rollout.plan.base import seconds
from rollout.plan.gate import Provider, SecretKey
from rollout.ports.metrics import Ask, CountAsk, PastAsk, Reading, ScalarAsk, Series, VectorAsk

Secrets = Callable[[str, str, str], Awaitable[str]]
"""Reads one key of a Secret: namespace, name, key."""

STALE_AFTER: Final = 60.0
REREAD_SECONDS: Final = 60.0
"""Secrets are read again after this time, so that rotated tokens are followed."""


@dataclass(slots=True)
class _Upstream:
    """One Prometheus with its credentials and what was learned of it."""

    lane: Lane
    credentials: Credentials
    read_at: float
    edges: counts.EdgeCache = field(default_factory=counts.EdgeCache)


class Prometheus:
    """Answers all asks of one look with few queries. `default` answers asks without a provider."""

    def __init__(
        self, secrets: Secrets | None = None, default: Provider | None = None, *, stale_after: float = STALE_AFTER
    ) -> None:
        self._secrets = secrets
        self._default = default
        self._stale_after = stale_after
        self._upstreams: dict[tuple[Provider, str], _Upstream] = {}
        self.threads = Threads()

    async def ask(self, asks: Sequence[Ask]) -> Mapping[Ask, Reading]:
        """Answer all; an outage is a reading of its own (`unknown`)."""
        groups: dict[tuple[Provider | None, str], list[Ask]] = defaultdict(list)
        for ask in dict.fromkeys(asks):
            provider = ask.provider or self._default
            # the namespace tells whose Secrets: without any, all namespaces ask together
            groups[provider, ask.provider_namespace if _has_secrets(provider) else ""].append(ask)
        answers = await asyncio.gather(
            *(self._ask_one(provider, namespace, group) for (provider, namespace), group in groups.items())
        )
        return {ask: reading for answer in answers for ask, reading in answer.items()}

    async def check(self, provider: Provider | None = None, namespace: str = "") -> Reading:
        """Whether a Prometheus answers at all."""
        ask = ScalarAsk("vector(1)", provider, namespace)
        return (await self.ask([ask]))[ask]

    async def close(self) -> None:
        """Close all connections; queries under way are left to their timeouts."""
        self.threads.close()
        for upstream in self._upstreams.values():
            upstream.lane.server.close()

    async def _ask_one(self, provider: Provider | None, namespace: str, asks: Sequence[Ask]) -> dict[Ask, Reading]:
        try:
            upstream = await self._upstream(provider, namespace)
        except QueryError as error:
            return {ask: _unknown(ask, str(error)) for ask in asks}

        query = upstream.lane.query
        counted = [ask for ask in asks if isinstance(ask, CountAsk)]
        written = [ask for ask in asks if isinstance(ask, ScalarAsk | VectorAsk)]
        before = [ask for ask in asks if isinstance(ask, PastAsk)]
        by_count, readings, pasts = await asyncio.gather(
            counts.answer(query, counted, upstream.edges, self._stale_after),
            asyncio.gather(*(_written(query, ask) for ask in written)),
            past.answer(query, upstream.lane.query_range, before, upstream.edges),
        )
        return dict([*zip(written, readings, strict=True), *pasts.items(), *by_count.items()])

    async def _upstream(self, provider: Provider | None, namespace: str) -> _Upstream:
        if provider is None:
            raise QueryError(
                "no Prometheus is named: set analysis.provider in the plan, or start with --prometheus URL"
            )
        now = asyncio.get_running_loop().time()
        known = self._upstreams.get((provider, namespace))
        if known and now - known.read_at < REREAD_SECONDS:
            return known
        credentials = await self._credentials(provider, namespace)
        if known and known.credentials == credentials:
            known.read_at = now
            return known
        if known:
            known.lane.server.close()
        made = _Upstream(Lane(_server(provider, credentials), self.threads), credentials, now)
        self._upstreams[provider, namespace] = made
        return made

    async def _credentials(self, provider: Provider, namespace: str) -> Credentials:
        async def value(key: SecretKey | None) -> str:
            if key is None:
                return ""
            if self._secrets is None:
                raise QueryError("the provider names a Secret, and there is no cluster to read it from")
            return (await self._secrets(namespace, key.name, key.key)).strip()

        try:
            return Credentials(
                bearer=await value(provider.bearer),
                password=await value(provider.basic.password if provider.basic else None),
                ca=await value(provider.ca),
            )
        except RolloutError as error:
            raise QueryError(f"cannot read the provider's Secrets in {namespace}: {error}") from None


def _has_secrets(provider: Provider | None) -> bool:
    return provider is not None and any(part is not None for part in (provider.bearer, provider.basic, provider.ca))


def _server(provider: Provider, credentials: Credentials) -> Server:
    return Server(
        provider.address,
        timeout=seconds(provider.timeout),
        headers=provider.headers,
        username=provider.basic.username if provider.basic else "",
        credentials=credentials,
        insecure=provider.insecure_skip_verify,
    )


async def _written(query: counts.Query, ask: ScalarAsk | VectorAsk) -> Reading:
    """Answer a question that is complete PromQL."""
    try:
        series = await query(ask.query)
    except QueryError as error:
        return _unknown(ask, str(error))
    return _vector(ask, series) if isinstance(ask, VectorAsk) else _scalar(ask, series)


def _vector(ask: VectorAsk, series: Sequence[Series]) -> Reading:
    finite = tuple(one for one in series if math.isfinite(one.value))
    if not finite:
        return Reading("no-data", ask.query, detail="the query yields nothing" if not series else "no finite number")
    return Reading("value", ask.query, series=finite)


def _scalar(ask: ScalarAsk, series: Sequence[Series]) -> Reading:
    match series:
        case []:
            return Reading("no-data", ask.query, detail="the query yields nothing")
        case [one] if math.isfinite(one.value):
            return Reading("value", ask.query, value=one.value)
        case [one]:
            # a division by zero is no evidence either
            return Reading("no-data", ask.query, detail=f"the query yields {one.value}: probably a division by zero")
        case _:
            differ = ", ".join(sorted(_differing(series))[:5])
            detail = f"{len(series)} series that differ in {differ}: aggregate them, or match one"
            return Reading("many", ask.query, detail=detail)


def _differing(series: Sequence[Series]) -> set[str]:
    names = {name for one in series for name in one.labels}
    return {name for name in names if len({one.labels.get(name) for one in series}) > 1}


def _unknown(ask: Ask, detail: str) -> Reading:
    match ask:
        case CountAsk():
            text = counts.shown(ask)
        case PastAsk():
            text = counts.shown(ask.of)
        case ScalarAsk() | VectorAsk():
            text = ask.query
    return Reading("unknown", text, detail=detail)
