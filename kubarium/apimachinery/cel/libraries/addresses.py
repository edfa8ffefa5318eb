"""Addresses and networks.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-ip-address-library
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, NamedTuple

from kubarium.apimachinery.cel.call_costs import by_length, by_network, by_networks, by_two_passes
from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class
from kubarium.apimachinery.cel.libraries.address_problems import address_problem, network_problem

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class IP(NamedTuple):
    """An address."""

    address: _Address


class CIDR(NamedTuple):
    """A network, with the address that was written before the slash."""

    interface: _Interface

    @property
    def size(self) -> int:
        """The bytes that the network's address has."""
        return -(-self.interface.network.prefixlen // 8)


register_class("ip", IP)
register_class("cidr", CIDR)


def _parse_ip(text: str) -> IP | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if "%" in text or _is_mapped(address) else IP(address)


def _is_mapped(address: _Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _parse_cidr(text: str) -> CIDR | None:
    if "%" in text or re.search(r"/(\d|[1-9]\d+)$", text) is None:
        return None
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return None
    return None if _is_mapped(interface.ip) else CIDR(interface)


@function("isIP | string -> bool", cost=by_length)
def _is_ip(text: str) -> bool:
    return _parse_ip(text) is not None


@function("ip | string -> ip", cost=by_length)
def _ip(text: str) -> IP:
    found = _parse_ip(text)
    if found is None:
        raise EvaluationError(_why_no_ip(text))
    return found


def _why_no_ip(text: str) -> str:
    address, _, zone = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        zone = ""
    if zone:
        return f'IP address "{text}" with zone value is not allowed'
    try:
        ipaddress.ip_address(text)
    except ValueError:
        why = address_problem(text)
        return f"IP Address {json.dumps(text, ensure_ascii=False)} parse error during conversion from string: {why}"
    return f'IPv4-mapped IPv6 address "{text}" is not allowed'


@function("ip::isCanonical | string -> bool", cost=by_two_passes)
def _is_canonical(text: str) -> bool:
    return str(_ip(text).address) == text


@function("ip.family | -> int")
def _family(ip: IP) -> int:
    return ip.address.version


@function("ip.isUnspecified | -> bool")
def _is_unspecified(ip: IP) -> bool:
    return ip.address.is_unspecified


@function("ip.isLoopback | -> bool")
def _is_loopback(ip: IP) -> bool:
    return ip.address.is_loopback


@function("ip.isLinkLocalUnicast | -> bool")
def _is_link_local(ip: IP) -> bool:
    return ip.address.is_link_local


@function("ip.isLinkLocalMulticast | -> bool")
def _is_link_local_multicast(ip: IP) -> bool:
    networks = ("224.0.0.0/24",) if ip.address.version == 4 else ("ff02::/16",)
    return any(ip.address in ipaddress.ip_network(network) for network in networks)


@function("ip.isGlobalUnicast | -> bool")
def _is_global_unicast(ip: IP) -> bool:
    address = ip.address
    others = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not others and str(address) != "255.255.255.255"


@function("string | ip -> string")
def _ip_text(ip: IP) -> str:
    return str(ip.address)


@function("isCIDR | string -> bool", cost=by_length)
def _is_cidr(text: str) -> bool:
    return _parse_cidr(text) is not None


_NO_NETWORK = "network address parse error during conversion from string"


def _why_no_network(text: str) -> str:
    why = network_problem(text)
    return f"{_NO_NETWORK}: {why}" if why else f'IPv4-mapped IPv6 address "{text}" is not allowed'


@function("cidr | string -> cidr", cost=by_length)
def _cidr(text: str) -> CIDR:
    found = _parse_cidr(text)
    if found is None:
        raise EvaluationError(f"{_NO_NETWORK}: {_why_no_network(text)}")
    return found


@function("cidr.containsIP | string -> bool", "cidr.containsIP | ip -> bool", cost=by_network)
def _contains_ip(cidr: CIDR, ip: Any) -> bool:
    return (_ip(ip) if isinstance(ip, str) else ip).address in cidr.interface.network


@function("cidr.containsCIDR | string -> bool", "cidr.containsCIDR | cidr -> bool", cost=by_networks)
def _contains_cidr(cidr: CIDR, other: Any) -> bool:
    inner = (_cidr(other) if isinstance(other, str) else other).interface.network
    outer = cidr.interface.network
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


@function("cidr.ip | -> ip")
def _cidr_ip(cidr: CIDR) -> IP:
    return IP(cidr.interface.ip)


@function("cidr.masked | -> cidr")
def _masked(cidr: CIDR) -> CIDR:
    return CIDR(ipaddress.ip_interface(str(cidr.interface.network)))


@function("cidr.prefixLength | -> int")
def _prefix_length(cidr: CIDR) -> int:
    return cidr.interface.network.prefixlen


@function("string | cidr -> string")
def _cidr_text(cidr: CIDR) -> str:
    return str(cidr.interface)
