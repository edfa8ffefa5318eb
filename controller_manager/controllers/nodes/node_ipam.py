"""A pod range for each node, carved from the cluster's."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, ObjectKey, name_of, spec_of, uid_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RangeIsFull(Exception):
    """There is no free subnet any more."""


class SubnetPool:
    """Equal subnets of one range: hand out the lowest free one, take it back."""

    def __init__(self, cluster: str, mask_size: int) -> None:
        self.cluster: Network = ipaddress.ip_network(cluster)
        self.mask_size = mask_size
        self._used: set[int] = set()
        self._next = 0

    @property
    def size(self) -> int:
        """How many subnets there are."""
        return int(2 ** (self.mask_size - self.cluster.prefixlen))

    def take(self) -> str:
        """A free subnet; those not used for the longest come first. Raises RangeIsFull."""
        for step in range(self.size):
            index = (self._next + step) % self.size
            if index not in self._used:
                self._used.add(index)
                self._next = (index + 1) % self.size
                return self._subnet(index)
        raise RangeIsFull(
            "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range"
        )

    def occupy(self, subnet: str) -> None:
        """Somebody has this subnet, or one that overlaps."""
        self._used.update(self._indexes(subnet))

    def release(self, subnet: str) -> None:
        """Its node is gone."""
        self._used.difference_update(self._indexes(subnet))

    def _subnet(self, index: int) -> str:
        width = self.cluster.max_prefixlen - self.mask_size
        address = int(self.cluster.network_address) + (index << width)
        return f"{type(self.cluster.network_address)(address)}/{self.mask_size}"

    def _indexes(self, subnet: str) -> range:
        network = ipaddress.ip_network(subnet, strict=False)
        if network.version != self.cluster.version or not network.overlaps(self.cluster):
            return range(0)
        width = self.cluster.max_prefixlen - self.mask_size
        base = int(self.cluster.network_address)
        first = max(0, (int(network.network_address) - base) >> width)
        last = min(self.size - 1, (int(network.broadcast_address) - base) >> width)
        return range(first, last + 1)


class NodeIPAMController(Controller):
    """Writes `spec.podCIDR` and `spec.podCIDRs` of every node."""

    name = "node-ipam-controller"
    workers = 4

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        pools: Sequence[SubnetPool],
        service_ranges: Sequence[str] = (),
    ) -> None:
        self.pools = list(pools)
        for pool in self.pools:
            for service_range in service_ranges:
                pool.occupy(service_range)
        self.events = events
        self.nodes = informers.informer("v1", "nodes").lister
        self.resource = client.resource("v1", "nodes")
        self._lock = asyncio.Lock()  # two workers must not give the same subnet away
        self._served: set[str] = set()  # uids of nodes that have theirs although the cache does not show it
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes", on_delete=self._node_went, changed=_lost_range)]

    async def started(self) -> None:
        for node in self.nodes.list():
            self._occupy(node)

    def _occupy(self, node: Object) -> None:
        for subnet in spec_of(node).get("podCIDRs") or []:
            for pool in self.pools:
                pool.occupy(subnet)

    def _node_went(self, node: Object) -> None:
        self._served.discard(uid_of(node))
        for subnet in spec_of(node).get("podCIDRs") or []:
            for pool in self.pools:
                pool.release(subnet)

    async def reconcile(self, key: ObjectKey) -> None:
        async with self._lock:
            node = self.nodes.get(key)
            if node is None:
                return
            if spec_of(node).get("podCIDRs"):
                self._occupy(node)
            elif uid_of(node) not in self._served:
                await self._assign(node)

    async def _assign(self, node: Object) -> None:
        taken: list[str] = []
        try:
            for pool in self.pools:
                taken.append(pool.take())
            spec = {"podCIDR": taken[0], "podCIDRs": taken}
            await self.resource.patch(name_of(node), {"spec": spec})
        except RangeIsFull:
            self._give_back(taken)
            text = f"Node {name_of(node)} status is now: CIDRNotAvailable"
            self.events.event(node, "Normal", "CIDRNotAvailable", text)
            raise
        except errors.StatusError:
            self._give_back(taken)
            raise
        self._served.add(uid_of(node))
        log.info("node %s gets %s", name_of(node), ", ".join(taken))

    def _give_back(self, taken: Sequence[str]) -> None:
        for pool, subnet in zip(self.pools, taken, strict=False):
            pool.release(subnet)


def _lost_range(old: Object, new: Object) -> bool:
    return not spec_of(new).get("podCIDRs")


def pools_for(cluster_cidr: str, mask_size_v4: int, mask_size_v6: int) -> list[SubnetPool]:
    """One pool for each range of `--cluster-cidr`, which may name one of each family."""
    pools = []
    for text in filter(None, cluster_cidr.split(",")):
        size = mask_size_v6 if ":" in text else mask_size_v4
        pools.append(SubnetPool(text.strip(), size))
    return pools
