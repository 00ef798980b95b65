"""Each printed rule is needed, on a real API server: whichever is missing, a request of the stories is refused.

The requests are those that the simulation's stories make (`tests/kit/rights_stories.py`), which together use every
right; what becomes of a refused one is told there (`tests/sim/test_rights.py`).  RBAC adds rules up, so each rule gets
a role of its own here, bound to one user for each other rule: who lacks exactly that one is asked about.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from rollout.controller.leader import HOME, NAME
from rollout.install.options import Options, parts
from rollout.plan.base import Json
from tests.kit.apiserver import ApiServer
from tests.kit.reviews import Ask, answers, granted_soon
from tests.kit.rights import Right, printed
from tests.kit.rights_stories import STORIES
from tests.kit.rights_telling import tell

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(300)]  # all stories are told

LABEL: Final = "rights-of"
RBAC: Final = "rbac.authorization.k8s.io"
Rule = tuple[str, str, str]
"""Scope, group and resource: what one rule of a role is about."""


def about(right: Right) -> Rule:
    return right.scope, right.group, right.resource


def covers(rule: Rule, request: Right) -> bool:
    return rule[0] in ("", request.scope) and rule[1:] == (request.group, request.resource)


def named(right: Right, home: str) -> str:
    """The one object that the rule names: the leader's Lease. A create names none."""
    return NAME if right.scope == home and right.resource == "leases" and right.verb != "create" else ""


def ask(request: Right, user: str, home: str) -> Ask:
    return Ask(user, request.verb, request.group, request.resource, request.scope, named(request, home))


def roles(rights: frozenset[Right], tag: str, user: dict[Rule, str]) -> Iterator[Json]:
    """A role for each rule, given to all who are to have it; in its namespace or in the whole cluster."""
    for number, rule in enumerate(user):
        scope, group, resource = rule
        kind, meta = "Role" if scope else "ClusterRole", {"name": f"{tag}-{number}", "labels": {LABEL: tag}}
        meta |= {"namespace": scope} if scope else {}
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": [it.verb]}
            | ({"resourceNames": [name]} if (name := named(it, tag)) else {})
            for it in sorted(rights)
            if about(it) == rule
        ]
        others = [{"apiGroup": RBAC, "kind": "User", "name": name} for other, name in user.items() if other != rule]
        yield {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "rules": rules}
        yield {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": meta["name"]},
            "subjects": [*others, {"apiGroup": RBAC, "kind": "User", "name": tag}],
        }


async def requests_of_all(granted: frozenset[Right]) -> frozenset[Right]:
    """Every request that the stories make with these rights."""
    made: set[Right] = set()
    for story in STORIES.values():
        made |= (await tell(story, granted)).bound.asked
    return frozenset(made)


@pytest.fixture
def tag(apiserver: ApiServer) -> Iterator[str]:
    """Of what the test makes: a namespace in place of the controller's own, and roles that are called by it."""
    name = f"rights-{uuid.uuid4().hex[:8]}"
    apiserver.kubectl("create", "namespace", name)
    yield name
    apiserver.kubectl("delete", "namespace", name, "--wait=false")
    for kind in ("clusterrolebindings", "clusterroles"):  # all in one request; kubectl would take one for each
        apiserver.kubectl("delete", f"--raw=/apis/{RBAC}/v1/{kind}?labelSelector={LABEL}%3D{name}")


async def test_each_rule_is_needed_by_a_request_and_all_requests_are_allowed(apiserver: ApiServer, tag: str) -> None:
    rights = printed(Options(hold="policy", features=parts()))
    moved = {HOME: tag}
    requests = [replace(it, scope=moved.get(it.scope, it.scope)) for it in await requests_of_all(rights)]
    rights = frozenset(replace(it, scope=moved.get(it.scope, it.scope)) for it in rights)
    lacking = {rule: f"{tag}-without-{number}" for number, rule in enumerate(sorted({about(it) for it in rights}))}
    made = {"apiVersion": "v1", "kind": "List", "items": list(roles(rights, tag, lacking))}
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(made))

    said = granted_soon(apiserver, [ask(it, tag, tag) for it in requests])
    assert [it for it, allowed in said.items() if not allowed] == []
    asked = {rule: [ask(it, user, tag) for it in requests if covers(rule, it)] for rule, user in lacking.items()}
    said = answers(apiserver, [it for asks in asked.values() for it in asks])
    assert [rule for rule, asks in asked.items() if all(said[it] for it in asks)] == [], "needed by no request"
