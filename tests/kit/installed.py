"""The controller as pods of a lab, in its own words and in those of the API server's audit log; and what Git does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import Lab, LabError
from lab.controller import DEPLOYMENT, NAMESPACE
from lab.logs import Request, requests
from lab.wait import wait_for
from rollout.plan.base import HOLD_LABEL, Json
from tests.kit.shop import Shop

NAME = "test-controller"
"""The lab whose controller is installed: what it does concerns the whole cluster, so nobody else's."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{DEPLOYMENT}"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource; `scope` is a namespace, or empty for the whole cluster."""

    scope: str
    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}.{self.group or 'core'} in {self.scope or 'all namespaces'}"


@dataclass(slots=True)
class Installed:
    """The controller of one lab."""

    lab: Lab
    place: int = 0
    """Where in the audit log the requests begin that count."""
    copies: int = field(default=2)

    def install(self, namespaces: Sequence[str] = (), *, version: str = "") -> str:
        """Install it, or change what is installed; return its image when one of its pods leads."""
        image = self.lab.controller_up(namespaces, replicas=self.copies, version=version)
        assert wait_for(self.led, 60, 0.5), self.text()
        return image

    def holder(self) -> str:
        """The pod that holds the lease; empty when none does."""
        query = "-o=jsonpath={.spec.holderIdentity}"
        found = self.lab.kubectl("get", "lease", "-n", NAMESPACE, DEPLOYMENT, query, "--ignore-not-found")
        return found.partition("_")[0]

    def led(self) -> bool:
        """Whether a pod that is there leads."""
        return self.holder() in set(self.lab.controller.pods())

    def text(self) -> str:
        """What its pods logged last."""
        told = []
        for pod in self.lab.controller.pods():
            try:
                told.append(f"--- {pod}\n" + self.lab.kubectl("logs", "-n", NAMESPACE, pod, "--tail=25"))
            except LabError as error:
                told.append(f"--- {pod}: {error}")
        return "\n".join(told)

    # --- what it asked the API server

    def mark(self) -> None:
        """Count its requests from now on."""
        self.place = self._log.stat().st_size

    @property
    def _log(self) -> Path:
        return self.lab.audit_log()

    def asked(self) -> list[Request]:
        """Its requests since `mark`."""
        return [one for one in requests(self._log, self.place) if one.user == ACCOUNT]

    def refused(self) -> list[str]:
        """Its requests since `mark` for which it lacked a right."""
        return [f"{one.verb} {one.uri}" for one in self.asked() if one.forbidden]

    def used(self) -> set[Right]:
        """The rights that it has used since `mark`."""
        return {Right(one.namespace, _group(one.uri), one.resource, one.verb) for one in self.asked() if one.resource}

    def granted(self) -> set[Right]:
        """The rights that its account is given by name, as they stand in the cluster."""
        return set(_granted(self.lab))


def _group(uri: str) -> str:
    parts = uri.partition("?")[0].split("/")
    return parts[2] if parts[1] == "apis" else ""


def _granted(lab: Lab) -> Iterator[Right]:
    kinds = "clusterrolebindings,rolebindings,clusterroles,roles"
    found: list[Json] = json.loads(lab.kubectl("get", kinds, "-A", "-o=json"))["items"]
    roles = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in found}
    for binding in found:
        subjects = [(it["kind"], it.get("namespace"), it["name"]) for it in binding.get("subjects") or ()]
        if ("ServiceAccount", NAMESPACE, DEPLOYMENT) not in subjects:
            continue
        scope, ref = binding["metadata"].get("namespace", ""), binding["roleRef"]
        role = roles[ref["kind"], scope if ref["kind"] == "Role" else "", ref["name"]]
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from (Right(scope, group, resource, verb) for verb in rule["verbs"])


# --- what comes from Git, and what becomes of it


def commit(shop: Shop, plan: Json, controller: Installed, *more: Json) -> None:
    """The plan is merged; return when the controller has seen it and holds the next version."""
    shop.apply(plan, *more)
    label = HOLD_LABEL.replace(".", "\\.")
    query = f"-o=jsonpath={{.metadata.labels.{label}}}"
    held = wait_for(lambda: shop.kubectl("get", "deployment/web", query) != "", 60, 0.5)
    assert held, f"{shop.ns}: the plan was not looked at:\n{controller.text()}"


def ended(shop: Shop, controller: Installed, phase: str, attempt: int, seconds: float = 180) -> Json:
    """Wait for the end of the run with this number, which must be that one; return its status."""
    run = shop.until(lambda run: shop.attempts >= attempt and bool(run.get("endedAt")), controller, seconds)
    assert (run["phase"], shop.attempts) == (phase, attempt), f"{run.get('message')}\n{controller.text()}"
    return run


def holding(shop: Shop, controller: Installed, attempt: int, weight: float = 20) -> Json:
    """Wait until the run with this number has given the candidate this share; return its status."""
    return shop.until(
        lambda run: shop.attempts >= attempt and run.get("weight") == weight and "endedAt" not in run, controller, 120
    )


def obeyed(shop: Shop, verb: str, *words: str) -> None:
    """Give an order from a terminal, and see it obeyed."""
    done = shop.rollout(verb, "web", "--reason", "as a test", *words)
    assert done.code in (0, 3), f"{shop.ns}: {verb}: {done}"


def writes(asked: Iterable[Request], resource: str, namespace: str) -> list[Request]:
    """The requests that changed objects of this kind here; rehearsals and refusals did not."""
    changing = ("create", "update", "patch", "delete")
    return [
        one
        for one in asked
        if (one.resource, one.namespace) == (resource, namespace)
        and one.verb in changing
        and 200 <= one.code < 300
        and "dryRun" not in one.uri
    ]
