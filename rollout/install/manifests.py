"""Everything together, in the order in which it can be applied: what is named comes before what names it."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.install.options import Options
from rollout.install.policies import kinds, policies
from rollout.install.rbac import rbac
from rollout.install.workload import namespace, workload
from rollout.plan.base import Json


def manifests(options: Options) -> list[Json]:
    """All documents. The policies are in force before the controller starts, and the controller comes last."""
    return [obj for part in parts(options).values() for obj in part]


def parts(options: Options) -> Mapping[str, list[Json]]:
    """The same by part, in order."""
    return {
        "namespace": [namespace(options)],
        "kinds": kinds(),
        "rbac": rbac(options),
        "policies": policies(options),
        "workload": workload(options),
    }
