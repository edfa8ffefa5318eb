"""`/healthz` of the proxy, and one small server for each `healthCheckNodePort`.

A load balancer asks each node whether it has endpoints of a Service with `externalTrafficPolicy: Local`.
"""

from __future__ import annotations

import asyncio

import orjson

from kubarium.apimachinery.time import format_time
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import App, Page, Scope, pages, serve
from kube_proxy.ruleset import Ruleset
from kube_proxy.topology import NodeView

log = logging.get(__name__)

PATIENCE = 120.0  # seconds that a wanted sync may take before the proxy counts as unhealthy


class ProxyHealth:
    """Healthy as long as what is wanted gets applied."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._updated = clock.monotonic()
        self._queued = 0.0
        self.node_is_leaving = False

    def queued(self) -> None:
        """A change waits to be applied."""
        self._queued = self._queued or self._clock.monotonic()

    def applied(self) -> None:
        """All changes have been applied."""
        self._updated, self._queued = self._clock.monotonic(), 0.0

    async def healthz(self, scope: Scope) -> tuple[int, str, bytes]:
        """Should load balancers send traffic to this node?"""
        return self._answer(self._alive() and not self.node_is_leaving)

    async def livez(self, scope: Scope) -> tuple[int, str, bytes]:
        """Does the proxy work?"""
        return self._answer(self._alive())

    def _alive(self) -> bool:
        return not self._queued or self._clock.monotonic() - self._queued < PATIENCE

    def _answer(self, good: bool) -> tuple[int, str, bytes]:
        now = format_time(self._clock.now())
        body = {"lastUpdated": now, "currentTime": now, "nodeEligible": not self.node_is_leaving}
        return (200 if good else 503), "application/json", orjson.dumps(body)


class ServiceHealth:
    """Opens and closes the ports that Services ask for."""

    def __init__(self, node: NodeView) -> None:
        self._node = node
        self._servers: dict[int, asyncio.Task[None]] = {}
        self._local: dict[int, tuple[str, str, int]] = {}

    async def sync(self, ruleset: Ruleset) -> None:
        """Serve exactly the ports in the ruleset."""
        self._local = {}
        for rule in ruleset.rules:
            port = rule.port.health_check_node_port
            if port:
                addresses = {endpoint.ip for endpoint in rule.external if endpoint.node == self._node.name}
                known = self._local.get(port, ("", "", 0))[2]
                self._local[port] = (rule.name.namespace, rule.name.service, max(known, len(addresses)))
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
        try:
            await serve(self._app(port), "0.0.0.0", port)
        except (OSError, SystemExit) as error:
            log.warning("cannot serve health check node port %s: %s", port, error)

    def _app(self, port: int) -> App:
        async def page(scope: Scope) -> tuple[int, str, bytes]:
            namespace, name, count = self._local.get(port, ("", "", 0))
            body = {
                "service": {"namespace": namespace, "name": name},
                "localEndpoints": count,
                "serviceProxyHealthy": True,
            }
            return (200 if count else 503), "application/json", orjson.dumps(body)

        table: dict[str, Page] = {"/": page}
        return pages(table)
