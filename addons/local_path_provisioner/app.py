"""Builds the provisioner: informers, events, two controllers."""

from __future__ import annotations

from collections.abc import Sequence

from addons.local_path_provisioner.controllers import Provisioner, Remover
from addons.local_path_provisioner.options import Options
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import in_cluster, load
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process

NAME = "local-path-provisioner"


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then work until stopped."""
    options = parse(Options, argv, NAME)
    logging.setup(NAME, options.verbosity)
    config = load(options.kubeconfig) if options.kubeconfig else in_cluster()
    async with Client(config, user_agent=NAME) as client:
        await start(process, options, client, RealClock())


async def start(process: Process, options: Options, client: Client, clock: Clock) -> None:
    """Build every part and run until the process is asked to stop."""
    informers = Informers(client, clock)
    events = EventRecorder(client, NAME, clock=clock)
    provisioner = Provisioner(client, informers, clock, options, events)
    remover = Remover(client, informers, clock, options)
    process.start("informers", informers.run())
    process.start("events", events.run())
    process.start("provisioner", provisioner.run())
    process.start("remover", remover.run())
    await process.stopped()
