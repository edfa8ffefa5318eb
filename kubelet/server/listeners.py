"""Where the kubelet listens: the API behind its door, the same pages read-only without one, the health of the process.

10250  --port             HTTPS; who it is and whether they may is asked of the API server
10255  --read-only-port   HTTP for everybody, when it is wanted: nothing that reaches into a pod
10248  --healthz-port     HTTP on the loopback
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from kubarium.client.rest import Client
from kubarium.component_base import serving
from kubarium.component_base.clock import Clock
from kubarium.component_base.health import Health
from kubarium.component_base.process import Process
from kubelet.node.status import NodeFacts
from kubelet.options import Options
from kubelet.server.app import Server
from kubelet.server.authorization import Door


class Listeners:
    """One task for each port. `pages` makes the pages behind a door, with or without those that reach into pods."""

    def __init__(
        self,
        options: Options,
        client: Client,
        facts: NodeFacts,
        clock: Clock,
        *,
        pages: Callable[[Door | None, bool], Server],
        checks: Health,
    ) -> None:
        self._options = options
        self._client = client
        self._name = facts.name
        self._names = [facts.name, *facts.ips]
        self._clock = clock
        self._pages = pages
        self._checks = checks
        self._has_certificate = asyncio.Event()

    def start(self, process: Process) -> None:
        """Listen where it is wanted."""
        options = self._options
        if options.enable_server:
            process.start("server", self._serve())
        if options.read_only_port:
            pages = self._pages(None, False)
            process.start("read-only", serving.serve(pages, options.address, options.read_only_port))
        if options.healthz_port:
            health = serving.pages(self._checks.pages())
            process.start(
                "healthz", serving.serve(health, options.healthz_bind_address, options.healthz_port)
            )
        if options.enable_server and options.server_tls_bootstrap and not options.tls_cert_file:
            process.start("serving certificate", self._rotate(process.stop))

    async def _serve(self) -> None:
        options = self._options
        door = Door(
            self._client,
            self._name,
            self._clock,
            anonymous=options.anonymous_auth,
            always_allow=options.authorization_mode == "AlwaysAllow",
        )
        tls = serving.TLS(
            *await self._certificate(),
            options.client_ca_file or None,
            min_version=options.tls_min_version,
            cipher_suites=options.tls_cipher_suites,
        )
        self._has_certificate.set()
        pages = self._pages(door, options.enable_debugging_handlers)
        await serving.serve(
            pages, options.address, options.port, tls, http=serving.IdentifyingProtocol, ws="none"
        )

    async def _certificate(self) -> tuple[str, str]:
        options = self._options
        if options.tls_cert_file:
            return options.tls_cert_file, options.tls_private_key_file
        from kubelet.node import credentials  # only now: what it stands on costs ten megabytes

        directory = Path(options.cert_dir)
        if not options.server_tls_bootstrap:
            return credentials.self_signed(directory, self._names)
        return await credentials.serving(self._client, directory, self._name, self._names, self._clock)

    async def _rotate(self, renewed: Callable[[], None]) -> None:
        """Renew the serving certificate; a new one needs a new start, which pods do not notice."""
        from kubelet.node import credentials

        await self._has_certificate.wait()
        directory = Path(self._options.cert_dir)
        await credentials.rotate(
            self._client, directory, self._name, self._clock, renewed, credentials.SERVING, self._names
        )
