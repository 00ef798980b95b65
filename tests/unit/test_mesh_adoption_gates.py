"""Which gates the steps of an adoption have, and about whom each of them is."""

from __future__ import annotations

from rollout.plan.gate import TemplateSpec
from rollout.plan.program import Apply, QueryGate, ReadyGate, UnitName
from tests.kit.adoptions import OWN, QUEUE, WHOLE, policy
from tests.kit.compiled import DB, FTP, SHOP, WEB, Recorded, compiled, gates, names, step, unit


def test_gates_are_the_drivers_then_the_plans() -> None:
    program = compiled(analysis={"gates": [QUEUE, OWN]}, budget={"cpu": 0.1})
    assert gates(program, "enrol-deployment-web") == ["success", "latency", "cpu", "memory", "queue", "own"]
    assert gates(program, "permissive") == ["success", "latency", "queue"], "own is about a workload"
    assert gates(program, "shadow-strict") == ["ready", "shadow", "success", "latency", "queue"]
    assert gates(program, "strict-deployment-web") == ["volume", "refused", "success", "latency", "queue", "own"]
    (own,) = (it for it in step(program, "enrol-statefulset-db").gates if it.name == "own")
    assert isinstance(own, QueryGate)
    assert own.query == 'errors{ns="shop",w="db"}'


def test_a_stage_may_have_gates_of_its_own_or_none() -> None:
    stages = {"enrol": {"gates": []}, "permissive": {"gates": [OWN | {"name": "success", "query": "up"}]}}
    program = compiled(stages=stages, analysis={"gates": [QUEUE]})
    assert gates(program, "enrol-deployment-web") == ["success", "latency"]
    assert gates(program, "permissive") == ["success", "latency", "success-2"], "names are unique in a step"


def test_a_template_about_a_workload_is_left_out_of_a_namespaces_step() -> None:
    template = TemplateSpec(query="x{w='${workload}'}")
    program = compiled(
        facts={"templates": {"t": template}}, analysis={"gates": [{"name": "own", "template": "t", "max": 0}]}
    )
    assert gates(program, "permissive") == ["success", "latency"]
    assert gates(program, "enrol-deployment-web") == ["success", "latency", "own"]


def test_a_caller_that_serves_nobody_is_watched_in_its_namespace() -> None:
    guards = Recorded()
    compiled(facts={"guards": guards}, stages={"enrol": {}})
    watched = [unit for kind, unit, *_ in guards.asked]
    assert watched == [None, WEB, DB, None, None], "gateway, web, db, report, label"


def test_readiness_is_asked_of_all_servers_over_the_longest_pause_of_a_cron_job() -> None:
    stages = {"enrol": {"labelNamespace": False}, "shadowStrict": {"window": "5m"}}
    guards = Recorded()
    program = compiled((*SHOP, unit(FTP)), {"guards": guards}, stages=stages, exceptions=[WHOLE])
    (ready,) = (gate for gate in step(program, "shadow-strict").gates if isinstance(gate, ReadyGate))
    assert (set(ready.units), ready.window, ready.excused) == ({WEB, DB}, 600.0, (FTP,))
    assert step(program, "shadow-strict").deadline == 3600 + 600
    assert not any(asked[0] == "shadow" for asked in guards.asked), "who is excepted would be waited for in vain"
    compiled(facts={"guards": guards}, stages=stages)
    assert ("shadow", None, 600.0, 15.0) in guards.asked
    own = compiled(stages={"shadowStrict": {"window": "1h", "deadline": "5d"}})
    assert step(own, "shadow-strict").deadline == 5 * 86400


def test_policies_are_counted_together_and_enforced_one_by_one() -> None:
    guards = Recorded()
    authorize = {"policies": [policy("web", "web"), policy("db", "db")], "window": "2h", "denyByDefault": True}
    program = compiled(facts={"guards": guards}, stages={"enrol": {}, "strict": {}, "authorize": authorize})
    assert names(program)[-9:] == [
        "policy-dry-run-1-web",
        "policy-dry-run-2-db",
        "deny-by-default-dry-run",
        "recount-1-web",
        "policy-1-web",
        "recount-2-db",
        "policy-2-db",
        "deny-by-default",
        "conclude",
    ]
    assert gates(program, "policy-dry-run-2-db") == ["success", "latency"], "alone it would refuse what others allow"
    counted = ["deployment-web-denied", "statefulset-db-denied", "success", "latency"]
    assert gates(program, "deny-by-default-dry-run") == counted
    assert ("policies", WEB, 7200.0, 15.0) in guards.asked
    assert step(program, "deny-by-default-dry-run").back_to == "policy-dry-run-1-web"
    assert gates(program, "policy-1-web") == ["volume", "refused", "success", "latency"]
    assert ("locked", DB, 15.0) in guards.asked
    assert gates(program, "recount-2-db") == ["denied"], "of its own workload, which no policy in force is about"
    assert step(program, "policy-2-db").back_to == "recount-2-db"
    (tried,) = step(program, "policy-dry-run-1-web").instructions
    (enforced,) = step(program, "policy-1-web").instructions
    assert isinstance(tried, Apply)
    assert isinstance(enforced, Apply)
    assert tried.manifest["metadata"] == {"name": "web", "annotations": {"istio.io/dry-run": "true"}}
    assert enforced.manifest["metadata"] == {"name": "web", "annotations": {"istio.io/dry-run": "false"}}
    assert tried.manifest["spec"] == enforced.manifest["spec"] == policy("web", "web")["spec"]
    (last,) = step(program, "deny-by-default").instructions
    assert isinstance(last, Apply)
    assert (last.manifest["metadata"]["name"], last.manifest["spec"]) == ("allow-nothing", {})


def test_a_policy_about_everybody_is_watched_at_everybody() -> None:
    authorize = {"policies": [policy("all")]}
    program = compiled(stages={"enrol": {}, "strict": {}, "authorize": authorize})
    both = [f"{it}-{gate}" for it in ("deployment-web", "statefulset-db") for gate in ("volume", "refused")]
    assert [name for name in gates(program, "policy-1-all") if "volume" in name or "refused" in name] == both
    many = tuple(unit(UnitName("Deployment", f"a{n}")) for n in range(20))
    program = compiled(many, stages={"enrol": {}, "strict": {}, "authorize": authorize})
    assert gates(program, "policy-1-all") == ["volume", "refused", "success", "latency"]


def test_before_strict_everything_is_counted_again_and_each_workload_again_before_its_own_step() -> None:
    program = compiled(stages={"enrol": {}, "shadowStrict": {"window": "20m"}, "strict": {"approve": {}}})
    assert gates(program, "recount-strict") == ["ready", "shadow"]
    (ready,) = step(program, "recount-deployment-web").gates
    assert isinstance(ready, ReadyGate)
    assert (ready.units, ready.window) == ((WEB,), 1200.0)
    again = step(program, "recount-deployment-web")
    assert (again.instructions, again.hold, again.deadline) == ((), 0.0, 3600 + 1200), "it waits as the first one did"
