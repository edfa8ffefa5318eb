"""Which network and which ports a cluster gets, so that clusters which start at once get different ones.

A claim is an abstract Unix socket called `kubarium-network-N`. The kernel gives a name to one process only and takes it
back when nobody holds the socket any more: the launcher binds it, the keeper inherits it, and with the keeper it goes.
That needs no file and no root, and it does not matter in which homes the clusters live.

The ports of one network never are those of another one: each network has its own places in the table of ports.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

from kubarium.cluster import host_network, state
from kubarium.cluster.machine import LaunchError
from kubarium.cluster.programs import PORTS
from kubarium.cluster.state import NETWORKS, Cluster

STEP = 10  # between the ports of two networks; no two upstream ports are a small multiple of it apart
TRIES = 16  # ports of each program in one network
PATIENCE, PAUSE = 5.0, 0.05  # seconds


class Claim:
    """A network that nobody else on this machine has."""

    def __init__(self, network: int, holder: socket.socket) -> None:
        self.network = network
        self._holder = holder

    def hand_over(self) -> None:
        """Let the next program that is started inherit the claim."""
        self._holder.set_inheritable(True)

    def release(self) -> None:
        """Leave it to whoever inherited it, or to nobody."""
        self._holder.close()


def claim(network: int) -> Claim | None:
    """Take a network; None if somebody has it."""
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0kubarium-network-{network}")
    except OSError:
        holder.close()
        return None
    return Claim(network, holder)


async def first_free(wanted: int | None = None, patience: float = 0.0) -> Claim:
    """The wanted network, or the first that is free. Raises LaunchError.

    Who has no choice is patient for some seconds: a keeper that was killed holds its claim until its very end.
    """
    connected = await host_network.networks_in_use()
    if wanted is not None and wanted not in connected:
        for _ in range(int(patience / PAUSE)):
            if (found := claim(wanted)) is not None:
                return found
            await asyncio.sleep(PAUSE)
    order = dict.fromkeys([*([] if wanted is None else [wanted]), *range(NETWORKS)])
    for network in order:
        found = claim(network) if network not in connected else None
        if found is not None:
            return found
    raise LaunchError(f"there are {NETWORKS} clusters on this machine already")


async def take(cluster: Cluster) -> tuple[Cluster, Claim]:
    """Claim the cluster's network for it, or another one if it has kept nothing that depends on it."""
    is_bound = bool(cluster.nodes) and (cluster.dir / "etcd").exists()
    found = await first_free(cluster.network, PATIENCE if is_bound else 0.0)
    if found.network != cluster.network:
        if is_bound:
            raise LaunchError(
                f"the network {cluster.subnet} of cluster {cluster.name!r} is in use by another cluster; "
                "take that one down first, or forget this one: kubarium down --wipe"
            )
        cluster = replace(cluster, network=found.network, ports={})
    cluster = replace(cluster, ports=free_ports(cluster.ports, cluster.network))
    if cluster.nodes:
        before = await host_network.connect_host(cluster)
        cluster = replace(cluster, ip_forward=cluster.ip_forward or before)
    state.save(cluster)
    return cluster, found


def free_ports(preferred: dict[str, int], network: int) -> dict[str, int]:
    """For each program the port of last time, or the first free one that belongs to this network."""
    chosen: dict[str, int] = {}
    for name in PORTS:
        candidates = ports_of(name, network)
        last = preferred.get(name)
        chosen[name] = (
            last if last and _is_free(last) else next(port for port in candidates if _is_free(port))
        )
    return chosen


def ports_of(name: str, network: int) -> Iterator[int]:
    """The ports that a program may have in a network: upstream's in the first one."""
    first = PORTS[name] + network * STEP
    return iter(range(first, first + TRIES * NETWORKS * STEP, NETWORKS * STEP))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
