"""Builds the controller manager from its options: elect a leader, start informers, start what the catalog names."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import uuid

from controller_manager import catalog
from controller_manager.credentials import AccountClient
from controller_manager.options import Options
from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.client.informer import Informers
from kubarium.client.leader_election import LeaderElector
from kubarium.client.rest import Client
from kubarium.client.running_controllers import RUNNING
from kubarium.client.secure_pages import SecurePages
from kubarium.client.transport import NetworkTransport, Transport
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.options import format_duration
from kubarium.component_base.process import Process

log = logging.get(__name__)

NAME = "kube-controller-manager"


class Manager:
    """All controllers of one process, connected. `lead` runs them for as long as it is not cancelled."""

    def __init__(self, client: Client, options: Options, clock: Clock) -> None:
        self.client, self.options, self.clock = client, options, clock
        self.rows = catalog.chosen(options.controllers)
        self._anonymous: Transport | None = None
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
                RUNNING.set((name, NAME), 1.0)
                if self.options.controller_start_interval:
                    await self.clock.sleep(self.options.controller_start_interval)

    async def close(self) -> None:
        """Close what this manager has opened."""
        if self._anonymous is not None:
            await self._anonymous.close()

    def _client_for(self, account: str) -> Client:
        if not account or not self.options.use_service_account_credentials:
            return self.client
        return AccountClient(self.client, self._anonymous_transport(), account, self.clock)

    def _anonymous_transport(self) -> Transport:
        """Connections without a client certificate: otherwise the server would see that, and not the token."""
        if self._anonymous is None:
            bare = dataclasses.replace(
                self.client.config,
                cert_file="",
                cert_data=b"",
                key_file="",
                key_data=b"",
                token="",
                token_file="",
            )
            self._anonymous = NetworkTransport(bare.server, bare.ssl_context())
        return self._anonymous


def without_managed_fields(obj: Object) -> Object:
    """No controller asks who owns which field; without them the caches are much smaller."""
    obj["metadata"].pop("managedFields", None)
    return obj


async def run(
    process: Process, options: Options, *, client: Client | None = None, clock: Clock | None = None
) -> None:
    """The whole program: serve pages, compete for the lease, run controllers while it is ours."""
    clock = clock or RealClock()
    client = client or Client(kubeconfig.of_program(options.kubeconfig, options.master), user_agent=NAME)
    async with client:
        manager = Manager(client, options, clock)
        process.start("controllers", _lead(options, manager))
        if options.secure_port:
            process.start("pages", _pages(options, clock).serve())
        await process.stopped()
        await process.close()
        await manager.close()


def _pages(options: Options, clock: Clock) -> SecurePages:
    pages = SecurePages(NAME, options, clock)
    pages.show_configuration("kubecontrollermanager.config.k8s.io", lambda: {"Generic": _generic(options)})
    return pages


def _generic(options: Options) -> Object:
    """The part of upstream's configuration that all controllers share, in its Go names."""
    return {
        "Address": options.bind_address,
        "Controllers": list(options.controllers),
        "LeaderElection": {
            "LeaderElect": options.leader_elect,
            "LeaseDuration": format_duration(options.leader_elect_lease_duration),
            "RenewDeadline": format_duration(options.leader_elect_renew_deadline),
            "RetryPeriod": format_duration(options.leader_elect_retry_period),
            "ResourceLock": "leases",
            "ResourceName": options.leader_elect_resource_name,
            "ResourceNamespace": options.leader_elect_resource_namespace,
        },
        "Debugging": {"EnableProfiling": options.profiling},
    }


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
