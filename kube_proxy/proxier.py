"""The spine: changes -> ruleset -> backend, at most once per interval."""

from __future__ import annotations

import asyncio
from datetime import datetime

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kube_proxy import metrics
from kube_proxy.backends.backend import Backend, BackendError
from kube_proxy.conntrack import Conntrack
from kube_proxy.endpoints import EndpointTracker
from kube_proxy.family import Family
from kube_proxy.health import ProxyHealth, ServiceHealth
from kube_proxy.ruleset import Ruleset, build_ruleset
from kube_proxy.services import ServiceTracker
from kube_proxy.topology import NodeView

log = logging.get(__name__)

FULL_SYNC_SECONDS = 3600.0  # after this long nothing that was applied before is trusted
RETRY_SECONDS = 1.0


class Proxier:
    """Brings the kernel in line with what the API server last said, for one family of addresses."""

    def __init__(
        self,
        family: Family,
        backend: Backend,
        health: ProxyHealth,
        service_health: ServiceHealth,
        node: NodeView,
        clock: Clock,
        *,
        minimum_interval: float,
        interval: float,
    ) -> None:
        self.family = family
        self.services, self.endpoints = ServiceTracker(family), EndpointTracker(family)
        self.node = node
        self.needed = asyncio.Event()  # there has been a Service with an address of our family
        self._backend, self._conntrack = backend, Conntrack(family)
        self._health, self._service_health = health, service_health
        self._clock = clock
        self._minimum_interval, self._interval = minimum_interval, interval
        self._wanted = asyncio.Event()
        self._full_at = 0.0
        self._triggers: list[datetime] = []  # when that happened in the cluster which is to be applied

    def service_changed(self) -> None:
        """A Service promises something else."""
        self.needed.set()
        metrics.SERVICE_CHANGES.labels(self.family.name).inc()
        metrics.SERVICES_PENDING.labels(self.family.name).inc()
        self.changed()

    def endpoints_changed(self, since: datetime | None = None) -> None:
        """Endpoints came or went, since that moment if it is known."""
        metrics.ENDPOINT_CHANGES.labels(self.family.name).inc()
        metrics.ENDPOINTS_PENDING.labels(self.family.name).inc()
        if since is not None:
            self._triggers.append(since)
        self.changed()

    def changed(self) -> None:
        """Something is different: sync soon."""
        self._health.queued(self.family)
        metrics.LAST_QUEUED.labels(self.family.name).set(self._clock.now().timestamp())
        self._wanted.set()

    async def run(self) -> None:
        """Sync now, then after each change; changes that come close together are taken together."""
        self.changed()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_after_rules(), name="look after rules")
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                try:
                    await self.sync()
                except BackendError as error:
                    log.warning("cannot apply rules, trying again: %s", error)
                    self._distrust()
                    await self._clock.sleep(RETRY_SECONDS)
                await self._clock.sleep(self._minimum_interval)

    async def _look_after_rules(self) -> None:
        """Somebody may flush all rules (a firewall that is loaded again): then they are written anew."""
        while True:
            await self._clock.sleep(self._interval)
            if not await self._backend.intact():
                log.warning("our rules are gone, writing them anew")
                self._distrust()

    def _distrust(self) -> None:
        """Let the next sync, soon, write everything."""
        self._full_at = 0.0
        self.changed()

    async def sync(self) -> None:
        """Changes -> ruleset (pure) -> kernel (one transaction)."""
        started = self._clock.monotonic()
        triggers, self._triggers = self._triggers, []
        metrics.SERVICES_PENDING.labels(self.family.name).set(0)
        metrics.ENDPOINTS_PENDING.labels(self.family.name).set(0)
        ruleset = build_ruleset(self.services.all(), self.endpoints.all(), self.node)
        full = started >= self._full_at
        await self._backend.apply(ruleset, full=full)
        if full:
            self._full_at = started + FULL_SYNC_SECONDS
        await self._conntrack.forget_stale(ruleset)
        await self._service_health.sync(ruleset)
        if not self._wanted.is_set():
            self._health.applied(self.family)
        self._measure(ruleset, self._clock.monotonic() - started, triggers, full=full)
        log.debug("synced %d service ports", len(ruleset.rules))

    def _measure(self, ruleset: Ruleset, seconds: float, triggers: list[datetime], *, full: bool) -> None:
        now = self._clock.now()
        metrics.SYNC_SECONDS.labels(self.family.name).observe(seconds)
        kind = metrics.FULL_SYNC_SECONDS if full else metrics.PARTIAL_SYNC_SECONDS
        kind.labels(self.family.name).observe(seconds)
        metrics.LAST_SYNC.labels(self.family.name).set(now.timestamp())
        for moment in triggers:
            metrics.PROGRAMMING_SECONDS.labels(self.family.name).observe((now - moment).total_seconds())
        for policy, count in ruleset.without_local_endpoints().items():
            metrics.NO_LOCAL_ENDPOINTS.labels(self.family.name, policy).set(count)

    async def close(self) -> None:
        """Stop serving health-check ports; rules stay, so that Services go on while the proxy restarts."""
        await self._service_health.close()
