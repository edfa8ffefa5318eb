"""The flags of kube-proxy, and the `KubeProxyConfiguration` file behind `--config`."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kubarium.component_base.options import Duration, flag, parse, parse_duration

MODES = ("iptables", "nftables")


class OptionsError(Exception):
    """The flags or the configuration file cannot be used."""


@dataclass(frozen=True)
class Options:
    """Names and defaults are upstream's."""

    kubeconfig: str = flag("", "Path to kubeconfig file with authorization and master location information.")
    config: str = flag("", "The path to the configuration file.")
    hostname_override: str = flag("", "The name of this node as the API server knows it.")
    proxy_mode: str = flag("iptables", "Which proxy mode to use: 'iptables' or 'nftables'.")
    cluster_cidr: str = flag(
        "", "The CIDR range of the pods in the cluster; traffic from elsewhere is masqueraded."
    )
    healthz_bind_address: str = flag("0.0.0.0:10256", "The IP address and port for the health check server.")
    metrics_bind_address: str = flag("127.0.0.1:10249", "The IP address and port for the metrics server.")
    masquerade_all: bool = flag(False, "SNAT all traffic sent via Service cluster IPs.")
    iptables_masquerade_bit: int = flag(14, "The bit of the fwmark space that marks packets requiring SNAT.")
    iptables_min_sync_period: Duration = flag(Duration(0.1), "The minimum period between rule resyncs.")
    iptables_sync_period: Duration = flag(
        Duration(30.0), "The period after which rules are looked after anyway."
    )
    iptables_localhost_nodeports: bool = flag(True, "Let NodePorts be reached through 127.0.0.1.")
    nodeport_addresses: tuple[str, ...] = flag(
        (), "CIDRs of the local addresses that take node ports; all if empty."
    )
    cleanup: bool = flag(False, "If true cleanup iptables and nftables rules and exit.")
    verbosity: int = flag(0, "number for the log level verbosity")

    @property
    def masquerade_mark(self) -> int:
        """The mark of packets whose source is to be replaced."""
        return 1 << self.iptables_masquerade_bit

    @property
    def node_name(self) -> str:
        """Which Node object is ours."""
        return self.hostname_override or socket.gethostname().lower()


def read(argv: Sequence[str]) -> Options:
    """Flags over the configuration file over the defaults. Raises OptionsError."""
    given = parse(Options, argv, "kube-proxy")
    if given.config:
        given = parse(Options, argv, "kube-proxy", defaults=_from_file(Path(given.config)))
    if given.proxy_mode == "ipvs":
        raise OptionsError("proxy mode ipvs is not supported here: use iptables or nftables")
    if given.proxy_mode not in MODES:
        raise OptionsError(f"unknown proxy mode {given.proxy_mode!r}, must be one of: {', '.join(MODES)}")
    return given


def _from_file(path: Path) -> Options:
    document = yaml.safe_load(path.read_text()) or {}
    if document.get("kind") != "KubeProxyConfiguration":
        raise OptionsError(f"{path}: kind must be KubeProxyConfiguration, not {document.get('kind')!r}")
    iptables = document.get("iptables") or {}
    found: dict[str, Any] = {
        "kubeconfig": (document.get("clientConnection") or {}).get("kubeconfig"),
        "hostname_override": document.get("hostnameOverride"),
        "proxy_mode": document.get("mode"),
        "cluster_cidr": document.get("clusterCIDR"),
        "healthz_bind_address": document.get("healthzBindAddress"),
        "metrics_bind_address": document.get("metricsBindAddress"),
        "masquerade_all": iptables.get("masqueradeAll"),
        "iptables_masquerade_bit": iptables.get("masqueradeBit"),
        "iptables_localhost_nodeports": iptables.get("localhostNodePorts"),
        "nodeport_addresses": tuple(document.get("nodePortAddresses") or ()),
    }
    for name, field in (
        ("iptables_min_sync_period", "minSyncPeriod"),
        ("iptables_sync_period", "syncPeriod"),
    ):
        if iptables.get(field):
            found[name] = parse_duration(iptables[field])
    return Options(**{name: value for name, value in found.items() if value not in (None, "", ())})
