"""A "cloud" of nodes on one machine: the machine's routing table is the load balancer.

An address from a small pool in the nodes' own subnet gets a route with every ready node as a next hop; on the node
kube-proxy knows the address from the Service's status and takes it from there.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from cloud_controller_manager.provider import Instance
from kubarium.api.core import service as services
from kubarium.apimachinery.object import Object, ObjectKey, key_of, name_of
from kubarium.component_base import logging

log = logging.get(__name__)

POOL_SIZE = 56  # addresses, counted from the end of the nodes' /24


class LocalProvider:
    """The machine that it runs on."""

    name = "local"
    routes = None  # the launcher of nodes sets them itself

    def __init__(self) -> None:
        self.instances = LocalInstances()
        self.load_balancers = LocalLoadBalancers()


class LocalInstances:
    """Every Node has a machine for as long as somebody keeps the Node."""

    async def find(self, node: Object) -> Instance | None:
        addresses = tuple(
            (each["type"], each["address"]) for each in (node.get("status") or {}).get("addresses") or []
        )
        return Instance(f"local:///{name_of(node)}", "local", addresses)

    async def is_shut_down(self, node: Object) -> bool:
        return False


class LocalLoadBalancers:
    """Addresses are kept in the Services' statuses, so that nothing is lost with this process."""

    def __init__(self) -> None:
        self._taken: dict[ObjectKey, str] = {}

    async def ensure(self, service: Object, nodes: Sequence[Object]) -> str:
        hops = sorted(filter(None, (internal_ip(node) for node in nodes)))
        if not hops:
            raise ConnectionError("there are no available nodes for LoadBalancer")
        address = self._address_of(service, hops[0])
        via = [word for hop in hops for word in ("nexthop", "via", hop)]
        await _ip("route", "replace", f"{address}/32", *via)
        return address

    async def delete(self, service: Object) -> None:
        address = self._taken.pop(key_of(service), "") or _given(service)
        if address:
            await _ip("route", "delete", f"{address}/32", missing_is_fine=True)

    def _address_of(self, service: Object, node_address: str) -> str:
        key = key_of(service)
        known = self._taken.get(key) or _given(service)
        pool = list(ipaddress.ip_network(f"{node_address}/24", strict=False).hosts())[-POOL_SIZE:]
        asked = services.spec_of(service).get("loadBalancerIP") or ""
        others = {address for owner, address in self._taken.items() if owner != key}
        for address in [known, asked, *map(str, pool)]:
            if address and address not in others:
                self._taken[key] = address
                return address
        raise ConnectionError("no address is left in the pool of load balancers")


def internal_ip(node: Object) -> str:
    """The address by which other machines reach a node."""
    addresses = (node.get("status") or {}).get("addresses") or []
    return next((each["address"] for each in addresses if each.get("type") == "InternalIP"), "")


def _given(service: Object) -> str:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ingress[0].get("ip", "") if ingress else ""


async def _ip(*words: str, missing_is_fine: bool = False) -> None:
    process = await asyncio.create_subprocess_exec(
        "ip", *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, problems = await process.communicate()
    if process.returncode and not missing_is_fine:
        raise ConnectionError(f"ip {' '.join(words)}: {problems.decode().strip()}")
