"""The installation as a kustomize base: one file for each part, and a component with what needs Kubernetes 1.36.

`base` works on every supported API server.  `policy` adds to it what the API server can do itself from 1.36 on: hold
new revisions, and stamp who decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from rollout.install.manifests import parts
from rollout.install.options import Options
from rollout.install.policies import policies
from rollout.install.rbac import rbac
from rollout.plan.base import Json
from rollout.plan.kinds import ref_of

_HEADER: Final = "# Generated: change rollout/install, then run `make generate`.\n"


def files() -> Mapping[str, str]:
    """Path and text of every file."""
    base = parts(Options())
    more = Options(decisions="stamp", hold="policy")
    known = {ref_of(obj) for part in base.values() for obj in part}
    added = [obj for obj in (*rbac(more), *policies(more)) if ref_of(obj) not in known]
    texts = {f"base/{name}.yaml": _yaml(part) for name, part in base.items()}
    texts["base/kustomization.yaml"] = _kustomization("Kustomization", "v1beta1", [f"{name}.yaml" for name in base])
    texts["policy/policy.yaml"] = _yaml(added)
    texts["policy/kustomization.yaml"] = _kustomization("Component", "v1alpha1", ["policy.yaml"])
    return {path: _HEADER + text for path, text in texts.items()}


def _kustomization(kind: str, version: str, resources: list[str]) -> str:
    return _yaml([{"apiVersion": f"kustomize.config.k8s.io/{version}", "kind": kind, "resources": resources}])


def _yaml(objects: list[Json]) -> str:
    return yaml.dump_all(objects, Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)


class Plain(yaml.SafeDumper):
    """Without anchors: equal parts are written out, as people and other tools expect."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True
