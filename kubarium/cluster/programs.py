"""Which programs a cluster consists of, and the flags of each: two tables, the host's and a node's.

Every program gets exactly the credentials of its upstream namesake. Users may add or replace flags:
`kubarium up --set kube-controller-manager:node-monitor-grace-period=10s`.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import kubarium
from kubarium.cluster.keeper import Program
from kubarium.cluster.state import DNS_DOMAIN, DNS_SERVICE, Cluster, Node

HOST_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "cloud-controller-manager",
    "node-network",
    "network-policy",
    "simulated-nodes",
)
NODE_PROGRAMS = ("containerd", "kubelet", "kube-proxy")
CLUSTER_MARK = "KUBARIUM_CLUSTER"  # in the environment of every process of a cluster
PORTS = {
    "apiserver": 6443,
    "etcd": 2379,
    "etcd-peer": 2380,
    "controller-manager": 10257,
    "cloud-controller-manager": 10258,
    "scheduler": 10259,
    "simulated-nodes": 10246,
    "network-policy": 10254,
}
SIMULATED = "kubarium.io/simulated"  # label and taint of nodes on which nothing really runs
CRI_SOCKET = "/run/containerd/containerd.sock"

Flags = dict[str, str]


def source_folder() -> Path:
    """Where the programs' packages lie."""
    return Path(kubarium.__file__).parent.parent


def host_programs(cluster: Cluster) -> list[Program]:
    """Control plane and nodes: what the keeper on the host keeps alive."""
    table = [
        _program(cluster, "etcd", ["etcd"], etcd(cluster), rank=1),
        _python(cluster, "kube-apiserver", "apiserver", apiserver(cluster), rank=2),
        _python(
            cluster, "kube-controller-manager", "controller_manager", controller_manager(cluster), rank=3
        ),
        _python(cluster, "kube-scheduler", "scheduler", scheduler(cluster), rank=3),
        _python(cluster, "cloud-controller-manager", "cloud_controller_manager", cloud(cluster), rank=3),
    ]
    if cluster.nodes:
        flags = node_network(cluster)
        table.append(_python(cluster, "node-network", "kubarium.cluster.node_network", flags, rank=3))
        flags = network_policy(cluster)
        table.append(_python(cluster, "network-policy", "addons.network_policy", flags, rank=3))
    if cluster.simulated:
        flags = simulated_nodes(cluster)
        table.append(_python(cluster, "simulated-nodes", "kubelet.simulated", flags, rank=4))
    return [*table, *(node_outside(cluster, node) for node in cluster.nodes)]


def node_outside(cluster: Cluster, node: Node) -> Program:
    """A node as the host sees it: one process; SIGKILL is the power switch."""
    argv = [
        "nsenter",
        f"--net=/run/netns/{cluster.netns(node)}",
        *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"),
        *(sys.executable, "-m", "kubarium.cluster.node", str(cluster.node_dir(node) / "plan.json")),
    ]
    log = str(cluster.logs / f"{node.name}.log")
    power_off = int(signal.SIGTERM if node.on else signal.SIGKILL)
    return Program(
        node.name,
        tuple(argv),
        log,
        _environment(cluster),
        rank=4,
        wanted=node.on,
        off_signal=power_off,
        grace=20.0,
    )


def node_programs(cluster: Cluster, node: Node) -> list[Program]:
    """What the keeper inside a node keeps alive."""
    logs = cluster.node_dir(node) / "logs"
    containerd = ["containerd", "--config", "/etc/containerd/config.toml"]
    return [
        _program(cluster, "containerd", containerd, {}, rank=1, logs=logs, node=node),
        _python(cluster, "kubelet", "kubelet", kubelet(cluster, node), rank=2, logs=logs, node=node),
        _python(cluster, "kube-proxy", "kube_proxy", kube_proxy(cluster, node), rank=2, logs=logs, node=node),
    ]


def ordered(cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """The command line of every program: of "kube-scheduler", of "node-1/kubelet"."""
    found = {each.name: each.argv for each in host_programs(cluster)}
    for node in cluster.nodes:
        found |= {f"{node.name}/{each.name}": each.argv for each in node_programs(cluster, node)}
    return found


def etcd(cluster: Cluster) -> Flags:
    """One member on loopback, for clients with a certificate."""
    pki = cluster.pki / "etcd"
    client, peer = (f"https://127.0.0.1:{cluster.ports[name]}" for name in ("etcd", "etcd-peer"))
    return {
        "name": cluster.name,
        "data-dir": str(cluster.dir / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"{cluster.name}={peer}",
        "cert-file": str(pki / "server.crt"),
        "key-file": str(pki / "server.key"),
        "trusted-ca-file": str(pki / "ca.crt"),
        "client-cert-auth": "true",
        "peer-cert-file": str(pki / "peer.crt"),
        "peer-key-file": str(pki / "peer.key"),
        "peer-trusted-ca-file": str(pki / "ca.crt"),
        "peer-client-cert-auth": "true",
        "logger": "zap",
        "log-level": "warn",
    }


def apiserver(cluster: Cluster) -> Flags:
    """The door to etcd."""
    pki = cluster.pki
    return {
        "advertise-address": cluster.address,
        "bind-address": "0.0.0.0",  # the bridge and loopback; every request needs credentials
        "secure-port": str(cluster.ports["apiserver"]),
        "etcd-servers": f"https://127.0.0.1:{cluster.ports['etcd']}",
        "etcd-cafile": str(pki / "etcd/ca.crt"),
        "etcd-certfile": str(pki / "apiserver-etcd-client.crt"),
        "etcd-keyfile": str(pki / "apiserver-etcd-client.key"),
        "client-ca-file": str(pki / "ca.crt"),
        "tls-cert-file": str(pki / "apiserver.crt"),
        "tls-private-key-file": str(pki / "apiserver.key"),
        "kubelet-certificate-authority": str(pki / "ca.crt"),
        "kubelet-client-certificate": str(pki / "apiserver-kubelet-client.crt"),
        "kubelet-client-key": str(pki / "apiserver-kubelet-client.key"),
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        "requestheader-client-ca-file": str(pki / "front-proxy-ca.crt"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": str(pki / "front-proxy-client.crt"),
        "proxy-client-key-file": str(pki / "front-proxy-client.key"),
        "service-account-issuer": f"https://kubernetes.default.svc.{DNS_DOMAIN}",
        "service-account-key-file": str(pki / "sa.pub"),
        "service-account-signing-key-file": str(pki / "sa.key"),
        "service-cluster-ip-range": cluster.service_cidrs,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "enable-aggregator-routing": "true",  # no kube-proxy out here: cluster IPs lead nowhere
        "state-dir": str(cluster.cache / "apiserver"),
    }


def controller_manager(cluster: Cluster) -> Flags:
    """The many small loops."""
    pki = cluster.pki
    return _control_loop(cluster, "controller-manager") | {
        "allocate-node-cidrs": "true",
        "cluster-cidr": cluster.pod_cidrs,
        "service-cluster-ip-range": cluster.service_cidrs,
        "cluster-name": cluster.name,
        "root-ca-file": str(pki / "ca.crt"),
        "service-account-private-key-file": str(pki / "sa.key"),
        "cluster-signing-cert-file": str(pki / "ca.crt"),
        "cluster-signing-key-file": str(pki / "ca.key"),
        "use-service-account-credentials": "true",
    }


def scheduler(cluster: Cluster) -> Flags:
    """The one loop."""
    return _control_loop(cluster, "scheduler")


def cloud(cluster: Cluster) -> Flags:
    """The loops that need a cloud; here the cloud is this machine."""
    return _control_loop(cluster, "cloud-controller-manager") | {
        "cloud-provider": "local",
        "cluster-name": cluster.name,
        "cluster-cidr": cluster.pod_cidrs,
        "configure-cloud-routes": "false",  # node-network does it
    }


def node_network(cluster: Cluster) -> Flags:
    """Routes and CNI settings for all nodes of this machine."""
    return {"kubeconfig": str(cluster.dir / "proxy.conf"), "cluster": str(cluster.dir / "cluster.json")}


def network_policy(cluster: Cluster) -> Flags:
    """Who keeps pods apart as NetworkPolicies say, on all nodes of this machine."""
    return {
        "kubeconfig": str(cluster.dir / "network-policy.conf"),
        "node-netns": f"/run/netns/{cluster.netns_prefix}*",
        "cni-notes": str(cluster.dir / "nodes/*/var/lib/cni"),
        "metrics-bind-address": f"127.0.0.1:{cluster.ports['network-policy']}",
    }


def simulated_nodes(cluster: Cluster) -> Flags:
    """All nodes on which nothing really runs. Beside real ones they are tainted, so that no real work goes there."""
    flags = {
        "kubeconfig": str(cluster.dir / "simulated-nodes.conf"),
        "count": str(cluster.simulated),
        "node-ip": cluster.address if cluster.nodes else "127.0.0.1",
        "port": str(cluster.ports["simulated-nodes"]),
        "tls-cert-file": str(cluster.pki / "simulated-nodes.crt"),
        "tls-private-key-file": str(cluster.pki / "simulated-nodes.key"),
        "client-ca-file": str(cluster.pki / "ca.crt"),
    }
    if cluster.nodes:
        flags["register-with-taints"] = f"{SIMULATED}=true:NoSchedule"
    return flags


def kubelet(cluster: Cluster, node: Node) -> Flags:
    """The agent of a node; paths are those inside the node."""
    return {
        "kubeconfig": "/etc/kubernetes/kubelet.conf",
        "hostname-override": node.name,
        "node-ip": ",".join(cluster.node_addresses(node)),
        "root-dir": "/var/lib/kubelet",
        "container-runtime-endpoint": f"unix://{CRI_SOCKET}",
        "client-ca-file": "/etc/kubernetes/pki/ca.crt",
        "tls-cert-file": "/var/lib/kubelet/pki/kubelet.crt",
        "tls-private-key-file": "/var/lib/kubelet/pki/kubelet.key",
        "anonymous-auth": "false",
        "authentication-token-webhook": "true",
        "authorization-mode": "Webhook",
        "cluster-dns": DNS_SERVICE,
        "cluster-domain": DNS_DOMAIN,
        "fail-swap-on": "false",  # a node shares the machine that is there
        "cgroup-driver": "cgroupfs",
        "cgroup-root": f"{cluster.cgroup}/{node.name}",
        "pod-manifest-path": "/etc/kubernetes/manifests",
        "provider-id": f"local://{cluster.name}/{node.name}",
        "shutdown-grace-period": "30s",
        "shutdown-grace-period-critical-pods": "10s",
    }


def kube_proxy(cluster: Cluster, node: Node) -> Flags:
    """The writer of kernel rules of a node."""
    return {
        "kubeconfig": "/etc/kubernetes/kube-proxy.conf",
        "hostname-override": node.name,
        "proxy-mode": cluster.proxy_mode,
        "iptables-min-sync-period": "100ms",  # a small cluster: nobody shall wait a second for a Service
        "cluster-cidr": cluster.pod_cidrs,
    }


def _control_loop(cluster: Cluster, name: str) -> Flags:
    config = str(cluster.dir / f"{name}.conf")
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "secure-port": str(cluster.ports[name]),
        "tls-cert-file": str(cluster.pki / f"{name}.crt"),
        "tls-private-key-file": str(cluster.pki / f"{name}.key"),
        "client-ca-file": str(cluster.pki / "ca.crt"),
        "leader-elect": "true",
    }


def _python(
    cluster: Cluster,
    name: str,
    module: str,
    flags: Flags,
    rank: int,
    logs: Path | None = None,
    node: Node | None = None,
) -> Program:
    return _program(cluster, name, [sys.executable, "-m", module], flags, rank, logs, node)


def _program(
    cluster: Cluster,
    name: str,
    command: list[str],
    flags: Flags,
    rank: int,
    logs: Path | None = None,
    node: Node | None = None,
) -> Program:
    argv = (*command, *(f"--{flag}={value}" for flag, value in chosen(cluster, name, flags, node).items()))
    wanted = (name if node is None else f"{node.name}/{name}") not in cluster.stopped
    log = str((logs or cluster.logs) / f"{name}.log")
    return Program(name, argv, log, _environment(cluster), rank, wanted)


def chosen(cluster: Cluster, name: str, flags: Flags, node: Node | None = None) -> Flags:
    """Flags that were set win, those for one node (`node-2/kubelet`) over those for all."""
    own = cluster.extra.get(f"{node.name}/{name}", {}) if node is not None else {}
    return flags | cluster.extra.get(name, {}) | own


def by_hand(cluster: Cluster, name: str) -> str | None:
    """What to type to run a program that was stopped ("kube-scheduler", "node-1/kubelet"); nothing if it is none."""
    place, _, inner = name.rpartition("/")
    node = cluster.node(place)
    table = host_programs(cluster) if node is None else node_programs(cluster, node)
    found = next((program for program in table if program.name == (inner if node else name)), None)
    if found is None or cluster.node(found.name) is not None:
        return None
    within = (
        [] if node is None else [sys.executable, "-m", "kubarium.cluster", "node", "exec", node.name, "--"]
    )
    return shlex.join([*within, "env", f"PYTHONPATH={source_folder()}", *found.argv])


def kubelet_root(cluster: Cluster, node: Node) -> str:
    """The kubelet's directory, as the node sees it."""
    return chosen(cluster, "kubelet", kubelet(cluster, node), node)["root-dir"]


def _environment(cluster: Cluster) -> Mapping[str, str]:
    paths = [str(source_folder()), *filter(None, [os.environ.get("PYTHONPATH")])]
    search = dict.fromkeys(
        ["/usr/local/sbin", "/usr/sbin", "/sbin", *os.environ.get("PATH", "/usr/bin:/bin").split(":")]
    )
    return {
        CLUSTER_MARK: cluster.uid,
        "PYTHONPATH": ":".join(dict.fromkeys(paths)),
        "PYTHONUNBUFFERED": "1",
        "PATH": ":".join(search),
    }
