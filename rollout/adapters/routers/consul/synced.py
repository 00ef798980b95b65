"""What Consul's controller says of an object.

Every object has a condition `Synced`, without a generation: what it says is taken as it stands.  Consul itself refuses
a splitter that names a subset that no resolver has, and the removal of a subset that a splitter names.
"""

from __future__ import annotations

from rollout.plan.base import Json


def spec_of(obj: Json) -> Json:
    """What an object says; an empty one may have no spec."""
    return obj.get("spec") or {}


def pending(obj: Json) -> str:
    """Why nobody can say yet whether it holds."""
    return "" if _synced(obj).get("status") in ("True", "False") else "Consul's controller has not looked at it yet"


def refused(obj: Json) -> str:
    """Why it will not hold, in Consul's words."""
    said = _synced(obj)
    if said.get("status") != "False":
        return ""
    return f"Consul does not take it ({': '.join(it for it in (said.get('reason'), said.get('message')) if it)})"


def _synced(obj: Json) -> Json:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((it for it in conditions if it.get("type") == "Synced"), {})
