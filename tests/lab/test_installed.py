"""The controller as installed: with its printed rights and no more; upgraded, uninstalled, torn out in mid-run."""

from __future__ import annotations

import calendar
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.soak_lab import soak, told
from lab import Lab
from lab.logs import queries
from lab.wait import wait_for
from rollout.install.options import Options, parts
from rollout.install.rbac import AROUND, Feature, features
from rollout.plan.base import HOLD_LABEL, RUN_LABEL, Json
from rollout.plan.kinds import CHANGE_FREEZE, MUTATING_BINDING
from tests.kit.installed import NAME, Installed, Right, commit, ended, holding, writes
from tests.kit.installed_stories import RATE, ordered, own_route, promoted, rolled_back, with_configuration
from tests.kit.lab import missing, up
from tests.kit.shop import IMAGE, MANIFEST, ROOT, OpenShops, Shop, canary, lossless, together

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
HOME = "rollout-system"
SEEDS = (5, 6, 7)
"""Of the short soak, with a good version, a bad one, and a good one: each server is slow or stands still, Prometheus
and the follower are killed, and the leader is stopped beyond its lease."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of this module's own, in place of the shared one: the controller looks after all of a cluster."""
    if shutil.which("go") is None or os.geteuid() != 0:
        missing("the lab's pods need root and Go")
    Lab(NAME).down()
    own = up(NAME, "istio")
    yield own
    own.down()


@pytest.fixture
def controller(lab: Lab) -> Installed:
    """The controller, installed for all namespaces; its requests count from here on."""
    own = Installed(lab)
    own.mark()
    own.install()
    return own


# --- with its rights and no more


def rights_of(*features: Feature) -> set[tuple[str, str, str]]:
    """Group, resource and verb of all that these features are granted."""
    needs = [need for feature in features for need in feature.needs]
    return {(need.kind.group, need.kind.plural, verb) for need in needs for verb in need.verbs}


UNUSED = {
    ("meshrollout.dev", "canaryplans", "release"),  # no request: the hold policy asks for it when a target is freed
    ("meshrollout.dev", "notificationchannels/status", "patch"),  # there is no channel here; a simulated story has one
    ("networking.istio.io", "destinationrules", "patch"),  # of our own rule, when the owner's changes in mid-run
}
"""What is granted and not used, besides `get` on what is watched: that is asked for until the first list has come."""
FEATURES = features(Options(notifications=False, features=parts()))
ADOPTION = {("meshrollout.dev", "meshadoptionplans/status", "patch")} | rights_of(
    *(it for it in FEATURES if it.name.startswith("mesh-"))
) - rights_of(*(it for it in FEATURES if not it.name.startswith("mesh-")))
"""What only an adoption needs, of which there is none here."""
EVERYBODYS = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}
"""What Kubernetes itself grants to all who are authenticated."""


def test_with_exactly_its_printed_rights_it_does_everything_and_each_is_used(
    open_shops: OpenShops, controller: Installed
) -> None:
    good, bad, orders = open_shops(3, replicas=1)
    lab = controller.lab
    lab.kubectl("delete", "lease", "-n", HOME, "rollout-controller")  # it is made again
    controller.install(version="rights")  # other pods, which list everything once
    with_configuration(good)
    good.apply(own_route())
    good.remember()
    together(
        lambda: promoted(good, controller),
        lambda: rolled_back(bad, controller),
        lambda: ordered(orders, controller),
    )
    assert controller.refused() == []
    used = {(one.group, one.resource, one.verb) for one in controller.used()}
    granted = {(one.group, one.resource, one.verb) for one in controller.granted()}
    assert used - granted <= EVERYBODYS, "whatever else it asks for is granted by name"
    watched = {(group, resource) for group, resource, verb in used if verb == "watch"}
    unused = {one for one in granted - used - ADOPTION if not (one[2] == "get" and one[:2] in watched)}
    assert unused == UNUSED, "granted, and needed by nothing that it did"
    print(f"[rights] {len(granted)} granted, {len(granted & used)} used, {len(granted - used)} explained")
    scopes = {one.scope for one in controller.granted()}
    assert scopes == {"", HOME}


def test_for_one_namespace_its_rights_are_there_and_it_acts_nowhere_else(
    open_shops: OpenShops, controller: Installed
) -> None:
    mine, other = open_shops(2, replicas=1)
    controller.install([mine.ns])
    mine.remember()
    controller.mark()
    other.apply(canary(other.ns))
    gate: Json = {"name": "basket", "query": "vector(0.2)", "min": 0.9, "failures": 2, "over": 3}
    plan = canary(mine.ns, (30,))
    commit(mine, plan, controller)
    mine.traffic(RATE)
    mine.push("1.1")
    ended(mine, controller, "Succeeded", 1)
    mine.at_rest("1.1")
    plan["spec"]["analysis"]["gates"] = [gate]
    commit(mine, plan, controller)
    mine.push("1.0")
    ended(mine, controller, "RolledBack", 2)
    mine.at_rest("1.0", paused=True)
    lossless(mine, "installed for one namespace")
    assert controller.refused() == []
    assert "status" not in other.get("canaryplan/web"), "it is not looked at"
    here = {one for one in controller.used() if one.resource != "leases" or one.scope != HOME}
    everywhere = {one for one in here if one.scope != mine.ns and (one.group, one.resource, one.verb) not in EVERYBODYS}
    looks = {(kind.group, kind.plural) for kind in (MUTATING_BINDING, CHANGE_FREEZE)}
    assert everywhere <= {Right("", *look, verb) for look in looks for verb in ("list", "watch")}
    granted = controller.granted()
    assert {one.scope for one in granted} == {"", HOME, mine.ns}
    around = {(need.kind.group, need.kind.plural) for need in AROUND.needs}
    assert {(one.group, one.resource) for one in granted if not one.scope} == {*looks, *around}


# --- upgraded in mid-run


def test_an_upgrade_in_mid_run_goes_on_where_it_was(open_shops: OpenShops, controller: Installed) -> None:
    (shop,) = open_shops(1, replicas=1)
    shop.apply(own_route())
    shop.remember()
    plan = canary(shop.ns)
    hold, interval = 90, 5
    plan["spec"]["steps"][0]["hold"] = f"{hold}s"
    plan["spec"]["analysis"]["interval"] = f"{interval}s"
    commit(shop, plan, controller)
    routes = shop.watch("virtualservice", "{.metadata.generation} {.spec.http[0].route[*].weight}{'\\n'}")
    asked = shop.lab.query_log().stat().st_size
    shop.traffic(RATE)
    shop.push("1.1")
    holding(shop, controller, 1)
    time.sleep(6)  # into the hold
    upgraded = time.time_ns() / 1e9
    before, leader = set(shop.lab.controller.pods()), controller.holder()
    controller.install(version="next")
    assert not before & set(shop.lab.controller.pods()), "the pods are others"
    assert controller.holder() != leader
    state = shop.until(lambda run: "heldSince" in run["state"], controller)["state"]
    since = state["heldSince"]
    assert state.get("step", 0) == 0
    assert since < upgraded, "the same hold goes on"
    holding(shop, controller, 1, weight=50)
    ended(shop, controller, "Succeeded", 1)
    shop.at_rest("1.1")
    lossless(shop, "upgrade in mid-run")

    passed = shop.note("StepPassed")
    assert passed is not None
    late = passed["at"] - since - hold
    assert 0 <= late <= 2 * interval, f"the hold ended {late:.1f} s late"
    looks = sorted({one.at for one in queries(shop.lab.query_log(), asked) if shop.ns in one.text})
    moments = [seconds(one) for one in looks if since <= seconds(one) <= passed["at"]]
    gap = max(after - one for one, after in itertools.pairwise(moments))
    print(f"[upgrade] {len(moments)} queries in the hold, the longest gap {gap:.1f} s; {late:.1f} s late")
    assert gap <= 2 * interval + 1, "no look is missed by more than one interval"
    routes.close()
    seen = dict(line.split(" ", 1) for line in routes.lines)  # by generation: a write that changes nothing has none
    weights = list(seen.values())
    made = writes(controller.asked(), "virtualservices", shop.ns)
    print(f"[upgrade] weights {weights} in {len(made)} writes")
    assert len(made) == len(weights) - 1, "each write of a route changed something"
    assert all(one != after for one, after in itertools.pairwise(weights)), "each weight is written once"
    assert len(writes(controller.asked(), "planruns", shop.ns)) == 1 + 1, "made once, and its finalizer taken off once"


def seconds(moment: str) -> float:
    """RFC 3339 in UTC, with whatever fraction, as seconds since the epoch."""
    whole, _, fraction = moment.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


# --- taken away in mid-run


def ours(lab: Lab) -> set[str]:
    """Everything in the cluster that carries a mark of ours, whatever its kind."""
    kinds = lab.kubectl("api-resources", "--verbs=list", "-o=name").split()
    asked = ",".join(kind for kind in kinds if kind.partition(".")[0] not in ("events", "componentstatuses"))
    marks = ("app.kubernetes.io/managed-by=mesh-rollout", RUN_LABEL, HOLD_LABEL)
    found = (lab.kubectl("get", asked, "-A", f"-l={mark}", "-o=name", "--ignore-not-found") for mark in marks)
    return {name for names in found for name in names.split()}


def in_mid_run(shop: Shop, controller: Installed) -> None:
    """A run that holds its first step for long, under load, over the owner's route."""
    shop.apply(own_route())
    shop.remember()
    commit(shop, canary(shop.ns, hold="200s"), controller)
    shop.traffic(RATE)
    shop.push("1.1")
    holding(shop, controller, 1)


def on_stable(shop: Shop) -> None:
    """Assert that all requests of the next seconds are answered by the version from before."""
    begun = time.time_ns()
    time.sleep(4)
    assert set(shop.load.report(begun, time.time_ns()).versions) == {"1.0"}


def test_uninstalling_in_mid_run_ends_the_run_first_and_leaves_nothing(
    open_shops: OpenShops, controller: Installed
) -> None:
    (shop,) = open_shops(1, replicas=1)
    in_mid_run(shop, controller)
    said = shop.lab.controller.rollout("uninstall", "--yes")
    print(said)
    on_stable(shop)
    shop.at_rest("1.1", paused=True)
    assert shop.run["phase"] == "Aborted"
    assert ours(shop.lab) == set()
    assert shop.lab.kubectl("get", "namespace", HOME, "-o=name", "--ignore-not-found") == ""
    lossless(shop, "uninstall in mid-run")


def in_git(shop: Shop, folder: Path) -> None:
    """The owner's files, with the version from before."""
    found = [one for one in yaml.safe_load_all(MANIFEST.read_text()) if one["kind"] == "Deployment"]
    found[0]["spec"]["replicas"] = 1
    (folder / "deployment.yaml").write_text(yaml.safe_dump(found[0]))
    (folder / "routes.yaml").write_text(yaml.safe_dump(own_route()))


def by_hand(shop: Shop, folder: Path) -> str:
    """Run the commands of examples/torn-out, as they stand there."""
    script = (ROOT / "examples/torn-out/README.md").read_text().split("```sh\n")[1].split("```")[0]
    programs = Path(shop.lab.site.program("kubectl")).parent
    env = {**shop.env, "NS": shop.ns, "PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def our_kinds(lab: Lab) -> set[str]:
    return {one for one in lab.kubectl("get", "crd", "-o=name").split() if one.endswith("meshrollout.dev")}


def test_torn_out_in_mid_run_production_serves_on_and_the_commands_of_the_guide_clean_up(
    open_shops: OpenShops, controller: Installed, tmp_path: Path
) -> None:
    (shop,) = open_shops(1, replicas=1)
    lab = shop.lab
    in_mid_run(shop, controller)
    lab.controller_down()
    lab.kubectl("delete", *our_kinds(lab), "--wait=false")
    shop.kubectl("rollout", "resume", "deployment/web")
    begun = time.time_ns()
    time.sleep(5)
    assert set(shop.load.report(begun, time.time_ns()).versions) == {"1.0", "1.1"}, "the weights stay where they are"
    route = shop.get("virtualservice/web")["spec"]["http"][0]["route"]
    assert [one.get("weight") for one in route] == [80, 20]
    assert shop.kubectl("get", "deployment", "-l", RUN_LABEL, "-o=name").split() == ["deployment.apps/web-canary"]
    assert shop.get("deployment/web")["spec"]["paused"] is True, "held while the policy is there"
    assert our_kinds(lab) == {"customresourcedefinition.apiextensions.k8s.io/planruns.meshrollout.dev"}

    in_git(shop, tmp_path)
    print(by_hand(shop, tmp_path))
    on_stable(shop)
    assert wait_for(lambda: our_kinds(lab) == set(), 60, 0.5)
    assert ours(lab) == set()
    assert wait_for(lambda: len(shop.pods()) == 1, 60, 0.5)
    shop.at_rest("1.0")
    lossless(shop, "torn out in mid-run")
    lab.controller.rollout("crds", "apply")  # what looks after each test asks for our kinds


# --- at rest, and for long


def test_at_rest_it_asks_nobody_anything_but_its_lease(open_shops: OpenShops, controller: Installed) -> None:
    (shop,) = open_shops(1, replicas=1)
    commit(shop, canary(shop.ns), controller)
    for name in ("idle-0", "idle-1", "idle-2", "idle-3"):
        other = canary(shop.ns)
        other["metadata"]["name"] = other["spec"]["target"]["name"] = name
        shop.kubectl("create", "deployment", name, f"--image={IMAGE}1.0")
        shop.apply(other)
    shop.kubectl("wait", "deployment", "--all", "--for=condition=Available", "--timeout=110s")
    phases = "-o=jsonpath={.items[*].status.phase}"
    names = ["Idle"] * 5
    assert wait_for(lambda: shop.kubectl("get", "canaryplans", phases).split() == names, 90, 1), controller.text()
    time.sleep(5)  # what the last writes brought with them
    controller.mark()
    asked = shop.lab.query_log().stat().st_size
    time.sleep(30)
    requests = [one for one in controller.asked() if one.verb != "watch" and one.name != "rollout-controller"]
    assert [f"{one.verb} {one.uri}" for one in requests] == []
    assert queries(shop.lab.query_log(), asked) == []
    assert len(controller.asked()) > 10, "the lease is renewed: the log is read right"


def test_a_short_soak_breaks_no_invariant(lab: Lab, tmp_path: Path) -> None:
    lines = soak(lab, tmp_path, SEEDS)
    assert [line for line in lines if line.wrong] == [], told(lines)
    assert len(lines) == len(SEEDS)
