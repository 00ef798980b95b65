"""Where the API server keeps things: URL paths of kinds and objects."""

from __future__ import annotations

from urllib.parse import quote

from rollout.errors import InvalidInput
from rollout.plan.kinds import Kind, Ref


def group_path(kind: Kind) -> str:
    """`/apis/apps/v1`, or `/api/v1` for the core group."""
    return f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"


def collection_path(kind: Kind, namespace: str = "") -> str:
    """All objects of a kind, of one namespace or (empty) of all."""
    inside = f"/namespaces/{quote(namespace, safe='')}" if kind.namespaced and namespace else ""
    return f"{group_path(kind)}{inside}/{kind.plural}"


def object_path(ref: Ref, subresource: str = "") -> str:
    """One object.

    Raises:
        InvalidInput: the name, or the namespace of a namespaced kind, is missing.
    """
    if not ref.name:
        raise InvalidInput(f"a {ref.kind} without a name")
    if ref.kind.namespaced and not ref.namespace:
        raise InvalidInput(f"{ref} has no namespace")
    path = f"{collection_path(ref.kind, ref.namespace)}/{quote(ref.name, safe='')}"
    return f"{path}/{subresource}" if subresource else path
