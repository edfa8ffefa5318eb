"""Which addresses the pods of one node have."""

from __future__ import annotations

import ipaddress
import itertools


def subnets(pod_cidr: str, max_pods: int) -> tuple[ipaddress.IPv4Network, int]:
    """The whole range, and the prefix length of a node's part of it: room for all its pods and at least a /24."""
    return ipaddress.IPv4Network(pod_cidr), min(24, 32 - (max_pods + 3).bit_length())


def subnet(pod_cidr: str, max_pods: int, index: int) -> str:
    """The part of the node with that index (from 0). Raises ValueError when the range is too small."""
    whole, length = subnets(pod_cidr, max_pods)
    if index >= 1 << (length - whole.prefixlen):
        raise ValueError(f"{pod_cidr} has no room for node number {index + 1}")
    first = int(whole.network_address) + (index << (32 - length))
    return f"{ipaddress.IPv4Address(first)}/{length}"


class Addresses:
    """Hands out the addresses of one subnet, the one that has been free the longest first."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.IPv4Network(cidr)
        self._first = int(network.network_address)
        self._size = network.num_addresses
        self._taken: set[int] = set()
        self._next = itertools.cycle(
            range(2, self._size - 1)
        )  # 0 is the subnet, 1 its gateway, the last the broadcast

    def take(self) -> tuple[str, ...]:
        """A free address; none when all are taken."""
        for _ in range(self._size):
            number = next(self._next)
            if number not in self._taken:
                self._taken.add(number)
                return (str(ipaddress.IPv4Address(self._first + number)),)
        return ()

    def keep(self, address: str) -> tuple[str, ...]:
        """An address that a pod has already."""
        number = int(ipaddress.IPv4Address(address)) - self._first
        self._taken.add(number)
        return (address,)

    def give_back(self, addresses: tuple[str, ...]) -> None:
        """The pod is gone."""
        for address in addresses:
            self._taken.discard(int(ipaddress.IPv4Address(address)) - self._first)
