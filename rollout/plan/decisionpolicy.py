"""The decision policy: CEL inside the API server that says who may order what, and who it was.

`create` on plandecisions alone is not enough.  The caller needs the order's verb on the plan that it names, of the kind
that it names, in the plan's namespace: `promote` to approve a step, `promote-full` for a promotion without what is left
of the analysis, else the verb of the order itself (`abort`, `pause`, `resume`, `retry`, `skip`, `undo`).  A right to
approve is given to many, a right to do without the evidence to few, so `promote` does not contain `promote-full`, nor
the other way round.

`spec.by` is the caller's name and nobody else's.  In both modes a ValidatingAdmissionPolicy refuses another name, and
none at all.  Mode `stamp` adds a MutatingAdmissionPolicy that writes the name whatever was sent, so nobody needs to
know his own; mode `match` is for API servers without that kind (before 1.36).

`spec.groups`, by which a step with an approval for certain groups knows its people, names groups of the caller only.

That a decision never changes is a rule of its CustomResourceDefinition.  That the plan is the one of the run is
checked by the engine, which has both at hand: it ignores a decision that names another plan, and refuses another kind.
"""

from __future__ import annotations

from typing import Final, Literal

from rollout.plan.base import GROUP, VERSION, Json
from rollout.plan.kinds import (
    CANARY_PLAN,
    MESH_ADOPTION_PLAN,
    MUTATING_BINDING,
    MUTATING_POLICY,
    PLAN_DECISION,
    VALIDATING_BINDING,
    VALIDATING_POLICY,
    Kind,
)

Mode = Literal["stamp", "match"]
NAME: Final = "rollout-decide"
FULL: Final = "promote-full"
"""The verb that a `promote` with `full: true` needs."""
APPROVE: Final = ("promote", "abort", "pause", "resume", "retry")
"""The verbs of the role rollout-approve."""
ADMIN: Final = ("skip", "undo", FULL)
"""What only the role rollout-admin has besides."""
APPROVE_ROLE: Final = "rollout-approve"
ADMIN_ROLE: Final = "rollout-admin"
"""The ClusterRoles to ask for."""
LONGEST: Final = 256
"""Characters of `spec.by`; a service account's name can be longer."""


def documents(mode: Mode) -> list[Json]:
    """The policies and their bindings."""
    return [*(_stamp() if mode == "stamp" else ()), *_check()]


_CALLER: Final = (
    f"size(request.userInfo.username) > {LONGEST} ? "
    f"request.userInfo.username.substring(0, {LONGEST}) : request.userInfo.username"
)


def _stamp() -> list[Json]:
    # `add` on a member that is there replaces it
    patch = f"[JSONPatch{{op: 'add', path: '/spec/by', value: {_CALLER}}}]"
    spec: Json = {
        "matchConstraints": _created(),
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
    }
    return [_policy(MUTATING_POLICY, spec), _policy(MUTATING_BINDING, {"policyName": NAME})]


def _check() -> list[Json]:
    allowed = (
        f"authorizer.group('{GROUP}').resource(variables.plans).namespace(request.namespace)"
        ".name(object.spec.plan).check(variables.verb).allowed()"
    )
    lacking = (
        "request.userInfo.username + ' needs the verb ' + variables.verb + "
        f"' on ' + variables.plans + '.{GROUP}/' + object.spec.plan + ' in ' + request.namespace + "
        "'; ask for the ClusterRole ' + variables.role + ' there'"
    )
    other = (
        "'spec.by must be ' + variables.caller + ', your name for this API server; it is ' + "
        "(variables.by == '' ? 'empty' : variables.by)"
    )
    adoption, canary = MESH_ADOPTION_PLAN, CANARY_PLAN
    plans = f"object.spec.?kind.orValue('') == '{adoption.name}' ? '{adoption.plural}' : '{canary.plural}'"
    admins = f"variables.verb in {list(ADMIN)}"
    spec: Json = {
        "matchConstraints": _created(),
        "failurePolicy": "Fail",
        "variables": [
            {"name": "plans", "expression": plans},
            {"name": "full", "expression": "object.spec.verb == 'promote' && object.spec.?full.orValue(false)"},
            {"name": "verb", "expression": f"variables.full ? '{FULL}' : object.spec.verb"},
            {"name": "role", "expression": f"{admins} ? '{ADMIN_ROLE}' : '{APPROVE_ROLE}'"},
            {"name": "caller", "expression": _CALLER},
            {"name": "by", "expression": "object.spec.?by.orValue('')"},
            {
                "name": "strange",
                "expression": "object.spec.?groups.orValue([]).filter(g, !(g in request.userInfo.?groups.orValue([])))",
            },
        ],
        "validations": [
            {"expression": allowed, "messageExpression": lacking, "reason": "Forbidden"},
            {"expression": "variables.by == variables.caller", "messageExpression": other, "reason": "Forbidden"},
            {
                "expression": "variables.strange.size() == 0",
                "messageExpression": "'you are not in the group ' + variables.strange[0] + ' of spec.groups'",
                "reason": "Forbidden",
            },
        ],
    }
    binding: Json = {"policyName": NAME, "validationActions": ["Deny"]}
    return [_policy(VALIDATING_POLICY, spec), _policy(VALIDATING_BINDING, binding)]


def _created() -> Json:
    """Every create of a decision."""
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": [VERSION],
        "operations": ["CREATE"],
        "resources": [PLAN_DECISION.plural],
    }
    return {"resourceRules": [rule]}


def _policy(kind: Kind, spec: Json) -> Json:
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": NAME}, "spec": spec}
