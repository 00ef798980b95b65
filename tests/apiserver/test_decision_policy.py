"""The decision policy on a real API server: who may order what, and that nobody decides in another's name.

Each mode is in force in namespaces of its own, so that both can be tried on one server and no other test is touched.
Every person may create decisions; what they may order differs: `approver` and `admin` have the roles that the
installation brings, `clerk` has none of their verbs, and `carer` may promote one plan by its name.
"""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

import pytest

from rollout.install.rbac import people
from rollout.plan.base import Json
from rollout.plan.decisionpolicy import ADMIN, APPROVE, FULL, Mode, documents
from rollout.plan.kinds import MUTATING_BINDING, VALIDATING_BINDING
from rollout.plan.run import Verb
from tests.kit.apiserver import ApiServer

pytestmark = pytest.mark.apiserver

SELECTED: Final = "test.meshrollout.dev/decisions"
RIGHTS: Final = "rbac.authorization.k8s.io"
NUMBERS = itertools.count()
ORDERS: Final = [*[(verb, False) for verb in get_args(Verb)], ("promote", True)]


def scoped(mode: Mode) -> list[Json]:
    """The shipped documents, in force only where a namespace is labelled with the mode."""
    made = documents(mode)
    for obj in made:
        obj["metadata"]["name"] += f"-test-{mode}"
        if obj["kind"] in (MUTATING_BINDING.name, VALIDATING_BINDING.name):
            obj["spec"]["policyName"] += f"-test-{mode}"
            obj["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": {SELECTED: mode}}}
    return made


def rights(namespace: str) -> list[Json]:
    """Who may what in the namespace, with the rules of the shipped roles."""
    shipped = {role["metadata"]["name"]: role["rules"] for role in people()}
    create = {"apiGroups": ["meshrollout.dev"], "resources": ["plandecisions"], "verbs": ["create", "get", "patch"]}
    one = {
        "apiGroups": ["meshrollout.dev"],
        "resources": ["canaryplans"],
        "resourceNames": ["web"],
        "verbs": ["promote"],
    }
    roles = {
        "approver": [*shipped["rollout-approve"], create],
        "admin": [*shipped["rollout-admin"], create],
        "clerk": [create],
        "carer": [create, one],
    }
    objects: list[Json] = []
    for name, rules in roles.items():
        meta = {"name": name, "namespace": namespace}
        ref = {"apiGroup": RIGHTS, "kind": "Role", "name": name}
        user = {"apiGroup": RIGHTS, "kind": "User", "name": name}
        objects.append({"apiVersion": f"{RIGHTS}/v1", "kind": "Role", "metadata": meta, "rules": rules})
        objects.append(
            {
                "apiVersion": f"{RIGHTS}/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": ref,
                "subjects": [user],
            }
        )
    return objects


@dataclass(frozen=True, slots=True)
class Desk:
    """A namespace in which decisions are made under one mode."""

    apiserver: ApiServer
    namespace: str
    mode: Mode

    def kubectl(self, *args: str, by: str = "approver", stdin: str | None = None) -> str:
        return self.apiserver.kubectl("--namespace", self.namespace, "--as", by, *args, stdin=stdin)

    def decide(
        self, caller: str, verb: str = "abort", *, full: bool = False, member: tuple[str, ...] = (), **fields: Any
    ) -> Json:
        """What `kubectl create -f` stores; the name is the caller's own, as the mode `match` wants it."""
        given = {"plan": "web", "run": "web-1", "runUid": "u", "verb": verb, "by": caller, "full": full, **fields}
        spec = {key: value for key, value in given.items() if value is not None}
        meta = {"name": f"d{next(NUMBERS)}"}
        obj = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "PlanDecision", "metadata": meta, "spec": spec}
        groups = [f"--as-group={group}" for group in member]
        done = self.kubectl("create", "-f", "-", "-o", "json", *groups, by=caller, stdin=json.dumps(obj))
        made: Json = json.loads(done)
        return made

    def refused(self, caller: str, verb: str = "abort", **fields: Any) -> str:
        with pytest.raises(AssertionError) as refusal:
            self.decide(caller, verb, **fields)
        return str(refusal.value)

    def judges(self) -> bool:
        """Whether both policies are in force: the server begins with each in its own time."""
        try:
            self.decide("clerk")
            return False
        except AssertionError as error:
            judged = "clerk needs the verb abort" in str(error)
        try:
            return judged and bool(self.decide("approver", by="mallory")["spec"]["by"] == "approver")
        except AssertionError as error:
            return self.mode == "match" and "your name for this API server" in str(error)


def eventually(true: Callable[[], object], what: str) -> None:
    for _ in range(150):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within 15 s: {what}")


@pytest.fixture(scope="module", params=get_args(Mode))
def desk(apiserver: ApiServer, request: pytest.FixtureRequest) -> Iterator[Desk]:
    mode: Mode = request.param
    namespace = f"decide-{uuid.uuid4().hex[:8]}"
    labelled = {"name": namespace, "labels": {SELECTED: mode}}
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": labelled}, *scoped(mode), *rights(namespace)]
    wanted = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    apiserver.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=wanted)
    made = Desk(apiserver, namespace, mode)

    eventually(made.judges, "the policies are in force")
    yield made
    apiserver.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize(("verb", "full"), ORDERS)
def test_each_order_needs_its_verb_on_the_plan(desk: Desk, verb: str, full: bool) -> None:
    needed = FULL if full else verb
    assert desk.decide("admin", verb, full=full)["spec"]["verb"] == verb
    said = desk.refused("clerk", verb, full=full)
    role = "rollout-approve" if needed in APPROVE else "rollout-admin"
    lacking = f"clerk needs the verb {needed} on canaryplans.meshrollout.dev/web in {desk.namespace}"
    assert f"{lacking}; ask for the ClusterRole {role} there" in said
    assert "Forbidden" in said


@pytest.mark.parametrize(("verb", "full"), ORDERS)
def test_an_approver_may_what_the_role_says_and_no_more(desk: Desk, verb: str, full: bool) -> None:
    if (FULL if full else verb) in ADMIN:
        assert "ask for the ClusterRole rollout-admin" in desk.refused("approver", verb, full=full)
    else:
        assert desk.decide("approver", verb, full=full)["spec"]["by"] == "approver"


def test_a_right_on_one_plan_is_no_right_on_another(desk: Desk) -> None:
    assert desk.decide("carer", "promote")["spec"]["plan"] == "web"
    assert "on canaryplans.meshrollout.dev/api in" in desk.refused("carer", "promote", plan="api")


def test_a_right_on_a_plan_is_none_on_the_adoption_of_the_same_name(desk: Desk) -> None:
    said = desk.refused("carer", "promote", kind="MeshAdoptionPlan")
    assert "on meshadoptionplans.meshrollout.dev/web in" in said
    assert desk.decide("approver", "promote", kind="MeshAdoptionPlan")["spec"]["kind"] == "MeshAdoptionPlan"


def test_nobody_decides_in_anothers_name(desk: Desk) -> None:
    if desk.mode == "stamp":
        assert desk.decide("approver", by="admin")["spec"]["by"] == "approver"
    else:
        said = desk.refused("approver", by="admin")
        assert "spec.by must be approver, your name for this API server; it is admin" in said


def test_nobody_decides_without_a_name(desk: Desk) -> None:
    if desk.mode == "stamp":
        assert desk.decide("approver", by=None)["spec"]["by"] == "approver"
    else:
        assert "it is empty" in desk.refused("approver", by=None)


def test_nobody_decides_for_a_group_that_he_is_not_in(desk: Desk) -> None:
    assert desk.decide("approver", member=("sre", "web"), groups=["sre"])["spec"]["groups"] == ["sre"]
    assert "you are not in the group leads of spec.groups" in desk.refused(
        "approver", member=("sre",), groups=["sre", "leads"]
    )
    assert "you are not in the group sre of spec.groups" in desk.refused("approver", groups=["sre"])


def test_a_name_too_long_for_the_field_is_cut(desk: Desk) -> None:
    """A service account's name can be longer than the field."""
    caller = "system:serviceaccount:shop:" + 250 * "x"
    said = desk.refused(caller, by=caller[:256])
    assert "cannot create resource" in said, "RBAC comes first"
    grant = ("create", "rolebinding", "long", "--role=approver", f"--user={caller}", "-n", desk.namespace)
    desk.apiserver.kubectl(*grant)
    eventually(lambda: "yes" in desk.kubectl("auth", "can-i", "create", "plandecisions", by=caller), "the right")
    assert desk.decide(caller, by=caller[:256])["spec"]["by"] == caller[:256]


def test_a_decision_never_changes(desk: Desk) -> None:
    name = desk.decide("admin", "promote")["metadata"]["name"]
    for change in ({"by": "mallory"}, {"verb": "abort"}, {"full": True}, {"plan": "api"}):
        with pytest.raises(AssertionError, match="spec is immutable"):
            desk.kubectl("patch", "pdec", name, "--type=merge", "-p", json.dumps({"spec": change}), by="admin")


def test_server_side_apply_is_checked_like_create(desk: Desk) -> None:
    """That is how a GitOps tool brings a decision that is kept in Git."""
    spec = {"plan": "web", "run": "web-1", "runUid": "u", "verb": "skip", "by": "approver"}
    meta = {"name": f"d{next(NUMBERS)}"}
    obj = {"apiVersion": "meshrollout.dev/v1alpha1", "kind": "PlanDecision", "metadata": meta, "spec": spec}
    with pytest.raises(AssertionError, match=re.escape("approver needs the verb skip")):
        desk.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(obj))
    obj["spec"] = {**spec, "verb": "pause"}
    desk.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(obj))


def test_the_api_server_finds_no_fault_with_the_expressions(desk: Desk) -> None:
    """It types them against the schemas, CRDs included, and writes down what does not fit."""
    name = f"rollout-decide-test-{desk.mode}"
    path = ("get", "validatingadmissionpolicy", name, "-o", "json")
    eventually(lambda: "typeChecking" in json.loads(desk.apiserver.kubectl(*path)).get("status", {}), "it was checked")
    status = json.loads(desk.apiserver.kubectl(*path))["status"]
    assert not status["typeChecking"].get("expressionWarnings")
