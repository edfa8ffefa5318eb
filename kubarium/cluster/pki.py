"""All certificates and kubeconfigs of a cluster, in kubeadm's files and under kubeadm's names.

    pki/ca.crt                            signs the API server, every client, every kubelet
    pki/etcd/ca.crt                       signs etcd and its one client
    pki/front-proxy-ca.crt                signs the API server towards aggregated APIs
    pki/sa.key                            signs service-account tokens
    admin.conf, scheduler.conf, …         one user per component

What exists stays; a certificate is made again when it is about to end or does not fit its addresses any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from kubarium.cluster.state import DNS_DOMAIN, KUBERNETES_SERVICE, Cluster, Node
from kubarium.component_base import certificates
from kubarium.component_base.certificates import Authority, KeyPair

RENEW_BEFORE = timedelta(days=30)
MASTERS = "system:masters"

COMPONENT_USERS = {
    "controller-manager": "system:kube-controller-manager",
    "cloud-controller-manager": "system:cloud-controller-manager",
    "scheduler": "system:kube-scheduler",
    "proxy": "system:kube-proxy",
    "network-policy": "kubarium:network-policy",
    "simulated-nodes": "kubarium:simulated-nodes",
}


def make_all(cluster: Cluster) -> None:
    """Make what is missing for the control plane and for every node of the cluster."""
    ca = authority(cluster)
    _make_etcd(cluster)
    _make_apiserver(cluster, ca)
    _make_kubeconfigs(cluster, ca)
    for node in cluster.nodes:
        make_node(cluster, node, ca)


def authority(cluster: Cluster) -> Authority:
    """The cluster's own authority."""
    return Authority.read_or_create("kubernetes", cluster.pki / "ca.crt", cluster.pki / "ca.key")


def make_node(cluster: Cluster, node: Node, ca: Authority) -> None:
    """A node's /etc/kubernetes and the kubelet's serving certificate."""
    disk = cluster.node_dir(node)
    etc, kubelet = disk / "etc/kubernetes", disk / "var/lib/kubelet"
    certificates.write_public(etc / "pki/ca.crt", ca.cert_pem)
    user = f"system:node:{node.name}"
    serving = (kubelet / "pki/kubelet.crt", kubelet / "pki/kubelet.key")
    names = [node.name, *cluster.node_addresses(node), "127.0.0.1"]
    if _must_make(serving[0], names):
        ca.server(user, names, organizations=["system:nodes"]).write(*serving)
    _kubeconfig(cluster, ca, etc / "kubelet.conf", user, ["system:nodes"], cluster.server)
    _kubeconfig(cluster, ca, etc / "kube-proxy.conf", COMPONENT_USERS["proxy"], [], cluster.server)


def _make_etcd(cluster: Cluster) -> None:
    folder = cluster.pki / "etcd"
    ca = Authority.read_or_create("etcd-ca", folder / "ca.crt", folder / "ca.key")
    names = ["localhost", "127.0.0.1", "::1", "etcd"]
    for name in ("server", "peer"):
        if _must_make(folder / f"{name}.crt", names):
            ca.server("etcd", names, client_too=True).write(folder / f"{name}.crt", folder / f"{name}.key")
    _client(ca, cluster.pki / "apiserver-etcd-client", "kube-apiserver-etcd-client", [])
    _client(ca, folder / "healthcheck-client", "kube-etcd-healthcheck-client", [])


def _make_apiserver(cluster: Cluster, ca: Authority) -> None:
    pki = cluster.pki
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{DNS_DOMAIN}",
    ]
    names += ["localhost", "127.0.0.1", KUBERNETES_SERVICE, cluster.address]
    if _must_make(pki / "apiserver.crt", names):
        ca.server("kube-apiserver", names).write(pki / "apiserver.crt", pki / "apiserver.key")
    for component in ("controller-manager", "scheduler", "cloud-controller-manager"):
        if _must_make(pki / f"{component}.crt", ["localhost", "127.0.0.1"]):
            pair = ca.server(component, ["localhost", "127.0.0.1"])
            pair.write(pki / f"{component}.crt", pki / f"{component}.key")
    names = ["localhost", "127.0.0.1", cluster.address]
    if _must_make(pki / "simulated-nodes.crt", names):
        pair = ca.server("system:node:simulated", names, organizations=["system:nodes"])
        pair.write(pki / "simulated-nodes.crt", pki / "simulated-nodes.key")
    _client(ca, pki / "apiserver-kubelet-client", "kube-apiserver-kubelet-client", [MASTERS])
    front = Authority.read_or_create("front-proxy-ca", pki / "front-proxy-ca.crt", pki / "front-proxy-ca.key")
    _client(front, pki / "front-proxy-client", "front-proxy-client", [])
    if not (pki / "sa.key").exists():
        certificates.service_account_key().write(pki / "sa.pub", pki / "sa.key")


def _make_kubeconfigs(cluster: Cluster, ca: Authority) -> None:
    _kubeconfig(cluster, ca, cluster.admin_conf, "kubernetes-admin", [MASTERS], cluster.local_server)
    for file, user in COMPONENT_USERS.items():
        server = cluster.server if cluster.api_address else cluster.local_server
        _kubeconfig(cluster, ca, cluster.dir / f"{file}.conf", user, [], server)


def _kubeconfig(
    cluster: Cluster, ca: Authority, path: Path, user: str, groups: list[str], server: str
) -> None:
    """Written again at every start, because ports may change; the key pair inside is kept while it is good."""
    stem = (
        path.with_name(f"{path.stem}-client")
        if path.parent != cluster.dir
        else cluster.pki / f"{path.stem}-client"
    )
    _client(ca, stem, user, groups)
    pair = KeyPair.read(stem.with_suffix(".crt"), stem.with_suffix(".key"))
    name = cluster.name if path == cluster.admin_conf else "kubernetes"
    certificates.write_kubeconfig(path, server=server, ca=ca.cert_pem, user=user, pair=pair, cluster=name)


def _client(ca: Authority, stem: Path, user: str, groups: list[str]) -> None:
    cert = stem.with_suffix(".crt")
    if _must_make(cert, []):
        ca.client(user, groups).write(cert, stem.with_suffix(".key"))


def _must_make(cert_file: Path, names: Iterable[str]) -> bool:
    if not cert_file.exists() or not cert_file.with_suffix(".key").exists():
        return True
    pem = cert_file.read_bytes()
    return certificates.expires(pem) - datetime.now(UTC) < RENEW_BEFORE or not set(names) <= _names(pem)


def _names(pem: bytes) -> set[str]:
    try:
        extension = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in extension.value.get_values_for_type(x509.IPAddress)}
    return addresses | set(extension.value.get_values_for_type(x509.DNSName))
