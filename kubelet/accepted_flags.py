"""Flags of upstream's kubelet that leave nothing to do here; their help says why.

Whoever brings them from elsewhere need not take them out. Where a value would ask for something that does not exist
here (CPUs of their own, say), only the value that asks for nothing is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag

_NO_CACHES = "Accepted; answers are asked for anew, or kept for ten seconds."
_NO_MANAGER = "Accepted; no CPUs or memory are set apart for single pods."


@dataclass(frozen=True)
class AcceptedFlags:
    """Names and defaults are upstream's."""

    authentication_token_webhook_cache_ttl: Duration = flag(120.0, _NO_CACHES)
    authorization_webhook_cache_authorized_ttl: Duration = flag(300.0, _NO_CACHES)
    authorization_webhook_cache_unauthorized_ttl: Duration = flag(30.0, _NO_CACHES)
    contention_profiling: bool = flag(False, "Accepted; there are no locks to profile.")
    cpu_manager_policy: str = flag("none", _NO_MANAGER, choices=("none",))
    cpu_manager_policy_options: tuple[str, ...] = flag((), _NO_MANAGER)
    cpu_manager_reconcile_period: Duration = flag(10.0, _NO_MANAGER)
    enable_controller_attach_detach: bool = flag(True, "Accepted; the controller manager attaches volumes.")
    exit_on_lock_contention: bool = flag(False, "Accepted; there is no lock file.")
    http_check_frequency: Duration = flag(20.0, "Accepted; no pods come from a URL.")
    image_service_endpoint: str = flag("", "Accepted; the runtime is asked for images, too.")
    kernel_memcg_notification: bool = flag(False, "Accepted; memory is looked at regularly.")
    kube_api_content_type: str = flag("application/vnd.kubernetes.protobuf", "Accepted; JSON is spoken.")
    kubelet_cgroups: str = flag("", "Accepted; the kubelet stays in its cgroup.")
    lock_file: str = flag("", "Accepted; there is no lock file.")
    manifest_url: str = flag("", "Accepted if empty; no pods come from a URL.", choices=("",))
    manifest_url_header: tuple[str, ...] = flag((), "Accepted; no pods come from a URL.")
    maximum_dead_containers: int = flag(-1, "Accepted; eviction settings took its place.")
    maximum_dead_containers_per_container: int = flag(1, "Accepted; one dead container is kept of each.")
    memory_manager_policy: str = flag("None", _NO_MANAGER, choices=("None",))
    minimum_container_ttl_duration: Duration = flag(0.0, "Accepted; eviction settings took its place.")
    protect_kernel_defaults: bool = flag(False, "Accepted; no kernel settings are changed.")
    qos_reserved: dict[str, str] = flag({}, _NO_MANAGER)
    reserved_memory: tuple[str, ...] = flag((), _NO_MANAGER)
    runtime_cgroups: str = flag("", "Accepted; the container runtime sees to that.")
    streaming_connection_idle_timeout: Duration = flag(
        4 * 3600.0, "Accepted; streams end with their clients."
    )
    system_cgroups: str = flag("", "Accepted; processes stay in their cgroups.")
    tls_curve_preferences: tuple[int, ...] = flag(
        (), "Accepted; TLS is spoken with the curves that OpenSSL prefers."
    )
    topology_manager_policy_options: dict[str, str] = flag({}, _NO_MANAGER)
    volume_plugin_dir: str = flag(
        "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/", "Accepted; there are no flex volumes."
    )
    volume_stats_agg_period: Duration = flag(60.0, "Accepted; volumes are measured when somebody asks.")
