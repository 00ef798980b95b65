"""What an installation consists of: every object once, in order, with the rights of the table and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cel
import pytest
import yaml

from rollout.checks.needs import (
    FREEZES,
    HOLD_MODE,
    HOOKS,
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
    engine,
    routing,
    watched,
)
from rollout.install import Options, manifests
from rollout.install.folder import files
from rollout.install.options import CONTROLLER, parts, routers_of
from rollout.install.workload import arguments
from rollout.plan.base import Json
from rollout.plan.decisionpolicy import documents as decision_policy
from rollout.plan.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    PDB,
    PLANS,
    ROLE,
    ROLE_BINDING,
    Kind,
    ref_of,
)
from rollout.plan.program import Backends, Side
from rollout.registry import routers
from tests.kit.shell import Shell

DEPLOY = Path(__file__).parents[2] / "deploy"
HOME = "rollout-system"
WAYS = {
    "everywhere": Options(hold="policy"),
    "in two namespaces": Options(hold="policy", namespaces=("a", "b")),
    "silent": Options(hold="policy", notifications=False),
    "with every part": Options(hold="policy", features=parts()),
}

Right = tuple[str, str, str, str, str]
"""Where (empty: everywhere), API group, resource, name (empty: any), verb."""


def of(documents: list[Json], kind: Kind) -> list[Json]:
    return [obj for obj in documents if obj["kind"] == kind.name]


def granted(documents: list[Json]) -> set[Right]:
    """What the controller's account may do, through all bindings that name it."""
    rules = {ref_of(obj): obj["rules"] for obj in (*of(documents, ROLE), *of(documents, CLUSTER_ROLE))}
    found: set[Right] = set()
    for binding in (*of(documents, ROLE_BINDING), *of(documents, CLUSTER_ROLE_BINDING)):
        if not any(subject.get("name") == CONTROLLER for subject in binding["subjects"]):
            continue
        where, name = binding["metadata"].get("namespace", ""), binding["roleRef"]["name"]
        role = next(r for ref, r in rules.items() if (str(ref.kind), ref.name) == (binding["roleRef"]["kind"], name))
        for rule in role:
            for resource in rule["resources"]:
                for one in rule.get("resourceNames", [""]):
                    found |= {(where, rule["apiGroups"][0], resource, one, verb) for verb in rule["verbs"]}
    return found


def needed(options: Options) -> Iterator[Right]:
    routes = routing(routers()[name] for name in routers_of(options.features))
    from_watches = watched((*engine(*PLANS), *UNATTENDED, *WORKLOAD, *routes))
    in_namespaces = (
        *from_watches,
        *TELL,
        *PREFLIGHT,
        *RELEASE,
        *MESH,
        *MESH_TRAFFIC,
        *MESH_UNATTENDED,
        *MESH_PREFLIGHT,
        *(HOOKS if "hooks" in options.features else ()),
    )
    for where in options.namespaces or ("",):
        for need in in_namespaces:
            yield from ((where, need.kind.group, need.kind.plural, need.name, verb) for verb in need.verbs)
    for where in (*options.namespaces, HOME) if options.namespaces else ("",):
        for need in watched(NOTIFICATIONS) if options.notifications else ():
            yield from ((where, need.kind.group, need.kind.plural, need.name, verb) for verb in need.verbs)
    for need in (*watched((*HOLD_MODE, *FREEZES)), *MESH_AROUND):
        yield from (("", need.kind.group, need.kind.plural, "", verb) for verb in need.verbs)
    yield (HOME, LEASE.group, LEASE.plural, "", "create")
    for verb in ("get", "patch"):
        yield (HOME, LEASE.group, LEASE.plural, "rollout-controller", verb)


def test_the_folder_is_what_the_code_says() -> None:
    written = {str(path.relative_to(DEPLOY)): path.read_text() for path in DEPLOY.rglob("*.yaml")}
    assert written == files(), "deploy/ is stale: make generate"


def test_base_and_component_together_are_the_whole_installation() -> None:
    texts = files()
    found = [obj for path, text in texts.items() if "kustomization" not in path for obj in yaml.safe_load_all(text)]
    whole = manifests(Options(decisions="stamp", hold="policy"))
    assert {ref_of(obj): obj for obj in found} == {ref_of(obj): obj for obj in whole}
    for path, text in texts.items():
        if path.endswith("kustomization.yaml"):
            folder = path.rpartition("/")[0]
            assert {f"{folder}/{name}" for name in yaml.safe_load(text)["resources"]} <= set(texts)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_named_comes_before_what_names_it(way: str) -> None:
    documents = manifests(WAYS[way])
    order = {ref_of(obj): index for index, obj in enumerate(documents)}
    assert len(order) == len(documents), "every object once"
    assert documents[0]["kind"] == NAMESPACE.name
    assert ref_of(documents[-1]).kind == DEPLOYMENT
    for index, obj in enumerate(documents):
        if "roleRef" in obj:
            wanted = (obj["roleRef"]["kind"], obj["roleRef"]["name"])
            roles = [i for ref, i in order.items() if (str(ref.kind), ref.name) == wanted]
            assert roles
            assert min(roles) < index
        if "policyName" in obj.get("spec", {}):
            assert documents[index - 1]["metadata"]["name"] == obj["spec"]["policyName"]


@pytest.mark.parametrize("way", WAYS)
def test_the_controller_may_what_the_table_says_and_nothing_else(way: str) -> None:
    assert granted(manifests(WAYS[way])) == set(needed(WAYS[way]))


def test_a_feature_that_is_left_out_has_no_rights(shell: Shell) -> None:
    whole = json.loads(shell.run("install", "--export", "-o", "json").stdout)["items"]
    exported = shell.run("install", "--export", "--features", "canary", "-o", "json")
    less = json.loads(exported.stdout)["items"]
    assert granted(less) < granted(whole)
    gone = {obj["metadata"]["name"] for obj in whole} - {obj["metadata"]["name"] for obj in less}
    assert gone == {f"{CONTROLLER}-{name}{of}" for name in ("mesh-adoption", "mesh-around") for of in ("", f"-{HOME}")}
    assert not {right for right in granted(less) if right[2] in ("peerauthentications", "nodes", "statefulsets")}
    both = shell.run("install", "--export", "--features", "mesh-adoption", "-o", "json")
    assert json.loads(both.stdout)["items"] == whole, "an adoption needs what a canary needs"
    wrong = shell.run("install", "--export", "--features", "canary,mesh")
    assert wrong.exit_code == 2
    assert "there is no mesh" in wrong.stderr


@pytest.mark.parametrize("way", WAYS)
def test_no_rule_has_a_wildcard_or_reads_secrets(way: str) -> None:
    documents = manifests(WAYS[way])
    rules = [rule for obj in documents for rule in obj.get("rules", [])]
    assert rules
    for rule in rules:
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"secrets", "pods/exec", "impersonate", "escalate", "bind"} & {*rule["resources"], *rule["verbs"]}


def test_in_named_namespaces_only_what_has_no_namespace_is_seen_everywhere() -> None:
    documents = manifests(WAYS["in two namespaces"])
    everywhere = [b["roleRef"]["name"] for b in of(documents, CLUSTER_ROLE_BINDING)]
    assert everywhere == [f"rollout-controller-{it}" for it in ("hold-mode", "freezes", "mesh-around")]
    assert {right[0] for right in granted(documents)} == {"", "a", "b", HOME}


@pytest.mark.parametrize(("spec", "plans"), [({}, "canaryplans"), ({"kind": "MeshAdoptionPlan"}, "meshadoptionplans")])
def test_an_order_is_checked_on_the_resource_of_its_plans_kind(spec: Json, plans: str) -> None:
    (policy,) = (it for it in decision_policy("match") if it["kind"] == "ValidatingAdmissionPolicy")
    named = {it["name"]: it["expression"] for it in policy["spec"]["variables"]}
    # what this library lacks is the optional syntax of Kubernetes
    written = named["plans"].replace("object.spec.?kind.orValue('')", "kind")
    assert cel.evaluate(written, {"kind": spec.get("kind", "")}) == plans
    assert "resource(variables.plans)" in policy["spec"]["validations"][0]["expression"]


def test_a_silent_controller_is_told_so() -> None:
    assert "--no-notifications" in arguments(Options(notifications=False))
    assert "--no-notifications" not in arguments(Options())


def test_it_looks_at_the_routers_that_it_has_rights_for() -> None:
    assert "--routers=istio" in arguments(Options())
    assert "--routers=istio,gateway,gateway-mesh" in arguments(Options(features=("mesh-adoption", "gateway")))


def test_a_secret_is_granted_by_its_name_in_its_namespace() -> None:
    secrets = (("shop", "token"), ("api", "token"))
    rights = granted(manifests(Options(secrets=secrets))) - granted(manifests(Options()))
    assert rights == {("shop", "", "secrets", "token", "get"), ("api", "", "secrets", "token", "get")}


def test_without_the_hold_policy_nobody_needs_to_release() -> None:
    assert not [right for right in granted(manifests(Options(hold="none"))) if right[4] == "release"]


def test_a_single_copy_has_no_disruption_budget_for_its_node_could_not_be_drained() -> None:
    assert of(manifests(Options(replicas=2)), PDB)
    assert not of(manifests(Options(replicas=1)), PDB)


def test_what_was_chosen_reaches_the_command_line_of_the_controller() -> None:
    options = Options(namespace="tools", namespaces=("a", "b"), selector="team=x", prometheus="http://prom:9090")
    container = manifests(options)[-1]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"][:2] == ["controller", "run"]
    assert set(container["args"][2:]) == {
        "--controller-namespace=tools",
        "--port=8080",
        "--namespaces=a,b",
        "--selector=team=x",
        "--prometheus=http://prom:9090",
        "--routers=istio",
    }


def test_the_rights_of_each_router_are_what_it_reads_and_writes() -> None:
    """By group and plural: a right is on all versions."""
    nothing = Backends("", "", "", Side(""), Side(""))
    for name, router in routers().items():
        reads = {(it.kind.group, it.kind.plural): {"list"} for it in router.reads(nothing) if not it.name}
        writes = {(kind.group, kind.plural): set(verbs) for kind, verbs in router.writes.items()}
        wanted = {key: reads.get(key, set()) | writes.get(key, set()) for key in reads | writes}
        granted = {(need.kind.group, need.kind.plural): set(need.verbs) for need in routing([router])}
        assert {key: verbs - granted[key] for key, verbs in wanted.items()} == {key: set() for key in wanted}, name
