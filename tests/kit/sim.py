"""A whole rollout in the simulated cluster: a shop under load, a plan, an engine that may die, and the invariants.

The invariants are those of the design; they are looked at after every single write to the cluster, whoever wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.adapters.hooks import Calls as Hooks
from rollout.adapters.hooks.job import JobCalls
from rollout.adapters.memory.behaviour import Behaviour
from rollout.adapters.memory.faults import Crash, FaultPlan, FaultyCluster
from rollout.adapters.memory.hooks import MemoryHooks, Outside
from rollout.adapters.memory.metrics import Fault
from rollout.adapters.memory.world import World as Memory
from rollout.controller.foreground import Foreground
from rollout.controller.leader import NAME as LEADER
from rollout.controller.view import RunView
from rollout.errors import Retry
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    DEPLOYMENT,
    EVENT,
    LEASE,
    PLAN_DECISION,
    PLAN_RUN,
    POD,
    REPLICASET,
    SERVICE,
    Kind,
    Ref,
)
from rollout.plan.program import Release
from rollout.plan.run import Phase
from rollout.plan.stored import PROGRAM
from rollout.ports.cluster import Cluster
from rollout.ports.world import World
from rollout.registry import routers, strategies
from tests.kit import invariants
from tests.kit.kstatus import Conformance

GOOD, BAD, CRASHING = "shop/web:1.1", "shop/web:1.2-errors", "shop/web:1.2-crash"
PATIENCE = 50
"""After so many turns somebody comes back and resumes what is paused."""
STRATEGIES, ROUTERS = strategies(), routers()
DATA_PATH = frozenset({DEPLOYMENT, SERVICE}).union(*(router.writes for router in ROUTERS.values()))
STAYING = {*DATA_PATH, CANARY_PLAN, PLAN_RUN, PLAN_DECISION, LEASE, EVENT}
"""Kinds that may be there at rest, besides those that the shop was made of."""

VS: Json = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "hosts": ["web"],
        "http": [{"name": "main", "timeout": "5s", "route": [{"destination": {"host": "web", "subset": "all"}}]}],
    },
}
DR: Json = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "host": "web",
        "trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": 100}}},
        "subsets": [{"name": "all", "labels": {"app": "web"}}],
    },
}


def plan(**spec: Any) -> Json:
    """A canary plan for the shop with steps of a few seconds."""
    base: Json = {
        "target": {"name": "web"},
        "steps": [{"weight": 10}, {"weight": 50}],
        "analysis": {
            "interval": "2s",
            "hold": "6s",
            "gates": [{"name": "success", "metric": "success", "min": "99%", "minRequests": 10}],
        },
    }
    return {
        "apiVersion": "meshrollout.dev/v1alpha1",
        "kind": "CanaryPlan",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": base | spec,
    }


@dataclass
class Sim:
    """One shop, one plan, one engine after the other."""

    seed: int = 0
    own_routes: bool = False
    hold_policy: bool = True
    image: str = GOOD
    plan: Json = field(default_factory=plan)
    orders: Mapping[int, str] = field(default_factory=dict)
    """The order that comes after so many turns: a verb, or `full`."""
    turns: int = 0
    patience: int = 0
    """For so many turns the run has been paused."""
    may_leak: bool = False
    """Somebody takes the pin, or what a route needs: the plain Service has to take over, or requests fail meanwhile."""
    broken: list[str] = field(default_factory=list)
    """Invariants that were broken, in words."""
    committed: float | None = None
    """When the version had proved itself: a native promotion takes the route home before it releases."""
    trouble: tuple[int, int, Fault | None] = (0, 0, None)
    """From one turn to another the metrics fail in this way."""
    moved: dict[str, Json] = field(default_factory=dict)
    """Specs of the owner's that a promotion leaves moved (a traffic-only plan)."""
    kstatus: Conformance = field(default_factory=Conformance)
    """What every version of our objects said to GitOps tools."""
    routes: tuple[Json, ...] = ()
    """Other routes of the owner's."""
    releasing: dict[str, list[bool]] = field(default_factory=dict)
    """By UID of a run, which of its steps release the Deployment."""
    outside: Outside = field(default_factory=Outside)
    """Whoever is called by hooks that are webhooks."""

    def __post_init__(self) -> None:
        self.memory = Memory(self.seed, hold_policy=self.hold_policy)
        self.memory.behaviour(BAD, Behaviour(error_rate=0.2))
        self.memory.behaviour(CRASHING, Behaviour(crash=True))
        self.memory.deploy_shop()
        if self.own_routes:
            self.memory.apply(VS)
            self.memory.apply(DR)
        for obj in self.routes:
            self.memory.apply(obj)
        self.memory.run(10)
        self.memory.traffic.fresh_ledger()
        self.kinds = {ref.kind for ref, _ in self.memory.objects} | STAYING
        self.before = self.data_path()
        self.stable_pods = set(self.pods(canary=False))
        self.memory.objects.watchers.append(self._watch)

    # -- the engine

    def engine(self, cluster: Cluster | None = None, identity: str = "engine-1") -> Foreground:
        """A new engine, as after a restart; with its own cluster (for faults) or the plain one."""
        world = World(
            cluster or self.memory.cluster,
            self.memory.metrics,
            self.memory.clock,
            ROUTERS,
            STRATEGIES,
            identity,
            hooks=Hooks(MemoryHooks(self.outside), JobCalls(cluster or self.memory.cluster)),
        )
        return Foreground(world)

    async def run(self, engine: Foreground) -> RunView:
        """`rollout start --image`, to the end."""
        view = await engine.start(self.plan, images={"app": self.image}, by="ana")
        return await engine.drive("shop", view.name, self._turned)

    def _turned(self, view: RunView) -> None:
        self.turns += 1
        self._meter()
        self.patience = self.patience + 1 if view.state.phase is Phase.PAUSED else 0
        # again and again: a run may be resumed and paused anew between two looks
        resumes = self.patience > 0 and self.patience % PATIENCE == 0
        verb = "resume" if resumes else self.orders.get(self.turns)
        if verb is not None:
            self.order(view, verb)

    def order(self, view: RunView, verb: str) -> None:
        """An order as a person's `kubectl create` gives it; every other one names the step."""
        spec: Json = {"plan": "web", "run": view.name, "runUid": view.uid, "by": "ana"}
        spec |= {"verb": "promote", "full": True} if verb == "full" else {"verb": verb}
        if self.turns % 2 and verb != "undo":
            spec["step"] = view.state.step
        meta = {"name": f"{view.name}-{verb}-{self.turns}", "namespace": "shop"}
        self.memory.apply(
            {"apiVersion": PLAN_DECISION.api_version, "kind": "PlanDecision", "metadata": meta, "spec": spec}
        )

    async def survive(
        self, faults: FaultPlan, foreign: Callable[[], None] = lambda: None, *, later: FaultPlan | None = None
    ) -> RunView:
        """Start; when the engine dies or gives up, start another one, until the run has ended and is at rest."""
        for life in range(1000):
            plan = faults if life == 0 else later or FaultPlan()
            engine = self.engine(FaultyCluster(self.memory.cluster, plan, foreign), f"engine-{life}")
            try:
                if self.phase().ended:
                    view = await engine.newest(Ref(CANARY_PLAN, "shop", "web"))
                    assert view is not None
                    await engine.settle(view)
                    return view
                return await self.run(engine)
            except Crash:
                self.memory.run(1)
            except Retry:
                self.memory.run(2)
        raise AssertionError(f"no end after 1000 engines: {self.latest()}")

    # -- the world

    def data_path(self) -> dict[str, Json]:
        """The specs of everything that requests depend on."""
        return {str(ref): _spec(obj) for ref, obj in self.memory.objects if ref.kind in DATA_PATH}

    def pods(self, *, canary: bool) -> list[str]:
        """Names of pods that are not going away."""
        return [
            ref.name
            for ref, obj in self.memory.objects
            if ref.kind == POD
            and (RUN_LABEL in obj["metadata"].get("labels", {})) == canary
            and "deletionTimestamp" not in obj["metadata"]
        ]

    def latest(self) -> Json | None:
        """The newest stored run."""
        runs = [obj for ref, obj in self.memory.objects if ref.kind == PLAN_RUN]
        return max(runs, key=lambda r: (r["metadata"]["creationTimestamp"], r["spec"]["attempt"]), default=None)

    def phase(self) -> Phase:
        """The stored phase of the newest run."""
        run = self.latest()
        return Phase((run or {}).get("status", {}).get("phase", "Pending"))

    # -- the invariants

    def _watch(self, ref: Ref) -> None:
        """After every write: what must hold in the middle of everything."""
        run = self.latest()
        state = ((run or {}).get("status") or {}).get("state", {})
        released = run is not None and self._released(run, state.get("step", 0))
        if (state.get("committed") or released) and self.committed is None:
            self.committed = self.memory.clock.now()
        found = self.memory.objects.get(ref)
        if found is not None:
            self.kstatus.see(found)
        self.broken += invariants.broken(self, ref, found, run)

    def _released(self, run: Json, step: int) -> bool:
        uid = run["metadata"]["uid"]
        if uid not in self.releasing:
            steps = PROGRAM.validate_python(run["spec"]["program"]).steps
            self.releasing[uid] = [any(isinstance(it, Release) for it in one.instructions) for one in steps]
        return self.releasing[uid][min(step, len(self.releasing[uid]) - 1)]

    def _meter(self) -> None:
        """Whether the metrics answer."""
        first, last, fault = self.trouble
        self.memory.metrics.fault = fault if first <= self.turns < last else None

    def at_rest(self, *, promoted: bool | None = None) -> list[str]:
        """Nothing of ours in the data path, every spec as its owner wrote it, nobody was refused an answer."""
        wrong = [*self.broken, *self.kstatus.wrong]
        wrong += [f"{ref} was left behind" for ref, obj in self.memory.objects if _ours(ref.kind, obj)]
        wrong += [
            f"{ref} is of a kind that was not here" for ref, _ in self.memory.objects if ref.kind not in self.kinds
        ]
        for name, spec in self.data_path().items():
            wanted = self.moved[name] if promoted and name in self.moved else self._wanted(name)
            if _without_hold(spec) != _without_hold(wanted):
                wrong.append(f"{name}: {spec} is not {wanted}")
        ledger = self.memory.traffic.ledger
        if ledger.dropped:
            wrong.append(f"{ledger.dropped} requests were dropped: {ledger.failures[:3]}")
        leaks = [x for x in ledger.leaks if self.committed is None or x.at < self.committed]
        if leaks and not self.may_leak:
            wrong.append(f"requests reached the candidate before it was proved: {leaks[:3]}")
        versions = {
            rs["spec"]["template"]["spec"]["containers"][0]["image"]
            for ref, rs in self.memory.objects
            if ref.kind == REPLICASET and rs["spec"].get("replicas", 0) > 0
        }
        if promoted is not None and not self.moved and versions != {self.image if promoted else "shop/web:1.0"}:
            wrong.append(f"running are {versions}")
        return wrong

    def _wanted(self, name: str) -> Json:
        spec = self.before.get(name, {})
        if name == str(Ref(DEPLOYMENT, "shop", "web")) and self.image:
            spec = _with_image(spec, self.image)
        return spec


def _with_image(spec: Json, image: str) -> Json:
    template = spec["template"]
    container = {**template["spec"]["containers"][0], "image": image}
    return {**spec, "template": {**template, "spec": {**template["spec"], "containers": [container]}}}


def _without_hold(spec: Json) -> Json:
    return {k: v for k, v in spec.items() if not (k == "paused" and v in (True, False))}


def _spec(obj: Json) -> Json:
    import orjson

    copied: Json = orjson.loads(orjson.dumps(obj.get("spec", {})))
    return copied


def _ours(kind: Kind, obj: Json) -> bool:
    if kind in (PLAN_RUN,):
        return False
    leads = kind == LEASE and obj["metadata"]["name"] == LEADER
    return (kind == LEASE and not leads) or RUN_LABEL in (obj["metadata"].get("labels") or {})
