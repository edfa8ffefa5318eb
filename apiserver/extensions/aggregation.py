"""Aggregated API servers: whole groups that somebody else serves, behind our door.

    APIService ─▶ is its service there, has it endpoints, does it answer? ─▶ condition Available
                                                                          ─▶ discovery lists its resources
    a request for one of its resources ─▶ passed on, with the user's name in front-proxy headers

Groups that we serve ourselves have APIServices, too: without a service, always available.
"""

from __future__ import annotations

import base64
import math
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from apiserver.endpoints.body import read
from apiserver.endpoints.discovery import Discovery, RemoteGroup
from apiserver.endpoints.openapi import OpenAPI
from apiserver.endpoints.openapi_merging import ForeignSchemas
from apiserver.endpoints.proxying import open_session, repeat, upgrade_of, why_not_reached
from apiserver.extensions.foreign import BadAnswer, Door, read_group, read_schemas
from apiserver.registry.resource import Catalog
from apiserver.request import CONTEXT, RequestContext, User
from kubarium.api.discovery.endpoint_slice import SERVICE_NAME
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, ObjectKey, copy, labels_of, name_of, spec_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Counts, Readings
from kubarium.component_base.serving import Receive, Scope, Send
from kubarium.component_base.tunnel import open_tunnel

log = logging.get(__name__)

API_VERSION, PLURAL = "apiregistration.k8s.io/v1", "apiservices"
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
CHECK_SECONDS = 30.0
SOON_SECONDS = 2.0  # while it is not available
AGGREGATOR = User("system:kube-aggregator", groups=("system:masters",))
_LOST = Counts(
    "aggregator_unavailable_apiservice_total",
    "Counter of APIServices which are marked as unavailable broken down by APIService name and reason.",
    ("name", "reason"),
)
_unavailable: dict[str, bool] = {}
Readings(
    "aggregator_unavailable_apiservice",
    "Gauge of APIServices which are marked as unavailable broken down by APIService name.",
    ("name",),
    lambda: [((name,), float(lost)) for name, lost in _unavailable.items()],
)
_IDENTITY = (b"x-remote-user", b"x-remote-uid", b"x-remote-group", b"x-remote-extra-")


@dataclass(frozen=True)
class Upstream:
    """An aggregated server that answers."""

    host: str  # an endpoint's address
    port: int
    server_name: str
    client: aiohttp.ClientSession
    tls: ssl.SSLContext

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return (
            f"https://[{self.host}]:{self.port}" if ":" in self.host else f"https://{self.host}:{self.port}"
        )


class Unavailable(Exception):
    """Why an APIService is not available: a reason and a message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class _Known:
    """What was found out about one APIService."""

    spec: Object
    upstream: Upstream | None = None
    group: RemoteGroup | None = None
    schemas: ForeignSchemas | None = None
    problem: str = ""
    clients: dict[bytes, tuple[aiohttp.ClientSession, ssl.SSLContext]] = field(default_factory=dict)

    async def close(self) -> None:
        """Hang up on its servers."""
        for client, _ in self.clients.values():
            await client.close()


class Aggregation(Controller):
    """Judges APIServices and passes requests on to those that are available."""

    name = "aggregation"
    workers = 4

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        catalog: Catalog,
        discovery: Discovery,
        openapi: OpenAPI,
        certificate: str = "",
        key: str = "",
    ) -> None:
        self._catalog = catalog
        self._discovery = discovery
        self._openapi = openapi
        self._certificate, self._key = certificate, key
        self._known: dict[tuple[str, str], _Known] = {}
        super().__init__(client, informers, clock)
        self._api_services = self.informer(API_VERSION, PLURAL)
        catalog.listeners.append(self._catalog_changed)

    def watches(self) -> Sequence[Watch]:
        return [Watch(API_VERSION, PLURAL)]

    async def run(self) -> None:
        """Work until cancelled, then hang up."""
        try:
            await super().run()
        finally:
            for known in self._known.values():
                await known.close()

    async def started(self) -> None:
        self._catalog_changed()

    def _catalog_changed(self) -> None:
        for group, versions in self._catalog.groups().items():
            for version in versions:
                self.queue.add(ObjectKey("", f"{version}.{group}"))
        for api_service in self._api_services.lister.list():  # some may have lost their version
            self.enqueue(api_service)

    # ------------------------------------------------------------------------------------------------ judging

    async def reconcile(self, key: ObjectKey) -> float | None:
        version, _, group = key.name.partition(".")
        local = version in self._catalog.groups().get(group, ())
        api_service = self._api_services.lister.get(key)
        if api_service is None:
            _unavailable.pop(key.name, None)
            await self._forget(group, version)
            if local:
                await self._make_local(group, version)
            return None
        if spec_of(api_service).get("service") is None:
            await self._forget(group, version)
            if not local and labels_of(api_service).get(AUTOMANAGED):
                await self.client.resource(API_VERSION, PLURAL).delete(key.name)
                return None
            await self._report(api_service, "True", "Local", "Local APIServices are always available")
            return None
        try:
            await self._examine(api_service)
        except Unavailable as problem:
            self._lost(group, version, str(problem))
            await self._report(api_service, "False", problem.reason, str(problem))
            return SOON_SECONDS
        await self._report(api_service, "True", "Passed", "all checks passed")
        return CHECK_SECONDS

    async def _make_local(self, group: str, version: str) -> None:
        """The APIService of a version that we serve ourselves."""
        builtin = not group or not any(
            row.custom is not None for row in self._catalog.rows.values() if row.group == group
        )
        priority = {"": 18000, "apiregistration.k8s.io": 18000, "apps": 17800}.get(
            group, 17000 if builtin else 1000
        )
        obj: Object = {
            "apiVersion": API_VERSION,
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}", "labels": {AUTOMANAGED: "onstart" if builtin else "true"}},
            "spec": {
                "version": version,
                "groupPriorityMinimum": priority,
                "versionPriority": 15 if builtin else 100,
            } | ({"group": group} if group else {}),
        }  # fmt: skip
        try:
            await self.client.resource(API_VERSION, PLURAL).create(obj)
        except errors.AlreadyExists:
            log.debug("%s has its APIService", name_of(obj))

    async def _examine(self, api_service: Object) -> None:
        """Find the server and read its discovery document. Raises Unavailable."""
        spec = spec_of(api_service)
        group, version = spec["group"], spec["version"]
        known = self._known.setdefault((group, version), _Known(spec))
        known.spec = spec
        upstream = await self._find(known)
        door = Door(upstream.client, upstream.base, upstream.server_name, lambda: self._headers(AGGREGATOR))
        try:
            fresh = await read_group(door, group, version)
        except BadAnswer as error:
            raise Unavailable("FailedDiscoveryCheck", str(error)) from None
        known.upstream, known.problem = upstream, ""
        schemas = await read_schemas(door, group, version, known.schemas)
        if known.group != fresh or known.schemas != schemas:
            known.group, known.schemas = fresh, schemas
            log.info("/apis/%s/%s is served by %s", group, version, upstream.base)
            self._publish()

    async def _find(self, known: _Known) -> Upstream:
        wanted = known.spec["service"]
        namespace, name, number = wanted["namespace"], wanted["name"], wanted.get("port") or 443
        shown = f'service/{name} in "{namespace}"'
        try:
            service = await self.client.resource("v1", "services").get(name, namespace)
        except errors.NotFound:
            raise Unavailable("ServiceNotFound", f"{shown} is not present") from None
        port = next(
            (entry for entry in spec_of(service).get("ports") or () if entry.get("port") == number), None
        )
        if port is None:
            raise Unavailable("ServicePortError", f"{shown} is not listening on port {number}")
        slices = await self.client.resource("discovery.k8s.io/v1", "endpointslices").list(
            namespace, label_selector=f"{SERVICE_NAME}={name}"
        )
        if not slices["items"]:
            raise Unavailable("EndpointsNotFound", f"cannot find endpointslices for {shown}")
        host, target = _ready_endpoint(slices["items"], port.get("name") or "")
        if not host:
            port_name = port.get("name") or ""
            text = f'endpoints for {shown} have no addresses with port name "{port_name}"'
            raise Unavailable("MissingEndpoints", text)
        client, tls = self._client_for(known)
        return Upstream(host, target, f"{name}.{namespace}.svc", client, tls)

    def _client_for(self, known: _Known) -> tuple[aiohttp.ClientSession, ssl.SSLContext]:
        mark = (known.spec.get("caBundle") or "").encode() + bytes(
            [bool(known.spec.get("insecureSkipTLSVerify"))]
        )
        if mark not in known.clients:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if known.spec.get("caBundle"):
                context.load_verify_locations(cadata=base64.b64decode(known.spec["caBundle"]).decode())
            elif known.spec.get("insecureSkipTLSVerify"):
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            else:
                context.load_default_certs()
            if self._certificate:
                context.load_cert_chain(self._certificate, self._key)
            client = open_session(context)
            known.clients[mark] = (client, context)
        return known.clients[mark]

    async def _report(self, api_service: Object, status: str, reason: str, message: str) -> None:
        name, lost = name_of(api_service), status != "True"
        if lost and conditions.is_true(api_service, "Available"):
            _LOST.add((name, reason))
        _unavailable[name] = lost
        changed = copy(api_service)
        found = changed.setdefault("status", {}).setdefault("conditions", [])
        condition = {"type": "Available", "status": status, "reason": reason, "message": message}
        conditions.set_condition(found, condition, self.clock.now())
        if changed["status"] != status_of(api_service):
            try:
                await self.client.resource(API_VERSION, PLURAL).update_status(changed)
            except errors.NotFound:
                log.debug("%s is gone already", name)

    def _lost(self, group: str, version: str, problem: str) -> None:
        known = self._known.get((group, version))
        if known is not None:
            known.upstream, known.problem = None, problem
            if known.group is not None and not known.group.stale:
                known.group = replace(known.group, stale=True)
            self._publish()

    async def _forget(self, group: str, version: str) -> None:
        known = self._known.pop((group, version), None)
        if known is not None:
            self._publish()
            await known.close()

    def _publish(self) -> None:
        self._discovery.set_remote(
            [known.group for known in self._known.values() if known.group is not None],
            silent=[place for place, known in self._known.items() if known.upstream is None],
        )
        self._openapi.set_foreign(
            known.schemas for known in self._known.values() if known.schemas is not None
        )

    # ------------------------------------------------------------------------------------------- passing on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the server of its group, or answer 404 or 503."""
        context: RequestContext = scope[CONTEXT]
        known = self._known.get((context.info.group, context.info.version))
        if known is None:
            raise errors.NotFound.page() if self._catalog.owns(context.info.group) else errors.NoSuchPath
        if known.upstream is None:
            raise errors.NoServer
        upstream = known.upstream
        raw: str = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        target = raw + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        headers = [(name, value) for name, value in scope["headers"] if not name.startswith(_IDENTITY)]
        identity = [(name.encode(), value.encode()) for name, value in self._headers(context.user)]
        try:
            if upgrade_of(scope):
                await self._tunnel(upstream, scope, target, headers + identity)
                return
            content = await read(receive, limit=math.inf)
            await repeat(upstream.client, upstream.base, scope["method"], target, headers + identity, content, receive,
                         send, server_name=upstream.server_name)  # fmt: skip
        except (aiohttp.ClientError, OSError) as error:
            log.info("cannot pass %s on: %s", context.info.path, error)
            raise errors.ServiceUnavailable(
                f"error trying to reach service: {why_not_reached(error)}"
            ) from None

    @staticmethod
    async def _tunnel(
        upstream: Upstream, scope: Scope, target: str, headers: list[tuple[bytes, bytes]]
    ) -> None:
        protocol = (scope.get("state") or {}).get("protocol")
        if protocol is None:
            raise errors.InternalError.because("this connection cannot be upgraded")
        await open_tunnel(protocol, upstream.host, upstream.port, scope["method"], target, headers, upstream.tls,
                          upstream.server_name)  # fmt: skip

    @staticmethod
    def _headers(user: User) -> list[tuple[str, str]]:
        """Who asks, in the words of a front proxy."""
        found = [("X-Remote-User", user.name), *(("X-Remote-Group", group) for group in user.groups)]
        if user.uid:
            found.append(("X-Remote-Uid", user.uid))
        for key, values in user.extra.items():
            found += [(f"X-Remote-Extra-{quote(key, safe='')}", value) for value in values]
        return found


def _ready_endpoint(slices: Sequence[Object], port_name: str) -> tuple[str, int]:
    for slice_ in slices:
        number = next(
            (p.get("port") for p in slice_.get("ports") or () if (p.get("name") or "") == port_name), None
        )
        for endpoint in slice_.get("endpoints") or () if number else ():
            if (endpoint.get("conditions") or {}).get("ready") is not False and endpoint.get("addresses"):
                return endpoint["addresses"][0], int(number or 0)
    return "", 0
