"""A "cloud" of nodes on one machine: the machine's routing table is the load balancer.

An address of each family, from a small pool in the nodes' own subnet, gets a route with every ready node as a next
hop; on the node kube-proxy knows the address from the Service's status and takes it from there. Where a Service only
wants the pods of the node that traffic came to (`externalTrafficPolicy: Local`), nodes are asked whether they have any.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cloud_controller_manager.provider import Instance
from kubarium.api.core import service as services
from kubarium.apimachinery.object import Object, ObjectKey, key_of, name_of
from kubarium.apimachinery.rules import family_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

POOL_SIZE = 56  # addresses, counted from the end of the nodes' /24
POOL_6 = 0xFF00  # where the addresses begin in the nodes' /64
FAMILIES = ("IPv4", "IPv6")
PROBE_INTERVAL = 1.0  # seconds
PROBE_TIMEOUT = 1.0


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


@dataclass
class Way:
    """How the machine gets to one Service, by one family of addresses."""

    address: str
    nodes: list[str]  # the addresses of all nodes that may serve
    health_port: int  # where to ask a node whether it has a pod of the Service; 0: no need to ask
    hops: list[str]  # the nodes in the routing table

    @property
    def destination(self) -> str:
        """What the routing table calls it."""
        return f"{self.address}/{ipaddress.ip_address(self.address).max_prefixlen}"


class LocalLoadBalancers:
    """Addresses are kept in the Services' statuses, so that nothing is lost with this process."""

    def __init__(self) -> None:
        self._taken: dict[tuple[ObjectKey, str], str] = {}  # by Service and family
        self._ways: dict[tuple[ObjectKey, str], Way] = {}

    def remember(self, service: Object) -> None:
        for family in FAMILIES:
            if address := _given(service, family):
                self._taken.setdefault((key_of(service), family), address)

    async def ensure(self, service: Object, nodes: Sequence[Object]) -> list[str]:
        wanted = services.spec_of(service).get("ipFamilies") or FAMILIES[:1]
        for family in FAMILIES:
            if family not in wanted:
                await self._give_back(service, family)
        addresses = []
        for family in wanted:
            found = sorted(filter(None, (internal_ip(node, family) for node in nodes)))
            if found:
                addresses.append(await self._ensure(service, family, found))
        if not addresses:
            raise ConnectionError("there are no available nodes for LoadBalancer")
        return addresses

    async def _ensure(self, service: Object, family: str, nodes: list[str]) -> str:
        way = Way(self._address_of(service, family, nodes[0]), nodes, 0, [])
        if services.needs_health_check_port(service):
            way.health_port = services.spec_of(service).get("healthCheckNodePort") or 0
        self._ways[key_of(service), family] = way
        await _route(way)
        return way.address

    async def delete(self, service: Object) -> None:
        for family in FAMILIES:
            await self._give_back(service, family)

    async def _give_back(self, service: Object, family: str) -> None:
        place = key_of(service), family
        self._ways.pop(place, None)
        if address := self._taken.pop(place, "") or _given(service, family):
            await _ip("route", "delete", Way(address, [], 0, []).destination, missing_is_fine=True)

    async def watch(self, clock: Clock) -> None:
        while True:
            await clock.sleep(PROBE_INTERVAL)
            for way in list(self._ways.values()):
                if way.health_port:
                    await self._look_after(way)

    async def _look_after(self, way: Way) -> None:
        try:
            await _route(way)
        except ConnectionError as error:
            log.warning("cannot change the route to %s: %s", way.address, error)
        if way not in self._ways.values():  # given back while we asked
            await _ip("route", "delete", way.destination, missing_is_fine=True)

    def _address_of(self, service: Object, family: str, node_address: str) -> str:
        place = key_of(service), family
        known = self._taken.get(place) or _given(service, family)
        asked = services.spec_of(service).get("loadBalancerIP") or ""
        others = {address for owner, address in self._taken.items() if owner != place}
        for address in [known, asked, *pool_beside(node_address)]:
            if address and family_of(address) == family and address not in others:
                self._taken[place] = address
                return address
        raise ConnectionError("no address is left in the pool of load balancers")


async def _route(way: Way) -> None:
    """Send traffic to the nodes that say that they have a pod; to all if none says so."""
    hops = way.nodes
    if way.health_port:
        answers = await asyncio.gather(*(_is_healthy(node, way.health_port) for node in way.nodes))
        hops = [node for node, good in zip(way.nodes, answers, strict=True) if good] or way.nodes
    if hops != way.hops:
        via = [word for hop in hops for word in ("nexthop", "via", hop)]
        await _ip("route", "replace", way.destination, *via)
        way.hops = hops


async def _is_healthy(node: str, port: int) -> bool:
    """Does the health check port of a Service say 200 there?"""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            reader, writer = await asyncio.open_connection(node, port)
            try:
                writer.write(f"GET / HTTP/1.0\r\nHost: {node}\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]


def internal_ip(node: Object, family: str = FAMILIES[0]) -> str:
    """The address by which other machines reach a node."""
    addresses = (node.get("status") or {}).get("addresses") or []
    own = [each["address"] for each in addresses if each.get("type") == "InternalIP"]
    return next((address for address in own if family_of(address) == family), "")


def _given(service: Object, family: str) -> str:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    own = [way["ip"] for way in ingress if way.get("ip")]
    return next((address for address in own if family_of(address) == family), "")


def pool_beside(node_address: str) -> list[str]:
    """The addresses for load balancers where nodes have addresses like this one."""
    if family_of(node_address) == FAMILIES[0]:
        hosts = list(ipaddress.ip_network(f"{node_address}/24", strict=False).hosts())
        return [str(address) for address in hosts[-POOL_SIZE:]]
    network = ipaddress.ip_network(f"{node_address}/64", strict=False)
    return [str(network[POOL_6 + number]) for number in range(POOL_SIZE)]


async def _ip(*words: str, missing_is_fine: bool = False) -> None:
    process = await asyncio.create_subprocess_exec(
        "ip", *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, problems = await process.communicate()
    if process.returncode and not missing_is_fine:
        raise ConnectionError(f"ip {' '.join(words)}: {problems.decode().strip()}")
