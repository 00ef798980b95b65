"""`KubeCluster`: the cluster port on a real API server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import jsonpatch
import jsonpointer
import orjson

from rollout.adapters.kube import access
from rollout.adapters.kube.faults import Answer, Expired, Intent, Unapplied
from rollout.adapters.kube.paths import collection_path, group_path, object_path
from rollout.adapters.kube.transport import JSON_PATCH, Heard, Transport
from rollout.adapters.kube.watch import KubeWatcher
from rollout.errors import Conflict, Forbidden, InvalidInput, NotFound, Rejected, RolloutError, Unavailable, Unsupported
from rollout.plan.base import FIELD_MANAGER, GROUP, Json
from rollout.plan.kinds import SECRET, Kind, Ref, kind_of
from rollout.ports.cluster import Guard, guard_of

CHUNK: Final = 500
"""Objects per page of a list."""
RELISTS: Final = 3
DISCOVERY_SECONDS: Final = 30.0
"""How long we believe what the API server said it serves."""
_REVIEW: Final = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)


Objects = list[Json]


class KubeCluster:
    """One Kubernetes cluster, with one person's rights. Made by `connect`."""

    def __init__(self, transport: Transport, *, server: str, context: str = "", namespace: str = "default") -> None:
        self._transport = transport
        self._served: dict[str, tuple[float, frozenset[tuple[str, str]]]] = {}
        self.server = server
        """The API server's URL."""
        self.context = context
        """The kubeconfig context; empty with a service account."""
        self.namespace = namespace
        """The namespace of the context."""
        self.watcher = KubeWatcher(transport)
        """Tells what changes in this cluster, with the same person's rights."""

    async def get(self, ref: Ref) -> Json | None:
        """The object, or None when there is none; a kind that is not served has no objects."""
        try:
            return _object(await self._transport.call(_intent("get", ref), "GET", object_path(ref)))
        except (NotFound, Unsupported):
            return None

    async def list(
        self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None, *, about: Collection[str] = ()
    ) -> list[Json]:
        """All objects of a kind, read in pages of one consistent snapshot."""
        for _ in range(RELISTS):
            try:
                return await self._pages(kind, namespace, labels or {}, CHUNK)
            except Expired:
                continue
        # pages that always expire before the last one is read: the snapshot must come in one answer
        return await self._pages(kind, namespace, labels or {}, 0)

    async def _pages(self, kind: Kind, namespace: str, labels: Mapping[str, str], limit: int) -> Objects:
        intent = Intent("list", kind, namespace)
        query = {"limit": str(limit)} if limit else {}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        objects: Objects = []
        while True:
            answer = await self._transport.call(intent, "GET", collection_path(kind, namespace), query=query)
            page = _object(answer)
            # items of built-in kinds come without their type, although each object by itself has it
            objects += [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in page.get("items") or ()]
            token = page["metadata"].get("continue")
            if not token:
                return objects
            query["continue"] = token

    async def create(self, obj: Json, *, dry_run: bool = False) -> Json:
        """Create and return the stored object."""
        kind, meta = _kind(obj), obj.get("metadata", {})
        namespace = meta.get("namespace", "")
        if kind.namespaced and not namespace:
            raise InvalidInput(f"{kind}/{meta.get('name', '')} has no namespace")
        intent = Intent("create", kind, namespace, meta.get("name", ""))
        path = collection_path(kind, namespace)
        return _object(
            await self._transport.call(intent, "POST", path, query=_writing(kind, dry_run=dry_run), body=obj)
        )

    async def patch(self, ref: Ref, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False) -> Json:
        """Apply a JSON patch to the object that the guard describes; return the stored object."""
        return await self._patch(ref, "", ops, guard, dry_run=dry_run)

    async def put_status(self, ref: Ref, status: Json, guard: Guard) -> Json:
        """Replace the status subresource; return the stored object.

        A patch rather than a PUT, so that the rest of the object need not be read; `add` on a member replaces it whole.
        """
        return await self._patch(ref, "status", [{"op": "add", "path": "/status", "value": status}], guard)

    async def _patch(
        self, ref: Ref, subresource: str, ops: Sequence[Json], guard: Guard, *, dry_run: bool = False
    ) -> Json:
        intent = _intent("patch", ref, subresource)
        try:
            answer = await self._transport.call(
                intent,
                "PATCH",
                object_path(ref, subresource),
                query=_writing(ref.kind, dry_run=dry_run),
                body=[*_tests(guard), *ops],
                content=JSON_PATCH,
            )
        except Unapplied as refused:
            raise await self._why_unapplied(ref, ops, guard, refused) from None
        return _object(answer)

    async def _why_unapplied(self, ref: Ref, ops: Sequence[Json], guard: Guard, refused: Unapplied) -> RolloutError:
        """The API server does not say which operation failed, so read the object again and try here."""
        now = await self.get(ref)
        if now is None:
            return NotFound(f"{refused}: it is gone")
        have = guard_of(now)
        if have.uid != guard.uid:
            return Conflict(f"{refused}: it was deleted and created again meanwhile")
        if guard.version and have.version != guard.version:
            return Conflict(f"{refused}: somebody else wrote first (version {guard.version}, now {have.version})")
        try:
            jsonpatch.apply_patch(now, list(ops))
        except jsonpatch.JsonPatchTestFailed:
            return Conflict(f"{refused}: a value that it tests has changed")
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
            return Rejected(f"{refused}: it names a path that does not exist or is no valid patch")
        return Conflict(f"{refused}: it fits again, so somebody wrote in between")

    async def delete(self, ref: Ref, guard: Guard, *, foreground: bool = False) -> None:
        """Delete the object that the guard describes; an object that is gone already is no error."""
        conditions = {"uid": guard.uid} | ({"resourceVersion": guard.version} if guard.version else {})
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": conditions,
            "propagationPolicy": "Foreground" if foreground else "Background",
        }
        try:
            await self._transport.call(_intent("delete", ref), "DELETE", object_path(ref), body=options)
        except (NotFound, Unsupported):
            return

    async def allowed(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Whether the caller may do this (a SelfSubjectAccessReview). A plural may name a subresource: `x/status`."""
        resource, _, subresource = kind.plural.partition("/")
        attributes = {"verb": verb, "group": kind.group, "resource": resource, "namespace": namespace}
        attributes |= {"subresource": subresource} if subresource else {}
        review = {"apiVersion": _REVIEW.api_version, "kind": _REVIEW.name, "spec": {"resourceAttributes": attributes}}
        # creating a review changes nothing: it counts as a read
        answer = await self._transport.call(
            Intent("review", _REVIEW, name=verb), "POST", collection_path(_REVIEW), body=review
        )
        return bool(_object(answer).get("status", {}).get("allowed"))

    async def serves(self, kind: Kind) -> bool:
        """Whether the API server knows this kind and version.

        A yes is believed for `DISCOVERY_SECONDS`; a no is asked again, as the kind may just be being installed.
        """
        now = asyncio.get_running_loop().time()
        asked, served = self._served.get(kind.api_version, (-DISCOVERY_SECONDS, frozenset()))
        if now - asked >= DISCOVERY_SECONDS or (kind.plural, kind.name) not in served:
            served = await self._discover(kind)
            self._served[kind.api_version] = (now, served)
        return (kind.plural, kind.name) in served

    async def _discover(self, kind: Kind) -> frozenset[tuple[str, str]]:
        try:
            answer = await self._transport.call(Intent("get", name=group_path(kind)), "GET", group_path(kind))
        except Unsupported:
            return frozenset()
        return frozenset((entry["name"], entry["kind"]) for entry in _object(answer).get("resources") or ())

    async def version(self) -> str:
        """The API server's version, `v1.36.3`."""
        answer = await self._transport.call(Intent("get", name="the API server's version"), "GET", "/version")
        return str(_object(answer).get("gitVersion", ""))

    async def secret(self, namespace: str, name: str, key: str) -> str:
        """The text under one key of a Secret: what the metrics adapter needs to get into a Prometheus.

        Raises:
            NotFound: no such Secret or no such key.
        """
        ref = Ref(SECRET, namespace, name)
        found = await self.get(ref)
        if found is None:
            raise NotFound(f"{ref} does not exist")
        if key not in (found.get("data") or {}):
            raise NotFound(f"{ref} has no key {key}")
        return base64.b64decode(found["data"][key]).decode(errors="replace")

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()


@asynccontextmanager
async def connect(
    kubeconfig: str | None = None, context: str | None = None, heard: Heard = lambda _date, _took: None
) -> AsyncIterator[KubeCluster]:
    """The cluster of a kubeconfig (or $KUBECONFIG, ~/.kube/config, the pod's service account), reached once for proof.

    `heard` is told what time it is there.

    Raises:
        InvalidInput: there is no kubeconfig, it cannot be used, or it does not lead to an API server.
        Unavailable: the API server does not answer.
        Forbidden: it refuses the credentials.
    """
    found, client = await access.find(kubeconfig, context)
    server = found.configuration.host
    cluster = KubeCluster(
        Transport(client, found.load, heard), server=server, context=found.context or "", namespace=found.namespace
    )
    try:
        await _prove(cluster)
        yield cluster
    finally:
        await cluster.close()


async def _prove(cluster: KubeCluster) -> None:
    try:
        await cluster.version()
    except Unavailable as error:
        where = f" (context {cluster.context})" if cluster.context else ""
        raise Unavailable(f"{cluster.server}{where}: {error}", after=error.after, hint=error.hint) from None
    except Forbidden as error:
        raise Forbidden(f"{cluster.server}: {error}", hint=error.hint) from None
    except (Rejected, Unsupported) as error:
        hint = "check the cluster's server address in the kubeconfig: most begin with https"
        raise InvalidInput(f"{cluster.server} is no API server: {error}", hint=hint) from None


def _intent(verb: str, ref: Ref, subresource: str = "") -> Intent:
    return Intent(verb, ref.kind, ref.namespace, ref.name, subresource)


def _tests(guard: Guard) -> list[Json]:
    """The guard as the first operations of a patch."""
    tests = [{"op": "test", "path": "/metadata/uid", "value": guard.uid}]
    if guard.version:
        tests.append({"op": "test", "path": "/metadata/resourceVersion", "value": guard.version})
    return tests


def _writing(kind: Kind, *, dry_run: bool) -> dict[str, str]:
    """Query of every write. Our own kinds are strict; foreign ones may carry fields that a newer version knows."""
    query = {"fieldManager": FIELD_MANAGER}
    if kind.group == GROUP:
        query["fieldValidation"] = "Strict"
    if dry_run:
        query["dryRun"] = "All"
    return query


def _kind(obj: Json) -> Kind:
    try:
        return kind_of(obj)
    except KeyError:
        raise Unsupported(f"cannot create a {obj.get('apiVersion')} {obj.get('kind')}: not a kind we handle") from None


def _object(answer: Answer) -> dict[str, Any]:
    """The body of a success. A body that is not an object comes from something that is no API server."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Unavailable("the server answers, but not as an API server does", hint="check the server's address")
    return body
