"""Builds the DNS server: informers fill the zone, the server reads it."""

from __future__ import annotations

from collections.abc import Sequence

from addons.dns.forward import Forwarder, resolvers_of
from addons.dns.options import Options
from addons.dns.server import Server
from addons.dns.zone import Zone
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import in_cluster, load
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import RealClock
from kubarium.component_base.health import metrics_page
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process
from kubarium.component_base.serving import Page, Scope, pages, serve


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then answer until stopped."""
    options = parse(Options, argv, "dns")
    logging.setup("dns", options.verbosity)
    config = load(options.kubeconfig) if options.kubeconfig else in_cluster()
    async with Client(config, user_agent="kubarium-dns") as client:
        await start(process, options, client)


async def start(process: Process, options: Options, client: Client) -> None:
    """Build every part and run until the process is asked to stop."""
    zone = Zone(options.cluster_domain)
    clock = RealClock()
    informers = Informers(client, clock)
    follow(informers, zone)
    forwarder = Forwarder(resolvers_of(options.resolv_conf))
    server = Server(zone, forwarder, clock)
    ready = Readiness()

    process.start("health", _serve_page(options.health_port, "/health", _always))
    process.start("ready", _serve_page(options.ready_port, "/ready", ready.page))
    process.start("metrics", _serve_page(options.metrics_port, "/metrics", metrics_page))
    process.start("informers", informers.run())
    await informers.synced()
    for address in options.bind_address.split(","):
        process.start(f"server on {address}", server.run(address, options.port))
    process.start("resolvers", forwarder.follow(options.resolv_conf, options.reload, clock))
    ready.waiting_for = ""
    await process.stopped()
    # Those who know our address have not heard yet that we are leaving: answer them meanwhile.
    await clock.sleep(options.lameduck)


class Readiness:
    """`/ready`: says what is not there yet, as CoreDNS does."""

    waiting_for = "kubernetes"

    async def page(self, scope: Scope) -> tuple[int, str, bytes]:
        """Have all informers seen what exists?"""
        body = self.waiting_for or "OK"
        return (503 if self.waiting_for else 200), "text/plain; charset=utf-8", body.encode()


def follow(informers: Informers, zone: Zone) -> None:
    """Services, EndpointSlices and namespaces."""
    informers.informer("v1", "services").follow(zone.put_service, zone.remove_service)
    informers.informer("discovery.k8s.io/v1", "endpointslices").add_handler(
        lambda obj, initial: zone.put_slice(obj), zone.replace_slice, zone.remove_slice
    )
    informers.informer("v1", "namespaces").add_handler(
        lambda obj, initial: zone.put_namespace(obj), on_delete=zone.remove_namespace
    )


async def _always(scope: Scope) -> tuple[int, str, bytes]:
    return 200, "text/plain; charset=utf-8", b"OK"


async def _serve_page(port: int, path: str, page: Page) -> None:
    await serve(pages({path: page}), "0.0.0.0", port)
