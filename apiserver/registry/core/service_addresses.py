"""Cluster IPs and node ports: allocate, release, repair.

An address is taken by creating its IPAddress object, so that several API servers cannot give it away twice. Node ports
are bits of one `RangeAllocation` at `/registry/ranges/servicenodeports`, changed by compare-and-swap.
"""

from __future__ import annotations

import base64
import ipaddress
import random
import uuid
from collections.abc import Callable, Iterable

from apiserver.storage import interface as storage_errors
from apiserver.storage.interface import Storage
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, is_deleting, spec_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NODE_PORTS_KEY = "/registry/ranges/servicenodeports"
ADDRESSES_PREFIX = "/registry/ipaddresses/"
CIDRS_PREFIX = "/registry/servicecidrs/"
SERVICES_PREFIX = "/registry/services/specs/"
MANAGED_BY = "ipallocator.k8s.io"
_FAMILY_NAMES = {4: "IPv4", 6: "IPv6"}
_RANDOM_TRIES = 64
_STATIC_DIVISOR, _STATIC_MINIMUM, _STATIC_MAXIMUM = (
    16,
    16,
    256,
)  # KEP-3070: the low end is for chosen addresses
REPAIR_SECONDS = 180.0


class Full(storage_errors.Refused):
    """No address or port is left."""


class Taken(storage_errors.Refused):
    """The asked address or port belongs to somebody else."""


class OutOfRange(Exception):
    """The asked address or port is not one of ours."""


class ServiceAddresses:
    """Gives addresses and ports to services, and takes them back."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        ranges: Iterable[str],
        node_ports: tuple[int, int] = (30000, 32767),
    ) -> None:
        self._storage = storage
        self._clock = clock
        self.default_networks = [ipaddress.ip_network(text) for text in ranges]
        self.first_port, self.last_port = node_ports

    @property
    def families(self) -> list[str]:
        """The IP families of the cluster, the primary one first."""
        return [_FAMILY_NAMES[network.version] for network in self.default_networks]

    async def networks(self, family: str) -> list[Network]:
        """The ranges of a family: the flags' and those of ServiceCIDR objects that are not going away."""
        found = [network for network in self.default_networks if _FAMILY_NAMES[network.version] == family]
        page = await self._storage.list(CIDRS_PREFIX, minimum_revision=0)
        for item in page.items:
            for text in () if is_deleting(cidr := item.obj) else spec_of(cidr).get("cidrs") or ():
                network = ipaddress.ip_network(text)
                if _FAMILY_NAMES[network.version] == family and network not in found:
                    found.append(network)
        return found

    async def allocate(self, family: str, service: Object) -> str:
        """Any free address of a family. Raises Full."""
        for network in await self.networks(family):
            for candidate in _candidates(network):
                if await self._take(candidate, service):
                    return candidate
        raise Full("range is full")

    async def claim(self, address: str, service: Object) -> None:
        """One certain address. Raises OutOfRange or Taken."""
        parsed = ipaddress.ip_address(address)
        networks = await self.networks(_FAMILY_NAMES[parsed.version])
        if not any(_is_usable(parsed, network) for network in networks):
            shown = networks[0] if networks else ""
            raise OutOfRange(f"the provided IP ({address}) is not in the valid range. "
                             f"The range of valid IPs is {shown}")  # fmt: skip
        if not await self._take(str(parsed), service):
            raise Taken("provided IP is already allocated")

    async def release(self, addresses: Iterable[str]) -> None:
        """Free addresses, whoever has them."""
        for address in addresses:
            try:
                await self._storage.delete(ADDRESSES_PREFIX + address)
            except storage_errors.KeyNotFound:
                log.debug("address %s was free already", address)

    async def _take(self, address: str, service: Object) -> bool:
        metadata = service["metadata"]
        holder: Object = {
            "kind": "IPAddress",
            "apiVersion": "networking.k8s.io/v1",
            "metadata": {
                "name": address,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": time.format_time(self._clock.now()),
                "generation": 1,
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": _FAMILY_NAMES[ipaddress.ip_address(address).version],
                    "ipaddress.kubernetes.io/managed-by": MANAGED_BY,
                },
            },
            "spec": {
                "parentRef": {
                    "resource": "services",
                    "namespace": metadata["namespace"],
                    "name": metadata["name"],
                }
            },
        }
        try:
            await self._storage.create(ADDRESSES_PREFIX + address, holder)
        except storage_errors.KeyExists:
            return False
        return True

    async def allocate_port(self) -> int:
        """Any free node port. Raises Full."""
        chosen = 0

        def take(taken: set[int]) -> None:
            nonlocal chosen
            chosen = self._free_port(taken)
            taken.add(chosen)

        await self._change_ports(take)
        return chosen

    async def claim_port(self, port: int) -> None:
        """One certain node port. Raises OutOfRange or Taken."""
        if not self.first_port <= port <= self.last_port:
            raise OutOfRange("provided port is not in the valid range. "
                             f"The range of valid ports is {self.first_port}-{self.last_port}")  # fmt: skip

        def take(taken: set[int]) -> None:
            if port in taken:
                raise Taken("provided port is already allocated")
            taken.add(port)

        await self._change_ports(take)

    async def release_ports(self, ports: Iterable[int]) -> None:
        """Free node ports."""
        given_back = set(ports)
        if given_back:
            await self._change_ports(lambda taken: taken.difference_update(given_back))

    def _free_port(self, taken: set[int]) -> int:
        count = self.last_port - self.first_port + 1
        offset = _static_size(count, minimum=16, maximum=128, divisor=32)
        for low, high in ((offset, count - 1), (0, offset - 1)):  # the low end is for chosen ports (KEP-3668)
            free = [
                port for port in range(self.first_port + low, self.first_port + high + 1) if port not in taken
            ]
            if free:
                return random.choice(free)
        raise Full("range is full")

    async def _change_ports(self, change: Callable[[set[int]], None]) -> None:
        def modify(allocation: Object, revision: int) -> Object:
            taken = self._ports_in(allocation)
            change(taken)
            return {**allocation, "data": self._bits_of(taken)}

        while True:
            try:
                await self._storage.update(NODE_PORTS_KEY, modify)
                return
            except storage_errors.KeyNotFound:
                await self._begin_ports()

    async def _begin_ports(self) -> None:
        """The first use: whatever services have already is taken."""
        allocation: Object = {
            "kind": "RangeAllocation",
            "apiVersion": "v1",
            "metadata": {},
            "range": f"{self.first_port}-{self.last_port}",
            "data": self._bits_of(await self._ports_of_services()),
        }
        try:
            await self._storage.create(NODE_PORTS_KEY, allocation)
        except storage_errors.KeyExists:
            log.debug("another API server began the node port range")

    def _ports_in(self, allocation: Object) -> set[int]:
        bits = base64.b64decode(allocation.get("data") or "")
        return {
            self.first_port + 8 * at + bit
            for at, byte in enumerate(bits)
            if byte
            for bit in range(8)
            if byte >> bit & 1
        }

    def _bits_of(self, taken: Iterable[int]) -> str:
        bits = bytearray((self.last_port - self.first_port) // 8 + 1)
        for port in taken:
            if self.first_port <= port <= self.last_port:
                at = port - self.first_port
                bits[at // 8] |= 1 << at % 8
        return base64.b64encode(bits).decode()

    async def _ports_of_services(self) -> set[int]:
        page = await self._storage.list(SERVICES_PREFIX)
        return {port for item in page.items for port in node_ports_of(item.obj)}

    async def run(self) -> None:
        """Repair what crashes between two writes leave behind, every few minutes."""
        while True:
            try:
                await self.repair()
            except Exception as error:  # the edge of this loop: the next round tries again
                surprising = not isinstance(error, storage_errors.StorageError)
                log.warning("cannot repair service addresses: %s", error, exc_info=surprising)
            await self._clock.sleep(REPAIR_SECONDS)

    async def repair(self) -> None:
        """Take what services use, free what nobody uses."""
        page = await self._storage.list(SERVICES_PREFIX)
        used: dict[str, Object] = {}
        for item in page.items:
            service = item.obj
            used |= dict.fromkeys(addresses_of(service), service)
        held = await self._storage.list(ADDRESSES_PREFIX)
        now = self._clock.now()
        known = set()
        for item in held.items:
            address = item.key.removeprefix(ADDRESSES_PREFIX)
            known.add(address)
            metadata = item.obj["metadata"]
            labels = metadata.get("labels") or {}
            age = now - time.parse_time(metadata["creationTimestamp"])
            ours = labels.get("ipaddress.kubernetes.io/managed-by") == MANAGED_BY
            if ours and address not in used and age.total_seconds() > REPAIR_SECONDS / 2:
                await self.release([address])
        for address, service in used.items():
            if address not in known:
                await self._take(address, service)


def addresses_of(service: Object) -> list[str]:
    """The cluster IPs that a service holds."""
    spec = spec_of(service)
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [address for address in found if address and address != "None"]


def node_ports_of(service: Object) -> set[int]:
    """The node ports that a service holds, the health check's included."""
    spec = spec_of(service)
    found = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        found.add(spec["healthCheckNodePort"])
    return found


def _static_size(count: int, *, minimum: int, maximum: int, divisor: int) -> int:
    return 0 if count < minimum else min(max(minimum, count // divisor), maximum)


def _is_usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> bool:
    if address not in network or address == network.network_address:
        return False
    return address.version == 6 or address != network.broadcast_address


def _candidates(network: Network) -> Iterable[str]:
    """Random addresses of the upper part first, then every address in order."""
    count = min(network.num_addresses, 1 << 62) - (2 if network.version == 4 else 1)
    static = _static_size(count, minimum=_STATIC_MINIMUM, maximum=_STATIC_MAXIMUM, divisor=_STATIC_DIVISOR)
    for _ in range(_RANDOM_TRIES):
        yield str(network[1 + random.randrange(static, count)])
    for offset in range(min(count, 1 << 20)):
        yield str(network[1 + (static + offset) % count])
