"""`/healthz` and `/livez` of the proxy, and one small server for each `healthCheckNodePort`.

A load balancer asks each node whether it has endpoints of a Service with `externalTrafficPolicy: Local`.
"""

from __future__ import annotations

import asyncio

import orjson
import prometheus_client

from kubarium.apimachinery.object import Object, is_deleting
from kubarium.apimachinery.time import format_time
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import App, Page, Scope, pages, serve
from kube_proxy import metrics
from kube_proxy.family import IPV4, Family
from kube_proxy.ruleset import Ruleset
from kube_proxy.topology import NodeView

log = logging.get(__name__)

TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"  # a taint: this node is about to go away


class ProxyHealth:
    """Healthy as long as what is wanted gets applied in time."""

    def __init__(self, clock: Clock, patience: float) -> None:
        self._clock, self._patience = clock, patience
        self._updated = clock.now()
        self._queued: dict[Family, float] = {}  # since when something waits
        self.node_is_eligible = True  # until the node says otherwise

    def queued(self, family: Family = IPV4) -> None:
        """A change waits to be applied."""
        self._queued.setdefault(family, self._clock.monotonic())

    def applied(self, family: Family = IPV4) -> None:
        """All changes of a family have been applied."""
        self._updated = self._clock.now()
        self._queued.pop(family, None)

    def see(self, node: Object) -> None:
        """A node that goes away gets no new connections; those which it has go on (KEP-3836)."""
        taints = (node.get("spec") or {}).get("taints") or []
        self.node_is_eligible = not is_deleting(node) and TO_BE_DELETED not in [
            taint["key"] for taint in taints
        ]

    async def healthz(self, scope: Scope) -> tuple[int, str, bytes]:
        """Should load balancers send traffic to this node?"""
        good = self.is_alive() and self.node_is_eligible
        return self._answer(good, metrics.HEALTHZ, {"nodeEligible": self.node_is_eligible})

    async def livez(self, scope: Scope) -> tuple[int, str, bytes]:
        """Does the proxy work?"""
        return self._answer(self.is_alive(), metrics.LIVEZ, {})

    def is_alive(self) -> bool:
        """Has nothing waited for too long?"""
        now = self._clock.monotonic()
        return all(now - since < self._patience for since in self._queued.values())

    def _answer(self, good: bool, counter: prometheus_client.Counter, more: Object) -> tuple[int, str, bytes]:
        """While all is well the last update is now: so it was when the rules were written again and again."""
        status = 200 if good else 503
        counter.labels(str(status)).inc()
        now = self._clock.now()
        times = {"lastUpdated": format_time(now if good else self._updated), "currentTime": format_time(now)}
        return status, "application/json", orjson.dumps({**times, **more})


class ServiceHealth:
    """Opens and closes the ports that Services ask for."""

    def __init__(
        self, node: NodeView, health: ProxyHealth, addresses: tuple[str, ...] = ("0.0.0.0",)
    ) -> None:
        self._node, self._health, self._addresses = node, health, addresses
        self._servers: dict[int, asyncio.Task[None]] = {}
        self._local: dict[int, tuple[str, str, int]] = {}

    async def sync(self, ruleset: Ruleset) -> None:
        """Serve exactly the ports in the ruleset."""
        self._local = {}
        for rule in ruleset.rules:
            port = rule.port.health_check_node_port
            if port:
                # Terminating endpoints still get traffic when there are no others, but no more of it is asked for.
                here = {e.ip for e in rule.local if e.node == self._node.name and e.ready}
                known = self._local.get(port, ("", "", 0))[2]
                self._local[port] = (rule.name.namespace, rule.name.service, max(known, len(here)))
        for port in [port for port in self._servers if port not in self._local]:
            self._servers.pop(port).cancel()
        for port in self._local:
            if port not in self._servers:
                name = f"health check node port {port}"
                self._servers[port] = asyncio.get_running_loop().create_task(self._serve(port), name=name)

    async def close(self) -> None:
        """Close every port."""
        for task in self._servers.values():
            task.cancel()
        if self._servers:
            await asyncio.wait(self._servers.values())
        self._servers.clear()

    async def _serve(self, port: int) -> None:
        await asyncio.gather(*(self._serve_at(address, port) for address in self._addresses))

    async def _serve_at(self, address: str, port: int) -> None:
        try:
            await serve(self._app(port), address, port)
        except (OSError, SystemExit) as error:
            log.warning("cannot serve health check node port %s: %s", port, error)

    def _app(self, port: int) -> App:
        async def page(scope: Scope) -> tuple[int, str, bytes]:
            namespace, name, count = self._local.get(port, ("", "", 0))
            healthy = self._health.is_alive()
            body = {
                "service": {"namespace": namespace, "name": name},
                "localEndpoints": count,
                "serviceProxyHealthy": healthy,
            }
            return (200 if count and healthy else 503), "application/json", orjson.dumps(body)

        table: dict[str, Page] = {"/": page}
        return pages(table)
