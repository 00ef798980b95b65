"""Fuzzing of plans: whatever a file says, its author gets documents or findings, and what is accepted can be run.

The tests of this folder throw generated input at everything that reads what others write: files, orders, stored runs,
metrics, watches and answers of the API server.

Seeds are kept: input that once broke something stands as an `@example(...)` above its test, tried first in every run
and on every machine.  Hypothesis' own database (`.hypothesis/`) is a cache of this machine, and no memory of ours.
When a test here fails, copy the falsifying example it prints into such a line, then mend what it found.  To hunt for
more, `ROLLOUT_FUZZ=20 pytest tests/fuzz` tries twenty times as many examples.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import event, example, given
from hypothesis import strategies as st

from rollout.errors import InvalidInput
from rollout.plan.base import Json
from rollout.plan.gate import TemplateSpec
from rollout.plan.lint import Known, lint
from rollout.plan.located import Located, live
from rollout.plan.objects import CanaryPlan, MetricTemplate
from rollout.plan.parse import InvalidDocument, from_object, parse
from rollout.plan.run import RUN_SPEC, Revision, RunSpec, dump_spec
from rollout.plan.schema import crd_documents
from rollout.plan.stored import PROGRAM, dump
from rollout.plan.strategy import Facts
from rollout.registry import strategies
from tests.kit.mutations import examples, mutated
from tests.kit.plans import CLEAN, LINEAR, SECRET, SLOW, SUCCESS, TRAFFIC

pytestmark = pytest.mark.timeout(600)  # a hunt with ROLLOUT_FUZZ takes its time

HEAD = {"apiVersion": "meshrollout.dev/v1alpha1", "metadata": {"name": "web", "namespace": "shop"}}
STRATEGIES = strategies()
RUN_BYTES = 256 * 1024

PROVIDER = {"address": "http://prom:9090", "headers": {"X-Scope-OrgID": "shop"}, "bearer": SECRET, "timeout": "5s"}
QUERY = {"name": "cart", "query": "sum(rate(x{z='${zone}'}[${window}]))", "max": 0.5, "variables": {"zone": "a"}}
TEMPLATED = {"name": "own", "template": "errors", "max": 1, "window": "1.5m"}
RICH: dict[str, Any] = {
    "strategy": "canary",
    "target": {"kind": "Deployment", "name": "web"},
    "service": "web",
    "router": {"type": "istio", "drift": "hold", "virtualServices": ["web", "gate"], "settle": "1s"},
    "hold": {"mode": "policy"},
    "steps": [
        {
            "weight": 5,
            "hold": "1m30s",
            "gates": [SUCCESS, SLOW],
            "deadline": "1h",
            "onFailure": "hold",
            "name": "first",
        },
        {"approve": {"within": "2h", "otherwise": "promote"}},
        {"weight": 50.5},
    ],
    "analysis": {
        "interval": "10s",
        "hold": "1m",
        "warmup": "5s",
        "gates": [QUERY, TEMPLATED],
        "provider": PROVIDER,
        "labels": {"pod": "instance", "match": {"reporter": "source"}},
    },
    "candidate": {"replicas": 2, "readyWithin": "5m", "drain": "1s", "pullsWork": "allow"},
    "promotion": {"mode": "shift", "bake": "1m", "deadline": "30m"},
    "rollbackWindow": {"revisions": 3},
    "restarts": "canary",
    "history": 3,
}
LINEAR_SPEC = LINEAR | {"linear": {"step": 10, "every": "1m", "to": 50}, "promotion": {"mode": "native"}}
SPECS = (CLEAN, RICH, LINEAR_SPEC, TRAFFIC)
PLANS = [HEAD | {"kind": "CanaryPlan", "spec": spec} for spec in SPECS]
OTHERS = [
    HEAD | {"kind": "MetricTemplate", "spec": {"query": "up", "unit": "%", "provider": PROVIDER}},
    HEAD
    | {
        "kind": "PlanDecision",
        "spec": {
            "plan": "web",
            "run": "web-1",
            "runUid": "u",
            "verb": "promote",
            "step": 1,
            "full": True,
            "by": "ana",
            "expires": "2026-01-01T00:00:00Z",
        },
    },
]
DOCUMENTS = st.sampled_from(PLANS + OTHERS).flatmap(mutated)
NEAR_PLANS = st.sampled_from(PLANS).flatmap(mutated)


# -- texts

LINES = [
    *(
        "- ",
        "  ",
        "\t",
        ": ",
        "? ",
        "---\n",
        "...\n",
        "\r\n",
        "\r",
        "\ufeff",
        "\u2028",
        "&a ",
        "*a",
        "<<: *a\n",
        "<<: &b {<<: *b}",
    ),
    *("!!int ''", "!!float ''", "!!bool x", "!!timestamp x", "!!binary x", "!!set {a}", "!!python/object:os.system x"),
    *(
        ".nan",
        ".inf",
        "0x_",
        "1:00:00.5",
        "=",
        "%YAML 9.9\n",
        "|\n",
        ">-\n",
        "{",
        "}",
        "[",
        "]",
        '"\\ud800"',
        "# x\n",
        "\x00",
    ),
    *("kind: CanaryPlan\n", "spec:\n", "  weight: 10\n", "{<<: [{}, {}]}", "@", "`", "'", '"'),
]
"""Where YAML has its corners."""


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A file near one that is right: in either language, several documents, then damaged as a text."""
    documents = draw(st.lists(DOCUMENTS, min_size=1, max_size=2))
    if draw(st.booleans()):
        text = "---\n".join(
            yaml.safe_dump(d, default_flow_style=draw(st.sampled_from([None, False]))) for d in documents
        )
    else:
        text = json.dumps(documents[0], indent=draw(st.sampled_from([None, 2, "\t"])), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 3))
        text = text[:where] + draw(st.sampled_from(LINES) | st.text(max_size=5)) + text[where + gone :]
    return text


def outcome(text: str) -> list[Located]:
    """The documents of a text; none when it is refused as it should be."""
    try:
        return parse(text, "plan.yaml")
    except InvalidDocument as error:
        findings = error.findings
    assert findings
    lines = 1 + sum(text.count(end) for end in "\n\r\x85\u2028\u2029")
    for finding in findings:
        place = re.fullmatch(r"plan\.yaml:(\d+):(\d+)", finding.where)
        assert place, f"no line and column: {finding}"
        assert 1 <= int(place[1]) <= lines + 1
        assert str(finding).encode(), "it can be printed"
    return []


@given(texts())
@examples(80)
@example("[" * 5000)
@example('{"a":' * 5000)
@example("a: &x {<<: *x}")
@example("a: &a0 {}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 12)))
@example("".join(f"- &a{i} {{<<: *a{i - 1}}}\n" if i else "- &a0 {}\n" for i in range(2000)))
@example("".join(f"- &a{i} [*a{i - 1}]\n" if i else "- &a0 []\n" for i in range(2000)))
@example("a: !!int ''")
@example("a: !!bool x")
@example("a: !!timestamp x")
@example("a: " + "1:" * 200 + "00.5")
@example("a: 0x" + "f" * 5000)
@example('{"kind": "\\ud800"}')
@example("apiVersion: meshrollout.dev/v1alpha1\nkind: {}\n")
def test_a_text_gives_documents_or_findings_with_their_places(text: str) -> None:
    found = outcome(text)
    event("read" if found else "refused")
    lint(found)


def test_json_may_escape_what_yaml_splits() -> None:
    (located,) = outcome(json.dumps(OTHERS[0] | {"spec": {"query": "\U0001f600"}}))
    assert isinstance(located.document, MetricTemplate)
    assert located.document.spec.query == "\U0001f600"


# -- what was accepted


def accepted(raw: Any) -> Located | None:
    """The live object as the engine reads it; None when it is refused."""
    try:
        return live(from_object(raw))
    except InvalidDocument as error:
        findings = error.findings
    assert findings
    assert all(str(finding).encode() for finding in findings)
    return None


LENGTHS = st.sampled_from([10, 300, 4000])


@st.composite
def large_plans(draw: st.DrawFn) -> Json:
    """Plans that are right, and as large as the models let them be."""

    def gate(number: int) -> Json:
        hole = draw(st.sampled_from(["x", "${v}", "${workload}", '"', "é", "\\"]))
        query = hole * (draw(LENGTHS) // len(hole))
        variables = {"v": draw(st.sampled_from(["a", '"', "é"])) * draw(st.sampled_from([1, 256]))}
        return {
            "name": f"g{number}",
            "query": query,
            "variables": variables,
            "min": 1,
            "over": draw(st.sampled_from([5, 100])),
        }

    gates = [gate(number) for number in range(draw(st.integers(0, 4)))]
    count = draw(st.integers(1, 50))
    own: Json = {"gates": gates} if draw(st.booleans()) else {}
    steps: list[Json] = [
        {"approve": {}} if n and draw(st.integers(0, 3)) == 0 else {"weight": n + 1} | own for n in range(count)
    ]
    provider = {
        "address": "http://prom:9090",
        "headers": {f"h{n}": "x" * 1024 for n in range(draw(st.integers(0, 16)))},
    }
    shared = draw(st.booleans()) or not own
    analysis = {"provider": provider, "gates": gates if shared else []}
    return HEAD | {"kind": "CanaryPlan", "spec": {"target": {"name": "web"}, "steps": steps, "analysis": analysis}}


FILLED = {"name": "g", "query": "${v}" * 1000, "variables": {"v": "x" * 256}, "min": 1}


@given(NEAR_PLANS | large_plans(), st.booleans())
@examples(40)
@example(HEAD | {"kind": "CanaryPlan", "spec": CLEAN | {"analysis": {"gates": [FILLED]}}}, False)
@example(HEAD | {"kind": []}, False)
def test_what_is_accepted_compiles_or_says_why_not(raw: Any, templates: bool) -> None:
    located = accepted(raw)
    event("accepted" if located else "refused")
    if located is None:
        return
    plan = located.document
    if not isinstance(plan, CanaryPlan):
        return
    known = {"errors": TemplateSpec(query="x{y='${workload}'}")} if templates else {}
    errors = [f for f in lint([located], Known(templates=known)) if f.level == "error"]
    for strategy in STRATEGIES.values():
        try:
            program = strategy.compile(plan, Facts(run="web-abcde-1", stable_hash="h1", templates=known))
        except InvalidInput:
            continue
        assert PROGRAM.validate_json(json.dumps(dump(program), allow_nan=False)) == program
        spec = RunSpec("web", "u" * 36, 1, 1, program, Revision())
        stored = json.dumps(dump_spec(spec), allow_nan=False, ensure_ascii=False)
        assert RUN_SPEC.validate_json(stored) == spec
        assert len(stored.encode()) < RUN_BYTES or errors, "lint lets a run pass that is too large to be stored"


# -- the schema of the API server and our own reading


def _for_python(schema: Any) -> Any:
    """The schema for Python's expressions, in which `$` also fits before a last newline."""
    if isinstance(schema, list):
        return [_for_python(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: re.sub(r"\$$", r"\\Z", below) if key == "pattern" and isinstance(below, str) else _for_python(below)
        for key, below in schema.items()
    }


SCHEMAS = {
    crd["spec"]["names"]["kind"]: jsonschema.Draft4Validator(
        _for_python(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    )
    for crd in crd_documents()
}
READ_ONLY = {"RO113", "RO114", "RO115"}
"""Wrong types, values and missing fields: what a schema can say. The rules between fields are CEL there."""


@given(DOCUMENTS)
@examples(100)
def test_the_schema_takes_what_we_take(raw: Any) -> None:
    located = accepted(raw)
    if located is not None:
        wrong = [error.message for error in SCHEMAS[located.document.kind].iter_errors(raw["spec"])]
        assert not wrong
        event("accepted")


@given(DOCUMENTS)
@examples(100)
@example(HEAD | {"kind": "CanaryPlan", "spec": CLEAN | {"analysis": {"interval": "soon"}}})
def test_we_take_what_the_schema_takes(raw: Any) -> None:
    """But for fields without a value and unknown ones, which the API server drops, and rules, which it has in CEL."""
    head = (raw.get("kind"), raw.get("apiVersion"), raw.get("metadata")) if isinstance(raw, dict) else ()
    if head not in [(kind, HEAD["apiVersion"], HEAD["metadata"]) for kind in SCHEMAS] or "spec" not in raw:
        return
    if not SCHEMAS[raw["kind"]].is_valid(raw["spec"]):
        return
    event("valid")
    try:
        from_object(raw)
    except InvalidDocument as error:
        findings = error.findings
    else:
        return
    known = ("no value", "a limit is a number")  # a limit has two types, so the schema has none: see plan.structural
    only_we = [
        f for f in findings if f.code in READ_ONLY and " spec" in f.where and not any(k in f.message for k in known)
    ]
    assert not only_we
