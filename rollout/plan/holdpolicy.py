"""The hold policy: CEL inside the API server that keeps every new revision of a labelled Deployment from rolling.

It pauses the Deployment in the very write that changes its pod template, and keeps it paused against re-apply,
replace without our metadata, `kubectl rollout resume` and a dropped label.  Only a release frees it: a new value of
the release annotation, by somebody whom RBAC allows the verb `release` on canaryplans.

Four rules that are easy to get wrong: the conditions sit in the mutation and not in matchConditions (a policy that
did not match is not invoked again after another webhook edits the template); a created Deployment always starts and
is not marked (first installation and restore from a backup must not end without pods); a pause or a restart by the
user, without another change of the template, is the user's own; a mark without a change is taken back (a webhook has
put back what a re-apply had left out, or somebody forged it).
"""

from __future__ import annotations

from typing import Any, Final

from rollout.plan.base import GROUP, HELD, HOLD_LABEL, RELEASE, Json
from rollout.plan.kinds import MUTATING_BINDING, MUTATING_POLICY

NAME: Final = "rollout-hold"
MARKS: Final = ("true", "paused")
"""Values of the held mark. `paused`: its owner had paused it before, and shall find it paused again."""
_RESTART: Final = "kubectl.kubernetes.io/restartedAt"


def _variables() -> list[Json]:
    note = "{0} == null ? {1} : {0}.metadata.?annotations[?'{2}'].orValue('')"
    return [
        {"name": "before", "expression": note.format("oldObject", "''", RELEASE)},
        {"name": "after", "expression": f"object.metadata.?annotations[?'{RELEASE}'].orValue('')"},
        {
            "name": "released",
            "expression": "variables.after != '' && variables.after != variables.before && "
            f"authorizer.group('{GROUP}').resource('canaryplans')"
            ".namespace(object.metadata.namespace).check('release').allowed()",
        },
        {
            "name": "oldNotes",
            "expression": "oldObject == null ? {} : oldObject.spec.template.metadata.?annotations.orValue({})",
        },
        {"name": "newNotes", "expression": "object.spec.template.metadata.?annotations.orValue({})"},
        {
            "name": "sameTemplate",
            "expression": "oldObject != null && object.spec.template.spec == oldObject.spec.template.spec && "
            "object.spec.template.metadata.?labels.orValue({}) == "
            "oldObject.spec.template.metadata.?labels.orValue({}) && "
            f"variables.newNotes.all(k, k == '{_RESTART}' || "
            "(k in variables.oldNotes && variables.oldNotes[k] == variables.newNotes[k])) && "
            f"variables.oldNotes.all(k, k == '{_RESTART}' || k in variables.newNotes)",
        },
        {"name": "oldMark", "expression": note.format("oldObject", "''", HELD)},
        {"name": "wasHeld", "expression": f"variables.oldMark in {list(MARKS)}"},
        {"name": "marked", "expression": f"object.metadata.?annotations[?'{HELD}'].orValue('') in {list(MARKS)}"},
        {
            "name": "mark",
            "expression": "variables.wasHeld ? variables.oldMark : "
            "oldObject != null && oldObject.spec.?paused.orValue(false) ? 'paused' : 'true'",
        },
        {
            "name": "label",
            "expression": f"oldObject == null ? '' : oldObject.metadata.?labels[?'{HOLD_LABEL}'].orValue('')",
        },
    ]


def _mutation() -> str:
    """The first case that fits, in the order of their weight."""
    label = f"'{HOLD_LABEL}': variables.label != '' ? variables.label : object.metadata.labels['{HOLD_LABEL}']"
    old_pause = "oldObject.spec.?paused.orValue(false)"
    cases = (
        ("oldObject == null && variables.marked", _write("'false'", "", "false")),
        ("oldObject == null", "Object{spec: Object.spec{paused: false}}"),
        ("variables.released", "Object{}"),
        ("!variables.sameTemplate || variables.wasHeld", _write("variables.mark", label, "true")),
        ("variables.marked", _write("'false'", label, old_pause)),
        ("variables.label != ''", f"Object{{metadata: Object.metadata{{labels: {{{label}}}}}}}"),
    )
    return "".join(f"({when}) ? {what} : " for when, what in cases) + "Object{}"


def _write(mark: str, label: str, paused: str) -> str:
    """What to write over an object: the held mark, the label unless empty, and whether it is paused."""
    labels = f", labels: {{{label}}}" if label else ""
    metadata = f"Object.metadata{{annotations: {{'{HELD}': {mark}}}{labels}}}"
    return f"Object{{metadata: {metadata}, spec: Object.spec{{paused: {paused}}}}}"


def documents() -> list[Json]:
    """The policy and its binding."""
    policy: dict[str, Any] = {
        "apiVersion": MUTATING_POLICY.api_version,
        "kind": MUTATING_POLICY.name,
        "metadata": {"name": NAME},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
                "objectSelector": {"matchExpressions": [{"key": HOLD_LABEL, "operator": "Exists"}]},
            },
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "variables": _variables(),
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _mutation()}}],
        },
    }
    binding: Json = {
        "apiVersion": MUTATING_BINDING.api_version,
        "kind": MUTATING_BINDING.name,
        "metadata": {"name": NAME},
        "spec": {"policyName": NAME},
    }
    return [policy, binding]
