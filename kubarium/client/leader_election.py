"""Hold a Lease, or wait until whoever holds it lets go.

Times are upstream's defaults: a lease lasts 15 s, the leader gives up when it could not renew for 10 s, everyone tries
every 2 s. Source: https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, copy
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.metrics import Latest

log = logging.get(__name__)

_LEADS = Latest(
    "leader_election_master_status",
    "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' "
    "is the string used to identify the lease. Please make sure to group by name.",
    ("name",),
)


class LeadershipLost(Exception):
    """Somebody else may be leading now: the process must end."""


class LeaderElector:
    """Competes for one Lease."""

    def __init__(
        self,
        client: Client,
        name: str,
        identity: str,
        clock: Clock | None = None,
        *,
        namespace: str = "kube-system",
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
    ) -> None:
        self._leases = client.resource("coordination.k8s.io/v1", "leases")
        self._name, self._namespace, self._identity = name, namespace, identity
        self._clock = clock or RealClock()
        self._duration, self._deadline, self._period = lease_duration, renew_deadline, retry_period
        self._seen: Object | None = None  # the last lease we read or wrote
        self._seen_at = 0.0  # by our own clock, since clocks of machines differ

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, then run `lead` for as long as it is ours. Raises LeadershipLost."""
        _LEADS.set((self._name,), 0.0)
        while not await self._try(self._deadline):
            await self._clock.sleep(self._period)
        log.info("became leader of %s as %s", self._name, self._identity)
        _LEADS.set((self._name,), 1.0)
        leading = asyncio.ensure_future(lead())
        renewing = asyncio.ensure_future(self._renew_for_ever())
        try:
            done, _ = await asyncio.wait([leading, renewing], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            _LEADS.set((self._name,), 0.0)
            for task in (leading, renewing):
                task.cancel()
            await asyncio.wait([leading, renewing])
            await self._release()

    async def _renew_for_ever(self) -> None:
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._period)
            # Whoever waits for an answer, or stood still, must not believe to lead when the lease has run out.
            left = renewed + self._period + self._deadline - self._clock.monotonic()
            if left > 0 and await self._try(left):
                renewed = self._clock.monotonic()
            elif self._clock.monotonic() - renewed > self._deadline:
                raise LeadershipLost(f"failed to renew lease {self._namespace}/{self._name}: timed out")

    async def _try(self, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                return await self._acquire_or_renew()
        except errors.Conflict:
            self._seen = None
            return False
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            log.warning("cannot reach lease %s: %s", self._name, error or type(error).__name__)
            return False

    async def _acquire_or_renew(self) -> bool:
        now = self._clock.now()
        if self._seen is not None and _holder(self._seen) == self._identity:
            return await self._write(copy(self._seen), now)
        try:
            lease = await self._leases.get(self._name, self._namespace)
        except errors.NotFound:
            self._remember(await self._leases.create(self._fresh(now)))
            return True
        if self._seen is None or lease["spec"] != self._seen["spec"]:
            self._remember(lease)
        expired = self._clock.monotonic() - self._seen_at > self._duration
        if _holder(lease) not in ("", self._identity) and not expired:
            return False
        return await self._write(lease, now)

    async def _write(self, lease: Object, now: datetime) -> bool:
        spec = lease.setdefault("spec", {})
        if spec.get("holderIdentity") != self._identity:
            spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + 1
            spec["acquireTime"] = time.format_micro_time(now)
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration),
            "renewTime": time.format_micro_time(now),
        }
        self._remember(await self._leases.update(lease))
        return True

    def _fresh(self, now: datetime) -> Object:
        moment = time.format_micro_time(now)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(self._duration),
                "acquireTime": moment,
                "renewTime": moment,
                "leaseTransitions": 0,
            },
        }

    def _remember(self, lease: Object) -> None:
        self._seen, self._seen_at = lease, self._clock.monotonic()

    async def _release(self) -> None:
        """Let the next one start at once."""
        if self._seen is None or _holder(self._seen) != self._identity:
            return
        lease = copy(self._seen)
        lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(2.0):
                await self._leases.update(lease)
        except (errors.StatusError, ConnectionError, TimeoutError) as error:
            log.info("could not release lease %s: %s", self._name, error or type(error).__name__)


def _holder(lease: Object) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""
