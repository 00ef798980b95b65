"""The installation on a real API server: it takes every object, and RBAC gives what the roles say and no more.

The server is shared with other tests: admission policies are only rehearsed, and nothing that others may use is
removed.  Who may what is asked of the server itself, with SubjectAccessReviews.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pytest
import yaml

from rollout.adapters.kube.cluster import KubeCluster
from rollout.adapters.memory.world import World as Simulation
from rollout.adapters.routers.istio import Istio
from rollout.adapters.systemclock import SystemClock
from rollout.checks.needs import (
    FREEZES,
    HOLD_MODE,
    MESH,
    MESH_AROUND,
    MESH_PREFLIGHT,
    MESH_TRAFFIC,
    MESH_UNATTENDED,
    NOTIFICATIONS,
    PREFLIGHT,
    RELEASE,
    TELL,
    UNATTENDED,
    WORKLOAD,
    Need,
    engine,
    routing,
    watched,
)
from rollout.controller.caller import caller
from rollout.install import Options, manifests
from rollout.install.apply import apply
from rollout.install.folder import files
from rollout.install.options import CONTROLLER
from rollout.install.remove import controller, home, remove
from rollout.plan.base import Json
from rollout.plan.decisionpolicy import ADMIN, APPROVE
from rollout.plan.kinds import CLUSTER_ROLE_BINDING, CRD, DEPLOYMENT, NAMESPACE, PLANS, Ref, ref_of
from rollout.ports.cluster import Guard
from rollout.ports.world import World
from tests.kit.apiserver import ApiServer
from tests.kit.reviews import Ask, answers, granted_soon

pytestmark = pytest.mark.apiserver

RIGHTS: Final = "rbac.authorization.k8s.io"
OURS: Final = "meshrollout.dev"


@dataclass(frozen=True, slots=True)
class Site:
    """An installation on the shared server: the controller in `home`, people and plans in `shop`."""

    apiserver: ApiServer
    world: World
    options: Options
    shop: str

    @property
    def home(self) -> str:
        return self.options.namespace

    @property
    def account(self) -> str:
        return f"system:serviceaccount:{self.home}:{CONTROLLER}"

    def allowed(self, asks: Sequence[Ask]) -> dict[Ask, bool]:
        """The server's answers. RBAC follows its objects with some delay, so a no is asked again for a moment."""
        return granted_soon(self.apiserver, asks)

    def denied(self, asks: Sequence[Ask]) -> list[Ask]:
        return [ask for ask, allowed in self.allowed(asks).items() if not allowed]

    def granted(self, asks: Sequence[Ask]) -> list[Ask]:
        return [ask for ask, allowed in answers(self.apiserver, asks).items() if allowed]


def without_policies(documents: list[Json]) -> list[Json]:
    return [
        obj for obj in documents if not obj["kind"].endswith(("Policy", "PolicyBinding")) or "Network" in obj["kind"]
    ]


def bindings(namespace: str) -> list[Json]:
    """One person for each role, bound in the shop."""
    roles = {"viewer": "view", "editor": "edit", "approver": "rollout-approve", "boss": "rollout-admin"}
    roles |= {"driver": "rollout-drive"}
    return [
        {
            "apiVersion": f"{RIGHTS}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": person, "namespace": namespace},
            "roleRef": {"apiGroup": RIGHTS, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": RIGHTS, "kind": "User", "name": person}],
        }
        for person, role in roles.items()
    ]


@pytest.fixture
async def place(apiserver: ApiServer, kube_cluster: KubeCluster, kube_namespace: str) -> AsyncIterator[Site]:
    """Two namespaces and nothing installed yet."""
    simulation = Simulation()
    world = World(kube_cluster, simulation.metrics, SystemClock(), {}, {})
    name = f"rollout-{uuid.uuid4().hex[:8]}"
    yield Site(apiserver, world, Options(namespace=name, hold="policy"), kube_namespace)
    for binding in await kube_cluster.list(CLUSTER_ROLE_BINDING):
        if binding["metadata"]["name"].endswith(name):
            await kube_cluster.delete(ref_of(binding), Guard(binding["metadata"]["uid"]))
    apiserver.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


async def install(site: Site) -> list[str]:
    wanted = without_policies(manifests(site.options))
    done = [it.outcome async for it in apply(site.world, wanted)]
    people = json.dumps({"apiVersion": "v1", "kind": "List", "items": bindings(site.shop)})
    site.apiserver.kubectl("apply", "-f", "-", stdin=people)
    return [str(it) for it in done]


@pytest.fixture(params=["everywhere", "in one namespace"])
async def site(place: Site, request: pytest.FixtureRequest) -> Site:
    if request.param == "in one namespace":
        place = replace(place, options=replace(place.options, namespaces=(place.shop,)))
    place = replace(place, options=replace(place.options, secrets=((place.shop, "prometheus"),)))
    await install(place)
    return place


async def test_doing_it_again_changes_nothing(site: Site) -> None:
    before = await site.world.cluster.get(Ref(DEPLOYMENT, site.home, CONTROLLER))
    again = await install(site)
    assert before is not None
    # another test may install or upgrade what is shared at the same moment: only what is ours alone is certain
    own = [obj for obj in without_policies(manifests(site.options)) if site.home in json.dumps(obj["metadata"])]
    found = [it.outcome async for it in apply(site.world, own)]
    assert found
    assert set(found) == {"unchanged"}
    assert "created" not in again
    after = await site.world.cluster.get(Ref(DEPLOYMENT, site.home, CONTROLLER))
    assert after is not None
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_the_server_takes_every_object(place: Site) -> None:
    """Admission policies too, whose CEL it compiles; rehearsed, for they would be in force for everybody."""
    modes: list[tuple[Literal["stamp", "match"], Literal["policy", "none"]]] = [("stamp", "policy"), ("match", "none")]
    for decisions, hold in modes:
        options = replace(place.options, decisions=decisions, hold=hold)
        outcomes = [it async for it in apply(place.world, manifests(options), dry_run=True)]
        assert len(outcomes) == len(manifests(options))
    assert await place.world.cluster.get(Ref(NAMESPACE, "", place.home)) is None


def namespaced(user: str, needs: Sequence[Need], namespace: str) -> Iterator[Ask]:
    for need in needs:
        for verb in need.verbs:
            yield Ask(user, verb, need.kind.group, need.kind.plural, namespace, need.name)


async def test_the_account_may_what_the_controller_does(site: Site) -> None:
    needs = (
        *watched((*engine(*PLANS), *UNATTENDED, *WORKLOAD, *routing([Istio()]), *NOTIFICATIONS)),
        *TELL,
        *PREFLIGHT,
        *RELEASE,
    )
    asks = list(namespaced(site.account, (*needs, *MESH, *MESH_TRAFFIC, *MESH_UNATTENDED, *MESH_PREFLIGHT), site.shop))
    asks += namespaced(site.account, (*watched((*HOLD_MODE, *FREEZES)), *MESH_AROUND), "")
    lease = Ask(site.account, "create", "coordination.k8s.io", "leases", site.home)
    asks += [lease, *(replace(lease, verb=verb, name="rollout-controller") for verb in ("get", "patch"))]
    asks += [Ask(site.account, "get", "", "secrets", site.shop, "prometheus")]
    assert not site.denied(asks)


async def test_the_account_may_nothing_else_that_would_hurt(site: Site) -> None:
    def may(verb: str, group: str, resource: str, namespace: str = site.shop, name: str = "") -> Ask:
        return Ask(site.account, verb, group, resource, namespace, name)

    asks = [
        may("get", "", "secrets"),
        may("list", "", "secrets"),
        may("get", "", "secrets", site.shop, "another"),
        may("get", "", "secrets", site.home, "prometheus"),
        may("create", "", "pods"),
        may("create", "", "pods/exec"),
        may("delete", "", "pods"),
        may("update", "", "configmaps"),
        may("create", OURS, "plandecisions"),
        may("create", OURS, "canaryplans"),
        may("delete", OURS, "canaryplans"),
        may("create", OURS, "meshadoptionplans"),
        may("update", RIGHTS, "roles"),
        may("bind", RIGHTS, "clusterroles"),
        may("create", RIGHTS, "rolebindings"),
        may("update", "admissionregistration.k8s.io", "mutatingadmissionpolicies", ""),
        may("patch", "apiextensions.k8s.io", "customresourcedefinitions", ""),
        may("create", "networking.istio.io", "authorizationpolicies"),
        may("patch", "coordination.k8s.io", "leases", "kube-system", "kube-scheduler"),
        *(may(verb, OURS, kind.plural) for kind in PLANS for verb in (*APPROVE, *ADMIN)),
    ]
    assert not site.granted(asks)


async def test_elsewhere_it_may_only_where_it_was_installed_for(site: Site) -> None:
    asks = list(namespaced(site.account, WORKLOAD, "default"))
    granted = site.granted(asks)
    assert granted == ([] if site.options.namespaces else asks)


async def test_everybody_may_see_whether_a_controller_lives_and_no_other_lease(site: Site) -> None:
    leases = ("coordination.k8s.io", "leases", site.home)
    assert not site.denied([Ask("stranger", "get", *leases, "rollout-controller")])
    assert not site.granted(
        [
            Ask("stranger", "get", *leases, "another"),
            Ask("stranger", "list", *leases),
            Ask("stranger", "patch", *leases, "rollout-controller"),
            Ask("system:anonymous", "get", *leases, "rollout-controller", groups=("system:unauthenticated",)),
        ]
    )


OF_PLANS: Final = tuple(kind.plural for kind in PLANS)
KINDS: Final = (*OF_PLANS, "planruns", "plandecisions", "metrictemplates")
READ: Final = {(kind, verb) for kind in KINDS for verb in ("get", "list", "watch")}
WRITE: Final = {
    (kind, verb) for kind in (*OF_PLANS, "metrictemplates") for verb in ("create", "update", "patch", "delete")
}
DECIDE: Final = {("plandecisions", "create"), *((kind, verb) for kind in OF_PLANS for verb in APPROVE)}
MORE: Final = {*((kind, verb) for kind in OF_PLANS for verb in ADMIN), ("canaryplans", "release")}
RECORD: Final = {
    ("planruns", "create"),
    ("planruns", "patch"),
    ("planruns", "delete"),
    ("planruns/status", "patch"),
    *((f"{kind}/status", "patch") for kind in OF_PLANS),
}
STORE: Final = {(kind, verb) for kind in OF_PLANS for verb in ("create", "patch")}
HOME: Final = {("plandecisions", "create"), *((kind, "abort") for kind in OF_PLANS), ("canaryplans", "release")}
PEOPLE: Final[dict[str, set[tuple[str, str]]]] = {
    "viewer": READ,
    "editor": READ | WRITE,
    "approver": READ | DECIDE,
    "boss": READ | DECIDE | MORE,
    "driver": READ | STORE | RECORD | HOME,
    "stranger": set(),
}


@pytest.mark.parametrize("person", PEOPLE)
async def test_people_may_what_their_role_says(place: Site, person: str) -> None:
    """`view` and `edit` are Kubernetes' own roles, into which ours are aggregated."""
    await install(place)
    wanted = PEOPLE[person]
    asks = {what: Ask(person, what[1], OURS, what[0], place.shop) for whats in PEOPLE.values() for what in whats}
    assert not place.denied([asks[what] for what in sorted(wanted)])
    assert not place.granted([ask for what, ask in asks.items() if what not in wanted])
    assert not place.granted([replace(ask, namespace="default") for ask in asks.values()]), "and only where it is bound"


async def test_the_restricted_namespace_takes_the_controllers_pod_and_no_lesser_one(place: Site) -> None:
    await install(place)
    deployment = await place.world.cluster.get(Ref(DEPLOYMENT, place.home, CONTROLLER))
    assert deployment is not None
    template = deployment["spec"]["template"]
    meta = {"name": "rehearsal", "namespace": place.home, "labels": template["metadata"]["labels"]}
    pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    rehearse = ("create", "--dry-run=server", "-f", "-")
    place.apiserver.kubectl(*rehearse, stdin=json.dumps(pod))
    lesser = {**pod, "spec": {**pod["spec"], "securityContext": {}}}
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        place.apiserver.kubectl(*rehearse, stdin=json.dumps(lesser))


async def test_what_makes_the_controller_run_can_be_taken_out_again(place: Site) -> None:
    await install(place)
    found = await controller(place.world.cluster, place.home)
    gone = [ref async for ref in remove(place.world, found)]
    assert Ref(DEPLOYMENT, place.home, CONTROLLER) in gone
    assert await controller(place.world.cluster, place.home) == []
    namespace, stays = await home(place.world.cluster, place.home)
    assert namespace is not None
    assert stays == ""


async def test_an_order_is_given_in_the_name_that_the_server_knows(
    apiserver: ApiServer, kube_cluster: KubeCluster
) -> None:
    review = json.loads(apiserver.kubectl("auth", "whoami", "-o", "json"))
    us = review["status"]["userInfo"]
    assert await caller(kube_cluster) == (us["username"], tuple(us["groups"]))


def test_kustomize_builds_base_and_component(apiserver: ApiServer, tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    overlay: dict[str, Any] = {"resources": ["../base"], "components": ["../policy"], "namePrefix": ""}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    built = list(yaml.safe_load_all(apiserver.kubectl("kustomize", str(tmp_path / "mine"))))
    whole = manifests(Options(decisions="stamp", hold="policy"))
    assert {ref_of(obj): obj for obj in built} == {ref_of(obj): obj for obj in whole}
    plain = list(yaml.safe_load_all(apiserver.kubectl("kustomize", str(tmp_path / "base"))))
    assert {str(ref_of(obj)) for obj in plain} == {str(ref_of(obj)) for obj in manifests(Options())}
    assert [obj["kind"] for obj in plain].count(CRD.name) == 7
