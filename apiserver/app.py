"""Composition root: storage -> registry -> admission -> endpoints -> filters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apiserver import refused_flags
from apiserver.admission.webhook_client import WebhookClient
from apiserver.admission_assembly import assemble as assemble_admission
from apiserver.authentication import token_assembly
from apiserver.authentication.assembly import assemble as assemble_authenticators
from apiserver.authentication.assembly import audiences
from apiserver.authentication.service_account_tokens import TokenKeys
from apiserver.authorization.assembly import assemble as assemble_authorizers
from apiserver.authorization.authorizer import Authorizers
from apiserver.bootstrap.flow_schema_status import FlowSchemaStatus
from apiserver.bootstrap.kubernetes_service import identity
from apiserver.bootstrap.roles import node_rules
from apiserver.bootstrap.start import Bootstrap, Facts
from apiserver.bootstrap.start_checks import add_encryption_checks, add_start_checks, etcd_check
from apiserver.endpoints.backends import Backends
from apiserver.endpoints.discovery import Discovery
from apiserver.endpoints.openapi import OpenAPI
from apiserver.endpoints.router import Router
from apiserver.endpoints.server import Endpoints
from apiserver.endpoints.shell import build_shell
from apiserver.extensions.aggregation import Aggregation
from apiserver.extensions.conversion import ConvertingStorage
from apiserver.extensions.custom_resource import Conversions
from apiserver.extensions.custom_resources import CustomResources
from apiserver.filters import flow_dumps
from apiserver.filters.audit import AuditLog
from apiserver.filters.audit_assembly import assemble as assemble_audit
from apiserver.filters.authentication import USER
from apiserver.filters.chain import build_chain
from apiserver.filters.draining import Shutdown
from apiserver.filters.priority_levels import PriorityLevels, Weigh
from apiserver.filters.reviewer import Reviewer
from apiserver.options import Options
from apiserver.registry import catalog as builtin
from apiserver.registry.core import component_status
from apiserver.registry.core.service_addresses import ServiceAddresses
from apiserver.registry.resource import Catalog, Resource
from apiserver.registry.store import Registry
from apiserver.request import LOOPBACK, RequestInfo
from apiserver.storage import assembly as storage_assembly
from apiserver.storage import metrics
from apiserver.storage.cacher import Cacher
from apiserver.storage.interface import Storage
from apiserver.storage.split import SplitStorage
from kubarium.api.core.pod import security_validation
from kubarium.apimachinery import errors
from kubarium.apimachinery.schema import catalog as schema_catalog
from kubarium.client.informer import Informers
from kubarium.client.loopback import LoopbackTransport
from kubarium.client.rest import Client
from kubarium.component_base import cycle_collector, logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.health import Health, always_well
from kubarium.component_base.process import STOP_SECONDS, Process
from kubarium.component_base.serving import TLS, App, IdentifyingProtocol, Receive, Scope, Send, serve
from kubarium.component_base.status_pages import StatusPages

log = logging.get(__name__)

_LISTED = ("/healthz", "/livez", "/metrics", "/readyz", "/version")  # on the status page


async def main(process: Process, options: Options, clock: Clock | None = None) -> None:
    """Connect to etcd, build the server, serve until the process stops."""
    clock = clock or RealClock()
    refused_flags.check(options)
    if not options.allow_privileged:
        security_validation.forbid_privileged()
    encryption = await storage_assembly.encryption(options, _server_id(options), clock)
    etcds, storage = storage_assembly.etcds(options, encryption, clock)
    for etcd in etcds:
        etcd.start(process)
    process.start("garbage", cycle_collector.tend(clock))
    signer = await token_assembly.signer(options, clock)
    if signer is not None:
        process.start("keys of tokens", signer.run())
    server = build(options, storage, clock, signer)
    server.health.measure(storage.measure)
    if server.audit is not None:
        process.start("audit", server.audit.run())
    if encryption is not None:
        process.start("encryption", encryption.run())
        add_encryption_checks(server.health, encryption)
    await storage.filled()
    server.start(process)
    serving = process.start("serving", _serve(options, server.app))
    log.info("serving on %s:%d", options.bind_address, options.secure_port)
    process.patience += options.shutdown_delay_duration
    process.patience += options.request_timeout if options.shutdown_send_retry_after else 0.0
    await process.stopped()
    await server.leave(options, clock)
    await server.stop()
    serving.cancel()
    while not serving.done():  # clients ask again at once, on connections that are still open
        storage.end_watches()
        await asyncio.wait([serving], timeout=0.1)
    for etcd in etcds:
        await etcd.close()
    if encryption is not None:
        await encryption.close()
    if signer is not None:
        await signer.close()


Tasks = list[tuple[str, Callable[[], Any]]]
"""Background tasks: a name, and what makes the coroutine. They are stopped in the opposite order."""


@dataclass
class ApiServer:
    """A built server: the application and the tasks that it needs."""

    app: App
    endpoints: Endpoints
    client: Client  # through the server's own front door
    health: Health
    audit: AuditLog | None
    shutdown: Shutdown
    tasks: Tasks
    _running: list[asyncio.Task[Any]] = field(default_factory=list)

    def start(self, process: Process) -> None:
        """Start the background tasks as children of a process."""
        self._running = [process.start(name, task()) for name, task in self.tasks]

    async def leave(self, options: Options, clock: Clock) -> None:
        """Say that we are not ready any more, and end what is under way."""
        self.shutdown.begun = True
        await clock.sleep(options.shutdown_delay_duration)
        if options.shutdown_send_retry_after:
            self.shutdown.refusing = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.request_timeout):
                    await self.shutdown.drained()

    async def stop(self) -> None:
        """Let the background tasks say good-bye while storage still answers."""
        for task in reversed(self._running):
            task.cancel()
            await asyncio.wait([task], timeout=STOP_SECONDS)
        await self.endpoints.backends.close()


def build(options: Options, storage: Storage, clock: Clock, signer: TokenKeys | None = None) -> ApiServer:
    """Put the parts together. Storage and clock come from outside, so that tests can bring their own."""
    door = _FrontDoor()
    client = Client(transport=LoopbackTransport(door, {USER: LOOPBACK}), user_agent="kube-apiserver")
    informers = Informers(client, clock)
    health = Health()
    rows = Catalog()
    rows.add(builtin.rows())
    kept = [row for row in rows.rows.values() if row.answer is None]
    families = {row.prefix: (row.group, row.plural) for row in reversed(kept)}  # the first group keeps events
    metrics.name(families)
    addresses = ServiceAddresses(storage, clock, options.service_cluster_ip_range, options.node_ports)
    server_id = _server_id(options)
    authorization = assemble_authorizers(options, informers, clock, node_rules(), server_id)
    authorizer, rbac = authorization.all, authorization.rbac
    tokens = token_assembly.assemble(options, signer, client, clock, f"https://{_address(options)}")
    authentication = assemble_authenticators(options, tokens.known, client, clock, server_id)
    cached = storage if isinstance(storage, Cacher | SplitStorage) else None
    weigh = cached.weigh if cached is not None else None
    end_watches = cached.end_watches if cached is not None else lambda prefix: None
    storage_checks = [cached.check if cached is not None else always_well]
    if isinstance(storage, SplitStorage):
        storage.place(families)
        storage_checks += [other.check for other in storage.others]
    storage = ConvertingStorage(storage)
    registry = Registry(
        storage,
        clock,
        addresses=addresses,
        reviewer=Reviewer(
            authorizer, (rbac, authorization.abac), tokens.known, authentication.others, audiences(options)
        ),
        issue_token=tokens.requests.issue if tokens.requests is not None else None,
        resources=_finder(rows),
        event_seconds=int(options.event_ttl),
        observe=lambda: component_status.look(storage_checks[0]),
    )
    schemas = _schemas(options)
    admission = assemble_admission(options, client, informers, clock, authorizer, rbac, rows, schemas)
    backends = Backends(
        registry,
        kubelet_certificate=options.kubelet_client_certificate,
        kubelet_key=options.kubelet_client_key,
        kubelet_authority=options.kubelet_certificate_authority,
        address_types=options.kubelet_preferred_address_types,
    )
    endpoints = Endpoints(rows, storage, registry, schemas, admission, clock, backends)
    discovery = Discovery(rows, _address(options))
    levels = _priority_levels(options, clock, _weigher(rows, weigh))
    dumps = flow_dumps.pages(levels) if levels is not None else {}
    openapi = OpenAPI(rows, endpoints.schemas)
    status = StatusPages("apiserver", options, clock, lambda: _LISTED)
    pages = {**health.pages(), **status.pages()}
    shell = build_shell(discovery, openapi, pages, tokens.documents or {}, dumps)
    aggregation = Aggregation(
        client,
        informers,
        clock,
        rows,
        discovery,
        openapi,
        options.proxy_client_cert_file,
        options.proxy_client_key_file,
    )
    audit = assemble_audit(options, clock)
    shutdown = Shutdown()
    door.app = build_chain(
        Router(endpoints, shell, aggregation),
        authenticator=authentication.all,
        authorizer=authorizer,
        clock=clock,
        request_timeout=options.request_timeout,
        audit=audit,
        priority_levels=levels,
        in_flight=(options.max_requests_inflight, options.max_mutating_requests_inflight),
        origins=options.cors_allowed_origins,
        directives=options.strict_transport_security_directives,
        shutdown=shutdown if options.shutdown_send_retry_after else None,
    )
    conversions = Conversions(storage, WebhookClient(client).call)
    custom = CustomResources(client, informers, clock, rows, endpoints.schemas, conversions, end_watches)
    bootstrap = Bootstrap(client, _facts(options), clock)
    add_start_checks(
        health,
        etcds=[etcd_check(check, options.etcd_healthcheck_timeout) for check in storage_checks],
        etcds_readiness=[etcd_check(check, options.etcd_readycheck_timeout) for check in storage_checks],
        informers=_settled(authorizer),
        definitions=custom.check,
        first_writes=bootstrap.check,
        shutdown=shutdown.check,
    )
    tasks: Tasks = [
        ("informers", informers.run),
        ("bootstrap", bootstrap.run),
        ("flow schema status", FlowSchemaStatus(client, informers, clock).run),
        ("settling", lambda: _settle(authorizer, bootstrap, informers)),
        ("custom resources", custom.run),
        ("aggregation", aggregation.run),
        ("service addresses", addresses.run),
    ]
    if levels is not None:
        levels.follow(informers)
        tasks.append(("priority levels", levels.run))
    if authorization.followed is not None:
        tasks.append(("authorization configuration", authorization.followed.run))
    if authentication.issuers is not None:
        tasks.append(("token issuers", authentication.issuers.run))
    return ApiServer(door, endpoints, client, health, audit, shutdown, tasks)


def _settled(authorizer: Authorizers) -> Callable[[], Any]:
    async def check() -> None:
        if not authorizer.settled.is_set():
            raise RuntimeError("the caches of authorizers and admission plugins are not filled yet")

    return check


async def _settle(authorizer: Authorizers, bootstrap: Bootstrap, informers: Informers) -> None:
    """From here on a refusal is meant: the roles are there and have been read."""
    await bootstrap.done.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30.0):
            await informers.synced()
    authorizer.settled.set()


class _FrontDoor:
    """The whole application, for parts that are built before it is complete."""

    app: App

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


# ------------------------------------------------------------------------------------------------------- the rest


def _server_id(options: Options) -> str:
    return identity(socket.gethostname(), _advertised(options), options.secure_port)


def _schemas(options: Options) -> schema_catalog.Catalog:
    folder = (
        Path(options.state_dir or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubarium"
    )
    return schema_catalog.load(folder / "schemas")


def _weigher(rows: Catalog, weigh: Callable[[str], tuple[int, int]] | None) -> Weigh:
    """How much a list is, by what the cache holds."""

    def of_request(info: RequestInfo) -> tuple[int, int]:
        row = rows.find(info.group, info.version, info.resource)
        return (0, 0) if weigh is None or row is None or row.answer is not None else weigh(row.list_prefix())

    return of_request


def _priority_levels(options: Options, clock: Clock, weigh: Weigh) -> PriorityLevels | None:
    if not options.enable_priority_and_fairness:
        return None
    total = options.max_requests_inflight + options.max_mutating_requests_inflight
    return PriorityLevels(total, clock, weigh)


def _finder(rows: Catalog) -> Callable[[str, str], Resource]:
    def find(group: str, plural: str) -> Resource:
        for row in rows.rows.values():
            if row.group == group and row.plural == plural:
                return row
        raise errors.NotFound.page()

    return find


def _advertised(options: Options) -> str:
    if options.advertise_address:
        return options.advertise_address
    return options.bind_address if options.bind_address not in ("0.0.0.0", "::") else "127.0.0.1"


def _address(options: Options) -> str:
    return f"{_advertised(options)}:{options.secure_port}"


def _facts(options: Options) -> Facts:
    def content(path: str) -> str:
        return Path(path).read_text() if path else ""

    return Facts(
        advertise_address=_advertised(options),
        secure_port=options.secure_port,
        service_cidrs=options.service_cluster_ip_range,
        hostname=socket.gethostname(),
        service_node_port=options.kubernetes_service_node_port,
        client_ca=content(options.client_ca_file),
        request_header_ca=content(options.requestheader_client_ca_file),
        request_header_allowed_names=options.requestheader_allowed_names,
    )


async def _serve(options: Options, app: App) -> None:
    more = (options.requestheader_client_ca_file,) if options.requestheader_client_ca_file else ()
    tls = TLS(
        options.tls_cert_file,
        options.tls_private_key_file,
        options.client_ca_file or None,
        more,
        options.tls_min_version,
        options.tls_cipher_suites,
        options.tls_sni_cert_key,
    )
    await serve(app, options.bind_address, options.secure_port, tls, http=IdentifyingProtocol, ws="none")
