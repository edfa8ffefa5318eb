"""Builds kube-proxy: informers, trackers, backend, health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import yaml

from kubarium.api.discovery.endpoint_slice import LAST_CHANGE
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, annotations_of, labels_of
from kubarium.apimachinery.time import parse_time
from kubarium.client import kubeconfig
from kubarium.client.event_series import SeriesRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.health import metrics_page, slis_page
from kubarium.component_base.process import Process
from kubarium.component_base.serving import Page, Scope, pages, serve
from kube_proxy import configuration, kernel, local_traffic, own_node
from kube_proxy import options as flags
from kube_proxy.backends.backend import Backend, BackendError, Settings
from kube_proxy.backends.iptables import IptablesBackend
from kube_proxy.backends.nftables import NftablesBackend
from kube_proxy.family import IPV4, IPV6, Family
from kube_proxy.health import ProxyHealth, ServiceHealth
from kube_proxy.options import Options
from kube_proxy.proxier import Proxier
from kube_proxy.topology import NodeView

ZONE = "topology.kubernetes.io/zone"
NOT_OURS = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"
BACKENDS: dict[str, Callable[[Settings], Backend]] = {
    "iptables": IptablesBackend,
    "nftables": NftablesBackend,
}
RETRY_SECONDS = 1.0  # for what cannot be had yet: the node, a port

log = logging.get(__name__)


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then serve until stopped."""
    options = flags.read(argv)
    logging.setup("kube-proxy", options.verbosity, options.logging_format)
    if options.write_config_to:
        text = yaml.safe_dump(configuration.document_of(options))
        await asyncio.to_thread(Path(options.write_config_to).write_text, text)
        log.info("wrote configuration to %s", options.write_config_to)
        return
    if options.cleanup:
        for family in (IPV4, IPV6):
            await clean_up_after_others("", settings_of(options, {}, family))
        return
    kernel.prepare(options)
    if options.init_only:
        return
    async with Client(client_config(options), user_agent="kube-proxy") as client:
        await start(process, options, client, RealClock())


def client_config(options: Options) -> kubeconfig.ClientConfig:
    """Whom to talk to: the kubeconfig, or the service account of a pod; `--master` says where."""
    return kubeconfig.of_program(options.kubeconfig, options.master)


def settings_of(options: Options, node: Object, family: Family) -> Settings:
    """What a backend needs to know."""
    addresses = family.of(options.nodeport_addresses)
    if options.nodeport_addresses == (configuration.PRIMARY,):
        addresses = family.of(own_node.addresses_of(node))
    return Settings(
        local=local_traffic.detector(
            options.detect_local_mode,
            family,
            cluster_cidr=options.cluster_cidr,
            node_cidr=",".join(own_node.pod_cidrs_of(node)),
            bridge=options.pod_bridge_interface,
            prefix=options.pod_interface_name_prefix,
        ),
        masquerade_mark=options.masquerade_mark,
        masquerade_all=options.masquerade_all,
        node_port_addresses=addresses,
        # The kernel never sends [::1] anywhere else.
        localhost_node_ports=options.iptables_localhost_nodeports and family is IPV4,
        family=family,
        conntrack_is_liberal=options.conntrack_tcp_be_liberal,
    )


async def start(
    process: Process, options: Options, client: Client, clock: Clock, backend: Backend | None = None
) -> None:
    """Build every part and run until the process is asked to stop."""
    health = ProxyHealth(clock, 2 * options.iptables_sync_period)
    table: dict[str, Page] = {"/healthz": health.healthz, "/livez": health.livez}
    process.start("health", _serve_pages(options, options.healthz_bind_address, table, clock))
    table = {
        **table,
        "/metrics": metrics_page,
        "/metrics/slis": slis_page,
        "/proxyMode": _text(options.mode),
        "/configz": _configz(options),
    }
    process.start("metrics", _serve_pages(options, options.metrics_bind_address, table, clock))

    node = await _own_node(client, options, clock)
    own, other = settings_of(options, node, IPV4), settings_of(options, node, IPV6)
    backend = backend or BACKENDS[options.mode](own)
    view = NodeView(options.node_name)

    async def proxier_of(settings: Settings, backend: Backend) -> Proxier:
        places = await kernel.addresses_within(settings.node_port_addresses, settings.family)
        return Proxier(
            settings.family,
            backend,
            health,
            ServiceHealth(view, health, places),
            view,
            clock,
            minimum_interval=options.iptables_min_sync_period,
            interval=options.iptables_sync_period,
        )

    first, second = await proxier_of(own, backend), await proxier_of(other, BACKENDS[options.mode](other))
    proxiers = (first, second)
    informers = Informers(client, clock)
    watch_services(informers, proxiers)
    watch_endpoint_slices(informers, proxiers)
    watch_own_node(informers, proxiers, health, process, options, own_node.pod_cidrs_of(node))
    recorder = SeriesRecorder(client, "kube-proxy", clock)

    await clean_up_after_others(options.mode, own)
    await backend.prepare()
    process.start("informers", informers.run())
    process.start("events", recorder.run())
    await informers.synced()
    process.start("proxier", first.run())
    process.start("second proxier", run_when_needed(second, options.mode, other))
    recorder.event(own_node.reference_to(options.node_name), "Normal", "Starting", "StartKubeProxy", "")
    log.info("proxying in mode %s on node %s", options.mode, options.node_name)
    await process.stopped()
    for proxier in proxiers:
        await proxier.close()


async def run_when_needed(proxier: Proxier, mode: str, settings: Settings) -> None:
    """A cluster of one family pays nothing for the other."""
    await proxier.needed.wait()
    log.info("there are Services with addresses of the family %s", proxier.family.name)
    await clean_up_after_others(mode, settings)
    await proxier.run()


async def clean_up_after_others(mode: str, settings: Settings) -> None:
    """Whoever comes from another mode finds its rules, which would still apply. A mode that is missing left none."""
    for name, other in BACKENDS.items():
        if name != mode:
            try:
                await other(settings).clean_up()
            except BackendError as error:
                log.debug("no rules of mode %s to clean up: %s", name, error)


async def _own_node(client: Client, options: Options, clock: Clock) -> Object:
    """Our Node; empty as long as nothing depends on it and it is not there yet."""
    needs_cidr = options.detect_local_mode == "NodeCIDR"
    needs_node = needs_cidr or options.nodeport_addresses == (configuration.PRIMARY,)
    while True:
        try:
            node = await client.resource("v1", "nodes").get(options.node_name)
        except (StatusError, OSError) as error:
            if not needs_node:
                return {}
            log.info("waiting for node %s: %s", options.node_name, error)
        else:
            if own_node.pod_cidrs_of(node) or not needs_cidr:
                return node
            log.info("waiting for node %s to get a pod CIDR", options.node_name)
        await clock.sleep(RETRY_SECONDS)


def watch_services(informers: Informers, proxiers: Sequence[Proxier]) -> None:
    """Services, except headless ones and those of other proxies."""

    def put(service: Object) -> None:
        for proxier in proxiers:
            if proxier.services.put(service):
                proxier.service_changed()

    def remove(service: Object) -> None:
        for proxier in proxiers:
            if proxier.services.remove(service):
                proxier.service_changed()

    informer = informers.informer("v1", "services", label_selector=NOT_OURS)
    informer.follow(put, remove)


def watch_endpoint_slices(informers: Informers, proxiers: Sequence[Proxier]) -> None:
    """EndpointSlices of the same Services."""

    def put(slice_: Object, initial: bool = False) -> None:
        for proxier in proxiers:
            if proxier.endpoints.put(slice_):
                trigger = annotations_of(slice_).get(LAST_CHANGE)
                since = parse_time(trigger) if trigger and not initial else None
                proxier.endpoints_changed(since)

    def remove(slice_: Object) -> None:
        for proxier in proxiers:
            if proxier.endpoints.remove(slice_):
                proxier.endpoints_changed()

    informer = informers.informer("discovery.k8s.io/v1", "endpointslices", label_selector=NOT_OURS)
    informer.add_handler(put, lambda old, new: put(new), remove)


def watch_own_node(
    informers: Informers,
    proxiers: Sequence[Proxier],
    health: ProxyHealth,
    process: Process,
    options: Options,
    pod_cidrs: list[str],
) -> None:
    """Our zone decides which hints are for us; a node that is going away tells load balancers so."""

    def see(node: Object) -> None:
        health.see(node)
        if options.detect_local_mode == "NodeCIDR" and own_node.pod_cidrs_of(node) != pod_cidrs:
            log.error("the pod CIDRs of node %s changed, starting again", options.node_name)
            process.stop(1)
        zone = labels_of(node).get(ZONE, "")
        for proxier in proxiers:
            if zone != proxier.node.zone:
                proxier.node = replace(proxier.node, zone=zone)
                proxier.changed()

    informer = informers.informer("v1", "nodes", field_selector=f"metadata.name={options.node_name}")
    informer.follow(see)


def _text(text: str) -> Page:
    async def page(scope: Scope) -> tuple[int, str, bytes]:
        return 200, "text/plain; charset=utf-8", text.encode()

    return page


def _configz(options: Options) -> Page:
    body = orjson.dumps({"kubeproxy.config.k8s.io": configuration.document_of(options)})

    async def page(scope: Scope) -> tuple[int, str, bytes]:
        return 200, "application/json", body

    return page


async def _serve_pages(options: Options, address: str, table: dict[str, Page], clock: Clock) -> None:
    """A port that is taken is asked for again, unless `--bind-address-hard-fail`; no address, no pages."""
    host, _, port = address.rpartition(":")
    while address:
        try:
            await serve(pages(table), host.strip("[]"), int(port))
        except OSError as error:
            if options.bind_address_hard_fail:
                raise
            log.warning("cannot listen on %s, trying again: %s", address, error)
            await clock.sleep(5.0)
