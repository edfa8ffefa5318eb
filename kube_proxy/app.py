"""Builds kube-proxy: informers, trackers, backend, health."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kubarium.apimachinery.object import Object, is_deleting, labels_of
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import load
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.health import metrics_page
from kubarium.component_base.process import Process
from kubarium.component_base.serving import pages, serve
from kube_proxy import options as flags
from kube_proxy.backends.backend import Backend, Settings
from kube_proxy.backends.iptables import IptablesBackend
from kube_proxy.backends.nftables import NftablesBackend
from kube_proxy.conntrack import Conntrack
from kube_proxy.endpoints import EndpointTracker
from kube_proxy.health import ProxyHealth, ServiceHealth
from kube_proxy.options import Options
from kube_proxy.proxier import Proxier
from kube_proxy.services import ServiceTracker
from kube_proxy.topology import NodeView

ZONE = "topology.kubernetes.io/zone"
NOT_OURS = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"
BACKENDS: dict[str, Callable[[Settings], Backend]] = {
    "iptables": IptablesBackend,
    "nftables": NftablesBackend,
}

log = logging.get(__name__)


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then serve until stopped."""
    options = flags.read(argv)
    logging.setup("kube-proxy", options.verbosity)
    backend = build_backend(options)
    if options.cleanup:
        for each in BACKENDS.values():
            await each(settings_of(options)).clean_up()
        return
    async with Client(load(options.kubeconfig), user_agent="kube-proxy") as client:
        await start(process, options, client, backend, RealClock())


def settings_of(options: Options) -> Settings:
    """What a backend needs to know."""
    return Settings(
        cluster_cidr=options.cluster_cidr,
        masquerade_mark=options.masquerade_mark,
        masquerade_all=options.masquerade_all,
        node_port_addresses=options.nodeport_addresses,
        localhost_node_ports=options.iptables_localhost_nodeports,
    )


def build_backend(options: Options) -> Backend:
    """The backend that `--proxy-mode` names."""
    return BACKENDS[options.proxy_mode](settings_of(options))


async def start(process: Process, options: Options, client: Client, backend: Backend, clock: Clock) -> None:
    """Build every part and run until the process is asked to stop."""
    node = NodeView(options.node_name)
    health = ProxyHealth(clock)
    proxier = Proxier(
        ServiceTracker(),
        EndpointTracker(),
        backend,
        Conntrack(),
        health,
        ServiceHealth(node),
        node,
        clock,
        minimum_interval=options.iptables_min_sync_period,
    )
    informers = Informers(client, clock)
    watch_services(informers, proxier)
    watch_endpoint_slices(informers, proxier)
    watch_own_node(informers, proxier, health, options.node_name)

    await backend.prepare()
    process.start("informers", informers.run())
    process.start("health", _serve_pages(options.healthz_bind_address, health))
    process.start("metrics", _serve_pages(options.metrics_bind_address, health))
    await informers.synced()
    process.start("proxier", proxier.run())
    log.info("proxying in mode %s on node %s", options.proxy_mode, options.node_name)
    await process.stopped()
    await proxier.close()


def watch_services(informers: Informers, proxier: Proxier) -> None:
    """Services, except headless ones and those of other proxies."""

    def put(service: Object) -> None:
        if proxier.services.put(service):
            proxier.changed()

    def remove(service: Object) -> None:
        if proxier.services.remove(service):
            proxier.changed()

    informer = informers.informer("v1", "services", label_selector=NOT_OURS)
    informer.add_handler(lambda obj, initial: put(obj), lambda old, new: put(new), remove)


def watch_endpoint_slices(informers: Informers, proxier: Proxier) -> None:
    """EndpointSlices of the same Services."""

    def put(slice_: Object) -> None:
        if proxier.endpoints.put(slice_):
            proxier.changed()

    def remove(slice_: Object) -> None:
        if proxier.endpoints.remove(slice_):
            proxier.changed()

    informer = informers.informer("discovery.k8s.io/v1", "endpointslices", label_selector=NOT_OURS)
    informer.add_handler(lambda obj, initial: put(obj), lambda old, new: put(new), remove)


def watch_own_node(informers: Informers, proxier: Proxier, health: ProxyHealth, name: str) -> None:
    """Our zone decides which hints are for us; a node that is going away tells load balancers so."""

    def see(node: Object) -> None:
        health.node_is_leaving = is_deleting(node)
        zone = labels_of(node).get(ZONE, "")
        if zone != proxier.node.zone:
            proxier.node = replace(proxier.node, zone=zone)
            proxier.changed()

    informer = informers.informer("v1", "nodes", field_selector=f"metadata.name={name}")
    informer.add_handler(lambda obj, initial: see(obj), lambda old, new: see(new))


async def _serve_pages(address: str, health: ProxyHealth) -> None:
    host, _, port = address.rpartition(":")
    table = {"/healthz": health.healthz, "/livez": health.livez, "/metrics": metrics_page}
    await serve(pages(table), host.strip("[]") or "0.0.0.0", int(port))
