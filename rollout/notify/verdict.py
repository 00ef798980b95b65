"""What the answer to a message means.

2xx                      it has arrived
429, 503                 not now; `Retry-After` says when
408, 425, 5xx            perhaps it has arrived
401, 403, 404, 405, 410, 3xx   nothing would: the address or the token is wrong
any other                this message is refused, others may not be
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from rollout.errors import Forbidden, OutcomeUnknown, Rejected, Unavailable
from rollout.ports.channel import Answer

_LATER: Final = frozenset({429, 503})
_CLOSED: Final = frozenset({401, 403, 404, 405, 407, 410})
LONGEST: Final = 3600.0
"""Seconds that we let a vendor send us away, at most."""


def judge(answer: Answer, now: float) -> None:
    """Nothing if the answer is good. The body is never repeated: it may quote what was sent.

    Raises:
        Unavailable: to be sent again, it has not arrived.
        OutcomeUnknown: to be sent again, it may have arrived.
        Forbidden: the channel itself is refused.
        Rejected: the message is.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    after = retry_after(answer.headers, now)
    if status in _LATER:
        raise Unavailable(f"HTTP {status}", after=1.0 if after is None else after)
    if status in (408, 425) or status >= 500:
        raise OutcomeUnknown(f"HTTP {status}", after=1.0 if after is None else after)
    if status in _CLOSED or 300 <= status < 400:
        raise Forbidden(f"HTTP {status}", hint="look at its address and its token; a redirect is not followed")
    raise Rejected(f"HTTP {status}", hint="try it without a template of your own: rollout notify test")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date; None when it says nothing that can be read."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        wait = float(said)
    except ValueError:
        try:
            moment = parsedate_to_datetime(said)
        except (TypeError, ValueError):
            return None
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    return None if math.isnan(wait) else min(max(wait, 0.0), LONGEST)
