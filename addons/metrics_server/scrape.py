"""Ask every kubelet, again and again."""

from __future__ import annotations

import asyncio
import ssl

from addons.metrics_server.samples import Samples, parse
from kubarium.apimachinery.object import Object, annotations_of, name_of, status_of
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.client.lister import Lister
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

TIMEOUT = aiohttp.ClientTimeout(total=10)
KUBELET_PORT = 10250


class Scraper:
    """Fills `Samples` from the kubelets of all nodes."""

    def __init__(
        self, client: Client, nodes: Lister, samples: Samples, clock: Clock, tls: ssl.SSLContext
    ) -> None:
        self._client, self._nodes, self._samples, self._clock = client, nodes, samples, clock
        self._tls = tls

    async def run(self, interval: float) -> None:
        """Scrape until cancelled; a kubelet that does not answer is asked again the next time."""
        async with aiohttp.ClientSession(
            timeout=TIMEOUT, connector=aiohttp.TCPConnector(ssl=self._tls)
        ) as session:
            while True:
                await asyncio.gather(*(self._scrape(session, node) for node in self._nodes.list()))
                await self._clock.sleep(interval)

    async def _scrape(self, session: aiohttp.ClientSession, node: Object) -> None:
        url = f"https://{address_of(node)}:{port_of(node)}{path_of(node)}"
        headers = {"Authorization": f"Bearer {self._client.config.bearer_token()}"}
        try:
            async with session.get(url, headers=headers) as answer:
                answer.raise_for_status()
                self._samples.put(name_of(node), parse(await answer.text(), self._clock.now().timestamp()))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("cannot scrape node %s: %s", name_of(node), error or "timeout")


def path_of(node: Object) -> str:
    """Where the kubelet tells what is used, as upstream's annotation may say."""
    return annotations_of(node).get("metrics.k8s.io/resource-metrics-path") or "/metrics/resource"


def address_of(node: Object) -> str:
    """Where the kubelet of a node listens."""
    addresses = status_of(node).get("addresses") or []
    by_type = {each.get("type"): each.get("address") for each in addresses}
    return next((by_type[kind] for kind in ("InternalIP", "ExternalIP", "Hostname") if by_type.get(kind)), "")


def port_of(node: Object) -> int:
    """The port of the kubelet."""
    endpoint = (status_of(node).get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    return int(endpoint.get("Port") or KUBELET_PORT)
