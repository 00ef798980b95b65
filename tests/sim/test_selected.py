"""Requests find pods by their labels: a version that loses one, and pods of others behind the same Service."""

from __future__ import annotations

from copy import deepcopy

import pytest

from rollout.adapters.memory.world import shop_deployment
from rollout.controller.starting import StartRefused
from rollout.controller.view import RunView
from rollout.decide.reason import Reason
from rollout.plan.base import Json
from rollout.plan.kinds import DEPLOYMENT, POD, SERVICE
from rollout.plan.run import Phase
from tests.kit.scenes import play, reasons, web
from tests.kit.sim import DR, GOOD, VS, Sim


def labelled(version: str) -> Json:
    """The target with a label of its version, as many teams write it."""
    wanted = shop_deployment("shop", "web", 3, "shop/web:1.0" if version == "v1" else GOOD)
    wanted["spec"]["template"]["metadata"]["labels"]["version"] = version
    return wanted


def by_version(where: str) -> Sim:
    """A shop whose pods are labelled v1, and selected by that label: by the Service, or by the route's subset."""
    sim = Sim(image="")
    sim.memory.apply(labelled("v1"))
    sim.memory.run(30)
    if where == "subset":
        rule = deepcopy(DR)
        rule["spec"]["subsets"] = [{"name": "all", "labels": {"version": "v1"}}]
        sim.memory.apply(rule)
        sim.memory.apply(VS)
    else:
        service = sim.memory.get(SERVICE, "web")
        service["spec"]["selector"] = {"app": "web", "version": "v1"}
        sim.memory.replace(service)
    sim.memory.run(5)
    held = web(sim)
    held["spec"]["paused"] = True
    sim.memory.replace(held)
    sim.before, sim.stable_pods = sim.data_path(), set(sim.pods(canary=False))
    sim.memory.traffic.fresh_ledger()
    sim.broken.clear()
    return sim


@pytest.mark.parametrize(("where", "code"), [("subset", "RO317"), ("service", "RO322")])
async def test_a_version_that_changes_a_label_by_which_it_is_found_is_refused(where: str, code: str) -> None:
    sim = by_version(where)
    held = labelled("v2") | {"spec": labelled("v2")["spec"] | {"paused": True}}
    sim.memory.apply(held)
    with pytest.raises(StartRefused) as refused:
        await play(sim)
    assert [finding.code for finding in refused.value.findings] == [code]
    assert "version=v1" in refused.value.findings[0].fix
    assert sim.memory.traffic.ledger.dropped == 0


@pytest.mark.parametrize("where", ["subset", "service"])
async def test_a_version_that_keeps_the_label_is_promoted(where: str) -> None:
    sim = by_version(where)
    held = labelled("v1")
    held["spec"]["paused"] = True
    held["spec"]["template"]["spec"]["containers"][0]["image"] = GOOD
    sim.memory.apply(held)
    sim.before, sim.image = sim.data_path(), GOOD
    view = await play(sim)
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


def relabel(sim: Sim, app: str) -> None:
    """What a webhook that rewrites labels makes of the candidate's pods."""
    for name in sim.pods(canary=True):
        pod = sim.memory.get(POD, name)
        pod["metadata"]["labels"]["app"] = app
        sim.memory.replace(pod)


async def test_no_weight_goes_to_pods_that_requests_do_not_find() -> None:
    sim = Sim()
    said: list[str] = []

    def each(view: RunView) -> None:
        waited = view.state.reason == Reason.CANDIDATE_UNREACHED and view.now - view.state.since > 30
        if waited:
            said.append(view.state.message)
        if view.state.weight == 0:
            relabel(sim, "web" if waited else "web-injected")

    view = await play(sim, each)
    assert said[0] == (
        "requests would not find the candidate's pods: Service/web selects app=web, and its pods have "
        "app=web-injected; the weight stays at 0 %"
    )
    assert view.state.phase is Phase.SUCCEEDED
    assert sim.at_rest(promoted=True) == []


async def test_a_candidate_that_requests_do_not_find_any_more_goes_at_once() -> None:
    sim = Sim()

    def each(view: RunView) -> None:
        if view.state.routed == 10:
            relabel(sim, "else")

    view = await play(sim, each)
    assert view.state.phase is Phase.ROLLED_BACK
    assert Reason.CANDIDATE_UNREACHED in reasons(view)
    assert "Service/web selects app=web" in view.state.message


async def test_pods_of_another_deployment_behind_the_same_service_are_not_starved() -> None:
    sim = Sim()
    other = shop_deployment("shop", "web-b", 3, "shop/web:other")
    for labels in (other["spec"]["selector"]["matchLabels"], other["spec"]["template"]["metadata"]["labels"]):
        labels |= {"app": "web", "variant": "b"}
    sim.memory.apply(other)
    sim.memory.run(10)
    with pytest.raises(StartRefused) as refused:
        await play(sim)
    assert [finding.code for finding in refused.value.findings] == ["RO325"]
    assert "traffic-only plan" in refused.value.findings[0].fix
    sim.memory.delete(DEPLOYMENT, "web-b")
    sim.memory.run(60)
    assert (await play(sim)).state.phase is Phase.SUCCEEDED
