"""Builds the cloud controller manager: elect a leader, then run the controllers that the provider has abilities for."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Callable, Sequence

from cloud_controller_manager.controllers.node import NodeController
from cloud_controller_manager.controllers.node_lifecycle import NodeLifecycleController
from cloud_controller_manager.controllers.route import RouteController
from cloud_controller_manager.controllers.service import ServiceController
from cloud_controller_manager.options import Options
from cloud_controller_manager.provider import CloudProvider
from cloud_controller_manager.providers.local import LocalProvider
from kubarium.client.controller import Controller
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import of_program
from kubarium.client.leader_election import LeaderElector
from kubarium.client.rest import Client
from kubarium.client.running_controllers import RUNNING
from kubarium.client.secure_pages import SecurePages
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process

NAME = "cloud-controller-manager"
PROVIDERS: dict[str, Callable[[], CloudProvider]] = {"local": LocalProvider}

ALIASES = {  # upstream's old names, which flags may still use
    "cloud-node": NodeController.name,
    "cloud-node-lifecycle": NodeLifecycleController.name,
    "service": ServiceController.name,
    "route": RouteController.name,
}

log = logging.get(__name__)


class UnknownController(Exception):
    """The flags name a controller that does not exist."""


class UnknownProvider(Exception):
    """No provider has the name that the flags ask for."""


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then work until stopped."""
    options = parse(Options, argv, NAME)
    logging.setup(NAME, options.verbosity, options.logging_format)
    if options.cloud_provider not in PROVIDERS:
        raise UnknownProvider(
            f'unknown cloud provider "{options.cloud_provider}", known are: {", ".join(PROVIDERS)}'
        )
    canonical(options.controllers)
    config = of_program(options.kubeconfig, options.master)
    async with Client(config, user_agent=NAME) as client:
        await start(process, options, client, PROVIDERS[options.cloud_provider](), RealClock())


async def start(
    process: Process, options: Options, client: Client, provider: CloudProvider, clock: Clock
) -> None:
    """Serve the pages, compete for the lease, run the controllers while it is ours."""

    async def lead() -> None:
        await run_controllers(client, options, provider, clock)

    elector = LeaderElector(
        client,
        options.leader_elect_resource_name,
        f"{socket.gethostname()}_{uuid.uuid4()}",
        clock,
        namespace=options.leader_elect_resource_namespace,
        lease_duration=options.leader_elect_lease_duration,
        renew_deadline=options.leader_elect_renew_deadline,
        retry_period=options.leader_elect_retry_period,
    )
    process.start("controllers", elector.run(lead) if options.leader_elect else lead())
    if options.secure_port:
        process.start("pages", SecurePages(NAME, options, clock).serve())
    await process.stopped()
    await process.close()


async def run_controllers(client: Client, options: Options, provider: CloudProvider, clock: Clock) -> None:
    """All controllers until cancelled."""
    informers = Informers(client, clock)
    events = EventRecorder(client, NAME, clock=clock)
    controllers = build_controllers(client, informers, options, provider, events, clock)
    log.info("starting %s for cloud %s", ", ".join(each.name for each in controllers), provider.name)
    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="informers")
        group.create_task(events.run(), name="events")
        if provider.load_balancers is not None:
            group.create_task(provider.load_balancers.watch(clock), name="load balancers")
        for controller in controllers:
            group.create_task(controller.run(), name=controller.name)
            RUNNING.set((controller.name, NAME), 1.0)


def build_controllers(
    client: Client,
    informers: Informers,
    options: Options,
    provider: CloudProvider,
    events: EventRecorder,
    clock: Clock,
) -> list[Controller]:
    """Those that the flags ask for and the provider can serve."""
    found: list[Controller] = []
    if provider.instances is not None:
        frequency, period = options.node_status_update_frequency, options.node_monitor_period
        found.append(NodeController(client, informers, clock, provider.instances, events, frequency))
        found.append(NodeLifecycleController(client, informers, clock, provider.instances, events, period))
    if provider.load_balancers is not None:
        found.append(ServiceController(client, informers, clock, provider.load_balancers, events))
    if provider.routes is not None and options.configure_cloud_routes:
        period = options.route_reconciliation_period
        found.append(RouteController(client, informers, clock, provider.routes, events, period))
    wanted = canonical(options.controllers)
    return [each for each in found if f"-{each.name}" not in wanted and ({"*", each.name} & wanted)]


def canonical(flags: Sequence[str]) -> set[str]:
    """The flag `--controllers` with old names replaced. Raises UnknownController."""
    found = set()
    for flag in flags:
        name = flag.removeprefix("-")
        full = ALIASES.get(name, name)
        if full not in (*ALIASES.values(), "*"):
            raise UnknownController(f'"{name}" is not in the list of known controllers')
        found.add(flag.replace(name, full))
    return found
