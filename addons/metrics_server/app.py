"""Builds the metrics server: informers, scraper, HTTPS behind the API server's front proxy."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from addons.metrics_server.options import Options
from addons.metrics_server.samples import Samples
from addons.metrics_server.scrape import Scraper
from addons.metrics_server.server import MetricsServer
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import in_cluster, load
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.certificates import Authority
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process
from kubarium.component_base.serving import TLS, IdentifyingProtocol, serve

NAME = "metrics-server"


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then serve until stopped."""
    options = parse(Options, argv, NAME)
    logging.setup(NAME, options.verbosity)
    config = load(options.kubeconfig) if options.kubeconfig else in_cluster()
    async with Client(config, user_agent=NAME) as client:
        await start(process, options, client, RealClock())


async def start(process: Process, options: Options, client: Client, clock: Clock) -> None:
    """Build every part and run until the process is asked to stop."""
    informers = Informers(client, clock)
    nodes = informers.informer("v1", "nodes").lister
    pods = informers.informer(
        "v1", "pods", field_selector="status.phase=Running", transform=_without_spec
    ).lister
    samples = Samples()
    scraper = Scraper(client, nodes, samples, clock, _kubelet_tls(options, client))
    server = MetricsServer(nodes, pods, samples)
    tls = await _own_tls(client, Path(options.cert_dir))

    process.start("informers", informers.run())
    await informers.synced()
    process.start("scraper", scraper.run(options.metric_resolution))
    process.start(
        "server", serve(server, options.bind_address, options.secure_port, tls, http=IdentifyingProtocol)
    )
    await process.stopped()


def _kubelet_tls(options: Options, client: Client) -> ssl.SSLContext:
    if options.kubelet_certificate_authority:
        return ssl.create_default_context(cafile=options.kubelet_certificate_authority)
    context = client.config.ssl_context() or ssl.create_default_context()
    if options.kubelet_insecure_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _own_tls(client: Client, folder: Path) -> TLS:
    """A self-signed certificate, and the authority of the API server's front proxy."""
    published = await client.resource("v1", "configmaps").get(
        "extension-apiserver-authentication", "kube-system"
    )
    authority = folder / "front-proxy-ca.crt"
    authority.write_text(published["data"]["requestheader-client-ca-file"])
    cert, key = folder / "serving.crt", folder / "serving.key"
    Authority.create(NAME).server(NAME, [NAME, f"{NAME}.kube-system.svc", "localhost"]).write(cert, key)
    return TLS(str(cert), str(key), str(authority))


def _without_spec(pod: Object) -> Object:
    """Only names, labels and the node matter here."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in pod["metadata"].items() if key != "managedFields"},
        "spec": {"nodeName": (pod.get("spec") or {}).get("nodeName")},
    }
