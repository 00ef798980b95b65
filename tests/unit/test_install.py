"""Installing and uninstalling: what it consists of, and what becomes of a simulated cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml

from rollout import bootstrap
from rollout.adapters.memory.behaviour import Behaviour
from rollout.checks.needs import (
    HOLD_MODE,
    ISTIO,
    MESH,
    MESH_AROUND,
    MESH_PREFLIGHT,
    MESH_TRAFFIC,
    PREFLIGHT,
    RELEASE,
    TELL,
    UNATTENDED,
    WORKLOAD,
    engine,
    watched,
)
from rollout.install import Options, manifests
from rollout.install.folder import files
from rollout.install.options import BY, CONTROLLER, IMAGE, INSTALLED
from rollout.plan.base import HELD, HOLD_LABEL, Json
from rollout.plan.decisionpolicy import documents as decision_policy
from rollout.plan.kinds import (
    CANARY_PLAN,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CRD,
    DEPLOYMENT,
    LEASE,
    MUTATING_BINDING,
    MUTATING_POLICY,
    NAMESPACE,
    PDB,
    PLAN_RUN,
    PLANS,
    ROLE,
    ROLE_BINDING,
    VALIDATING_BINDING,
    VALIDATING_POLICY,
    Kind,
    ref_of,
)
from rollout.plan.run import Phase
from tests.kit.shell import Shell

DEPLOY = Path(__file__).parents[2] / "deploy"
HOME = "rollout-system"
POLICIES = (MUTATING_BINDING, MUTATING_POLICY, VALIDATING_BINDING, VALIDATING_POLICY)
WAYS = {"everywhere": Options(hold="policy"), "in two namespaces": Options(hold="policy", namespaces=("a", "b"))}

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
    from_watches = watched((*engine(*PLANS), *UNATTENDED, *WORKLOAD, *ISTIO))
    in_namespaces = (*from_watches, *TELL, *PREFLIGHT, *RELEASE, *MESH, *MESH_TRAFFIC, *MESH_PREFLIGHT)
    for where in options.namespaces or ("",):
        for need in in_namespaces:
            yield from ((where, need.kind.group, need.kind.plural, need.name, verb) for verb in need.verbs)
    for need in (*watched(HOLD_MODE), *MESH_AROUND):
        yield from (("", need.kind.group, need.kind.plural, "", verb) for verb in need.verbs)
    yield (HOME, LEASE.group, LEASE.plural, "", "create")
    for verb in ("get", "patch"):
        yield (HOME, LEASE.group, LEASE.plural, "rollout-controller", verb)


# -- what it consists of


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
    assert everywhere == ["rollout-controller-hold-mode", "rollout-controller-mesh-around"]
    assert {right[0] for right in granted(documents)} == {"", "a", "b", HOME}


@pytest.mark.parametrize(("spec", "plans"), [({}, "canaryplans"), ({"kind": "MeshAdoptionPlan"}, "meshadoptionplans")])
def test_an_order_is_checked_on_the_resource_of_its_plans_kind(spec: Json, plans: str) -> None:
    (policy,) = (it for it in decision_policy("match") if it["kind"] == "ValidatingAdmissionPolicy")
    named = {it["name"]: it["expression"] for it in policy["spec"]["variables"]}
    # what this library lacks is the optional syntax of Kubernetes
    written = named["plans"].replace("object.spec.?kind.orValue('')", "kind")
    assert cel.evaluate(written, {"kind": spec.get("kind", "")}) == plans
    assert "resource(variables.plans)" in policy["spec"]["validations"][0]["expression"]


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
    }


# -- into a cluster


def stored(shell: Shell, *kinds: Kind) -> list[str]:
    """The names of what is there, of our own marks only."""
    found = [obj["metadata"] for kind in kinds for obj in shell.simulation.objects.of(kind)]
    return sorted(meta["name"] for meta in found if (meta.get("labels") or {}).get(INSTALLED) == BY)


def installed(shell: Shell, *words: str) -> Any:
    """Installed, with a controller that leads."""
    shell.control()
    done = shell.run("install", "--yes", "-o", "json", *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_export_needs_no_cluster_and_prints_what_every_supported_one_can_do(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(bootstrap, "connect")
    done = shell.run("install", "--export")
    assert done.exit_code == 0
    assert list(yaml.safe_load_all(done.stdout)) == manifests(Options(decisions="match", hold="none"))
    wanted = ("--decision-mode", "stamp", "--hold", "policy", "--namespaces", "b, a,b", "--image", "x:1")
    listed = json.loads(shell.run("install", "--export", "-o", "json", *wanted).stdout)
    options = Options(image="x:1", namespaces=("b", "a"), decisions="stamp", hold="policy")
    assert listed["items"] == manifests(options)


def test_it_installs_everything_waits_and_says_who_leads(shell: Shell) -> None:
    said = installed(shell)
    for wanted in manifests(Options(decisions="stamp", hold="policy")):
        assert shell.simulation.objects.get(ref_of(wanted)) is not None
    assert said["leader"] == "controller-0"
    web = shell.simulation.get(DEPLOYMENT, CONTROLLER, HOME)
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def test_doing_it_again_changes_nothing(shell: Shell) -> None:
    installed(shell)
    before = shell.simulation.objects.revision
    again = installed(shell)
    assert {it["outcome"] for it in again["objects"]} == {"unchanged"}
    assert not again["removed"]
    versions = [o["metadata"]["resourceVersion"] for o in shell.simulation.objects.of(CLUSTER_ROLE)]
    assert max(map(int, versions)) <= before


def test_another_image_is_an_upgrade_that_touches_the_deployment_only(shell: Shell) -> None:
    installed(shell)
    again = installed(shell, "--image", "mesh-rollout:next")
    changed = [it["object"] for it in again["objects"] if it["outcome"] != "unchanged"]
    assert changed == [f"Deployment/{CONTROLLER} in {HOME}"]


def test_what_somebody_else_added_stays_and_what_he_changed_is_put_right(shell: Shell) -> None:
    installed(shell)
    role = shell.simulation.get(CLUSTER_ROLE, "rollout-approve", "")
    role["metadata"]["labels"]["team"] = "sre"
    role["rules"] = []
    shell.simulation.replace(role)
    installed(shell)
    role = shell.simulation.get(CLUSTER_ROLE, "rollout-approve", "")
    assert role["metadata"]["labels"]["team"] == "sre"
    assert role["rules"]


def test_dry_run_and_no_for_an_answer_change_nothing(shell: Shell) -> None:
    before = shell.simulation.objects.revision
    shown = shell.run("install", "--dry-run")
    assert shown.exit_code == 0
    assert "is created" in shown.stderr
    refused = shell.run("install")
    assert refused.exit_code == 2
    assert "nothing was done" in refused.stderr
    assert shell.simulation.objects.revision == before


def test_fewer_namespaces_take_the_rights_in_all_of_them_back(shell: Shell) -> None:
    shell.simulation.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    installed(shell)
    said = installed(shell, "--namespaces", "shop")
    assert "ClusterRoleBinding/rollout-controller-core-rollout-system" in said["removed"]
    bound = [f"rollout-controller-{it}-rollout-system" for it in ("hold-mode", "mesh-around")]
    assert stored(shell, CLUSTER_ROLE_BINDING) == bound
    assert "rollout-controller-core" in stored(shell, ROLE)
    installed(shell, "--hold", "none")
    assert not [name for name in stored(shell, ROLE) if "core" in name]
    assert "rollout-hold" not in stored(shell, *POLICIES)


def test_a_namespace_that_is_missing_is_named_before_anything_is_done(shell: Shell) -> None:
    before = shell.simulation.objects.revision
    done = shell.run("install", "--yes", "--namespaces", "nowhere")
    assert done.exit_code == 4
    assert "kubectl create namespace nowhere" in done.stderr
    assert shell.simulation.objects.revision == before


def test_an_older_api_server_gets_what_it_can_do(shell: Shell) -> None:
    shell.simulation.cluster.server.unserved.update({MUTATING_POLICY, MUTATING_BINDING})
    installed(shell)
    assert not shell.simulation.objects.of(MUTATING_POLICY) or "rollout-decide" not in stored(shell, MUTATING_POLICY)
    assert stored(shell, VALIDATING_POLICY) == ["rollout-decide"]
    for flag in (["--hold", "policy"], ["--decision-mode", "stamp"]):
        done = shell.run("install", "--yes", *flag)
        assert done.exit_code == 1
        assert "Kubernetes 1.36" in done.stderr


def test_one_that_cannot_check_who_decides_is_refused(shell: Shell) -> None:
    shell.simulation.cluster.server.unserved.add(VALIDATING_POLICY)
    done = shell.run("install", "--yes")
    assert done.exit_code == 1
    assert "Kubernetes 1.30" in done.stderr
    assert not stored(shell, DEPLOYMENT)


def test_pods_that_do_not_come_are_explained_when_the_time_is_over(shell: Shell) -> None:
    shell.simulation.behaviour("mesh-rollout:broken", Behaviour(image_pull_error=True))
    done = shell.run("install", "--yes", "--image", "mesh-rollout:broken", "--timeout", "20s")
    assert done.exit_code == 1
    assert "0 of 2 pods are ready; container controller of pod" in done.stderr
    assert "kubectl describe pods" in done.stderr


def test_nobody_leads_is_not_installed(shell: Shell) -> None:
    done = shell.run("install", "--yes", "--timeout", "20s")
    assert done.exit_code == 1
    assert "take the lead" in done.stderr


# -- and out again


def leaves(shell: Shell) -> None:
    """The controller of the simulation goes with its Deployment."""

    def watcher(ref: Any) -> None:
        gone = ref.kind == DEPLOYMENT and ref.name == CONTROLLER and shell.simulation.objects.get(ref) is None
        if gone and shell.controller is not None:
            shell.controller.stopped = True

    shell.simulation.objects.watchers.append(watcher)


def run_of(shell: Shell) -> Json:
    (run,) = shell.simulation.objects.of(PLAN_RUN)
    return run


def nothing_is_left(shell: Shell) -> None:
    kinds = (NAMESPACE, DEPLOYMENT, ROLE, ROLE_BINDING, CLUSTER_ROLE, CLUSTER_ROLE_BINDING, *POLICIES)
    assert stored(shell, *kinds) == []
    assert [o["metadata"]["name"] for kind in POLICIES for o in shell.simulation.objects.of(kind)] == []
    assert not shell.simulation.objects.of(LEASE)


def is_free_and_paused(shell: Shell) -> None:
    web = shell.simulation.get(DEPLOYMENT, "web")
    assert web["spec"]["paused"] is True
    assert HOLD_LABEL not in web["metadata"].get("labels", {})
    assert HELD not in web["metadata"].get("annotations", {})


def test_without_a_controller_it_takes_the_run_home_itself(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 0, done.output
    assert run_of(shell)["status"]["phase"] == "Aborted"
    assert "finalizers" not in run_of(shell)["metadata"] or not run_of(shell)["metadata"]["finalizers"]
    assert shell.at_rest()
    is_free_and_paused(shell)
    assert "kubectl rollout resume deployment/web -n shop" in done.stderr
    nothing_is_left(shell)
    assert shell.simulation.objects.of(CANARY_PLAN), "plans stay"


def test_a_living_controller_takes_it_home_before_it_goes(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    installed(shell)
    leaves(shell)
    done = shell.run("uninstall", "--yes", "-o", "json")
    assert done.exit_code == 0, done.output
    assert shell.controller is not None
    assert shell.controller.stopped
    lines = json.loads(done.stdout)["done"]
    ended = next(i for i, line in enumerate(lines) if "Aborted" in line)
    assert ended < lines.index(f"Deployment/{CONTROLLER} in {HOME} removed")
    assert shell.at_rest()
    is_free_and_paused(shell)
    nothing_is_left(shell)


def test_a_controller_that_dies_meanwhile_is_stood_in_for(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    controller = shell.control()
    controller.stopped = True
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 0, done.output
    assert run_of(shell)["status"]["phase"] == "Aborted"
    assert shell.at_rest()
    nothing_is_left(shell)


def test_again_it_says_that_nothing_was_there(shell: Shell) -> None:
    installed(shell)
    leaves(shell)
    assert shell.run("uninstall", "--yes").exit_code == 0
    again = shell.run("uninstall", "--yes")
    assert again.exit_code == 0
    assert again.stdout.strip() == "nothing was installed"


def test_a_run_that_does_not_end_keeps_everything_in_place(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    installed(shell)
    done = shell.run("uninstall", "--yes", "--timeout", "0s")
    assert done.exit_code == 1
    assert "nothing was removed" in done.stderr
    assert CONTROLLER in stored(shell, DEPLOYMENT)
    assert "rollout-hold" in stored(shell, *POLICIES)


def test_no_for_an_answer_ends_nothing(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    done = shell.run("uninstall")
    assert done.exit_code == 2
    assert "1 under way" in done.stderr
    assert run_of(shell)["status"]["phase"] == "Progressing"


def test_with_crds_the_plans_go_too_and_it_says_how_many(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the API server serves is remembered for a while: longer than the kinds live."""
    shell.until(Phase.PROGRESSING)
    installed(shell)
    leaves(shell)

    async def remembered(kind: Kind) -> bool:
        return True

    def watcher(ref: Any) -> None:
        if ref.kind == CRD and shell.simulation.objects.get(ref) is None:
            shell.simulation.cluster.server.unserved.add(CANARY_PLAN)

    monkeypatch.setattr(shell.world.cluster, "serves", remembered)
    shell.simulation.objects.watchers.append(watcher)
    done = shell.run("uninstall", "--yes", "--crds")
    assert done.exit_code == 0, done.output
    assert "1 plans and 1 runs of all users go with them" in done.stderr
    assert not shell.simulation.objects.of(CRD)


def test_without_the_verb_release_the_policy_stays_as_long_as_it_holds(shell: Shell) -> None:
    shell.until(Phase.PROGRESSING)
    shell.run("abort", "web", "--reason", "not now", "--yes")
    shell.simulation.cluster.deny("release", CANARY_PLAN)
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 6
    assert "lack the verb release" in done.stderr
    assert [obj["metadata"]["name"] for obj in shell.simulation.objects.of(MUTATING_BINDING)] == ["rollout-hold"]


def test_what_two_controllers_share_goes_with_the_last_one(shell: Shell) -> None:
    for name in ("shop", "east", "west"):
        shell.simulation.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for home in ("east", "west"):
        words = ("--controller-namespace", home, "--namespaces", home, "--no-wait")
        assert shell.run("install", "--yes", *words).exit_code == 0
    assert shell.run("uninstall", "--yes", "--controller-namespace", "east").exit_code == 0
    assert "rollout-decide" in stored(shell, *POLICIES)
    assert "rollout-approve" in stored(shell, CLUSTER_ROLE)
    assert {obj["metadata"]["namespace"] for obj in shell.simulation.objects.of(ROLE)} == {"west"}
    assert shell.run("uninstall", "--yes", "--controller-namespace", "west").exit_code == 0
    nothing_is_left(shell)


def test_a_namespace_that_somebody_lives_in_stays(shell: Shell) -> None:
    installed(shell)
    leaves(shell)
    meta = {"name": "db", "namespace": HOME}
    shell.simulation.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 1}]}})
    done = shell.run("uninstall", "--yes")
    assert done.exit_code == 0
    assert f"Namespace/{HOME} stays: Service/db" in done.stderr
    assert stored(shell, NAMESPACE) == [HOME]


def test_a_namespace_of_somebody_else_is_left_as_it_is(shell: Shell) -> None:
    shell.simulation.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tools"}})
    said = installed_in_tools(shell)
    assert {"object": "Namespace/tools", "outcome": "left as it is"} in said["objects"]
    assert shell.run("uninstall", "--yes", "--controller-namespace", "tools").exit_code == 0
    assert [o["metadata"]["name"] for o in shell.simulation.objects.of(NAMESPACE)] == ["tools"]


def installed_in_tools(shell: Shell) -> Any:
    words = ("install", "--yes", "--no-wait", "--controller-namespace", "tools", "-o", "json")
    return json.loads(shell.run(*words).stdout)
