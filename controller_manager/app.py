"""Builds the controller manager from its options: elect a leader, start informers, start what the catalog names."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import tempfile
import uuid
from pathlib import Path

from controller_manager import catalog
from controller_manager.credentials import AccountClient
from controller_manager.options import Options
from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.client.informer import Informers
from kubarium.client.leader_election import LeaderElector
from kubarium.client.rest import Client
from kubarium.client.transport import NetworkTransport, Transport
from kubarium.component_base import certificates, logging, serving
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.health import Health
from kubarium.component_base.process import Process

log = logging.get(__name__)

NAME = "kube-controller-manager"


class Manager:
    """All controllers of one process, connected. `lead` runs them for as long as it is not cancelled."""

    def __init__(
        self, client: Client, options: Options, clock: Clock, transport: Transport | None = None
    ) -> None:
        self.client, self.options, self.clock = client, options, clock
        self.rows = catalog.chosen(options.controllers)
        self._transport = transport
        self._own_transport: Transport | None = None
        self.informers: Informers | None = None

    async def lead(self) -> None:
        """Build everything that is asked for, then run it."""
        informers = self.informers = Informers(self.client, self.clock, transform=without_managed_fields)
        context = catalog.Context(self.options, informers, self.clock, self._client_for)
        built: list[tuple[str, catalog.Runnable]] = []
        for row in self.rows:
            context.client = context.client_for(row.account)
            controller = row.build(context)
            if controller is None:
                log.info("%s has nothing to do with these flags", row.name)
                continue
            built.append((row.name, controller))
        log.info("starting %d controllers", len(built))
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run(), name="informers")
            for recorder in context.recorders:
                group.create_task(recorder.run(), name="events")
            for name, controller in built:
                group.create_task(controller.run(), name=name)

    async def close(self) -> None:
        """Close what this manager has opened."""
        if self._own_transport is not None:
            await self._own_transport.close()

    def _client_for(self, account: str) -> Client:
        if not account or not self.options.use_service_account_credentials:
            return self.client
        return AccountClient(self.client, self._anonymous_transport(), account, self.clock)

    def _anonymous_transport(self) -> Transport:
        """Connections without a client certificate: otherwise the server would see that, and not the token."""
        if self._transport is not None:
            return self._transport
        if self._own_transport is None:
            bare = dataclasses.replace(
                self.client.config,
                cert_file="",
                cert_data=b"",
                key_file="",
                key_data=b"",
                token="",
                token_file="",
            )
            self._own_transport = NetworkTransport(bare.server, bare.ssl_context())
        return self._own_transport


def without_managed_fields(obj: Object) -> Object:
    """No controller asks who owns which field; without them the caches are much smaller."""
    obj["metadata"].pop("managedFields", None)
    return obj


async def run(
    process: Process, options: Options, *, client: Client | None = None, clock: Clock | None = None
) -> None:
    """The whole program: serve pages, compete for the lease, run controllers while it is ours."""
    clock = clock or RealClock()
    client = client or Client(
        kubeconfig.load(options.kubeconfig) if options.kubeconfig else kubeconfig.in_cluster(),
        user_agent=NAME,
    )
    async with client:
        manager = Manager(client, options, clock)
        process.start("controllers", _lead(options, manager))
        with tempfile.TemporaryDirectory(prefix=f"{NAME}-") as scratch:
            if options.secure_port:
                process.start("pages", _serve(options, Path(options.cert_dir or scratch)))
            await process.stopped()
            await process.close()
        await manager.close()


async def _lead(options: Options, manager: Manager) -> None:
    if not options.leader_elect:
        await manager.lead()
        return
    elector = LeaderElector(
        manager.client,
        options.leader_elect_resource_name,
        f"{socket.gethostname()}_{uuid.uuid4()}",
        manager.clock,
        namespace=options.leader_elect_resource_namespace,
        lease_duration=options.leader_elect_lease_duration,
        renew_deadline=options.leader_elect_renew_deadline,
        retry_period=options.leader_elect_retry_period,
    )
    await elector.run(manager.lead)


async def _serve(options: Options, directory: Path) -> None:
    cert, key = options.tls_cert_file, options.tls_private_key_file
    if not cert:
        cert, key = _self_signed(directory)
    tls = serving.TLS(cert, key, options.client_ca_file or None)
    await serving.serve(serving.pages(Health().pages()), options.bind_address, options.secure_port, tls)


def _self_signed(directory: Path) -> tuple[str, str]:
    directory.mkdir(parents=True, exist_ok=True)
    cert, key = directory / f"{NAME}.crt", directory / f"{NAME}.key"
    if not cert.exists():
        authority = certificates.Authority.create(f"{NAME}-ca")
        authority.server(NAME, ["localhost", "127.0.0.1"]).write(cert, key)
    return str(cert), str(key)
