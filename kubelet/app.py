"""Starts the kubelet: its options, its credentials, the doors to the API server and to the runtime."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import RealClock
from kubarium.component_base.process import Process
from kubelet import configuration, preparation
from kubelet.kubelet import Kubelet
from kubelet.node import announcers
from kubelet.runtime.cri import CRIRuntime
from kubelet.runtime.interface import Runtime

log = logging.get(__name__)


async def main(process: Process) -> None:
    """Start the kubelet and run it until it is asked to stop."""
    try:
        options = configuration.read(sys.argv[1:])
    except configuration.Invalid as error:
        logging.setup("kubelet")
        log.error("command failed: %s", error)
        process.exit_code = 1
        return
    logging.setup("kubelet", options.verbosity, options.logging_format)
    try:
        preparation.check(options)
    except preparation.UnfitMachine as error:
        log.error("failed to run Kubelet: %s", error)
        process.exit_code = 1
        return
    clock = RealClock()
    if options.bootstrap_kubeconfig:
        from kubelet.node import credentials  # only now: what it stands on costs ten megabytes

        await credentials.bootstrap(
            options.bootstrap_kubeconfig, options.kubeconfig, Path(options.cert_dir), options.node_name, clock
        )
    config = kubeconfig.load(options.kubeconfig)
    runtime = open_runtime(options.container_runtime_endpoint, options.runtime_request_timeout)
    async with Client(config, user_agent="kubelet") as client:
        kubelet = Kubelet(
            options,
            client,
            runtime,
            clock,
            api_host=urlsplit(config.server).hostname or "",
            announcer=announcers.find(),
        )
        kubelet.start(process)
        if options.rotate_certificates and options.bootstrap_kubeconfig:
            # A new certificate needs new connections; the keeper of this process starts it again, pods go on running.
            work = credentials.rotate(client, Path(options.cert_dir), options.node_name, clock, process.stop)
            process.start("certificate rotation", work)
        try:
            await process.stopped()
        finally:
            await kubelet.close()
            await runtime.close()


def open_runtime(endpoint: str, timeout: float) -> Runtime:
    """The door that fits: a Docker Engine is known by the name of its socket, everyone else speaks the CRI."""
    if not endpoint.endswith("docker.sock"):
        return CRIRuntime(endpoint, timeout)
    from kubelet.runtime.docker import DockerRuntime  # only now: few need it

    return DockerRuntime(endpoint, timeout=timeout)
