"""Something that every version of a shop depends on, and that can fail."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import yaml

from rollout.plan.base import Json
from tests.kit.shop import MANIFEST, Shop

DEPENDENT: Final = {"DEPENDENCY": "http://ledger/"}
"""The variables of a shop whose pods ask the ledger for each request."""


def add(shop: Shop) -> None:
    """Put the ledger beside the shop; it has no sidecar, and belongs to the owner."""
    objects: list[Json] = list(yaml.safe_load_all(MANIFEST.read_text().replace("web", "ledger")))
    for one in objects:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = 1
            one["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"
    shop.apply(*objects)
    shop.kubectl("rollout", "status", "deployment/ledger", "--timeout=60s")
    shop.remember()


@contextmanager
def incident(shop: Shop, share: float) -> Iterator[None]:
    """For the length of a block the ledger fails so many of its requests, whichever version asks."""
    (pod,) = shop.get("pods", "-l=app=ledger")["items"]
    address = f"http://{pod['status']['podIP']}:8080/trouble?share="
    try:
        _ask(f"{address}{share}")
        yield
    finally:
        _ask(f"{address}0")


def _ask(url: str) -> None:
    with urllib.request.urlopen(url, timeout=5) as answer:
        answer.read()
