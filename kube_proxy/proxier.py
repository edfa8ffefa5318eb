"""The spine: changes -> ruleset -> backend, at most once per interval."""

from __future__ import annotations

import asyncio

import prometheus_client

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kube_proxy.backends.backend import Backend, BackendError
from kube_proxy.conntrack import Conntrack
from kube_proxy.endpoints import EndpointTracker
from kube_proxy.health import ProxyHealth, ServiceHealth
from kube_proxy.ruleset import build_ruleset
from kube_proxy.services import ServiceTracker
from kube_proxy.topology import NodeView

log = logging.get(__name__)

SYNC_SECONDS = prometheus_client.Histogram(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "SyncProxyRules latency in seconds",
    buckets=[0.001 * 2**power for power in range(15)],
)
LAST_SYNC = prometheus_client.Gauge(
    "kubeproxy_sync_proxy_rules_last_timestamp_seconds", "The last time proxy rules were successfully synced"
)

FULL_SYNC_SECONDS = 3600.0  # after this long nothing that was applied before is trusted
RETRY_SECONDS = 1.0


class Proxier:
    """Brings the kernel in line with what the API server last said."""

    def __init__(
        self,
        services: ServiceTracker,
        endpoints: EndpointTracker,
        backend: Backend,
        conntrack: Conntrack,
        health: ProxyHealth,
        service_health: ServiceHealth,
        node: NodeView,
        clock: Clock,
        *,
        minimum_interval: float,
    ) -> None:
        self.services, self.endpoints = services, endpoints
        self.node = node
        self._backend, self._conntrack = backend, conntrack
        self._health, self._service_health = health, service_health
        self._clock = clock
        self._minimum_interval = minimum_interval
        self._wanted = asyncio.Event()
        self._full_at = 0.0

    def changed(self) -> None:
        """Something is different: sync soon."""
        self._health.queued()
        self._wanted.set()

    async def run(self) -> None:
        """Sync now, then after each change; changes that come close together are taken together."""
        self.changed()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.sync()
            except BackendError as error:
                log.warning("cannot apply rules, trying again: %s", error)
                self._full_at = 0.0
                self._wanted.set()
                await self._clock.sleep(RETRY_SECONDS)
            await self._clock.sleep(self._minimum_interval)

    async def sync(self) -> None:
        """Changes -> ruleset (pure) -> kernel (one transaction)."""
        started = self._clock.monotonic()
        ruleset = build_ruleset(self.services.all(), self.endpoints.all(), self.node)
        full = started >= self._full_at
        await self._backend.apply(ruleset, full=full)
        if full:
            self._full_at = started + FULL_SYNC_SECONDS
        await self._conntrack.forget_stale(ruleset)
        await self._service_health.sync(ruleset)
        if not self._wanted.is_set():
            self._health.applied()
        SYNC_SECONDS.observe(self._clock.monotonic() - started)
        LAST_SYNC.set(self._clock.now().timestamp())
        log.debug("synced %d service ports", len(ruleset.rules))

    async def close(self) -> None:
        """Stop serving health-check ports; rules stay, so that Services go on while the proxy restarts."""
        await self._service_health.close()
