"""The writing half of Istio's driver, for every instruction on objects that were there, and on none."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rollout.adapters.mesh.istio import Istio
from rollout.plan.base import Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CRON_JOB,
    DAEMON_SET,
    REQUEST_AUTHENTICATION,
    STATEFUL_SET,
    VIRTUAL_SERVICE,
    kind_of,
)
from rollout.plan.program import Adoption, Apply, Enrol, Label, MeshInstruction, SetMode, Shadow, UnitName
from tests.conformance.mesh_suite import MeshSuite, World
from tests.kit import meshed as kit

WEB, DB, AGENT = UnitName("Deployment", "web"), UnitName("StatefulSet", "db"), UnitName("DaemonSet", "agent")
REPORT, CART = UnitName("CronJob", "report"), UnitName("Deployment", "cart")
KINDS = (AUTHORIZATION_POLICY, VIRTUAL_SERVICE, REQUEST_AUTHENTICATION, *kit.by_kind())


def virtual_service(**spec: Any) -> Json:
    made = kit.obj(VIRTUAL_SERVICE, "web", spec={"hosts": ["web"], **spec})
    del made["metadata"]["uid"], made["metadata"]["labels"]
    return made


def policy(name: str, dry_run: str, **spec: Any) -> Json:
    meta = {"name": name, "annotations": {"istio.io/dry-run": dry_run}}
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": meta, "spec": spec}


ROUTES = [{"route": [{"destination": {"host": "web"}}], "retries": {"attempts": 3}}]
ALLOW = {"action": "ALLOW", "rules": [{"from": [{"source": {"principals": ["a/b"]}}]}]}
BARE_REPORT = {"spec": {"containers": [{"name": "app"}]}}
"""A template without metadata: maps have to be made."""
OBJECTS = [
    kit.namespace(),
    kit.webhooks(),
    kit.istiod(),
    *kit.deployed("web", pods=3, plain=3),
    *kit.deployed("cart", pods=3, made=kit.template("cart", kit.WILLING)),
    kit.workload("db", STATEFUL_SET),
    kit.workload("agent", DAEMON_SET),
    kit.cron_job("report", "@daily", BARE_REPORT),
    kit.obj(VIRTUAL_SERVICE, "web", spec={"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}),
    kit.obj(AUTHORIZATION_POLICY, "mine", spec={"action": "ALLOW"}),
]
OWN = [kit.peer_authentication("mine", "DISABLE"), kit.peer_authentication("web", None, selector={"app": "web"})]
INSTRUCTIONS: dict[str, MeshInstruction] = {
    "deployment": Enrol(WEB),
    "stateful-set": Enrol(DB),
    "daemon-set": Enrol(AGENT),
    "cron-job": Enrol(REPORT),
    "label": Label(),
    "permissive": SetMode("PERMISSIVE"),
    "strict": SetMode("STRICT"),
    "strict-unit": SetMode("STRICT", WEB),
    "strict-unit-but-a-port": SetMode("STRICT", WEB, plaintext=(9102,)),
    "strict-pods": SetMode("STRICT", CART, pods=2),
    "shadow": Shadow(),
    "shadow-unit": Shadow(WEB),
    "apply-changes": Apply(virtual_service(http=ROUTES)),
    "apply-makes": Apply(virtual_service(http=ROUTES) | {"metadata": {"name": "other"}}),
    "apply-other-version": Apply(
        virtual_service(http=ROUTES) | {"apiVersion": "networking.istio.io/v1beta1", "metadata": {"name": "other"}}
    ),
    "policy-on-trial": Apply(policy("mine", "true", **ALLOW)),
    "policy-enforced": Apply(policy("new", "false", **ALLOW)),
    "deny-by-default": Apply(policy("allow-nothing", "true")),
}


class Common(MeshSuite):
    """Istio's driver."""

    @pytest.fixture
    def mesh(self) -> Istio:
        return Istio()

    @pytest.fixture
    def adoption(self) -> Adoption:
        return Adoption(kit.SHOP, "mesh-1")

    @pytest.fixture(params=list(INSTRUCTIONS.values()), ids=list(INSTRUCTIONS))
    def wanted(self, request: pytest.FixtureRequest) -> MeshInstruction:
        found: MeshInstruction = request.param
        return found

    def edited(self, obj: Json) -> Json:
        new = deepcopy(obj)
        kind = kind_of(new)
        if kind.name in ("Namespace", "Pod"):
            new["metadata"]["labels"]["team"] = "shop"
        elif kind == CRON_JOB:
            new["spec"]["jobTemplate"]["spec"]["template"]["spec"]["priority"] = 7
        elif "template" in new["spec"]:
            new["spec"]["template"]["metadata"]["labels"]["version"] = "2"
            new["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/web:2"
        else:
            new["spec"]["more"] = {"of": ["his"]}
        return new


class TestIstio(Common):
    """Where no policies are."""

    @pytest.fixture
    def world(self) -> World:
        return World(deepcopy(OBJECTS), KINDS)


class TestIstioWithPolicies(Common):
    """Where the owner has policies of his own."""

    @pytest.fixture
    def world(self) -> World:
        return World(deepcopy([*OBJECTS, *OWN]), KINDS)


class TestIstioByRevision(Common):
    """With a revision instead of a default control plane."""

    @pytest.fixture
    def adoption(self) -> Adoption:
        return Adoption(kit.SHOP, "mesh-1", revision="stable")

    @pytest.fixture
    def world(self) -> World:
        plane = [kit.namespace(), kit.webhooks("1-31"), kit.webhooks("1-31", "stable"), kit.istiod("1-31")]
        left = {"default", kit.SHOP, "istiod-default", "istio-default"}
        rest = [it for it in OBJECTS if it["metadata"]["name"] not in left]
        return World(deepcopy([*plane, *rest]), KINDS)
