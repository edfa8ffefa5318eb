"""What lies on a node's disk before it is switched on."""

from __future__ import annotations

import sys
from pathlib import Path

from kubarium.cluster import host_network, images, keeper, node, programs, state
from kubarium.cluster.state import Cluster, Node


async def prepare(cluster: Cluster, member: Node, prepared: Path) -> None:
    """Put a node's disk and cable in place."""
    disk = cluster.node_dir(member)
    etc = disk / "etc"
    (etc / "containerd").mkdir(parents=True, exist_ok=True)
    (etc / "cni/net.d").mkdir(parents=True, exist_ok=True)
    (etc / "kubernetes/manifests").mkdir(parents=True, exist_ok=True)
    (disk / "var/lib/cni").mkdir(parents=True, exist_ok=True)  # followed from outside from the first pod on
    config = images.containerd_config("/var/lib/containerd", "/run/containerd", programs.CRI_SOCKET)
    (etc / "containerd/config.toml").write_text(config)
    (etc / "hostname").write_text(f"{member.name}\n")
    (etc / "hosts").write_text(hosts_file(cluster, member))
    write_resolv_conf(etc / "resolv.conf")
    if not (etc / "machine-id").exists():
        (etc / "machine-id").write_text(f"{state.new_uid()}\n")
    await images.copy_root(prepared, disk / "var/lib/containerd")
    plan = node.Plan(
        name=member.name,
        programs=str(disk / "programs.json"),
        cgroup=f"{cluster.cgroup}/{member.name}",
        disk=str(disk),
        shared=(str(cluster.home), str(programs.source_folder()), sys.prefix, sys.base_prefix),
    )
    node.write(plan, disk / "plan.json")
    keeper.write_programs(disk / "programs.json", programs.node_programs(cluster, member), disk / "run")
    await host_network.connect_node(cluster, member)


def hosts_file(cluster: Cluster, member: Node) -> str:
    """A node knows itself and the API server by name."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [
        f"{cluster.node_address(member)} {member.name}",
        f"{cluster.address} {cluster.name}-control-plane",
    ]
    return "\n".join(lines) + "\n"


def write_resolv_conf(path: Path) -> None:
    """The host's name servers, without those that only the host itself can reach."""
    sources = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
    text = next((Path(source).read_text() for source in sources if Path(source).exists()), "")
    lines = [line for line in text.splitlines() if not line.startswith(("nameserver 127.", "nameserver ::1"))]
    path.unlink(missing_ok=True)
    path.write_text("\n".join(lines) + "\n")
