"""An API server in memory for unit tests: the REST contract without validation, recording every write.

    api = FakeAPI(make_pod("web"), make_node("n1"))
    client = api.client()                         # a `rest.Client` over an in-process transport
    ...
    assert api.actions == [Action("create", "pods", "default", "web-1", "")]
    assert api.get("v1", "pods", "default", "web-1")["spec"]["nodeName"] == "n1"

What it does: get, list, watch, create, update, patch (json; merge, strategic and apply as merge), delete,
deletecollection, the status subresource, resource versions, generateName, finalizers, graceful deletion of pods,
bindings.
What it does not: defaults, validation, admission, access control.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

import orjson

from kubarium.apimachinery import errors, fields, labels, names, time
from kubarium.apimachinery.object import Object, copy, finalizers_of, is_deleting, labels_of
from kubarium.apimachinery.patch import json_patch
from kubarium.client.loopback import LoopbackTransport
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock, RealClock

PLURALS = {
    "Endpoints": "endpoints",
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "StorageClass": "storageclasses",
    "VolumeAttributesClass": "volumeattributesclasses",
    "PriorityClass": "priorityclasses",
    "RuntimeClass": "runtimeclasses",
    "IngressClass": "ingressclasses",
    "IPAddress": "ipaddresses",
    "CSIStorageCapacity": "csistoragecapacities",
    "DeviceClass": "deviceclasses",
}


class Action(NamedTuple):
    """One write that reached the server."""

    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str = ""


class _Place(NamedTuple):
    api_version: str
    resource: str
    namespace: str
    name: str
    subresource: str


@dataclass(frozen=True, slots=True)
class _Event:
    revision: int
    api_version: str
    resource: str
    type: str
    obj: Object
    old: Object | None


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def plural_of(kind: str) -> str:
    """`Pod` -> `pods`."""
    return PLURALS.get(kind, kind.lower() + "s")


class FakeAPI:
    """Objects by kind, and a log of changes for watches."""

    def __init__(self, *objects: Object, clock: Clock | None = None) -> None:
        self.actions: list[Action] = []
        self.refuse: Callable[[Action, Object | None], errors.StatusError | None] = lambda action, obj: None
        self.away = ""  # `refuses` connections, or `hangs`: takes them and does not answer
        self._clock = clock or RealClock()
        self._objects: dict[tuple[str, str], dict[tuple[str, str], Object]] = {}
        self._revision = itertools.count(1)
        self._newest = 0
        self._log: list[_Event] = []
        self._news: set[asyncio.Event] = set()
        self._held_back: set[str] = set()
        for obj in objects:
            self.put(obj)

    def client(self, user_agent: str = "test") -> Client:
        """A client of this server."""
        return Client(user_agent=user_agent, transport=LoopbackTransport(self))

    def put(self, obj: Object) -> Object:
        """Make an object exist as it is, as if somebody else had written it."""
        fresh = copy(obj)
        metadata = fresh["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", time.format_time(self._clock.now()))
        key = (metadata.get("namespace") or "", metadata["name"])
        kept = self._objects.setdefault((fresh["apiVersion"], plural_of(fresh["kind"])), {})
        return self._keep(kept, key, fresh, plural_of(fresh["kind"]))

    def get(self, api_version: str, resource: str, namespace: str, name: str) -> Object:
        """An object as it is now. Raises NotFound."""
        found = self._objects.get((api_version, resource), {}).get((namespace, name))
        if found is None:
            raise errors.NotFound.of(_group(api_version), resource, name)
        return copy(found)

    def objects(self, api_version: str, resource: str, namespace: str = "") -> list[Object]:
        """All objects of a kind, by name."""
        kept = self._objects.get((api_version, resource), {})
        return [copy(kept[key]) for key in sorted(kept) if not namespace or key[0] == namespace]

    def remove(self, api_version: str, resource: str, namespace: str, name: str) -> None:
        """Make an object vanish."""
        kept = self._objects[(api_version, resource)]
        self._drop(kept, (namespace, name), api_version, resource)

    def hold_back(self, resource: str) -> None:
        """Let watches of a resource hear nothing for now: whoever has a cache of it sees the past."""
        self._held_back.add(resource)

    def let_through(self, resource: str) -> None:
        """Let them hear what was held back."""
        self._held_back.discard(resource)
        self._wake()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if self.away == "refuses":
            raise ConnectionRefusedError("the API server is away")
        if self.away == "hangs":
            await asyncio.Event().wait()
        body = (await receive()).get("body") or b""
        query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode()).items()}
        try:
            place = _place(scope["path"])
            if scope["method"] == "GET" and query.get("watch") == "true":
                await self._watch(place, query, receive, send)
                return
            status, answer = self._serve(
                scope["method"], place, query, orjson.loads(body) if body else None, scope
            )
        except errors.StatusError as error:
            status, answer = error.code, error.status()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(answer)})

    def _serve(
        self, method: str, place: _Place, query: dict[str, str], body: Any, scope: MutableMapping[str, Any]
    ) -> tuple[int, Object]:
        kept = self._objects.setdefault((place.api_version, place.resource), {})
        if method == "GET":
            if place.name:
                return 200, self.get(place.api_version, place.resource, place.namespace, place.name)
            return 200, self._list(place, kept, query)
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
        if method == "DELETE" and not place.name:
            for namespace, name in list(kept):
                if _selected(kept[(namespace, name)], query, place.namespace):
                    self._serve("DELETE", place._replace(namespace=namespace, name=name), query, body, scope)
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        if method == "POST" and not place.subresource:
            return 201, self._create(place, kept, body)
        action = Action(verb, *place[1:])
        self._check(action, body)
        if method == "POST":
            return 201, self._post_subresource(place, kept, body)
        old = self.get(place.api_version, place.resource, place.namespace, place.name)
        if method == "DELETE":
            return 200, self._delete(place, kept, old, body or {})
        if method == "PUT":
            new = copy(body)
            wanted = new["metadata"].get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise errors.Conflict.of(
                    _group(place.api_version), place.resource, place.name, errors.MODIFIED_MEANWHILE
                )
        else:
            content_type = dict(scope["headers"]).get(b"content-type", b"").decode()
            new = _patched(copy(old), body, content_type)
        if place.subresource == "status":
            new = {**copy(old), "status": new.get("status"), "metadata": {**new["metadata"]}}
        elif "status" in old:
            new["status"] = old["status"]
        new["metadata"]["uid"] = old["metadata"]["uid"]
        key = (place.namespace, place.name)
        if is_deleting(new) and not finalizers_of(new) and place.resource != "pods":
            kept[key] = new
            return 200, self._drop(kept, key, place.api_version, place.resource)
        return 200, copy(self._keep(kept, key, new, place.resource))

    def _list(self, place: _Place, kept: dict[tuple[str, str], Object], query: dict[str, str]) -> Object:
        items = [copy(kept[key]) for key in sorted(kept) if _selected(kept[key], query, place.namespace)]
        return {
            "kind": "List",
            "apiVersion": place.api_version,
            "metadata": {"resourceVersion": str(self._newest)},
            "items": items,
        }

    def _create(self, place: _Place, kept: dict[tuple[str, str], Object], body: Object) -> Object:
        obj = copy(body)
        metadata = obj.setdefault("metadata", {})
        if place.namespace:
            metadata["namespace"] = place.namespace
        if not metadata.get("name"):
            metadata["name"] = names.generate_name(metadata.get("generateName") or "")
        self._check(Action("create", place.resource, place.namespace, metadata["name"]), obj)
        key = (place.namespace, metadata["name"])
        if key in kept:
            raise errors.AlreadyExists.of(_group(place.api_version), place.resource, metadata["name"])
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": time.format_time(self._clock.now())}
        metadata.setdefault("generation", 1)
        return copy(self._keep(kept, key, obj, place.resource))

    def _post_subresource(self, place: _Place, kept: dict[tuple[str, str], Object], body: Object) -> Object:
        pod = self.get(place.api_version, place.resource, place.namespace, place.name)
        key = (place.namespace, place.name)
        if place.subresource == "binding":
            if pod["spec"].get("nodeName"):
                raise errors.Conflict.of(
                    "", "pods", place.name, f"pod {place.name} is already assigned to node"
                )
            pod["spec"]["nodeName"] = body["target"]["name"]
            self._keep(kept, key, pod, place.resource)
        elif place.subresource == "eviction":
            self._delete(place, kept, pod, body.get("deleteOptions") or {})
        elif place.subresource == "token":
            return {
                **body,
                "status": {"token": f"token-of-{place.name}", "expirationTimestamp": "2099-01-01T00:00:00Z"},
            }
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201}

    def _delete(
        self, place: _Place, kept: dict[tuple[str, str], Object], old: Object, options: Object
    ) -> Object:
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != old["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {old['metadata']['uid']}"
            raise errors.Conflict.of(_group(place.api_version), place.resource, place.name, why)
        key = (place.namespace, place.name)
        if options.get("propagationPolicy") == "Foreground":
            old["metadata"].setdefault("finalizers", []).append("foregroundDeletion")
        graceful = place.resource == "pods" and (old.get("spec") or {}).get("nodeName")
        grace = options.get(
            "gracePeriodSeconds", (old.get("spec") or {}).get("terminationGracePeriodSeconds", 30)
        )
        if finalizers_of(old) or (graceful and grace != 0):
            old["metadata"].setdefault("deletionTimestamp", time.format_time(self._clock.now()))
            old["metadata"].setdefault("deletionGracePeriodSeconds", grace if graceful else 0)
            return copy(self._keep(kept, key, old, place.resource))
        return self._drop(kept, key, place.api_version, place.resource)

    def _check(self, action: Action, body: Object | None) -> None:
        refusal = self.refuse(action, body)
        if refusal is not None:
            raise refusal
        self.actions.append(action)

    def _keep(
        self, kept: dict[tuple[str, str], Object], key: tuple[str, str], obj: Object, resource: str
    ) -> Object:
        old = kept.get(key)
        if old is not None and _same(old, obj):
            return old
        self._newest = next(self._revision)
        obj["metadata"]["resourceVersion"] = str(self._newest)
        kept[key] = obj
        self._say("MODIFIED" if old is not None else "ADDED", obj, old, resource)
        return obj

    def _drop(
        self, kept: dict[tuple[str, str], Object], key: tuple[str, str], api_version: str, resource: str
    ) -> Object:
        old = kept.pop(key)
        self._newest = next(self._revision)
        final = copy(old)
        final["metadata"]["resourceVersion"] = str(self._newest)
        self._say("DELETED", final, old, resource, api_version)
        return copy(final)

    def _say(self, type: str, obj: Object, old: Object | None, resource: str, api_version: str = "") -> None:
        self._log.append(
            _Event(self._newest, api_version or obj["apiVersion"], resource, type, copy(obj), old)
        )
        self._wake()

    def _wake(self) -> None:
        for news in self._news:
            news.set()

    async def _watch(self, place: _Place, query: dict[str, str], receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        news = asyncio.Event()
        self._news.add(news)
        gone = asyncio.ensure_future(receive())
        position = 0
        after = int(query.get("resourceVersion") or 0)
        try:
            while not gone.done():
                news.clear()
                while position < len(self._log) and place.resource not in self._held_back:
                    event = self._log[position]
                    position += 1
                    line = self._line(event, place, query) if event.revision > after else None
                    if line is not None:
                        await send({"type": "http.response.body", "body": line, "more_body": True})
                waiting = asyncio.ensure_future(news.wait())
                await asyncio.wait([gone, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            self._news.discard(news)
            gone.cancel()

    @staticmethod
    def _line(event: _Event, place: _Place, query: dict[str, str]) -> bytes | None:
        if (event.api_version, event.resource) != (place.api_version, place.resource):
            return None
        now = event.type != "DELETED" and _selected(event.obj, query, place.namespace)
        before = event.old is not None and _selected(event.old, query, place.namespace)
        if not now and not before:
            return None
        type = "DELETED" if not now else "MODIFIED" if before else "ADDED"
        return orjson.dumps({"type": type, "object": event.obj}) + b"\n"


def _place(path: str) -> _Place:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api":
        api_version, rest = parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        api_version, rest = f"{parts[1]}/{parts[2]}", parts[3:]
    else:
        raise errors.NotFound.page()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (*rest, "", "")[:3]
    return _Place(api_version, resource, namespace, name, subresource)


def _selected(obj: Object, query: dict[str, str], namespace: str) -> bool:
    if namespace and (obj["metadata"].get("namespace") or "") != namespace:
        return False
    if not labels.parse(query.get("labelSelector", "")).matches(labels_of(obj)):
        return False
    selector = fields.parse(query.get("fieldSelector", ""))
    getters = {r.field: (lambda o, path=r.field: _read(o, path)) for r in selector.requirements}
    return selector.matches(obj, getters)


def _read(obj: Object, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _patched(obj: Object, patch: Any, content_type: str) -> Object:
    if content_type.startswith("application/json-patch"):
        changed: Object = json_patch.apply(obj, patch)
        return changed
    _merge(obj, patch)
    return obj


def _merge(target: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif key == "conditions" and isinstance(target.get(key), list):
            by_type = {condition["type"]: condition for condition in [*target[key], *value]}
            target[key] = list(by_type.values())
        else:
            target[key] = value


def _same(old: Object, new: Object) -> bool:
    def bare(obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": ""}}

    return bare(old) == bare(new)


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
