"""Each finding of the Istio router appears for its cause, and a shop in good order has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from rollout.adapters.routers.istio import Istio
from rollout.adapters.routers.istio import findings as module
from rollout.plan.finding import Finding, Level
from rollout.plan.program import Backends, Side
from rollout.ports.router import Crowd, Labels
from tests.conformance import istio_manifests as given
from tests.conformance.router_suite import OWNER, World, play

CANARY = Backends(
    "shop",
    "web",
    "web-7",
    Side("web", labels={"pod-template-hash": "aaa"}),
    Side("web-canary", labels={"pod-template-hash": "bbb"}),
)
SUBSETS = Backends("shop", "web", "web-7", Side("", subset="v1"), Side("", subset="v2"))
PLAIN_RULE = given.RULE.partition("  subsets:")[0]
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: web}
"""


def rule(name: str, namespace: str, host: str, extra: str = "") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  host: "{host}"
  {extra}
"""


def sidecar(hosts: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default, namespace: shop}}
spec:
  egress:
  - hosts: [{hosts}]
"""


def find(*texts: str, backends: Backends = CANARY) -> Sequence[Finding]:
    return Istio().findings(backends, World(given.objects(*texts)).read())


CASES: dict[str, tuple[str, Level, tuple[str, ...]]] = {
    "a rule in a client's namespace": (
        "RO301",
        Level.ERROR,
        (given.SERVICE, ROUTE, rule("x", "front", "web.shop.svc.cluster.local")),
    ),
    "a wildcard rule in a client's namespace": (
        "RO301",
        Level.ERROR,
        (given.SERVICE, ROUTE, rule("x", "front", "*.local")),
    ),
    "a private rule in the root namespace": (
        "RO302",
        Level.ERROR,
        (given.SERVICE, ROUTE, rule("x", "istio-system", "*.shop.svc.cluster.local", "exportTo: ['.']")),
    ),
    "a rule for some workloads": (
        "RO303",
        Level.ERROR,
        (given.SERVICE, ROUTE, rule("x", "shop", "web", "workloadSelector: {matchLabels: {app: cart}}")),
    ),
    "rules exported differently": (
        "RO304",
        Level.ERROR,
        (given.SERVICE, ROUTE, PLAIN_RULE, rule("x", "shop", "web", "exportTo: ['.']")),
    ),
    "two rules": (
        "RO305",
        Level.WARNING,
        (given.SERVICE, ROUTE, PLAIN_RULE, rule("x", "shop", "web", "exportTo: ['*']")),
    ),
    "a global rule": ("RO306", Level.INFO, (given.SERVICE, ROUTE, rule("x", "istio-system", "*.local"))),
    "a subset named like ours": (
        "RO307",
        Level.ERROR,
        (given.SERVICE, ROUTE, rule("x", "shop", "web", "subsets: [{name: web-7-canary, labels: {a: b}}]")),
    ),
    "a rule named like ours": ("RO307", Level.ERROR, (given.SERVICE, ROUTE, rule("web-7", "shop", "cart"))),
    "a route named like ours": ("RO307", Level.ERROR, (given.SERVICE, ROUTE.replace("name: web,", "name: web-7,"))),
    "consistent hashing": (
        "RO308",
        Level.INFO,
        (
            given.SERVICE,
            ROUTE,
            rule("x", "shop", "web", "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}"),
        ),
    ),
    "outlier detection": (
        "RO309",
        Level.INFO,
        (given.SERVICE, ROUTE, rule("x", "shop", "web", "trafficPolicy: {outlierDetection: {interval: 5s}}")),
    ),
    "two routes for one host": (
        "RO310",
        Level.ERROR,
        (
            given.SERVICE,
            ROUTE,
            ROUTE.replace("name: web,", "name: x,").replace("[web]", "[web.shop.svc.cluster.local]"),
        ),
    ),
    "a route that goes elsewhere": (
        "RO311",
        Level.ERROR,
        (given.SERVICE, ROUTE.replace("{host: web}", "{host: web-v1}")),
    ),
    "a wildcard host": (
        "RO313",
        Level.WARNING,
        (given.SERVICE, ROUTE.replace("[web]", "['*.shop.svc.cluster.local']")),
    ),
    "a regular expression": (
        "RO313",
        Level.WARNING,
        (given.SERVICE, ROUTE.replace("- route:", "- match: [{uri: {regex: '/a.*'}}]\n    route:")),
    ),
    "a mirror": (
        "RO314",
        Level.WARNING,
        (given.SERVICE, ROUTE.replace("- route:", "- mirror: {host: web}\n    route:")),
    ),
    "Argo CD": (
        "RO315",
        Level.WARNING,
        (
            given.SERVICE,
            ROUTE.replace("namespace: shop}", 'namespace: shop, annotations: {argocd.argoproj.io/tracking-id: "a:b"}}'),
        ),
    ),
    "Flux": (
        "RO315",
        Level.WARNING,
        (
            given.SERVICE,
            ROUTE.replace("namespace: shop}", "namespace: shop, labels: {kustomize.toolkit.fluxcd.io/name: apps}}"),
        ),
    ),
    "an unknown subset": ("RO316", Level.ERROR, (given.SERVICE, ROUTE.replace("host: web}", "host: web, subset: v9}"))),
    "a subset by version": (
        "RO317",
        Level.WARNING,
        (given.SERVICE, given.RULE, ROUTE.replace("host: web}", "host: web, subset: v1}")),
    ),
    "a subset that excludes the candidate": (
        "RO317",
        Level.ERROR,
        (
            given.SERVICE,
            given.RULE.replace("version: v1", "pod-template-hash: aaa"),
            ROUTE.replace("host: web}", "host: web, subset: v1}"),
        ),
    ),
    "a route that is seen farther than the rule": (
        "RO318",
        Level.ERROR,
        (given.SERVICE, ROUTE, rule("x", "shop", "web", "exportTo: ['.']")),
    ),
    "a rule that other namespaces do not see": (
        "RO319",
        Level.WARNING,
        (given.SERVICE, rule("x", "shop", "web", "exportTo: [shop]")),
    ),
    "no service": ("RO320", Level.ERROR, (ROUTE,)),
    "no selector": ("RO320", Level.ERROR, (given.SERVICE.replace("  selector: {app: web}\n", ""), ROUTE)),
    "headless": ("RO321", Level.ERROR, (given.SERVICE.replace("10.96.0.7", "None"), ROUTE)),
    "a selector by hash": (
        "RO322",
        Level.ERROR,
        (given.SERVICE.replace("app: web", "pod-template-hash: aaa"), ROUTE),
    ),
    "a TLS port only": ("RO323", Level.ERROR, (given.SERVICE.replace("name: http", "name: tls-x"),)),
    "a TCP port beside": ("RO323", Level.WARNING, (given.MIXED_PORTS, ROUTE)),
    "a Sidecar": (
        "RO324",
        Level.WARNING,
        (given.SERVICE, ROUTE, sidecar("'istio-system/*', './cart.shop.svc.cluster.local'")),
    ),
}


@pytest.mark.parametrize(("code", "level", "texts"), CASES.values(), ids=CASES.keys())
def test_each_cause_has_its_finding_and_no_other(code: str, level: Level, texts: tuple[str, ...]) -> None:
    found = {(finding.code, finding.level) for finding in find(*texts)}
    if code == "RO318":
        found.remove(("RO319", Level.WARNING))  # what is seen too little is past the split for others
    assert found == {(code, level)}


@pytest.mark.parametrize("texts", [case[2] for case in CASES.values()], ids=CASES.keys())
def test_each_finding_says_where_and_what_to_do(texts: tuple[str, ...]) -> None:
    for finding in find(*texts):
        assert finding.where
        assert finding.fix
        assert len(finding.message) > 30


@pytest.mark.parametrize(
    ("code", "routes"),
    [
        ("RO328", ROUTE.replace("- route:", "- mirror: {host: audit}\n    route:")),
        ("RO329", ROUTE.replace("http:", "tcp:")),
    ],
)
def test_where_requests_cannot_be_copied_a_plan_with_copies_is_told(code: str, routes: str) -> None:
    copying = replace(CANARY, mirror=20.0)
    assert code in {it.code for it in find(given.SERVICE, routes, backends=copying) if it.level is Level.ERROR}
    assert code not in {it.code for it in find(given.SERVICE, routes)}


def test_every_code_is_documented_and_has_a_case() -> None:
    documented = {word for word in (module.__doc__ or "").split() if word.startswith("RO3")}
    elsewhere = {"RO312", "RO325", "RO328", "RO329", "RO330", "RO331"}
    assert documented == {case[0] for case in CASES.values()} | elsewhere


@pytest.mark.parametrize(
    "texts",
    [
        (given.SERVICE,),
        (given.SERVICE, ROUTE),
        (given.SERVICE, ROUTE, PLAIN_RULE),
        (given.SERVICE, given.UNRELATED, rule("x", "front", "web")),
        (given.SERVICE, ROUTE, sidecar("'./*', 'istio-system/*'")),
        (given.SERVICE, ROUTE, sidecar("'*/web.shop.svc.cluster.local'")),
        (given.MIXED_PORTS,),
    ],
)
def test_a_shop_in_good_order_has_no_findings(texts: tuple[str, ...]) -> None:
    assert find(*texts) == ()


V1, V2 = {"app": "web", "version": "v1"}, {"app": "web", "version": "v2"}
BY_VERSION = ROUTE.replace("host: web}", "host: web, subset: v1}")


def crowded(crowd: Crowd, *texts: str) -> list[tuple[str, Level]]:
    found = Istio().findings(CANARY, World(given.objects(*texts)).read(), crowd)
    return [(finding.code, finding.level) for finding in found]


@pytest.mark.parametrize(
    ("stable", "candidate", "codes"),
    [(V1, V1, []), (V1, V2, ["RO317"]), (V2, V2, ["RO317"] * 2), (V1, {"app": "web"}, ["RO317"])],
    ids=["both kept", "another value", "not even stable", "label lost"],
)
def test_pods_must_be_in_the_subset_that_a_route_names(stable: Labels, candidate: Labels, codes: list[str]) -> None:
    found = crowded(Crowd(stable, candidate), given.SERVICE, given.RULE, BY_VERSION)
    assert found == [(code, Level.ERROR) for code in codes]


def test_a_subset_without_a_share_needs_no_pods() -> None:
    none = BY_VERSION + "      weight: 100\n    - {destination: {host: web, subset: v2}, weight: 0}\n"
    assert crowded(Crowd(V1, V1), given.SERVICE, given.RULE, none) == []


@pytest.mark.parametrize(("candidate", "codes"), [(V1, []), (V2, ["RO322"]), ({"version": "v1"}, ["RO322"])])
def test_the_service_must_select_the_new_pods(candidate: Labels, codes: list[str]) -> None:
    service = given.SERVICE.replace("{app: web}", "{app: web, version: v1}")
    assert crowded(Crowd(V1, candidate), service, ROUTE) == [(code, Level.ERROR) for code in codes]


@pytest.mark.parametrize(
    ("route", "codes"), [(ROUTE, ["RO325"]), ("", ["RO325"]), (BY_VERSION, [])], ids=["a route", "no route", "a subset"]
)
def test_pods_of_others_must_not_lose_their_requests(route: str, codes: list[str]) -> None:
    """But where the route names a subset that leaves them out, they have none to lose."""
    others = tuple((f"reviews-v2-{number}", V2) for number in range(5))
    texts = [text for text in (given.SERVICE, given.RULE, route) if text]
    assert crowded(Crowd(V1, V1, others), *texts) == [(code, Level.ERROR) for code in codes]
    named = Istio().findings(CANARY, World(given.objects(given.SERVICE)).read(), Crowd(V1, V1, others))
    assert "5 pod(s)" in named[0].message
    assert "and 2 more" in named[0].message


def test_pods_that_requests_do_not_find_are_told_with_the_label() -> None:
    objects = World(given.objects(given.SERVICE, given.RULE, BY_VERSION)).read()
    told = Istio().unreached(CANARY, objects, [V1, V2, {"version": "v1"}])
    assert told == [
        "",
        "subset v1 selects version=v1, and its pods have version=v2",
        "Service/web selects app=web, and its pods have no app",
    ]
    assert Istio().unreached(SUBSETS, objects, [V2]) == [""]


def test_the_runs_own_objects_are_no_findings() -> None:
    shop = World(given.objects(given.SERVICE))
    play(shop, Istio().steer(CANARY, shop.read(), 10, (), OWNER))
    assert Istio().findings(CANARY, shop.read()) == ()


def test_flux_that_ignores_the_route_is_no_finding() -> None:
    marks = "labels: {kustomize.toolkit.fluxcd.io/name: apps}, annotations: {kustomize.toolkit.fluxcd.io/ssa: Ignore}}"
    assert find(given.SERVICE, ROUTE.replace("namespace: shop}", f"namespace: shop, {marks}")) == ()


@pytest.mark.parametrize(("name", "word"), [("gone", "does not exist"), ("api", "no route to web")])
def test_virtual_services_that_the_plan_names_have_to_fit(name: str, word: str) -> None:
    other = ROUTE.replace("name: web,", "name: api,").replace("web]", "api]").replace("host: web", "host: api")
    found = find(given.SERVICE, ROUTE, other, backends=replace(CANARY, virtual_services=("web", name)))
    assert [(finding.code, finding.level) for finding in found] == [("RO312", Level.ERROR)]
    assert word in found[0].message


def test_two_subsets_that_are_there_have_no_findings() -> None:
    assert find(given.SERVICE, given.RULE, given.TUTORIAL, backends=SUBSETS) == ()


def test_a_subset_that_nobody_defines_is_an_error() -> None:
    found = find(given.SERVICE, given.RULE, given.TUTORIAL, backends=replace(SUBSETS, candidate=Side("", subset="v3")))
    assert [(finding.code, finding.where) for finding in found] == [("RO330", "traffic.candidate.subset")]
    assert "there is: v1, v2" in found[0].fix


def test_a_host_that_does_not_exist_is_an_error() -> None:
    backends = Backends("shop", "web", "web-7", Side("", host="web-v1"), Side("", host="web-v3"))
    found = find(given.HOSTS, backends=backends)
    assert [(finding.code, finding.where) for finding in found] == [("RO330", "traffic.candidate.host")]


def test_a_shift_without_a_route_to_stable_is_an_error() -> None:
    found = find(given.SERVICE, given.RULE, backends=SUBSETS)
    assert [finding.code for finding in found] == ["RO311"]


def test_a_candidate_that_gets_traffic_already_is_an_error() -> None:
    half = given.TUTORIAL + "      weight: 90\n    - {destination: {host: web, subset: v2}, weight: 10}\n"
    found = find(given.SERVICE, given.RULE, half, backends=SUBSETS)
    assert [finding.code for finding in found] == ["RO331"]
    assert "gives subset v2 of web 10 % already in http[1]" in found[0].message


def test_routes_that_give_the_service_no_weight_cannot_be_split() -> None:
    none = ROUTE.replace("{host: web}", "{host: web}\n      weight: 0\n    - {destination: {host: x}, weight: 100}")
    found = find(given.SERVICE, none)
    assert [finding.code for finding in found] == ["RO311"]
    assert "weight 0 everywhere" in found[0].message


@pytest.mark.parametrize(
    ("route", "export", "codes"),
    [
        (ROUTE.replace("hosts:", "exportTo: ['.']\n  hosts:"), "['.']", ["RO319"]),
        (ROUTE.replace("hosts:", "exportTo: [front]\n  hosts:"), "['.']", ["RO318", "RO319"]),
        (ROUTE.replace("hosts:", "exportTo: [front, '.']\n  hosts:"), "[shop, front]", ["RO319"]),
        (ROUTE.replace("namespace: shop", "namespace: in").replace("web]", "web.shop]"), "['.']", ["RO318", "RO319"]),
        (ROUTE.replace("hosts:", "gateways: [in/public]\n  hosts:"), "[shop]", ["RO318", "RO319"]),
    ],
    ids=["both at home", "elsewhere only", "both there", "a route in another namespace", "a gateway"],
)
def test_a_route_must_be_seen_where_the_subsets_are(route: str, export: str, codes: list[str]) -> None:
    if "namespace: in" in route:
        route = route.replace("host: web}", "host: web.shop}")
    found = find(given.SERVICE, route, rule("x", "shop", "web", f"exportTo: {export}"))
    assert [finding.code for finding in found] == codes


def test_a_delegate_is_seen_by_those_who_see_the_route_that_names_it() -> None:
    private = rule("x", "shop", "web", "exportTo: ['.']")
    root = ROUTE.replace("name: web,", "name: root,").replace("hosts:", "exportTo: ['.']\n  hosts:")
    root = root.replace("- route:\n    - destination: {host: web}", "- delegate: {name: web}")
    delegate = ROUTE.replace("  hosts: [web]\n", "")
    assert [finding.code for finding in find(given.SERVICE, root, delegate, private)] == ["RO319"]
    seen = root.replace("  exportTo: ['.']\n", "")
    assert [finding.code for finding in find(given.SERVICE, seen, delegate, private)] == ["RO318", "RO319"]
