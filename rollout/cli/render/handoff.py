"""What to commit so that Git agrees with the cluster: a patch for the Deployment, and the commands that apply it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rollout.observe.templates import HASH_LABEL, digest, images, restart_only
from rollout.plan.base import Json

_FLUX = "kustomize.toolkit.fluxcd.io/"
_HELM = "helm.toolkit.fluxcd.io/"
_ARGO = "argocd.argoproj.io/"


@dataclass(frozen=True, slots=True)
class Handoff:
    """What runs as stable, and what the Deployment asks for."""

    plan: str
    namespace: str
    deployment: Json
    stable: Json
    """The pod template that runs."""
    written: Mapping[str, str]
    """Images by container as the owner's last `kubectl apply` had them; empty when nobody recorded that."""

    @property
    def name(self) -> str:
        """The Deployment's."""
        return str(self.deployment["metadata"]["name"])

    @property
    def asked(self) -> Json:
        """The pod template that the Deployment asks for."""
        template: Json = self.deployment["spec"]["template"]
        return template

    @property
    def agrees(self) -> bool:
        """Whether what runs is what is asked for, as far as that can be seen from here."""
        running = images(self.stable)
        known = all(running.get(name) == image for name, image in self.written.items())
        return known and self._same

    @property
    def _same(self) -> bool:
        return digest(self.asked) == digest(self.stable) or restart_only(self.asked, self.stable)

    @property
    def only_images(self) -> bool:
        """Whether nothing but images tells the two templates apart."""
        return digest(_with_images(self.asked, images(self.stable))) == digest(self.stable) or self._same


def patch(it: Handoff) -> Json:
    """A strategic merge patch: the image lines, or the whole template where more than images differs."""
    meta = {"name": it.name, "namespace": it.namespace}
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}
    if it.only_images:
        lines = [{"name": name, "image": image} for name, image in images(it.stable).items()]
        return {**head, "spec": {"template": {"spec": {"containers": lines}}}}
    return {**head, "spec": {"template": {"$patch": "replace", **_clean(it.stable)}}}


def text(it: Handoff) -> str:
    """The patch as YAML, with a comment that says what it is."""
    said = f"# what runs as stable in {it.namespace}/{it.name}"
    if not it.agrees:
        asked = ", ".join(sorted({*it.written.values()} or {*images(it.asked).values()}))
        said += f"; {'Git' if it.written else 'the Deployment'} still asks for {asked}"
    return f"{said}\n{yaml.safe_dump(patch(it), sort_keys=False, allow_unicode=True)}"


def commands(it: Handoff) -> list[str]:
    """From the patch to an agreeing cluster: in the repository, then for the tool that applies it."""
    edits = [f"kustomize edit set image {_bare(image)}={image}" for image in images(it.stable).values()]
    if not it.only_images:
        edits = [
            f"rollout handoff {it.plan} -n {it.namespace} > handoff.yaml",
            "kustomize edit add patch --path handoff.yaml",
        ]
    pairs = " ".join(f"{name}={image}" for name, image in images(it.stable).items())
    local = f"kubectl set image --local -f deployment.yaml {pairs} -o yaml"
    return [*edits, *([local] if it.only_images else []), 'git commit -am "..." && git push', *_tool(it)]


def _tool(it: Handoff) -> list[str]:
    """What makes the GitOps tool look at once; it is told by its marks on the Deployment."""
    meta = it.deployment["metadata"]
    marks = {**(meta.get("annotations") or {}), **(meta.get("labels") or {})}
    if name := marks.get(f"{_FLUX}name"):
        return [f"flux reconcile kustomization {name} -n {marks.get(f'{_FLUX}namespace', 'flux-system')} --with-source"]
    if name := marks.get(f"{_HELM}name"):
        return [f"flux reconcile helmrelease {name} -n {marks.get(f'{_HELM}namespace', it.namespace)} --with-source"]
    if name := marks.get(f"{_ARGO}instance") or marks.get(f"{_ARGO}tracking-id", "").partition(":")[0]:
        return [f"argocd app sync {name}"]
    return []


def as_json(it: Handoff) -> dict[str, Any]:
    """The same for machines. `revision` is what `status --revision` waits for."""
    return {
        "namespace": it.namespace,
        "plan": it.plan,
        "deployment": it.name,
        "agrees": it.agrees,
        "stable": {"revision": digest(it.stable), "images": images(it.stable)},
        "asked": {"revision": digest(it.asked), "images": images(it.asked)},
        "written": dict(it.written) or None,
        "patch": patch(it),
        "commands": commands(it),
    }


def _with_images(template: Json, wanted: Mapping[str, str]) -> Json:
    changed = copy.deepcopy(template)
    for container in changed["spec"].get("containers", []):
        container["image"] = wanted.get(container["name"], container.get("image", ""))
    return changed


def _clean(template: Json) -> Json:
    """A ReplicaSet's template as its Deployment had it."""
    meta = {k: v for k, v in (template.get("metadata") or {}).items() if k != "creationTimestamp"}
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k != HASH_LABEL}
    return {**template, "metadata": {**meta, "labels": labels}}


def _bare(image: str) -> str:
    """The image without tag and digest: what kustomize calls its name."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
