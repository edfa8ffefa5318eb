"""Flags of kube-apiserver that leave nothing to do here; their help says why.

Whoever brings them from elsewhere need not take them out. Flags that would protect something are none of these: they
are refused as long as they would be empty promises.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag

_CACHES = "Accepted; every resource has a watch cache as large as it needs."
_ETCD = "Accepted; etcd is watched all the time."
_ONE_FORM = "Accepted; objects are kept as JSON."
_HTTP = "Accepted; HTTP/1.1 is spoken."
_NO_PEERS = "Accepted; API servers do not ask each other."
_LEASES = "Accepted; leaders are not chosen by the API server."


@dataclass(frozen=True)
class AcceptedFlags:
    """Names and defaults are upstream's."""

    aggregator_reject_forwarding_redirect: bool = flag(True, "Accepted; redirects are never followed.")
    cert_dir: str = flag("/var/run/kubernetes", "Accepted; the certificate is named by --tls-cert-file.")
    contention_profiling: bool = flag(False, "Accepted; there are no locks to profile.")
    coordinated_leadership_lease_duration: Duration = flag(15.0, _LEASES)
    coordinated_leadership_renew_deadline: Duration = flag(10.0, _LEASES)
    coordinated_leadership_retry_period: Duration = flag(2.0, _LEASES)
    default_watch_cache_size: int = flag(100, _CACHES)
    debug_socket_path: str = flag("", "Accepted; there is no profiler to reach.")
    delete_collection_workers: int = flag(1, "Accepted; one after the other is fast enough.")
    disable_http2_serving: bool = flag(False, _HTTP)
    emulated_version: tuple[str, ...] = flag((), "Accepted; no other version is emulated.")
    emulation_forward_compatible: bool = flag(False, "Accepted; no other version is emulated.")
    enable_aggregator_routing: bool = flag(
        False, "Accepted; aggregated servers are always reached by endpoint."
    )
    enable_garbage_collector: bool = flag(True, "Accepted; see the controller manager's flag of this name.")
    enable_logs_handler: bool = flag(
        False, "Accepted; there is no /logs.", deprecated="Log handler functionality is deprecated"
    )
    endpoint_reconciler_type: str = flag("lease", "Accepted if lease.", choices=("lease",))
    etcd_count_metric_poll_period: Duration = flag(60.0, _ETCD)
    etcd_db_metric_poll_interval: Duration = flag(30.0, _ETCD)
    etcd_prefix: str = flag("/registry", "Accepted if /registry.", choices=("/registry",))
    external_hostname: str = flag("", "Accepted; documents name the address that is advertised.")
    egress_selector_config_file: str = flag("", "Accepted if all its connections are direct.")
    goaway_chance: float = flag(0.0, _HTTP)
    http2_max_streams_per_connection: int = flag(0, _HTTP)
    kubelet_timeout: Duration = flag(
        5.0, "Accepted; kubelets are waited for as long as the request may take."
    )
    lease_reuse_duration_seconds: int = flag(60, "Accepted; leases of etcd are reused for a minute.")
    livez_grace_period: Duration = flag(0.0, "Accepted; the server is alive when it listens.")
    max_connection_bytes_per_sec: int = flag(0, "Accepted if 0.", choices=(0,))
    min_compatibility_version: tuple[str, ...] = flag((), "Accepted; no other version is emulated.")
    min_request_timeout: int = flag(1800, "Accepted; watches last for half an hour at least.")
    peer_advertise_ip: str = flag("", _NO_PEERS)
    peer_advertise_port: str = flag("", _NO_PEERS)
    peer_ca_file: str = flag("", _NO_PEERS)
    permit_address_sharing: bool = flag(False, "Accepted; the address is shared.")
    permit_port_sharing: bool = flag(False, "Accepted; the port is not shared.")
    profiling: bool = flag(True, "Accepted; there is no profiler behind /debug/pprof.")
    runtime_config: dict[str, str] = flag({}, "Accepted; all versions are served that there are.")
    runtime_config_emulation_forward_compatible: bool = flag(False, "Accepted; no other version is emulated.")
    service_account_lookup: bool = flag(
        True, "Accepted if true: tokens end with their account.", choices=(True,)
    )
    shutdown_watch_termination_grace_period: Duration = flag(0.0, "Accepted; watches end with the server.")
    tls_curve_preferences: tuple[int, ...] = flag(
        (), "Accepted; TLS is spoken with the curves that OpenSSL prefers."
    )
    storage_backend: str = flag("etcd3", "Accepted if etcd3.", choices=("", "etcd3"))
    storage_initialization_timeout: Duration = flag(60.0, "Accepted; storage is waited for however long.")
    storage_media_type: str = flag("application/vnd.kubernetes.protobuf", _ONE_FORM)
    tracing_config_file: str = flag("", "Accepted if empty; no traces are exported.", choices=("",))
    watch_cache: bool = flag(True, _CACHES)
    watch_cache_sizes: tuple[str, ...] = flag((), _CACHES)
