"""What is looked at after every integration test, whatever it was about."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from rollout.plan.base import Json
from tests.kit.kstatus import Conformance

_OURS = "canaryplans,planruns"


@pytest.fixture(autouse=True)
def kstatus_holds(request: pytest.FixtureRequest) -> Iterator[None]:
    """What an integration test made and left of our objects keeps the rules of kstatus.

    It is set up after the fixtures whose namespaces it looks into, so that it looks before these are gone.
    """
    names = set(request.fixturenames)
    for fixture in ("open_shops", "kube_namespace"):
        if fixture in names:
            request.getfixturevalue(fixture)
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    yield
    where = "lab" if "open_shops" in names else "apiserver" if "kube_namespace" in names else ""
    if where:
        found: Json = json.loads(request.getfixturevalue(where).kubectl("get", _OURS, "-A", "-o=json"))
        # times are whole seconds: what the test before has just created without an engine is not this one's
        made = [obj for obj in found["items"] if obj["metadata"]["creationTimestamp"] >= began and obj.get("status")]
        wrong = Conformance().see_all(made)
        assert not wrong, "\n".join(wrong)
