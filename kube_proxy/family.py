"""The two families of addresses: the same rules in other words. Every part of the proxy works for one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """What a family is called where."""

    name: str  # in the API and in metrics
    iptables: str
    nft: str
    loopback: str
    everywhere: str  # where a server listens on all addresses

    def has(self, address: str) -> bool:
        """Is it an address, or a range, of this family?"""
        return family_of(address) is self

    def of(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """Those of this family."""
        return tuple(address for address in addresses if self.has(address))

    def host_port(self, address: str, port: int) -> str:
        """`10.244.1.7:8080` or `[fd00::7]:8080`."""
        return f"[{address}]:{port}" if self is IPV6 else f"{address}:{port}"


def family_of(address: str) -> Family:
    """Whose address, or range, it is."""
    return IPV6 if ":" in address else IPV4


IPV4 = Family("IPv4", "iptables", "ip", "127.0.0.0/8", "0.0.0.0")
IPV6 = Family("IPv6", "ip6tables", "ip6", "::1/128", "::")
