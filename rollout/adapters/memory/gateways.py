"""The controller of the Gateway API in small: it looks at each route a moment after it was written, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.adapters.memory.apiserver import ApiServer
from rollout.adapters.memory.objects import rfc3339
from rollout.plan.base import Json
from rollout.plan.kinds import GRPC_ROUTE, HTTP_ROUTE, HTTP_ROUTE_BETA, POLICY_ROUTES, SERVICE, Ref, ref_of
from rollout.ports.cluster import guard_of

_NAME: Final = "memory/gateway-controller"
_KINDS: Final = (HTTP_ROUTE, HTTP_ROUTE_BETA, GRPC_ROUTE, *POLICY_ROUTES)


class GatewayController:
    """Accepts every route; a destination that does not exist is not resolved."""

    def __init__(self, server: ApiServer) -> None:
        self.away = False
        """It does not work at the moment: nothing that is written is looked at."""
        self._server = server

    def tick(self) -> None:
        """Look at what was written since."""
        if self.away:
            return
        for kind in _KINDS:
            for obj in self._server.objects.of(kind):
                status = {"parents": list(self._parents(obj))}
                if _said(obj) != _without_times(status):
                    self._server.put_status(ref_of(obj), status, guard_of(obj))

    def _parents(self, obj: Json) -> Iterator[Json]:
        is_linkerds = obj["apiVersion"].startswith("policy.linkerd.io/")  # its controller never tells a generation
        missing = [name for name in _destinations(obj) if self._server.objects.get(name) is None]
        resolved = {"reason": "BackendNotFound", "message": str(missing[0])} if missing else {"reason": "ResolvedRefs"}
        stamp = rfc3339(self._server.objects.now())
        seen = {} if is_linkerds else {"observedGeneration": obj["metadata"].get("generation", 1)}
        common = {**seen, "lastTransitionTime": stamp}
        for parent in obj["spec"].get("parentRefs") or ():
            conditions = [
                {"type": "Accepted", "status": "True", "reason": "Accepted", **common},
                {"type": "ResolvedRefs", "status": "False" if missing else "True", **resolved, **common},
            ]
            yield {"parentRef": parent, "controllerName": _NAME, "conditions": conditions}


def _destinations(obj: Json) -> Iterator[Ref]:
    for rule in obj["spec"].get("rules") or ():
        for entry in rule.get("backendRefs") or ():
            yield Ref(SERVICE, entry.get("namespace") or obj["metadata"]["namespace"], entry["name"])


def _said(obj: Json) -> Json:
    return _without_times(obj.get("status") or {})


def _without_times(status: Json) -> Json:
    parents = [
        {**it, "conditions": [{k: v for k, v in c.items() if k != "lastTransitionTime"} for c in it["conditions"]]}
        for it in status.get("parents") or ()
    ]
    return {"parents": parents}
