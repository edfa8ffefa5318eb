"""What the proxy sets once in the kernel of its node: how many connections are tracked, and for how long."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import orjson

from kubarium.component_base import logging
from kube_proxy.backends.backend import run, set_sysctl
from kube_proxy.family import IPV4, Family
from kube_proxy.options import Options

log = logging.get(__name__)

CONNTRACK = "net/netfilter/nf_conntrack_"


def prepare(options: Options) -> None:
    """Set what can be set; a node that forbids it keeps its own values, with a warning."""
    _adjust_oom_score(options.oom_score_adj)
    for name, value in wanted_sysctls(options, os.cpu_count() or 1):
        if name == f"{CONNTRACK}max" and _number_in(name) >= value:
            continue  # upstream never makes the table smaller
        set_sysctl(name, str(value))


def wanted_sysctls(options: Options, cores: int) -> Iterator[tuple[str, int]]:
    """Names below /proc/sys and values; what is to be left as it is does not appear. Pure."""
    if options.conntrack_max_per_core > 0:
        yield f"{CONNTRACK}max", max(options.conntrack_max_per_core * cores, options.conntrack_min)
    if options.conntrack_tcp_timeout_established > 0:
        yield f"{CONNTRACK}tcp_timeout_established", int(options.conntrack_tcp_timeout_established)
    if options.conntrack_tcp_timeout_close_wait > 0:
        yield f"{CONNTRACK}tcp_timeout_close_wait", int(options.conntrack_tcp_timeout_close_wait)
    if options.conntrack_tcp_be_liberal:
        yield f"{CONNTRACK}tcp_be_liberal", 1
    if options.conntrack_udp_timeout > 0:
        yield f"{CONNTRACK}udp_timeout", int(options.conntrack_udp_timeout)
    if options.conntrack_udp_timeout_stream > 0:
        yield f"{CONNTRACK}udp_timeout_stream", int(options.conntrack_udp_timeout_stream)


async def addresses_within(cidrs: tuple[str, ...], family: Family = IPV4) -> tuple[str, ...]:
    """The addresses of this node in any of these ranges; all of them, as one, if there is no range."""
    if not cidrs:
        return (family.everywhere,)
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
    links = orjson.loads(await run(["ip", "-json", "address", "show"]))
    own = [ipaddress.ip_address(info["local"]) for link in links for info in link["addr_info"]]
    found = (str(address) for address in own if any(address in network for network in networks))
    return tuple(dict.fromkeys(found)) or (family.everywhere,)


def _number_in(name: str) -> int:
    try:
        return int((Path("/proc/sys") / name).read_text())
    except (OSError, ValueError):
        return 0


def _adjust_oom_score(score: int) -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text(str(score))
    except OSError as error:
        log.debug("cannot set oom_score_adj to %s: %s", score, error)
