"""Modes, the namespace's label, shadow and manifests: which objects are written, and where nothing may be."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from rollout.adapters.mesh.istio import Istio
from rollout.decide.seen import Progress
from rollout.plan.base import ROLE_LABEL, RUN_UID, Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    ENVOY_FILTER,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    TELEMETRY,
    Kind,
    Ref,
)
from rollout.plan.program import (
    Adoption,
    Apply,
    Enrol,
    Instruction,
    Label,
    MeshInstruction,
    Program,
    SetMode,
    Shadow,
    Step,
    UnitName,
)
from rollout.ports.router import Read
from tests.conformance.mesh_suite import OWNER, World, done, undo
from tests.kit import meshed as kit

ISTIO, HERE, WEB = Istio(), Adoption(kit.SHOP, "mesh-1"), UnitName("Deployment", "web")
MESH = [kit.namespace(), kit.webhooks(), kit.istiod()]
KINDS = (AUTHORIZATION_POLICY, TELEMETRY, *kit.by_kind())
PA = Ref(PEER_AUTHENTICATION, kit.SHOP, "default")


def world(*objects: Json, mesh: Any = MESH) -> World:
    made = [*mesh, *kit.deployed("web", pods=3, made=kit.template("web", kit.WILLING)), *objects]
    return World(deepcopy(made), KINDS)


def specs(found: World, kind: Kind) -> dict[str, Json]:
    return {ref.name: obj["spec"] for ref, obj in found.objects.items() if ref.kind == kind}


def modes(wanted: SetMode, *objects: Json) -> dict[str, Json]:
    """The PeerAuthentications afterwards."""
    here = world(*objects)
    done(ISTIO, HERE, here, wanted)
    return specs(here, PEER_AUTHENTICATION)


def blocked(found: Progress) -> str:
    assert found.trouble is not None, found
    assert (found.done, found.write, found.trouble.kind) == (False, False, "blocked")
    return found.trouble.reason


def look(wanted: MeshInstruction, here: World, adoption: Adoption = HERE) -> Progress:
    found = ISTIO.progress(wanted, here.stage(adoption))
    assert found.trouble is None or not ISTIO.render(wanted, here.stage(adoption), OWNER)
    return found


def strict(**more: Any) -> Json:
    return {"mtls": {"mode": "STRICT"}, **more}


# -- modes


def test_a_namespace_gets_a_policy_of_its_own_or_the_one_that_counts_is_changed() -> None:
    assert modes(SetMode("STRICT")) == {"default": strict()}
    own = kit.peer_authentication("house-rule", "PERMISSIVE")
    young = kit.peer_authentication("younger", "DISABLE", born="2026-05-05T00:00:00Z")
    assert modes(SetMode("STRICT"), own, young) == {"house-rule": strict(), "younger": {"mtls": {"mode": "DISABLE"}}}
    taken = kit.peer_authentication("default", "STRICT", selector={"app": "other"})
    assert modes(SetMode("STRICT"), taken)["namespace"] == strict()


def test_both_modes_are_said_explicitly_and_what_is_strict_already_is_enough() -> None:
    assert look(SetMode("PERMISSIVE"), world()).write
    assert not look(SetMode("PERMISSIVE"), world(kit.peer_authentication("default", "PERMISSIVE"))).write
    mesh = kit.peer_authentication("default", "STRICT", kit.HOME)
    assert look(SetMode("STRICT"), world(mesh)).done


@pytest.mark.parametrize("where", [kit.HOME, kit.SHOP])
def test_what_is_stricter_already_is_never_lowered(where: str) -> None:
    here = world(kit.peer_authentication("default", "STRICT", where))
    found = look(SetMode("PERMISSIVE"), here)
    assert blocked(found) == "Stricter"
    assert f"PeerAuthentication/default in {where}" in found.text
    assert blocked(look(SetMode("PERMISSIVE", WEB), here)) == "Stricter"


def test_the_root_namespace_is_not_set_for_one_namespace() -> None:
    assert blocked(look(SetMode("STRICT"), world(), Adoption(kit.HOME, "mesh-1"))) == "RootNamespace"


def test_a_workload_gets_a_policy_by_labels_that_are_its_own() -> None:
    made = modes(SetMode("STRICT", WEB, plaintext=(9102,)))
    port = {"9102": {"mode": "PERMISSIVE"}}
    assert made == {"web-mtls": strict(selector={"matchLabels": {"app": "web"}}, portLevelMtls=port)}


def test_labels_that_never_change_are_preferred() -> None:
    web = kit.workload("api", made=kit.template("api", {"version": "7"}), selector={"matchLabels": {"app": "api"}})
    here = world(web)
    done(ISTIO, HERE, here, SetMode("STRICT", UnitName("Deployment", "api")))
    assert specs(here, PEER_AUTHENTICATION)["api-mtls"]["selector"] == {"matchLabels": {"app": "api"}}


def test_labels_that_select_others_as_well_are_told() -> None:
    twin = kit.workload("web-2", made=kit.template("web"))
    found = look(SetMode("STRICT", WEB), world(twin))
    assert blocked(found) == "NoLabels"
    assert "Deployment/web-2" in found.text
    canary = kit.workload("web-canary", made=kit.template("web", {ROLE_LABEL: "canary"}))
    assert look(SetMode("STRICT", WEB), world(canary)).write
    bare = kit.cron_job("report", "@daily", {"spec": {"containers": []}})
    assert "no labels" in look(SetMode("STRICT", UnitName("CronJob", "report")), world(bare)).text


def test_the_policy_that_selects_a_workload_is_changed_unless_others_share_it() -> None:
    own = kit.peer_authentication("mine", "PERMISSIVE", selector={"app": "web"}, ports={80: "DISABLE"})
    assert modes(SetMode("STRICT", WEB, plaintext=(90,)), own) == {
        "mine": strict(
            selector={"matchLabels": {"app": "web"}},
            portLevelMtls={"80": {"mode": "DISABLE"}, "90": {"mode": "PERMISSIVE"}},
        )
    }
    other = kit.workload("cart", made=kit.template("cart", {"tier": "back"}))
    both = kit.workload("pay", made=kit.template("pay", {"tier": "back"}))
    shared = kit.peer_authentication("back", "PERMISSIVE", selector={"tier": "back"})
    found = look(SetMode("STRICT", UnitName("Deployment", "cart")), world(other, both, shared))
    assert blocked(found) == "SharedPolicy"
    assert "Deployment/pay" in found.text


def test_a_name_that_is_taken_is_left_to_its_owner() -> None:
    taken = kit.peer_authentication("web-mtls", "DISABLE", selector={"app": "other"})
    made = modes(SetMode("STRICT", WEB), taken)
    assert made["web-mtls"] == taken["spec"]
    assert made["web-deployment-mtls"] == strict(selector={"matchLabels": {"app": "web"}})


def test_a_workload_that_is_strict_already_needs_nothing_but_its_exceptions() -> None:
    here = world(kit.peer_authentication("default", "STRICT"))
    assert look(SetMode("STRICT", WEB), here).done
    assert look(SetMode("STRICT", WEB, plaintext=(9102,)), here).write
    assert look(SetMode("STRICT", UnitName("Deployment", "gone")), here).done


def test_some_pods_are_tried_by_a_label_of_their_own() -> None:
    here, wanted = world(), SetMode("STRICT", WEB, pods=2)
    before = here.content()
    journal = done(ISTIO, HERE, here, wanted)
    tried = {"meshrollout.dev/strict": "true"}
    labelled = [
        r.name for r, it in here.objects.items() if r.kind == POD and tried.items() <= it["metadata"]["labels"].items()
    ]
    assert labelled == ["web-1-0", "web-1-1"]
    assert [line.object_kind for line in journal] == ["PeerAuthentication", "Pod", "Pod"]
    selector = {"matchLabels": {"app": "web", **tried}}
    assert specs(here, PEER_AUTHENTICATION) == {"web-mtls-pods": strict(selector=selector)}
    assert look(wanted, here).done
    # a pod that is made anew has lost the label
    here.objects[Ref(POD, kit.SHOP, "web-1-0")]["metadata"]["labels"].pop("meshrollout.dev/strict")
    here.objects[Ref(POD, kit.SHOP, "web-1-0")]["metadata"]["uid"] = "another"
    again = ISTIO.progress(wanted, here.stage(HERE, journal))
    assert (again.write, again.contested) == (True, False)
    undo(ISTIO, HERE, here, journal)
    assert here.content().keys() == before.keys()


def test_pods_are_tried_only_where_that_means_something() -> None:
    wanted = SetMode("STRICT", WEB, pods=2)
    assert look(wanted, world(kit.peer_authentication("default", "STRICT"))).done
    assert look(wanted, world(kit.peer_authentication("own", "PERMISSIVE", selector={"app": "web"}))).done
    asleep = world(kit.cron_job("report", "@daily"))
    assert look(SetMode("STRICT", UnitName("CronJob", "report"), pods=1), asleep).done


def test_pods_without_a_ready_proxy_are_waited_for() -> None:
    plain = World(deepcopy([*MESH, *kit.deployed("web", pods=3, plain=2, made=kit.template("web"))]), KINDS)
    wanted = SetMode("STRICT", WEB, pods=2)
    done(ISTIO, HERE, plain, wanted)
    found = look(wanted, plain)
    assert (found.done, found.write) == (False, False)
    assert found.text == "1 more pods of Deployment/web in shop need a ready proxy first"


def test_policies_that_may_not_be_read_block() -> None:
    hidden = world().stage(HERE)
    seen = {
        kind: them for kind, them in hidden.objects.items() if kind not in (PEER_AUTHENTICATION, AUTHORIZATION_POLICY)
    }
    stage = replace(hidden, objects=seen)
    for wanted in (
        SetMode("STRICT"),
        Shadow(),
        Apply(telemetry() | {"kind": "AuthorizationPolicy", "apiVersion": "security.istio.io/v1"}),
    ):
        assert blocked(ISTIO.progress(wanted, stage)) == "Forbidden"
    here = world()
    (line,) = done(ISTIO, HERE, here, SetMode("STRICT"))
    assert blocked(ISTIO.undone(line, stage)) == "Forbidden"


# -- the namespace's label


@pytest.mark.parametrize(
    ("labels", "revision", "default", "wanted"),
    [
        ({}, "", True, {"istio-injection": "enabled"}),
        ({}, "", False, {"istio.io/rev": "stable"}),
        ({}, "1-31", True, {"istio.io/rev": "1-31"}),
        ({"istio-injection": "enabled"}, "stable", False, {"istio.io/rev": "stable"}),
        ({"istio-injection": "disabled"}, "", True, {"istio-injection": "enabled"}),
        ({"istio.io/rev": "old"}, "stable", False, {"istio.io/rev": "stable"}),
        ({"istio.io/rev": "own"}, "", True, None),
        ({"istio-injection": "enabled"}, "", True, None),
        ({"istio.io/rev": "1-31"}, "1-31", False, None),
    ],
)
def test_a_namespace_asks_by_one_label_only(labels: Json, revision: str, default: bool, wanted: Json | None) -> None:
    plane = [kit.webhooks(), kit.istiod()] if default else [kit.webhooks("1-31", "stable"), kit.istiod("1-31")]
    space = kit.namespace()
    space["metadata"]["labels"] = {"team": "shop", **labels}
    here, adoption = world(mesh=[space, *plane]), replace(HERE, revision=revision)
    before = here.content()
    journal = done(ISTIO, adoption, here, Label())
    after = here.objects[Ref(NAMESPACE, "", kit.SHOP)]["metadata"]["labels"]
    assert after == {"team": "shop", **(labels if wanted is None else wanted)}
    assert look(Label(), here, adoption).done
    undo(ISTIO, adoption, here, journal)
    assert here.content() == before


def test_a_namespace_that_may_not_be_read_is_not_labelled() -> None:
    assert blocked(look(Label(), world(mesh=[kit.istiod()]))) == "Forbidden"


# -- shadow


def test_shadow_counts_and_refuses_nothing() -> None:
    here = world()
    done(ISTIO, HERE, here, Shadow(WEB))
    made = here.objects[Ref(AUTHORIZATION_POLICY, kit.SHOP, "web-shadow-strict")]
    assert made["metadata"]["annotations"] == {"istio.io/dry-run": "true", **OWNER["annotations"]}
    assert made["spec"] == {
        "action": "DENY",
        "rules": [{"from": [{"source": {"notPrincipals": ["*"]}}]}],
        "selector": {"matchLabels": {"app": "web"}},
    }
    assert look(Shadow(UnitName("Deployment", "gone")), here).done


def test_somebody_elses_policy_is_not_made_a_trial() -> None:
    theirs = kit.obj(AUTHORIZATION_POLICY, "shadow-strict", spec={"action": "DENY"})
    assert blocked(look(Shadow(), world(theirs))) == "NameTaken"
    theirs["metadata"]["annotations"] = {RUN_UID: "an-earlier-run"}
    assert look(Shadow(), world(theirs)).write


def test_what_a_node_carries_might_enforce_a_trial() -> None:
    space = kit.namespace()
    space["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient"
    assert blocked(look(Shadow(), world(mesh=[space, *MESH[1:]]))) == "Ambient"


# -- manifests


def telemetry(**spec: Any) -> Json:
    meta = {"name": "sampling"}
    return {"apiVersion": "telemetry.istio.io/v1alpha1", "kind": "Telemetry", "metadata": meta, "spec": spec}


def test_a_manifest_is_made_or_the_fields_that_it_names_are_changed() -> None:
    here, wanted = world(), Apply(telemetry(tracing=[{"randomSamplingPercentage": 1}]))
    done(ISTIO, HERE, here, wanted)
    made = here.objects[Ref(TELEMETRY, kit.SHOP, "sampling")]
    assert (made["apiVersion"], made["spec"]) == ("telemetry.istio.io/v1", wanted.manifest["spec"])
    more = Apply(telemetry(accessLogging=[{"disabled": True}]))
    (line,) = done(ISTIO, HERE, here, more)
    assert specs(here, TELEMETRY)["sampling"] == {**wanted.manifest["spec"], **more.manifest["spec"]}
    undo(ISTIO, HERE, here, [line])
    assert specs(here, TELEMETRY)["sampling"] == wanted.manifest["spec"]


@pytest.mark.parametrize(
    ("version", "kind"), [("v1", "Secret"), ("apps/v1", "Deployment"), ("networking.istio.io/v1", "Unheard")]
)
def test_kinds_that_are_no_part_of_the_mesh_are_not_applied(version: str, kind: str) -> None:
    found = look(Apply({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}), world())
    assert blocked(found) == "UnknownKind"
    assert kind in found.text


def test_what_is_going_away_is_waited_for() -> None:
    here = world()
    (line,) = done(ISTIO, HERE, here, SetMode("STRICT"))
    here.objects[PA]["metadata"]["deletionTimestamp"] = "now"
    assert ISTIO.undone(line, here.stage(HERE)) == Progress(done=False, text=f"{PA} is being deleted")
    here.objects[PA]["spec"] = {}
    found = look(SetMode("STRICT"), here)
    assert (found.done, found.write) == (False, False)


def test_what_has_to_be_read_is_named_once() -> None:
    def program(*wanted: Instruction) -> Program:
        steps = tuple(Step(str(number), (it,)) for number, it in enumerate(wanted))
        return Program("mesh-adoption", "", None, steps, adoption=HERE)

    policy = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "x"}}
    filters = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "x"}}
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "x"}}
    assert ISTIO.touches(program(Enrol(WEB), SetMode("STRICT"), Label(), Apply(rule))) == ()
    assert ISTIO.touches(program(Shadow(), Apply(policy), Apply(filters), Apply(telemetry()))) == (
        Read(AUTHORIZATION_POLICY, kit.SHOP, optional=True),
        Read(ENVOY_FILTER, kit.SHOP, optional=True),
        Read(TELEMETRY, kit.SHOP, optional=True),
    )
