"""An adoption from its plan to its end in the simulated cluster: engines that may die, and what must be true."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.adapters.memory.faults import Crash, Fault, FaultPlan, FaultyCluster
from rollout.controller.foreground import Foreground
from rollout.controller.view import RunView
from rollout.errors import Retry
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import LEASE, MESH_ADOPTION_PLAN, PLAN_DECISION, PLAN_RUN, Ref
from rollout.plan.run import Phase
from tests.kit.adopted import CALLERS, OUTSIDE, SHOP, Adopted, rules

SMALL: Final = frozenset({"web", "front", "db"})
QUICK: Final[Json] = {"interval": "2s", "observe": "2s", "deadline": "5m"}
"""For engines that die often; nothing goes wrong that gates would have to see."""
CAREFUL: Final[Json] = {"interval": "2s", "observe": "20s", "deadline": "20m"}
CLASSIC: Final[Json] = {"enrol": {}, "permissive": {}, "shadowStrict": {"window": "6s"}, "strict": {}}


def plan(stages: Json | None = None, **spec: Any) -> Json:
    """A plan for the shop, with times of seconds."""
    meta = {"name": "shop", "namespace": SHOP}
    body = {"analysis": QUICK, "stages": CLASSIC if stages is None else stages, **spec}
    kind = MESH_ADOPTION_PLAN
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": body}


def allows(name: str, *callers: str) -> Json:
    """A policy that admits these service accounts (`shop/front`) to a workload."""
    principals = [f"cluster.local/ns/{space}/sa/{name}" for space, _, name in (it.partition("/") for it in callers)]
    rule = {"from": [{"source": {"principals": principals}}]}
    made = rules(name, selector={"matchLabels": {"app": name}}, action="ALLOW", rules=[rule])
    return {**made, "metadata": {"name": name, "namespace": SHOP}}


def authorize(*policies: Json) -> Json:
    """All stages, with these policies and deny by default."""
    return {**CLASSIC, "authorize": {"window": "4s", "denyByDefault": True, "policies": list(policies)}}


EVERYTHING: Final = authorize(allows("web", "shop/front"), allows("db", "shop/front"))
"""All stages for the small shop."""


@dataclass
class Journey:
    """One plan, one engine after the other."""

    scene: Adopted = field(default_factory=lambda: Adopted(only=SMALL))
    plan: Json = field(default_factory=lambda: plan(EVERYTHING))
    broken: list[str] = field(default_factory=list)
    """Invariants that were broken in the middle, in words."""
    theirs: bool = False
    """Somebody else is writing."""
    abort_at: int | None = None
    """The step at which a person gives up."""
    met: list[tuple[int, Fault, str]] = field(default_factory=list)
    """The faults that came up."""

    def __post_init__(self) -> None:
        self.memory = self.scene.memory
        self.memory.run(60)
        self.memory.traffic.fresh_ledger()
        self.memory.objects.watchers.append(self._watch)

    async def start(self, engine: Foreground) -> RunView:
        """`rollout start`."""
        return await engine.start(self.plan, images={}, by="ana")

    async def drive(self, engine: Foreground, until: Callable[[RunView], bool] | None = None) -> RunView:
        """Drive the newest run to its end, until it is held, or until then."""
        view = await self.start(engine)
        end = view.now + 3600
        return await engine.drive(SHOP, view.name, self._patient(end), until=until)

    async def to(self, engine: Foreground, step: str) -> RunView:
        """Drive it to the beginning of a step."""
        view = await self.drive(engine, lambda it: it.state.phase.ended or name_of(it) == step)
        assert name_of(view) == step, f"{view.state.phase}: {view.state.message}"
        return view

    async def survive(self, faults: FaultPlan) -> RunView:
        """Start; when the engine dies or gives up, start another one, until the run has ended or is held."""
        for life in range(100):
            cluster = FaultyCluster(self.memory.cluster, faults if life == 0 else FaultPlan())
            self.met = cluster.met if life == 0 else self.met
            try:
                return await self._live(self.scene.engine(cluster, f"engine-{life}"))
            except Crash:
                self.memory.run(1)
            except Retry:
                self.memory.run(2)
        raise AssertionError("no end after 100 engines")

    async def _live(self, engine: Foreground) -> RunView:
        view = await engine.newest(Ref(MESH_ADOPTION_PLAN, SHOP, "shop"))
        if view is None or not (view.state.phase.ended or view.state.phase is Phase.HELD):
            return await self.drive(engine)
        if view.state.phase.ended:
            await engine.settle(view)
        return view

    def _patient(self, end: float) -> Callable[[RunView], None]:
        def turned(view: RunView) -> None:
            assert view.now < end, f"no end: {view.state.phase} at {name_of(view)}: {view.state.message}"
            if self.abort_at is not None and view.state.step >= self.abort_at:
                self.abort_at = None
                self._abort(view)

        return turned

    def _abort(self, view: RunView) -> None:
        """As a person's `kubectl create` does it."""
        spec = {"kind": "MeshAdoptionPlan", "plan": "shop", "run": view.name, "runUid": view.uid, "verb": "abort"}
        meta = {"name": f"{view.name}-abort", "namespace": SHOP}
        kind = PLAN_DECISION
        order = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "spec": {**spec, "by": "ana"}}
        self.memory.apply(order)

    # -- what must be true

    def by_owner(self, change: Callable[[], object]) -> None:
        """Somebody else changes something: from now on it belongs so."""
        was, self.theirs = self.scene.owned(), True
        change()
        now, self.theirs = self.scene.owned(), False
        self.scene.before |= {name: found for name, found in now.items() if found != was.get(name)}

    def _watch(self, ref: Ref) -> None:
        """After every write: whatever is not as its owner wrote it has a line that undoes it."""
        if self.theirs or ref.kind in (PLAN_RUN, LEASE) or not self._active():
            return
        now = self.scene.owned()
        before = self.scene.before
        changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
        covered = {str_of(entry) for entry in self._journal()}
        self.broken += [f"{name} was changed and no line undoes it" for name in changed - covered]

    def _active(self) -> bool:
        return any(not Phase(_status(it).get("phase", "Pending")).ended for it in self.memory.objects.of(PLAN_RUN))

    def _journal(self) -> list[Json]:
        runs = self.memory.objects.of(PLAN_RUN)
        return [entry for run in runs for entry in _status(run).get("state", {}).get("journal", ())]

    def left(self) -> list[str]:
        """What a run has for itself, and should have taken with it."""
        mine = [str(ref) for ref, obj in self.memory.objects if RUN_LABEL in (obj["metadata"].get("labels") or {})]
        mine = [it for it in mine if not it.startswith(("PlanRun", "PeerAuthentication", "AuthorizationPolicy"))]
        return mine + [str(ref) for ref, obj in self.memory.objects if ref.kind == LEASE and ref.namespace == SHOP]

    def lost(self) -> dict[str, int]:
        """Failed requests, by caller."""
        told = {caller: self.scene.failed(caller) for caller in CALLERS}
        return {caller: count for caller, count in told.items() if count}

    def carried(self) -> dict[str, set[bool]]:
        """By workload, whether its pods have a proxy."""
        names = {name for name in ("web", "front", "greeter", "db", "agent") if self.scene.pods(name)}
        return {name: {"sidecar.istio.io/status" in _notes(it) for it in self.scene.pods(name)} for name in names}

    def home(self) -> list[str]:
        """What is not as it was before the run; give the pods time first."""
        self.memory.run(60)
        now, before = self.scene.owned(), self.scene.before
        changed = sorted(it for it in now.keys() | before.keys() if now.get(it) != before.get(it))
        wrong = [f"{it}: {now.get(it)} is not {before.get(it)}" for it in changed]
        wrong += [f"pods of {name} still have proxies" for name, has in self.carried().items() if has != {False}]
        return [*self.broken, *wrong, *self.left(), *map(str, self.lost().items())]

    def there(self) -> list[str]:
        """What is missing at the end of the whole journey of the shop."""
        self.memory.run(10)
        now = self.scene.owned()
        wrong = [f"pods of {name} have no proxy" for name, has in self.carried().items() if has != {True}]
        modes = {it: now[it]["spec"]["mtls"] for it in now if it.startswith("PeerAuthentication")}
        if modes != {"PeerAuthentication/default in shop": {"mode": "STRICT"}}:
            wrong.append(f"modes are {modes}")
        return [*self.broken, *wrong, *self.left(), *map(str, self.lost().items())]

    def refuses_strangers(self, *services: str) -> bool:
        """Whether plaintext is refused on the wire: somebody without a proxy calls."""
        self.memory.traffic.fresh_ledger()
        for service in services:
            self.memory.traffic.add_client(service, SHOP, 10, meshed=False, client_namespace=OUTSIDE)
        self.memory.run(10)
        ledger = self.memory.traffic.ledger
        return ledger.failed_from(f"{OUTSIDE}/client") == ledger.by_source[f"{OUTSIDE}/client"] > 0


def name_of(view: RunView) -> str:
    """The name of the present step."""
    steps: Sequence[Any] = view.spec.program.steps
    return str(steps[min(view.state.step, len(steps) - 1)].name)


def str_of(entry: Json) -> str:
    """The object of a journal line, as `Ref` writes it."""
    where = f" in {entry['namespace']}" if entry.get("namespace") else ""
    return f"{entry['objectKind']}/{entry['name']}{where}"


def _status(run: Json) -> Json:
    found: Json = run.get("status") or {}
    return found


def _notes(pod: Json) -> Json:
    found: Json = pod["metadata"].get("annotations") or {}
    return found
