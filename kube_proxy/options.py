"""The flags of kube-proxy."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubarium.component_base import features
from kubarium.component_base.options import Duration, flag, parse
from kubarium.component_base.process_flags import LogFileFlags, LoggingFlags, MetricsFlags
from kube_proxy import configuration

CONNTRACK, LOCAL, IPTABLES, CLIENT = "Conntrack flags", "Local traffic flags", "Rule flags", "Client flags"

_NO_IPVS = "Accepted; there is no mode ipvs."


class OptionsError(Exception):
    """The flags or the configuration file cannot be used."""


@dataclass(frozen=True)
class Options(MetricsFlags, LogFileFlags, LoggingFlags):
    """Names and defaults are upstream's."""

    config: str = flag(
        "", "The path to the configuration file; the other flags are ignored then, but for a few."
    )
    write_config_to: str = flag("", "If set, write the default configuration values to this file and exit.")
    cleanup: bool = flag(False, "If true cleanup iptables and nftables rules and exit.")
    init_only: bool = flag(False, "If true, set what needs full root privileges, and then exit.")
    hostname_override: str = flag("", "If non-empty, the name of the Node that kube-proxy is running on.")
    proxy_mode: str = flag("", "Which proxy mode to use: 'iptables' (default) or 'nftables'.")
    bind_address: str = flag("0.0.0.0", "Overrides kube-proxy's idea of what its node's primary IP is.")
    healthz_bind_address: str = flag("0.0.0.0:10256", "The IP address and port for the health check server.")
    metrics_bind_address: str = flag("127.0.0.1:10249", "The IP address and port for the metrics server.")
    bind_address_hard_fail: bool = flag(False, "Treat failure to bind to a port as fatal and exit.")
    profiling: bool = flag(False, "Accepted for compatibility: there is no profiler behind /debug/pprof.")
    nodeport_addresses: tuple[str, ...] = flag(
        (), "CIDRs of the local addresses that take node ports, or 'primary'; all addresses if empty."
    )
    oom_score_adj: int = flag(-999, "The oom-score-adj value for kube-proxy process.")
    config_sync_period: Duration = flag(
        Duration(900.0),
        "How often configuration from the apiserver is refreshed; watches need no refreshing.",
    )
    feature_gates: dict[str, bool] = flag({}, f"Pairs of name=value. {features.HELP}")

    kubeconfig: str = flag("", "Path to kubeconfig file with authorization information.", group=CLIENT)
    master: str = flag(
        "", "The address of the Kubernetes API server (overrides any value in kubeconfig).", group=CLIENT
    )
    kube_api_content_type: str = flag(
        "application/vnd.kubernetes.protobuf", "Accepted for compatibility: requests are JSON.", group=CLIENT
    )
    kube_api_qps: float = flag(5.0, "Accepted for compatibility: the proxy only watches.", group=CLIENT)
    kube_api_burst: int = flag(10, "Accepted for compatibility: the proxy only watches.", group=CLIENT)

    ipvs_exclude_cidrs: tuple[str, ...] = flag((), _NO_IPVS, group=IPTABLES)
    ipvs_min_sync_period: Duration = flag(Duration(1.0), _NO_IPVS, group=IPTABLES)
    ipvs_scheduler: str = flag("", _NO_IPVS, group=IPTABLES)
    ipvs_strict_arp: bool = flag(False, _NO_IPVS, group=IPTABLES)
    ipvs_sync_period: Duration = flag(Duration(30.0), _NO_IPVS, group=IPTABLES)
    ipvs_tcp_timeout: Duration = flag(Duration(0.0), _NO_IPVS, group=IPTABLES)
    ipvs_tcpfin_timeout: Duration = flag(Duration(0.0), _NO_IPVS, group=IPTABLES)
    ipvs_udp_timeout: Duration = flag(Duration(0.0), _NO_IPVS, group=IPTABLES)
    masquerade_all: bool = flag(False, "SNAT all traffic sent via Service cluster IPs.", group=IPTABLES)
    iptables_masquerade_bit: int = flag(
        14, "The bit of the fwmark space to mark packets requiring SNAT with.", group=IPTABLES
    )
    iptables_localhost_nodeports: bool = flag(
        True, "Let NodePorts be reached through 127.0.0.1 (iptables mode only).", group=IPTABLES
    )
    iptables_min_sync_period: Duration = flag(
        Duration(1.0), "The minimum period between rule resyncs; 0 means at once.", group=IPTABLES
    )
    iptables_sync_period: Duration = flag(
        Duration(30.0), "How often it is looked whether the rules are still there.", group=IPTABLES
    )

    detect_local_mode: str = flag(
        "",
        "How to know local traffic: ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix.",
        group=LOCAL,
    )
    cluster_cidr: str = flag("", "The CIDR range of the pods in the cluster.", group=LOCAL)
    pod_bridge_interface: str = flag("", "The bridge from which local traffic comes.", group=LOCAL)
    pod_interface_name_prefix: str = flag(
        "", "How interfaces are called from which local traffic comes.", group=LOCAL
    )

    conntrack_max_per_core: int = flag(
        32768, "Maximum number of NAT connections to track per CPU core (0 to leave as-is).", group=CONNTRACK
    )
    conntrack_min: int = flag(131072, "Minimum number of conntrack entries to allocate.", group=CONNTRACK)
    conntrack_tcp_timeout_established: Duration = flag(
        Duration(86400.0), "Idle timeout for established TCP connections (0 to leave as-is).", group=CONNTRACK
    )
    conntrack_tcp_timeout_close_wait: Duration = flag(
        Duration(3600.0), "NAT timeout for TCP connections in the CLOSE_WAIT state.", group=CONNTRACK
    )
    conntrack_tcp_be_liberal: bool = flag(
        False, "Take TCP packets that are out of their window for valid.", group=CONNTRACK
    )
    conntrack_udp_timeout: Duration = flag(
        Duration(0.0), "Idle timeout for UNREPLIED UDP connections (0 to leave as-is).", group=CONNTRACK
    )
    conntrack_udp_timeout_stream: Duration = flag(
        Duration(0.0), "Idle timeout for ASSURED UDP connections (0 to leave as-is).", group=CONNTRACK
    )

    @property
    def mode(self) -> str:
        """Upstream: blank means the best there is, which is iptables at present."""
        return self.proxy_mode or "iptables"

    @property
    def masquerade_mark(self) -> int:
        """The mark of packets whose source is to be replaced."""
        return 1 << self.iptables_masquerade_bit

    @property
    def node_name(self) -> str:
        """Which Node object is ours."""
        return self.hostname_override or socket.gethostname().strip().lower()


def read(argv: Sequence[str]) -> Options:
    """The flags, or the file that they name. Raises OptionsError."""
    given = parse(Options, argv, "kube-proxy")
    if given.config:
        given = _with_file(given)
    try:
        features.note(given.feature_gates)  # the file may have others than the flags
    except features.GateError as error:
        raise OptionsError(f"failed complete: {error}") from error
    problems = configuration.validate(configuration.document_of(given))
    if problems:
        raise OptionsError(f"failed validate: {'; '.join(str(problem) for problem in problems)}")
    if given.proxy_mode == "ipvs":
        raise OptionsError("proxy mode ipvs is not supported here: use iptables or nftables")
    return given


def _with_file(given: Options) -> Options:
    """Upstream: with a file, flags that have a field in it are ignored; but the name of the node wins."""
    try:
        found = configuration.values_in(Path(given.config).read_text())
    except OSError as error:
        raise OptionsError(f"failed to load config file {given.config}: {error}") from error
    except configuration.ConfigurationError as error:
        raise OptionsError(f"{given.config}: {error}") from error
    names = {field.name for field in dataclasses.fields(Options)} - set(configuration.FIELDS.values())
    own = {name: getattr(given, name) for name in names}
    if given.hostname_override:
        found["hostname_override"] = given.hostname_override
    return Options(**{**own, **found})
