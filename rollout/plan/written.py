"""What people write into a plan of adoption about others: workloads, who stays outside, and manifests of the mesh."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from rollout.plan.base import Json, Model, Name, Rule

UnitKind = Literal["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod", "ReplicaSet"]

_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_GROUPS: Final = (
    r"^((networking|security|telemetry|extensions)[.]istio[.]io|gateway[.]networking[.]k8s[.]io"
    r"|(policy[.])?linkerd[.]io|consul[.]hashicorp[.]com)/v[0-9]"
)
"""The API groups of meshes."""
_CLUSTER: Final = ("GatewayClass", "MeshConfig")
_ELSEWHERE: Final = ("PeerAuthentication", "AuthorizationPolicy")


def _day(value: Any) -> Any:
    try:
        assert isinstance(value, str), "a day is a text"
        assert re.fullmatch(_DAY, value), "of this form"
        date.fromisoformat(value)
    except (AssertionError, ValueError):
        raise PydanticCustomError("day", "a day that exists is written like 2027-03-31") from None
    return value


Day = Annotated[str, Field(pattern=_DAY, max_length=10, json_schema_extra={"format": "date"}), BeforeValidator(_day)]
"""A day: `2027-03-31`."""


class UnitRef(Model):
    """A workload of the plan's namespace."""

    kind: UnitKind = "Deployment"
    """Its kind."""
    name: Name
    """Its name."""


class MeshException(Model):
    """Somebody who stays outside, or a port that goes on accepting plaintext: with a reason, and not for ever."""

    workload: UnitRef
    """Whose exception it is."""
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(default=(), max_length=32)
    """Container ports that go on accepting plaintext; the whole workload stays out of the mesh when empty."""
    reason: Annotated[str, Field(min_length=1, max_length=512)]
    """Why."""
    until: Day
    """The last day it holds, `2027-03-31`. A plan whose exception is over is not Ready."""


class ManifestMeta(Model):
    """The part of a manifest's metadata that people write."""

    name: Name
    """Its name."""
    namespace: Name | None = None
    """The plan's namespace; best left out."""
    labels: dict[str, Annotated[str, Field(max_length=63)]] = Field(default_factory=dict, max_length=64)
    """Its labels."""
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(default_factory=dict, max_length=64)
    """Its annotations."""


class Manifest(Model):
    """An object of a kind of the mesh, in the plan's namespace."""

    of_a_mesh: ClassVar[Rule] = Rule(
        "RO242",
        f"self.apiVersion.matches('{_GROUPS}') && !(self.kind in {list(_CLUSTER)})",
        "a manifest is of a namespaced kind of a mesh or of the Gateway API",
        lambda it: bool(re.match(_GROUPS, it.api_version)) and it.kind not in _CLUSTER,
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        of_a_mesh,
        Rule(
            "RO243",
            f"!(self.kind in {list(_ELSEWHERE)})",
            "mTLS modes are set by the stages permissive and strict, AuthorizationPolicies go into authorize",
            lambda it: it.kind not in _ELSEWHERE,
        ),
    )

    api_version: Annotated[str, Field(max_length=128)]
    """Its group and version."""
    kind: Annotated[str, Field(max_length=63)]
    """Its kind."""
    metadata: ManifestMeta
    """Its name, and what hangs on it."""
    spec: dict[str, Any]
    """What it says; the mesh judges it, and `rollout lint` does before."""

    def raw(self) -> Json:
        """The manifest as it was written, without a namespace."""
        metadata = self.metadata.model_dump(exclude_defaults=True, exclude={"namespace"})
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, "spec": self.spec}


class Policy(Manifest):
    """An AuthorizationPolicy of the plan's namespace."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Manifest.of_a_mesh,
        Rule(
            "RO245",
            "self.kind == 'AuthorizationPolicy'",
            "policies are AuthorizationPolicies",
            lambda it: it.kind == "AuthorizationPolicy",
        ),
    )
