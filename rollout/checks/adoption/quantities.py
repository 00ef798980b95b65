"""Resource quantities, as Kubernetes writes them, and what the containers of a pod ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

_FORM: Final = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkKMGTPE]?i?)$")
_UNITS: Final[Mapping[str, Decimal]] = {
    "": Decimal(1),
    **{unit: Decimal(10) ** power for unit, power in (("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6))},
    **{unit: Decimal(10) ** power for unit, power in (("G", 9), ("T", 12), ("P", 15), ("E", 18))},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def quantity(text: str | float) -> Decimal:
    """The number behind a quantity.

    >>> quantity("100m"), quantity("1Ki"), quantity(2)
    (Decimal('0.100'), Decimal('1024'), Decimal('2'))

    Raises:
        ValueError: no quantity.
    """
    form = _FORM.match(str(text))
    if form is None or form[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(form[1]) * _UNITS[form[2]]


def spell(resource: str, amount: Decimal) -> str:
    """A quantity that is at least this amount, in the unit that people use for the resource.

    >>> spell("requests.cpu", Decimal("1.2")), spell("memory", Decimal(1024**2 + 1)), spell("pods", Decimal(3))
    ('1200m', '2Mi', '3')
    """
    if resource.endswith("cpu"):
        return f"{(amount * 1000).to_integral_value(ROUND_CEILING)}m"
    if resource.endswith("memory"):
        return f"{(amount / 1024**2).to_integral_value(ROUND_CEILING)}Mi"
    return str(amount.to_integral_value(ROUND_CEILING))


def asked(containers: Iterable[Mapping[str, Any]], part: str, name: str) -> Decimal:
    """The sum of `requests` or `limits` of a resource; a limit is a request too where none is given."""
    total = Decimal(0)
    for container in containers:
        resources = container.get("resources") or {}
        own = (resources.get(part) or {}).get(name)
        if own is None and part == "requests":
            own = (resources.get("limits") or {}).get(name)
        total += quantity(own) if own is not None else 0
    return total
