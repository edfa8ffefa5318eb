"""Ranges of Service addresses: ready when they may be used, and kept while an address of theirs is in use."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    finalizers_of,
    is_deleting,
    key_of,
    name_of,
    resource_version_of,
    spec_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
DELETION_GRACE = 10.0  # seconds; until then every API server has seen that it gives no more addresses of it
RANGES = ("networking.k8s.io/v1", "servicecidrs")
ADDRESSES = ("networking.k8s.io/v1", "ipaddresses")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ServiceCIDRController(Controller):
    """Protects ranges and says when they are ready."""

    name = "service-cidr-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.ranges = informers.informer(*RANGES).lister
        self.addresses = informers.informer(*ADDRESSES).lister
        self.resource = client.resource(*RANGES)
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch(*RANGES, keys=self._overlapping),
            Watch(*ADDRESSES, keys=self._around, changed=lambda old, new: False),
        ]

    def _overlapping(self, one: Object) -> Iterable[ObjectKey]:
        mine = networks_of(one)
        others = [
            o
            for o in self.ranges.list()
            if any(a.overlaps(b) for a in mine for b in networks_of(o) if a.version == b.version)
        ]
        return [key_of(one), *(key_of(other) for other in others)]

    def _around(self, address: Object) -> Iterable[ObjectKey]:
        """Only a range that is being deleted waits for its addresses."""
        found = [one for one in self.ranges.list() if is_deleting(one)]
        return [key_of(one) for one in found if _holds(networks_of(one), name_of(address))]

    async def reconcile(self, key: ObjectKey) -> float | None:
        one = self.ranges.get(key)
        if one is None:
            return None
        if is_deleting(one):
            return await self._let_go_if_unused(one)
        if FINALIZER not in finalizers_of(one):
            guard = {
                "resourceVersion": resource_version_of(one),
                "finalizers": [*finalizers_of(one), FINALIZER],
            }
            one = await self.resource.patch(key.name, {"metadata": guard})
        await self._report(one, "True", "", "Kubernetes Service CIDR is ready")
        return None

    async def _let_go_if_unused(self, one: Object) -> float | None:
        """The answer is for how long it must stay in any case."""
        if FINALIZER not in finalizers_of(one):
            return None
        others = [
            network
            for other in self.ranges.list()
            if name_of(other) != name_of(one) and not is_deleting(other)
            for network in networks_of(other)
        ]
        mine = networks_of(one)
        held = [
            name_of(address)
            for address in self.addresses.list()
            if _holds(mine, name_of(address)) and not _holds(others, name_of(address))
        ]
        if held:
            text = (
                "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new "
                "ServiceCIDR"
            )
            await self._report(one, "False", "Terminating", text)
            return None
        since = time.parse_time(one["metadata"]["deletionTimestamp"])
        wait = DELETION_GRACE - (self.clock.now() - since).total_seconds()
        if wait > 0:
            return wait
        left = [finalizer for finalizer in finalizers_of(one) if finalizer != FINALIZER]
        guard = {"resourceVersion": resource_version_of(one), "finalizers": left or None}
        await self.resource.patch(name_of(one), {"metadata": guard})
        return None

    async def _report(self, one: Object, status: str, reason: str, message: str) -> None:
        changed = copy(one)
        listed = changed.setdefault("status", {}).setdefault("conditions", [])
        condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
        if conditions.set_condition(listed, condition, self.clock.now()):
            await self.resource.update_status(changed)


def networks_of(one: Object) -> list[Network]:
    """The ranges that an object names, at most one of each family."""
    return [ipaddress.ip_network(text) for text in spec_of(one).get("cidrs") or []]


def _holds(networks: Iterable[Network], address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
