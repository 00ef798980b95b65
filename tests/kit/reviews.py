"""Who may what, asked of a real API server with SubjectAccessReviews."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rollout.plan.base import Json
from tests.kit.apiserver import ApiServer

EVERYBODY: Final = ("system:authenticated",)


@dataclass(frozen=True, slots=True)
class Ask:
    """A right: who, what, where."""

    user: str
    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    groups: tuple[str, ...] = EVERYBODY

    def review(self) -> Json:
        """The question as the API server takes it."""
        resource, _, subresource = self.resource.partition("/")
        attributes = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": subresource}
        attributes |= {"namespace": self.namespace, "name": self.name}
        spec = {"user": self.user, "groups": list(self.groups), "resourceAttributes": attributes}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def answers(apiserver: ApiServer, asks: Sequence[Ask]) -> dict[Ask, bool]:
    """What the server says at this moment."""
    if not asks:
        return {}
    reviews = json.dumps({"apiVersion": "v1", "kind": "List", "items": [ask.review() for ask in asks]})
    line = "jsonpath={.status.allowed}{'\\n'}"
    said = apiserver.kubectl("create", "-f", "-", "-o", line, stdin=reviews).split()
    return {ask: answer == "true" for ask, answer in zip(asks, said, strict=True)}


def granted_soon(apiserver: ApiServer, asks: Sequence[Ask]) -> dict[Ask, bool]:
    """What it says in the end: RBAC follows its objects with some delay, so a no is asked again for a moment."""
    said = answers(apiserver, asks)
    for _ in range(20):
        if all(said.values()):
            break
        time.sleep(0.1)
        said |= answers(apiserver, [ask for ask, allowed in said.items() if not allowed])
    return said
