"""Stories that together use every right of the controller: canaries and an adoption, with all that happens to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rollout.adapters.memory.world import World as Memory
from rollout.plan.base import RUN_LABEL, Json
from rollout.plan.kinds import (
    AUTHORIZATION_POLICY,
    CANARY_PLAN,
    CHANGE_FREEZE,
    CONFIGMAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENVOY_FILTER,
    HPA,
    JOB,
    LEASE,
    METRIC_TEMPLATE,
    MUTATING_BINDING,
    NOTIFICATION_CHANNEL,
    PDB,
    PVC,
    REQUEST_AUTHENTICATION,
    SERVICE,
    SERVICE_ENTRY,
    SIDECAR,
    TELEMETRY,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.plan.run import Phase
from tests.conformance import service_manifests as given
from tests.kit.adopted import OUTSIDE, SHOP, Adopted
from tests.kit.controlled import Controlled
from tests.kit.journey import allows, authorize
from tests.kit.rights_telling import Refused, Story, Telling, contested, opened, thing, until
from tests.kit.sim import BAD, GOOD, Sim, plan
from tests.kit.space import Space, space
from tests.kit.space import plan as adoption
from tests.kit.vendors import MemoryHttp, Receiver

# -- canaries


def dressed(*, held: bool = False) -> Memory:
    """A shop with everything beside it that checks look at; `held`: a new version without its configuration waits."""
    memory = Sim().memory
    _dress(memory)
    if held:
        web = memory.get(DEPLOYMENT, "web")
        web["spec"]["paused"] = True
        web["spec"]["template"]["spec"]["containers"][0] |= {"image": GOOD, "envFrom": []}
        memory.replace(web)
    return memory


def _dress(memory: Memory) -> None:
    labels = {"matchLabels": {"app": "web"}}
    scaled = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5}
    for obj in (
        thing(CONFIGMAP, "one"),
        thing(PDB, "web", {"minAvailable": 1, "selector": labels}),
        thing(HPA, "web", scaled),
        thing(PVC, "files", {"accessModes": ["ReadWriteMany"]}),
    ):
        memory.apply(obj)
    web = memory.get(DEPLOYMENT, "web")
    pod = web["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "files", "persistentVolumeClaim": {"claimName": "files"}}]
    pod["containers"][0]["envFrom"] = [{"configMapRef": {"name": "one"}}]
    memory.replace(web)
    memory.run(30)


async def promoted(telling: Telling) -> None:
    """Without routes of the owner's; and everything is there that checks look at."""
    world = Controlled(Sim())
    memory = world.sim.memory
    telling.bind(memory)
    _dress(memory)
    telling.bound.late |= {MUTATING_BINDING, CHANGE_FREEZE}
    world.commit()
    world.spawn()
    await until(telling, world, lambda: world.phase() == "Idle")
    telling.bound.late.clear()
    web = memory.get(DEPLOYMENT, "web")
    web["spec"]["template"]["spec"]["containers"][0] |= {"image": GOOD, "envFrom": []}
    memory.replace(web)
    await until(telling, world, world.ended(Phase.SUCCEEDED))
    await world.close()


async def disturbed(telling: Telling) -> None:
    """With the owner's routes, whose rule changes in mid-run, and with conflicts all the way; then it is undone."""
    world = await opened(telling, own_routes=True, plan=plan(history=1))
    memory = world.sim.memory
    world.release(GOOD)
    await until(telling, world, lambda: world.run_phase() == Phase.PROGRESSING)
    for kind in (DESTINATION_RULE, VIRTUAL_SERVICE):
        found = memory.get(kind, "web")
        found["spec"]["exportTo"] = ["."]
        memory.replace(found)
    await until(telling, world, world.ended(Phase.SUCCEEDED))
    world.order("undo")
    await until(telling, world, lambda: world.sim.memory.get(DEPLOYMENT, "web") is not None and len(world.runs()) == 1)
    await world.passed(30)
    await world.close()


async def rejected(telling: Telling) -> None:
    """A bad version with a query of the owner's; tried again, and the plan is deleted while a terminal lies dead."""
    world = Controlled(Sim())
    memory = world.sim.memory
    telling.bind(memory)
    memory.apply(thing(METRIC_TEMPLATE, "basket", {"description": "Too low.", "query": "vector(0.2)"}))
    gate = {"name": "basket", "template": "basket", "min": 0.9, "failures": 2, "over": 3}
    wanted = plan(steps=[{"weight": 50, "hold": "60s"}])
    wanted["spec"]["analysis"]["gates"].append(gate)
    world.commit(wanted)
    contested(world.spawn().faulty)
    await until(telling, world, lambda: world.phase() == "Idle")
    world.release(BAD)
    await until(telling, world, world.ended(Phase.ROLLED_BACK))
    world.order("retry")
    await until(telling, world, lambda: len(world.runs()) == 2 and world.run_phase() == Phase.PROGRESSING)
    latest = world.sim.latest()
    assert latest is not None
    run = latest["metadata"]["name"]
    died = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2020-01-01T00:00:00.000000Z"}
    memory.apply(thing(LEASE, f"rollout-{run}", died, labels={RUN_LABEL: run}))
    await until(telling, world, lambda: not memory.exists(LEASE, f"rollout-{run}"))
    memory.delete(CANARY_PLAN, "web")
    await until(telling, world, lambda: not world.runs())
    await world.close()


SIDES: Final = ("stable", "candidate")
"""Each has a Service for the run."""


async def _split(telling: Telling, router: str, *routes: str) -> None:
    """By another router, with the owner's routes and one that is made; his Service changes in mid-run."""
    written = tuple(given.objects(*routes))
    world = await opened(telling, routes=written, plan=plan(router={"type": router}))
    world.release(GOOD)
    objects = world.sim.memory.objects
    await until(telling, world, lambda: len(objects.of(SERVICE, "shop")) == len(SIDES) + 1)
    service = world.sim.memory.get(SERVICE, "web")
    service["spec"]["ports"] = [{"name": "http", "port": 80, "targetPort": 8081}]
    world.sim.memory.replace(service)
    await until(telling, world, world.ended(Phase.SUCCEEDED))
    await world.close()


async def by_smi(telling: Telling) -> None:
    """Between two Services, by TrafficSplits."""
    await _split(telling, "smi", given.LEAF)


async def by_gateway(telling: Telling) -> None:
    """Between two Services, by HTTPRoutes and GRPCRoutes."""
    await _split(telling, "gateway-mesh", given.SIM_OUTSIDE, given.SIM_GRPC)


async def by_linkerd(telling: Telling) -> None:
    """Between two Services, by Linkerd's HTTPRoutes."""
    callers = given.SIM_POLICY.replace("name: web, port: 80}\n  rules", "name: front}\n  rules")
    await _split(telling, "linkerd", callers)


async def by_consul(telling: Telling) -> None:
    """Between two subsets of a resolver that is made."""
    await _parted(telling, given.HTTP_DEFAULTS)


async def by_consuls_own(telling: Telling) -> None:
    """Between two subsets in the owner's resolver."""
    await _parted(telling, given.HTTP_DEFAULTS, given.RESOLVER, given.SIM_SPLITTER, given.SIM_SERVICE_ROUTER)


async def _parted(telling: Telling, *routes: str) -> None:
    """By subsets of the Service."""
    world = await opened(telling, routes=tuple(given.objects(*routes)), plan=plan(router={"type": "consul"}))
    world.release(GOOD)
    await until(telling, world, world.ended(Phase.SUCCEEDED))
    await world.close()


POD: Final = {"restartPolicy": "Never", "containers": [{"name": "k6", "image": "k6"}]}
JOB_HOOK: Final = {"name": "load", "when": "before", "job": {"spec": {"template": {"spec": POD}}}}
"""A Job that has to pass before the first weight."""


async def asked(telling: Telling) -> None:
    """A Job is asked before the first weight, says yes, and is removed."""
    world = await opened(telling, plan=plan(hooks=[JOB_HOOK]))
    objects = world.sim.memory.objects
    world.release(GOOD)
    await until(telling, world, lambda: bool(objects.of(JOB, "shop")))
    (job,) = objects.of(JOB, "shop")
    objects.put({**job, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    await until(telling, world, world.ended(Phase.SUCCEEDED))
    assert not objects.of(JOB, "shop")
    await world.close()


# -- an adoption

RULES: Final = (
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    SERVICE_ENTRY,
    SIDECAR,
    REQUEST_AUTHENTICATION,
    TELEMETRY,
    ENVOY_FILTER,
)
"""What the stage `traffic` may apply."""


SPECS: Final[Mapping[str, Json]] = {
    "VirtualService": {"hosts": ["other"], "http": [{"route": [{"destination": {"host": "other"}}]}]},
    "DestinationRule": {"host": "other"},
    "ServiceEntry": {"hosts": ["example.com"]},
}


async def adopted(telling: Telling) -> None:
    """Every kind of rule comes anew and in place of another one; all stages; it is aborted near its end."""
    scene = Adopted()
    memory = scene.memory
    telling.bind(memory)
    async with space(scene=scene) as here:
        await _adopt(telling, here)


def _manifest(kind: Kind, name: str) -> Json:
    found = thing(kind, name, SPECS.get(kind.name, {}))
    return {**found, "metadata": {"name": name, "labels": {"by": "plan"}}}


def policies_of(here: Space) -> list[Json]:
    """The policies that are there, which are tried out before they are enforced."""
    found = here.memory.objects.of(AUTHORIZATION_POLICY, SHOP)
    return [it for it in found if "istio.io/dry-run" in (it["metadata"].get("annotations") or {})]


async def _adopt(telling: Telling, here: Space) -> None:
    memory = here.memory

    async def until(done: Callable[[], bool]) -> None:
        await here.until(telling.patient(done))
        if not done():
            raise Refused

    for kind in RULES:
        memory.apply(thing(kind, "old", SPECS.get(kind.name, {})))
    manifests = [_manifest(kind, name) for kind in RULES for name in ("old", "new")]
    scene = here.scene
    scene.enrol(DEPLOYMENT, "legacy", OUTSIDE)
    policies = [allows("web", "shop/front", "shop/agent", "shop/report", "old/legacy")]
    policies += [allows(name, "shop/front") for name in ("greeter", "db")]
    stages = {**authorize(*policies), "traffic": {"apply": manifests}}
    memory.apply(adoption(stages=stages))
    contested(here.asked)
    await until(lambda: "false" in {it["metadata"]["annotations"]["istio.io/dry-run"] for it in policies_of(here)})
    here.order("abort")
    await until(lambda: here.phase() == "Aborted")


async def heard(telling: Telling) -> None:
    """People are told of a run by a channel that needs no Secret; each of those is granted by its name."""
    vendor = Receiver(lambda: 0.0, open=True)
    world = await opened(telling, MemoryHttp(vendor), image=GOOD, plan=plan(steps=[{"weight": 50}]))
    world.sim.memory.apply(thing(NOTIFICATION_CHANNEL, "team", {"type": "webhook", "address": "https://x.example"}))
    world.release(GOOD)
    await until(telling, world, lambda: "promoted; nothing of the run is left" in vendor.told)


STORIES: Final[Mapping[str, Story]] = {
    it.__name__: it
    for it in (
        *(promoted, disturbed, rejected, asked, adopted, heard),
        *(by_smi, by_gateway, by_linkerd, by_consul, by_consuls_own),
    )
}
