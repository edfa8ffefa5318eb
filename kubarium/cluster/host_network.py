"""The host's part of the network: one bridge per cluster, one cable and one network namespace per node.

          world ── eth0 ┐                       10.89.N.0/24, pods 10.(244-N).0.0/16
                        host ── kbN (10.89.N.1)
                                 ├── kbNn1 ─┤node-1 eth0 10.89.N.11, pods 10.244.0.0/24
                                 └── kbNn2 ─┤node-2 eth0 10.89.N.12, pods 10.244.1.0/24

Traffic inside the cluster is routed as it is; only what leaves for the world is masqueraded, by one nftables
table that carries the bridge's name. Everything here can be repeated and removes leftovers of an earlier try.

The second addresses of a cluster with two families (fd00:10:89:N::11, pods fd00:10:244-N::/56) lead to nodes, pods
and Services, not into the world: for that the host would have to become an IPv6 router as a whole, and would forget
what its own router told it.
"""

from __future__ import annotations

import json
from pathlib import Path

from kubarium.cluster.shell import CommandError, run, succeeds
from kubarium.cluster.state import NETWORKS, SERVICE_CIDR, SERVICE_CIDR_6, Cluster, Node

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


async def networks_in_use() -> set[int]:
    """Numbers of the cluster networks that exist on this machine."""
    links = json.loads(await run("ip", "-json", "link", "show", "type", "bridge") or "[]")
    bridges = {link["ifname"] for link in links if "ifname" in link}
    return {number for number in range(NETWORKS) if f"kb{number}" in bridges}


async def connect_host(cluster: Cluster) -> str:
    """Make the bridge and the way to the world; returns what the host's forwarding switch was before."""
    if not await succeeds("ip", "link", "show", cluster.bridge):
        await run("ip", "link", "add", cluster.bridge, "type", "bridge")
    await run("ip", "link", "set", "dev", cluster.bridge, "alias", cluster.uid)
    await run(
        "ip", "address", "replace", f"{cluster.address}/{cluster.subnet.prefixlen}", "dev", cluster.bridge
    )
    await run("ip", "link", "set", cluster.bridge, "up")
    if cluster.is_dual:
        second = f"{cluster.subnet_6[1]}/{cluster.subnet_6.prefixlen}"
        await run("ip", "-6", "address", "replace", second, "dev", cluster.bridge, "nodad")
    before = IP_FORWARD.read_text().strip()
    IP_FORWARD.write_text("1")
    await run("nft", "-f", "-", stdin=masquerade_rules(cluster))
    await _accept_forwarding(cluster)
    return before


def masquerade_rules(cluster: Cluster) -> str:
    """The table that lets nodes and pods talk to the world under the host's address.

    Addresses of Services that no kube-proxy has translated lead nowhere: the world must not answer in their place.
    """
    sources = f"{{ {cluster.subnet}, {cluster.pod_cidr} }}"
    return f"""
table ip {cluster.bridge}
delete table ip {cluster.bridge}
table ip {cluster.bridge} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {sources} oifname != "{cluster.bridge}" masquerade
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "{cluster.bridge}" ip daddr {SERVICE_CIDR} reject
    }}
}}
"""


def is_others(cluster: Cluster) -> bool:
    """Does the bridge of this number belong to another cluster? Its alias says whose it is."""
    alias = Path("/sys/class/net", cluster.bridge, "ifalias")
    return alias.exists() and alias.read_text().strip() != cluster.uid


async def connect_node(cluster: Cluster, node: Node) -> None:
    """Make a node's network namespace and its cable."""
    await disconnect_node(cluster, node)
    netns, veth = cluster.netns(node), cluster.veth(node)
    await run("ip", "netns", "add", netns)
    await run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", netns)
    await run("ip", "link", "set", veth, "master", cluster.bridge, "up")
    commands = f"""
link set lo up
address add {cluster.node_address(node)}/{cluster.subnet.prefixlen} dev eth0
link set eth0 up
route add default via {cluster.address}
"""
    if cluster.is_dual:
        # No default route: what leads nowhere is refused at once. Addresses of Services need one to be translated.
        commands += f"""
address add {cluster.node_addresses(node)[1]}/{cluster.subnet_6.prefixlen} dev eth0 nodad
route add {SERVICE_CIDR_6} dev eth0
"""
    await run("ip", "-netns", netns, "-batch", "-", stdin=commands)


async def disconnect_node(cluster: Cluster, node: Node) -> None:
    """Remove a node's cable and network namespace."""
    if is_others(cluster):
        return
    if Path("/run/netns", cluster.netns(node)).exists():
        await succeeds("ip", "netns", "delete", cluster.netns(node))
    if Path("/sys/class/net", cluster.veth(node)).exists():
        await succeeds("ip", "link", "delete", cluster.veth(node))


async def disconnect_host(cluster: Cluster) -> None:
    """Remove the bridge, with it the routes, and the rules."""
    if is_others(cluster):
        return
    await _forget_forwarding(cluster)
    await succeeds("nft", "delete", "table", "ip", cluster.bridge)
    if Path("/sys/class/net", cluster.bridge).exists():
        await succeeds("ip", "link", "delete", cluster.bridge)
    others = await networks_in_use() - {cluster.network}
    if cluster.ip_forward is not None and not others:
        IP_FORWARD.write_text(cluster.ip_forward)


async def _accept_forwarding(cluster: Cluster) -> None:
    """A host whose firewall forwards nothing (Docker's default) must let the bridge's packets through."""
    for rule in _forward_rules(cluster):
        try:
            policy = await run("iptables", "-w", "5", "-S", "FORWARD")
        except (CommandError, FileNotFoundError):
            return
        if "-P FORWARD ACCEPT" in policy or await succeeds("iptables", "-w", "5", "-C", "FORWARD", *rule):
            continue
        await run("iptables", "-w", "5", "-I", "FORWARD", *rule)


async def _forget_forwarding(cluster: Cluster) -> None:
    for rule in _forward_rules(cluster):
        try:
            while await succeeds("iptables", "-w", "5", "-D", "FORWARD", *rule):
                pass
        except FileNotFoundError:
            return


def _forward_rules(cluster: Cluster) -> tuple[tuple[str, ...], ...]:
    return (("-i", cluster.bridge, "-j", "ACCEPT"), ("-o", cluster.bridge, "-j", "ACCEPT"))
