"""Shapes of plans, and shops that are not the usual one."""

from __future__ import annotations

from typing import Final

from rollout.plan.base import Json
from rollout.plan.kinds import VIRTUAL_SERVICE, Ref
from tests.kit.scenes import STABLE, git
from tests.kit.sim import VS, Sim, plan

LOAD: Final = "sum(load)"
"""A query of the owner's own."""
_SUCCESS: Final = {"name": "success", "metric": "success", "min": "99%", "minRequests": 10}
_SLOW: Final = {"name": "slow", "metric": "slow", "slowerThan": "500ms", "max": "20%", "minRequests": 10}
_LOAD: Final = {"name": "load", "query": LOAD, "max": 5}


def _gates(*gates: Json) -> Json:
    return {"analysis": {"interval": "2s", "hold": "6s", "gates": list(gates)}}


SHAPES: Final[dict[str, Json]] = {
    "plain": {},
    "linear": {"steps": None, "linear": {"step": 25, "every": "5s", "to": 50}},
    "several gates": _gates(_SUCCESS, _SLOW),
    "a query": _gates(_SUCCESS, _LOAD),
    "gates of its own": {"steps": [{"weight": 10}, {"weight": 33.33, "gates": [_SLOW, _SUCCESS], "hold": "8s"}]},
    "copies": {"steps": [{"weight": 0, "mirror": 50, "hold": "8s"}, {"weight": 20, "mirror": 10}, {"weight": 50}]},
    "an approval": {
        "steps": [{"weight": 20, "hold": "8s"}, {"approve": {"within": "20s", "otherwise": "promote"}}, {"weight": 50}]
    },
}
"""Plans that differ in their steps and gates; all of them want the good version and none other."""


def shaped(shape: str, **spec: object) -> Json:
    """A plan of this shape."""
    wanted = plan(**SHAPES[shape], **spec)
    wanted["spec"] = {key: value for key, value in wanted["spec"].items() if value is not None}
    return wanted


def native(image: str) -> Sim:
    """The Deployment rolls under the plain Service."""
    return Sim(image=image, plan=plan(promotion={"mode": "native", "deadline": "5m"}))


def blue_green(image: str) -> Sim:
    """A trial, a switch, and stable kept warm for a while."""
    wanted = plan(strategy="blue-green", blueGreen={"preview": "4s", "keepStable": "20s"})
    del wanted["spec"]["steps"]
    return Sim(image=image, plan=wanted)


def rest_paused(sim: Sim) -> Sim:
    """No policy, and the owner's Deployment rests paused."""
    sim.memory.apply(git(STABLE) | {"spec": git(STABLE)["spec"] | {"paused": True}})
    sim.before = sim.data_path()
    return sim


def paused(image: str) -> Sim:
    """A shop without the policy."""
    return rest_paused(Sim(image=image, hold_policy=False))


def traffic_only(image: str, seed: int = 0) -> Sim:
    """The owner's route moves between two Deployments of his; promoted, it stays moved."""
    wanted = plan(traffic={"stable": {"host": "web"}, "candidate": {"host": "web2"}, "workloads": ["web", "web2"]})
    wanted["spec"] |= {"service": "web"}
    del wanted["spec"]["target"]
    sim = Sim(seed, image="", plan=wanted)
    sim.memory.deploy_shop(name="web2", image=image, rate=0.0)
    sim.memory.apply({**VS, "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}})
    sim.memory.run(10)
    sim.memory.traffic.fresh_ledger()
    sim.before = sim.data_path()
    moved = [{"destination": {"host": "web"}, "weight": 0}, {"destination": {"host": "web2"}, "weight": 100}]
    sim.moved[str(Ref(VIRTUAL_SERVICE, "shop", "web"))] = {"hosts": ["web"], "http": [{"route": moved}]}
    return sim


def mirrored(image: str) -> Sim:
    """Copies before any weight, then weights."""
    wanted = plan(steps=[{"weight": 0, "mirror": 30, "hold": "12s"}, {"weight": 10}, {"weight": 50}])
    return Sim(image=image, plan=wanted, own_routes=True)


TESTER: Final = {"x-tester": "yes"}
"""Headers of a request that is chosen."""


def matched(image: str) -> Sim:
    """Testers before any weight, then weights; the shop has a tester among its clients."""
    wanted = plan(
        match=[{"headers": {"x-tester": {"exact": "yes"}}}],
        steps=[{"weight": 0, "hold": "6s"}, {"weight": 10}, {"weight": 50}],
    )
    sim = Sim(image=image, plan=wanted, own_routes=True)
    sim.memory.traffic.add_client("web", "shop", 5, headers=TESTER)
    return sim
