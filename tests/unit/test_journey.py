"""Where a run of an adoption is on its way."""

from __future__ import annotations

from rollout.plan.journey import progress_of, stage_of
from rollout.plan.objects import MeshAdoptionPlan
from rollout.plan.parse import parse
from rollout.plan.program import Program, UnitName
from rollout.plan.strategy import MeshFacts, UnitFact
from strategies.mesh_adoption import MeshAdoption
from tests.kit.adoptions import JOURNEY, adoption


def journey() -> Program:
    (located,) = parse(adoption(JOURNEY))
    assert isinstance(located.document, MeshAdoptionPlan)
    units = (
        UnitFact(UnitName("Deployment", "web"), pods=3),
        UnitFact(UnitName("StatefulSet", "db")),
        UnitFact(UnitName("CronJob", "report"), serves=False),
    )
    return MeshAdoption().compile(located.document, MeshFacts(units=units))


def test_every_step_but_the_last_has_its_stage() -> None:
    program = journey()
    stages = {step.name: stage_of(program.steps, index) for index, step in enumerate(program.steps)}
    assert list(dict.fromkeys(stages.values())) == [
        "enrol",
        "permissive",
        "traffic",
        "shadowStrict",
        "strict",
        "authorize",
        None,
    ]
    assert stages["approve-enrol"] == "enrol"
    assert stages["label-namespace"] == "enrol"
    assert stages["withdraw-apply-2-virtualservice-web"] == "traffic"
    assert stages["approve-strict"] == "strict"
    assert stages["withdraw-narrow"] == "strict"
    assert stages["deny-by-default"] == "authorize"
    assert stages["conclude"] is None
    assert stage_of(program.steps, len(program.steps)) is None


def test_progress_counts_the_workloads_that_a_stage_is_done_with() -> None:
    program = journey()
    progress = {step.name: progress_of(program, index) for index, step in enumerate(program.steps)}
    assert progress["approve-enrol"] == "0/3"
    assert progress["enrol-cronjob-report"] == "2/3"
    assert progress["label-namespace"] == "3/3"
    assert progress["permissive"] == ""
    assert progress["strict-deployment-web"] == "0/2", "some pods are not the workload"
    assert progress["strict-statefulset-db"] == "1/2"
    assert progress["strict-namespace"] == "2/2"
    assert progress["conclude"] == ""
