"""What a cluster is and where its files lie: one value, one folder.

$KUBARIUM_HOME/                     default: .kubarium in the current directory
  cache/                            shared by all clusters: images, a prepared containerd root
  clusters/NAME/
    cluster.json                    this module's `Cluster`, as JSON
    pki/  *.conf                    certificates and kubeconfigs
    etcd/                           etcd's data
    logs/  run/  programs.json      the host keeper's output, reports and orders
    nodes/NODE/                     one node's disk: etc, var, tmp, logs, run, programs.json
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kubarium.cluster.machine import LaunchError
from kubarium.component_base.certificates import write_public

DEFAULT_NAME = "kubarium"
NETWORKS = 32  # how many clusters one machine can hold side by side
SERVICE_CIDR = "10.96.0.0/12"
SERVICE_CIDR_6 = "fd00:10:96::/112"
IP_FAMILIES = ("ipv4", "dual")
KUBERNETES_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DNS_DOMAIN = "cluster.local"

Settings = dict[str, dict[str, str | None]]  # program -> flag -> value to set, or None: to take back


@dataclass(frozen=True)
class Node:
    """One node: its place in the network, and whether it is switched on."""

    name: str
    index: int  # from 1; the last part of its address is 10 + index
    on: bool = True


@dataclass(frozen=True)
class Cluster:
    """Everything that must be known to start a cluster again as it was."""

    home: Path
    name: str = DEFAULT_NAME
    uid: str = ""  # marks every process of this cluster
    network: int = 0  # which of the networks 10.89.N.0/24
    ports: dict[str, int] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    simulated: int = 0  # how many nodes there are besides, on which nothing really runs
    proxy_mode: str = "iptables"
    ip_family: str = "ipv4"  # or "dual": nodes, pods and Services may have an IPv6 address besides
    extra: dict[str, dict[str, str]] = field(default_factory=dict)  # program -> flag -> value
    stopped: tuple[str, ...] = ()  # programs that people run themselves: "kube-scheduler", "node-1/kubelet"
    ip_forward: str | None = None  # what the host's switch was before
    api_address: str = ""  # where the API server is, if not on the bridge (docker compose)

    @property
    def dir(self) -> Path:
        """The cluster's folder."""
        return self.home / "clusters" / self.name

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.dir / "pki"

    @property
    def logs(self) -> Path:
        """Log files of the programs on the host."""
        return self.dir / "logs"

    @property
    def run(self) -> Path:
        """The host keeper's reports."""
        return self.dir / "run"

    @property
    def cache(self) -> Path:
        """What all clusters of this home share."""
        return self.home / "cache"

    @property
    def admin_conf(self) -> Path:
        """The kubeconfig for people."""
        return self.dir / "admin.conf"

    @property
    def bridge(self) -> str:
        """Name of the link that connects the nodes."""
        return f"kb{self.network}"

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """Addresses of the host (the first) and the nodes."""
        return ipaddress.IPv4Network(f"10.89.{self.network}.0/24")

    @property
    def address(self) -> str:
        """The host's address on the bridge; the API server listens there."""
        return self.api_address or str(self.subnet[1])

    @property
    def pod_cidr(self) -> str:
        """The range from which nodes get their pod networks; the host has routes to all of them."""
        return f"10.{244 - self.network}.0.0/16"

    @property
    def is_dual(self) -> bool:
        """Do nodes and pods have two addresses?"""
        return self.ip_family == "dual"

    @property
    def subnet_6(self) -> ipaddress.IPv6Network:
        """The nodes' second addresses; their last part is that of the first."""
        return ipaddress.IPv6Network(f"fd00:10:89:{self.network}::/64")

    @property
    def pod_cidrs(self) -> str:
        """`--cluster-cidr`: the range of pods, of each family if there are two."""
        return f"{self.pod_cidr},fd00:10:{244 - self.network}::/56" if self.is_dual else self.pod_cidr

    @property
    def service_cidrs(self) -> str:
        """`--service-cluster-ip-range`."""
        return f"{SERVICE_CIDR},{SERVICE_CIDR_6}" if self.is_dual else SERVICE_CIDR

    @property
    def server(self) -> str:
        """The API server's URL for everyone."""
        return f"https://{self.address}:{self.ports['apiserver']}"

    @property
    def local_server(self) -> str:
        """The API server's URL for people on this machine."""
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    @property
    def cgroup(self) -> str:
        """The cgroup below which all nodes live."""
        return f"/kubarium/{self.name}-{self.uid[:8]}"

    def node(self, name: str) -> Node | None:
        """The node of that name."""
        return next((node for node in self.nodes if node.name == name), None)

    def node_dir(self, node: Node) -> Path:
        """A node's disk."""
        return self.dir / "nodes" / node.name

    def node_address(self, node: Node) -> str:
        """A node's address."""
        return str(self.subnet[10 + node.index])

    def node_addresses(self, node: Node) -> list[str]:
        """All its addresses, the first one first."""
        second = [f"fd00:10:89:{self.network}::{10 + node.index}"] if self.is_dual else []
        return [self.node_address(node), *second]

    def netns(self, node: Node) -> str:
        """Name of a node's network namespace."""
        return f"{self.netns_prefix}{node.name}"

    @property
    def netns_prefix(self) -> str:
        """What the names of the nodes' network namespaces begin with."""
        return f"kb{self.network}-"

    def veth(self, node: Node) -> str:
        """The host's end of a node's cable."""
        return f"{self.bridge}n{node.index}"

    def with_node(self, node: Node) -> Cluster:
        """The cluster with this node, in place of the one with the same name if there is one."""
        others = [other for other in self.nodes if other.name != node.name]
        return replace(self, nodes=tuple(sorted([*others, node], key=lambda each: each.index)))

    def without_node(self, name: str) -> Cluster:
        """The cluster without that node."""
        return replace(self, nodes=tuple(node for node in self.nodes if node.name != name))

    def with_flags(self, settings: Settings, place: str = "") -> Cluster:
        """The cluster with other flags of its programs, or of the programs in one place: `node-1/`."""
        extra = {name: dict(flags) for name, flags in self.extra.items()}
        for program, flags in settings.items():
            own = extra.get(f"{place}{program}", {}) | flags
            extra[f"{place}{program}"] = {flag: value for flag, value in own.items() if value is not None}
        return replace(self, extra={name: flags for name, flags in extra.items() if flags})

    def free_index(self) -> int:
        """The lowest node index that no node has."""
        taken = {node.index for node in self.nodes}
        return next(index for index in range(1, 200) if index not in taken)


def home() -> Path:
    """`$KUBARIUM_HOME`, or `.kubarium` in the current directory."""
    return Path(os.environ.get("KUBARIUM_HOME") or ".kubarium").absolute()


def new_uid() -> str:
    """A mark that no other cluster has."""
    return uuid.uuid4().hex


def load(home_dir: Path, name: str) -> Cluster | None:
    """The cluster as it was saved; nothing when there is none."""
    path = home_dir / "clusters" / name / "cluster.json"
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise LaunchError(
            f"{path} is damaged ({error}); end what runs of the cluster and remove {path.parent}"
        ) from error
    nodes = tuple(Node(**node) for node in data.pop("nodes"))
    stopped = tuple(data.pop("stopped", ()))
    return Cluster(**(data | {"home": home_dir, "nodes": nodes, "stopped": stopped}))


def save(cluster: Cluster) -> None:
    """Remember the cluster."""
    data = asdict(cluster)
    del data["home"]
    write_public(cluster.dir / "cluster.json", json.dumps(data, indent=1).encode())


def names(home_dir: Path) -> list[str]:
    """Names of all clusters of a home."""
    return sorted(path.parent.name for path in home_dir.glob("clusters/*/cluster.json"))


@contextmanager
def locked(path: Path, busy: Callable[[], None]) -> Iterator[None]:
    """Only one at a time, who must wait is told that it is busy; the kernel frees the lock of a process that dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
