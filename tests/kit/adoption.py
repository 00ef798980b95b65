"""Namespaces on their way into a mesh, made of raw objects; and a `kubectl` that carries out the fixes of findings."""

from __future__ import annotations

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

from rollout.adapters.memory.apiserver import Review
from rollout.checks.adoption import Adopted, Look, Outside, Surroundings, judge
from rollout.observe.units import READS, units
from rollout.plan.base import Json
from rollout.plan.finding import Finding, Level
from rollout.plan.kinds import (
    CRON_JOB,
    DEPLOYMENT,
    DESTINATION_RULE,
    JOB,
    MUTATING_WEBHOOK,
    NAMESPACE,
    SERVICE,
    SERVICE_ENTRY,
    STATEFUL_SET,
    Kind,
    kind_of,
)

NS = "shop"
_EVERYWHERE = (DESTINATION_RULE, SERVICE_ENTRY, MUTATING_WEBHOOK)
_KEYS = ("containerPort", "port", "name")


def thing(kind: Kind, name: str, spec: Json | None = None, *, labels: Json | None = None, **parts: Any) -> Json:
    """Any object of the namespace; `parts` are its other fields."""
    meta: Json = {"name": name, "uid": f"uid-{kind}-{name}", "labels": labels or {}}
    if kind.namespaced:
        meta["namespace"] = NS
    obj: Json = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta}
    return obj | ({} if spec is None else {"spec": spec}) | parts


def app(**fields: Any) -> Json:
    """A container with one port."""
    return {"name": "app", "image": "shop/web:1", "ports": [{"containerPort": 8080}], **fields}


def template(*containers: Json, notes: Json | None = None, labels: Json | None = None, **pod: Any) -> Json:
    """A pod template of `app: web`."""
    meta = {"labels": {"app": "web", **(labels or {})}, "annotations": notes or {}}
    return {"metadata": meta, "spec": {"containers": list(containers) or [app()], **pod}}


def workload(pods: Json | None = None, kind: Kind = DEPLOYMENT, replicas: int = 2, **spec: Any) -> Json:
    """`web`, as a Deployment or StatefulSet."""
    selector = {"matchLabels": {"app": "web"}}
    return thing(kind, "web", {"replicas": replicas, "selector": selector, "template": pods or template(), **spec})


def stateful(pods: Json | None = None, replicas: int = 2, **spec: Any) -> Json:
    """`web` as a StatefulSet."""
    return workload(pods, STATEFUL_SET, replicas, **spec)


def cron(pods: Json | None = None) -> Json:
    """`web` as a CronJob."""
    return thing(CRON_JOB, "web", {"schedule": "@daily", "jobTemplate": {"spec": {"template": pods or template()}}})


def job(pods: Json | None = None) -> Json:
    """`web` as a Job."""
    return thing(JOB, "web", {"template": pods or template()})


def service(*ports: Json, name: str = "web", **spec: Any) -> Json:
    """A Service that selects `app: web`."""
    given = list(ports) or [{"port": 80, "targetPort": 8080, "name": "http"}]
    return thing(SERVICE, name, {"selector": {"app": "web"}, "ports": given, **spec})


@dataclass(frozen=True)
class Scene:
    """Objects with what else is known about them."""

    objects: tuple[Json, ...]
    mesh: Adopted = field(default_factory=lambda: Adopted(native_sidecars=True, cni=True))
    labels: Json = field(default_factory=dict)
    """Of the namespace."""
    elsewhere: tuple[tuple[Look, Json], ...] = ()
    outside: tuple[Outside, ...] | None = None

    def seen(self) -> Surroundings:
        """As the checks look at it."""
        here: dict[Look, list[Json]] = defaultdict(list)
        for obj in self.objects:
            kind = kind_of(obj)
            here[Look(kind, "everywhere" if kind in _EVERYWHERE else "here")].append(obj)
        for look, obj in self.elsewhere:
            here[look].append(obj)
        found = units({kind: here[Look(kind)] for kind in READS})
        space = thing(NAMESPACE, NS, labels=self.labels)
        return Surroundings(space, found, here, adopted=self.mesh, outside=self.outside)

    def found(self, code: str) -> list[Finding]:
        """The findings of one code."""
        return [f for result in judge(self.seen()) for f in result.findings if f.code == code]

    def after(self, fix: str) -> Scene:
        """The same after somebody pasted a fix into a shell."""
        objects = {_key(obj): obj for obj in self.objects}
        space = thing(NAMESPACE, NS, labels=self.labels)
        objects[_key(space)] = space
        for obj in (obj for _, obj in self.elsewhere):
            objects[_key(obj)] = obj
        sure = fix.partition(": ")[2] if fix.startswith("if ") else fix
        for command in sure.split(" && "):
            words = shlex.split(command)
            if words[:2] == ["kubectl", "patch"]:
                _patch(objects, words[2:])
            elif words[0] == "echo":
                made = json.loads(words[1])
                objects[_key(made)] = made
            else:
                assert words[:2] == ["kubectl", "create"], command
        elsewhere = tuple((look, objects[_key(obj)]) for look, obj in self.elsewhere)
        apart = {_key(space), *(_key(obj) for _, obj in self.elsewhere)}
        mine = tuple(obj for key, obj in objects.items() if key not in apart)
        return Scene(mine, self.mesh, objects[_key(space)]["metadata"]["labels"], elsewhere, self.outside)


def inject(review: Review) -> Json:
    """An injector: a proxy beside the containers of whoever asks for one."""
    labels = review.new["metadata"].get("labels") or {}
    if review.new["kind"] == "Pod" and labels.get("sidecar.istio.io/inject") == "true":
        review.new["spec"]["containers"].append({"name": "istio-proxy", "image": "proxy"})
    return review.new


def scene(*objects: Json, **known: Any) -> Scene:
    """A scene of these objects."""
    return Scene(objects, **known)


@dataclass(frozen=True)
class Case:
    """One obstacle: a scene with it, one that comes close without it, and what is said."""

    name: str
    level: Level
    says: str
    trips: Scene
    passes: Scene
    fixed: bool = True
    """The fix is a command that removes the finding."""

    def __str__(self) -> str:
        return self.name


def proves(case: Case, code: str) -> None:
    """The obstacle is found with its consequence where it is, not where it is not, and its fix removes it."""
    found = [it for it in case.trips.found(code) if case.says in it.message]
    assert found, [it.message for it in case.trips.found(code)]
    assert {it.level for it in found} == {case.level}
    assert all(it.fix and it.where for it in found)
    assert not [it.message for it in case.passes.found(code) if case.says in it.message]
    if case.fixed:
        after = case.trips
        for it in found:
            after = after.after(it.fix)
        assert not [it.message for it in after.found(code) if case.says in it.message]


def _key(obj: Json) -> tuple[str, str]:
    return kind_of(obj).plural, obj["metadata"]["name"]


def _patch(objects: dict[tuple[str, str], Json], words: list[str]) -> None:
    resource, name = words[0].split("/")
    key = resource.partition(".")[0], name
    change = json.loads(words[words.index("-p") + 1])
    obj = objects[key]
    if kind_of(obj).namespaced:
        assert obj["metadata"]["namespace"] == words[words.index("-n") + 1]
    if "--type=json" in words:
        objects[key] = jsonpatch.apply_patch(obj, change)
    else:
        objects[key] = _merged(obj, change, lists="--type=merge" not in words)


def _merged(old: Any, change: Any, *, lists: bool) -> Any:
    """A merge patch; with `lists` a strategic one, whose lists of named things are merged."""
    if isinstance(change, dict):
        result = dict(old) if isinstance(old, dict) else {}
        for key, value in change.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merged(result.get(key), value, lists=lists)
        return result
    if lists and isinstance(change, list) and isinstance(old, list):
        return _merged_list(old, change)
    return change


def _merged_list(old: Iterable[Any], change: Iterable[Any]) -> list[Any]:
    result = list(old)
    for item in change:
        key = next(key for key in _KEYS if key in item)
        at = next((n for n, it in enumerate(result) if it.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            result = [it for it in result if it.get(key) != item[key]]
        elif at is None:
            result.append(item)
        else:
            result[at] = _merged(result[at], item, lists=True)
    return result
