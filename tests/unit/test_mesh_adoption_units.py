"""Whom an adoption is about and in which order, who stays as he is, and which plans are refused."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.errors import InvalidInput
from rollout.plan.program import SetMode, UnitName, Withdraw
from strategies.adoption.order import Order
from tests.kit.adoptions import PORT, WHOLE, manifest, policy
from tests.kit.compiled import DB, FTP, GATEWAY, SHOP, WEB, compiled, names, step, unit


def test_who_is_not_in_the_mesh_has_no_mode() -> None:
    units = (unit(WEB, meshed=True), unit(DB), unit(UnitName("Pod", "old"), bare=True))
    assert names(compiled(units, stages={"strict": {}})) == [
        "permissive",
        "strict-deployment-web",
        "strict-namespace",
        "withdraw-narrow",
        "conclude",
    ]
    assert not any("pod-old" in name for name in names(compiled(units)))


def test_who_is_in_the_mesh_is_not_enrolled_again() -> None:
    program = compiled((unit(WEB, meshed=True), unit(DB)), {"namespace_enrolled": True}, stages={"enrol": {}})
    assert names(program) == ["enrol-statefulset-db", "conclude"]


def test_an_excepted_port_stays_open_and_its_policy_stays() -> None:
    program = compiled(exceptions=[PORT, PORT | {"ports": [8080]}])
    assert step(program, "strict-pods-deployment-web").instructions == (
        SetMode("STRICT", WEB, pods=1, plaintext=(8080, 9090)),
    )
    whole = SetMode("STRICT", WEB, plaintext=(8080, 9090))
    assert step(program, "strict-deployment-web").instructions[0] == whole
    withdrawn = [it.step for it in step(program, "withdraw-narrow").instructions if isinstance(it, Withdraw)]
    assert withdrawn == ["strict-statefulset-db", "shadow-strict"]


def test_an_owners_own_policy_for_a_workload_is_not_given_its_old_mode_back() -> None:
    program = compiled((unit(GATEWAY, serves=False), unit(DB, narrow=True), unit(WEB)))
    withdrawn = [it.step for it in step(program, "withdraw-narrow").instructions if isinstance(it, Withdraw)]
    assert withdrawn == ["strict-deployment-web", "shadow-strict"]


def test_an_excepted_workload_is_left_alone() -> None:
    program = compiled((*SHOP, unit(FTP)), exceptions=[WHOLE])
    assert not any("ftp" in name for name in names(program))


def test_pods_first_as_many_as_the_plan_says_but_never_all() -> None:
    program = compiled(stages={"enrol": {}, "strict": {"pods": 9}})
    assert step(program, "strict-pods-deployment-web").instructions == (SetMode("STRICT", WEB, pods=2),)
    none = compiled(stages={"enrol": {}, "strict": {"pods": 0}})
    assert "strict-pods-deployment-web" not in names(none)
    assert step(none, "strict-deployment-web").instructions == (SetMode("STRICT", WEB),)


def refused(**given: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        compiled(**given)
    assert caught.value.where == "MeshAdoptionPlan/shop"
    assert caught.value.hint
    return caught.value


def test_a_stricter_mode_is_never_lowered() -> None:
    said = str(refused(facts={"mode": "STRICT"}))
    assert "would refuse plaintext as soon as it has a proxy" in said
    meshed = tuple(unit(it.unit, meshed=True, serves=it.serves) for it in SHOP)
    said = str(refused(units=meshed, facts={"mode": "STRICT"}, stages={"permissive": {}}))
    assert "would be lowered" in said


def test_a_namespace_that_has_arrived_goes_on_from_there() -> None:
    meshed = tuple(unit(it.unit, meshed=True, serves=it.serves) for it in SHOP)
    program = compiled(meshed, {"mode": "STRICT", "namespace_enrolled": True})
    assert "permissive" not in names(program)
    assert names(program)[-2] == "withdraw-narrow"
    late = (*meshed, unit(UnitName("CronJob", "late"), serves=False))
    assert names(compiled(late, {"mode": "STRICT"}))[0] == "enrol-cronjob-late", "a caller refuses nothing"


@pytest.mark.parametrize("spec", [{"waves": [[{"name": "wep"}]]}, {"exceptions": [WHOLE]}])
def test_a_workload_that_is_not_there_is_a_typo(spec: dict[str, Any]) -> None:
    error = refused(**spec)
    assert "there is no Deployment/" in str(error)
    assert "Deployment/web" in error.hint


def test_who_is_in_the_mesh_cannot_stay_outside() -> None:
    assert "is in the mesh already" in str(refused(units=(unit(FTP, meshed=True),), exceptions=[WHOLE]))


def test_a_manifest_of_another_namespace_is_refused() -> None:
    other = manifest("DestinationRule", "web", {"host": "web"}, namespace="other")
    assert "is in namespace other" in str(refused(stages={"traffic": {"apply": [other]}}))
    there = policy("web", "web", namespace="other")
    said = str(refused(stages={"strict": {}, "enrol": {}, "authorize": {"policies": [there]}}))
    assert "spec.stages.authorize" in said


def test_the_name_of_the_last_policy_is_taken() -> None:
    authorize = {"policies": [policy("allow-nothing", "web")], "denyByDefault": True}
    said = str(refused(stages={"strict": {}, "enrol": {}, "authorize": authorize}))
    assert "is what denyByDefault makes" in said


def test_waves_come_first_then_a_pair_then_the_least_called() -> None:
    lone, busy = UnitName("Deployment", "lone"), UnitName("Deployment", "busy")
    units = (
        *SHOP,
        unit(lone, requests=1.0),
        unit(busy, callers=(WEB, GATEWAY), requests=900.0),
        unit(UnitName("DaemonSet", "agent")),
    )
    order = [it.unit.name for it in Order(((DB,), (busy,))).enrolled(units)]
    assert order == ["db", "busy", "gateway", "web", "lone", "agent", "report"]


def test_plaintext_is_locked_out_first_where_all_callers_are_in() -> None:
    units = (unit(WEB, callers=(FTP,)), unit(DB, callers=(WEB,), requests=9.0))
    assert [it.unit for it in Order().locked(units, {WEB, DB})] == [DB, WEB]
    assert [it.unit for it in Order().locked(units, {WEB, DB, FTP})] == [WEB, DB]
