"""Builds the simulated nodes from their options and names each task."""

from __future__ import annotations

import sys

from kubarium.client import kubeconfig
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging, serving
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process
from kubelet.server.authorization import Door
from kubelet.simulated.behaviour import Registry
from kubelet.simulated.nodes import RENEWERS, Nodes
from kubelet.simulated.options import Options
from kubelet.simulated.pods import Pods
from kubelet.simulated.server import Server


async def main(process: Process) -> None:
    """Start all nodes and run until asked to stop."""
    options = parse(Options, sys.argv[1:], "simulated-nodes")
    logging.setup("simulated-nodes", options.verbosity)
    async with Client(kubeconfig.load(options.kubeconfig), user_agent="simulated-nodes") as client:
        SimulatedNodes(options, client, RealClock()).start(process)
        await process.stopped()


class SimulatedNodes:
    """All parts, built but not yet running. The outside doors are arguments."""

    def __init__(self, options: Options, client: Client, clock: Clock) -> None:
        self._options = options
        self._client = client
        self._clock = clock
        self.nodes = Nodes(options, client, clock)
        self.recorder = EventRecorder(client, "kubelet", options.prefix.rstrip("-"), clock)
        self.pods = Pods(
            client,
            clock,
            addresses_of=self.nodes.addresses_of,
            host_ip=options.node_ip,
            recorder=self.recorder,
            registry=Registry(options.images, options.unknown_images),
            job_duration=options.job_duration,
        )
        self.informers = Informers(client, clock)

    def start(self, process: Process) -> None:
        """Start every task; nodes first, then whoever looks at them."""
        process.start("events", self.recorder.run())
        process.start("registration", self._begin(process))
        for share in range(RENEWERS):
            process.start(f"leases {share}", self.nodes.renew(share))
        process.start("repairs", self.nodes.repair())
        process.start("pods", self.pods.run())
        for number in range(self._options.senders):
            process.start(f"status sender {number}", self.pods.statuses.run())
        if self._options.port:
            process.start("server", self._serve())

    async def _begin(self, process: Process) -> None:
        """Pods are looked at when their nodes, and with them the pods' addresses, are settled."""
        await self.nodes.register()
        self.nodes.connect(self.informers)
        self.pods.connect(self.informers)
        process.start("informers", self.informers.run())

    async def _serve(self) -> None:
        options = self._options
        door = Door(
            self._client, options.prefix.rstrip("-"), self._clock, anonymous=False, always_allow=False
        )
        tls = serving.TLS(options.tls_cert_file, options.tls_private_key_file, options.client_ca_file or None)
        await serving.serve(
            Server(door, self.pods.find, self.pods.metrics),
            options.node_ip,
            options.port,
            tls,
            http=serving.IdentifyingProtocol,
            ws="none",
        )
