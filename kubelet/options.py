"""Flags of the kubelet and the `KubeletConfiguration` file; a flag wins over the file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from kubarium.component_base import features
from kubarium.component_base.cipher_suites import CipherSuite
from kubarium.component_base.options import Duration, flag
from kubarium.component_base.process_flags import LoggingFlags
from kubelet.accepted_flags import AcceptedFlags

FILE_ONLY = "Settings that upstream has in the configuration file only"


@dataclass(frozen=True)
class Options(AcceptedFlags, LoggingFlags):
    """Names, meanings and defaults are upstream's."""

    kubeconfig: str = flag("", "Path to a kubeconfig file, specifying how to connect to the API server.")
    bootstrap_kubeconfig: str = flag(
        "", "Path to a kubeconfig file that will be used to get client certificate for kubelet."
    )
    cert_dir: str = flag("/var/lib/kubelet/pki", "The directory where the TLS certs are located.")
    rotate_certificates: bool = flag(False, "Auto rotate the kubelet client certificates before they expire.")
    config: str = flag("", "The Kubelet will load its initial configuration from this file.")
    config_dir: str = flag(
        "",
        "Path to a directory of files (*.conf) that change what --config says, one after the other by name.",
    )
    hostname_override: str = flag(
        "", "If non-empty, will use this string as identification instead of the actual hostname."
    )
    node_ip: str = flag("", "IP address (or comma-separated dual-stack IP addresses) of the node.")
    root_dir: str = flag("/var/lib/kubelet", "Directory path for managing kubelet files (volume mounts,etc).")
    provider_id: str = flag(
        "", "Unique identifier for identifying the node in a machine database, i.e cloudprovider."
    )
    cloud_provider: str = flag(
        "", "The provider for cloud services; set to 'external' for running with an external cloud provider."
    )
    container_runtime_endpoint: str = flag(
        "unix:///run/containerd/containerd.sock", "The endpoint of container runtime service."
    )
    runtime_request_timeout: Duration = flag(
        Duration(120.0), "Timeout of all runtime requests except long running requests."
    )
    cgroup_root: str = flag("", "Optional root cgroup to use for pods.")
    cgroup_driver: str = flag("cgroupfs", "Driver that the kubelet uses to manipulate cgroups on the host.")
    cgroups_per_qos: bool = flag(True, "Enable creation of QoS cgroup hierarchy.")
    cluster_dns: tuple[str, ...] = flag((), "Comma-separated list of DNS server IP address.")
    cluster_domain: str = flag("", "Domain for this cluster.")
    resolv_conf: str = flag(
        "/etc/resolv.conf",
        "Resolver configuration file used as the basis for the container DNS resolution configuration.",
    )
    pod_manifest_path: str = flag("", "Path to the directory containing static pod files to run.")
    file_check_frequency: Duration = flag(
        Duration(20.0), "Duration between checking config files for new data."
    )
    register_node: bool = flag(True, "Register the node with the apiserver.")
    node_labels: dict[str, str] = flag({}, "Labels to add when registering the node in the cluster.")
    register_with_taints: tuple[str, ...] = flag(
        (), "Register the node with the given list of taints (key=value:effect)."
    )
    tls_cert_file: str = flag("", "File containing x509 Certificate used for serving HTTPS.")
    tls_private_key_file: str = flag("", "File containing x509 private key matching --tls-cert-file.")
    tls_min_version: str = flag(
        "",
        "Minimum TLS version supported.",
        choices=("", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"),
    )
    tls_cipher_suites: tuple[CipherSuite, ...] = flag(
        (), "Cipher suites of TLS 1.2, comma separated; those that OpenSSL takes for safe by default."
    )
    client_ca_file: str = flag(
        "", "Any request presenting a client certificate signed by one of the authorities is authenticated."
    )
    anonymous_auth: bool = flag(True, "Enables anonymous requests to the Kubelet server.")
    authentication_token_webhook: bool = flag(
        True, "Use the TokenReview API to determine authentication for bearer tokens."
    )
    authorization_mode: str = flag(
        "Webhook", "Authorization mode for Kubelet server: AlwaysAllow or Webhook."
    )
    address: str = flag("0.0.0.0", "The IP address for the Kubelet to serve on.")
    port: int = flag(10250, "The port for the Kubelet to serve on.")
    healthz_bind_address: str = flag("127.0.0.1", "The IP address for the healthz server to serve on.")
    healthz_port: int = flag(10248, "The port of the localhost healthz endpoint (set to 0 to disable).")
    max_pods: int = flag(110, "Number of Pods that can run on this Kubelet.")
    pod_max_pids: int = flag(-1, "Set the maximum number of processes per pod.")
    serialize_image_pulls: bool = flag(True, "Pull images one at a time.")
    max_parallel_image_pulls: int = flag(0, "Maximum number of image pulls in parallel; 0 is no limit.")
    sync_frequency: Duration = flag(
        Duration(60.0), "Max period between synchronizing running containers and config."
    )
    node_status_update_frequency: Duration = flag(
        Duration(10.0), "Specifies how often kubelet computes node status."
    )
    node_status_report_frequency: Duration = flag(
        Duration(0.0),
        "Specifies how often an unchanged node status is posted; 0: 5m, or the update frequency if that is set.",
    )
    node_lease_duration_seconds: int = flag(
        40, "The duration the Kubelet will set on its corresponding Lease."
    )
    image_gc_high_threshold: int = flag(
        85, "The percent of disk usage after which image garbage collection is always run."
    )
    image_gc_low_threshold: int = flag(
        80, "The percent of disk usage before which image garbage collection is never run."
    )
    container_log_max_size: str = flag("10Mi", "Maximum size of a container log file before it is rotated.")
    container_log_max_files: int = flag(5, "Maximum number of container log files of a container.")
    container_log_max_workers: int = flag(1, "How many logs are rotated at a time.", group=FILE_ONLY)
    container_log_monitor_interval: Duration = flag(
        Duration(10.0), "How often the sizes of logs are looked at.", group=FILE_ONLY
    )
    minimum_image_ttl_duration: Duration = flag(
        Duration(120.0), "Minimum age for an unused image before it is garbage collected."
    )
    image_maximum_gc_age: Duration = flag(
        Duration(0.0),
        "Age at which an unused image goes even from a disk with room; 0: never.",
        group=FILE_ONLY,
    )
    registry_qps: int = flag(5, "If > 0, limit registry pull QPS to this value.")
    registry_burst: int = flag(10, "Maximum size of bursty pulls.")
    image_credential_provider_config: str = flag(
        "", "Path to a credential provider plugin config file, or a directory of such files."
    )
    image_credential_provider_bin_dir: str = flag(
        "", "The path to the directory where credential provider plugin binaries are located."
    )
    image_pull_credentials_verification_policy: str = flag(
        "NeverVerifyPreloadedImages",
        "Whose images need the pod's own credentials: NeverVerify, NeverVerifyPreloadedImages, "
        "NeverVerifyAllowlistedImages, AlwaysVerify.",
        group=FILE_ONLY,
    )
    preloaded_images_verification_allowlist: tuple[str, ...] = flag(
        (), "Images that NeverVerifyAllowlistedImages lets everybody use.", group=FILE_ONLY
    )
    shutdown_grace_period: Duration = flag(
        Duration(0.0), "How long the node delays its shutdown, so that pods can end.", group=FILE_ONLY
    )
    shutdown_grace_period_critical_pods: Duration = flag(
        Duration(0.0), "How much of that is for critical pods, which end last.", group=FILE_ONLY
    )
    shutdown_grace_period_by_pod_priority: dict[str, str] = flag(
        {}, "Seconds for the pods of each priority and above (0=30,1000=10).", group=FILE_ONLY
    )
    max_container_restart_period: Duration = flag(
        Duration(0.0),
        "Longest back-off of restarts (crashLoopBackOff.maxContainerRestartPeriod).",
        group=FILE_ONLY,
    )
    enforce_node_allocatable: tuple[str, ...] = flag(
        ("pods",), "Levels of node allocatable enforcement: none, pods, system-reserved, kube-reserved."
    )
    system_reserved_cgroup: str = flag(
        "", "Cgroup of non-kubernetes components to which --system-reserved holds."
    )
    kube_reserved_cgroup: str = flag("", "Cgroup of kubernetes components to which --kube-reserved holds.")
    pods_per_core: int = flag(0, "Number of pods per core that can run on this kubelet; 0 is no limit.")
    node_status_max_images: int = flag(50, "Maximum number of images in the node's status; -1 is no limit.")
    read_only_port: int = flag(0, "The read-only port of the kubelet, without authentication; 0 is none.")
    server_tls_bootstrap: bool = flag(
        False,
        "Request and rotate the serving certificate from the certificates.k8s.io API.",
        name="rotate-server-certificates",
    )
    enable_debugging_handlers: bool = flag(True, "Serve logs, commands and ports of containers.")
    enable_system_log_handler: bool = flag(True, "Serve the node's /var/log below /logs/.", group=FILE_ONLY)
    enable_server: bool = flag(True, "Serve the kubelet's API.")
    cpu_cfs_quota: bool = flag(True, "Enforce the CPU limits of containers.")
    cpu_cfs_quota_period: Duration = flag(Duration(0.1), "The period for which CPU limits hold.")
    local_storage_capacity_isolation: bool = flag(True, "Manage the node's local ephemeral storage.")
    swap_behavior: str = flag(
        "", "What pods may swap: NoSwap or LimitedSwap (memorySwap.swapBehavior).", group=FILE_ONLY
    )
    topology_manager_policy: str = flag(
        "none",
        "none, best-effort, restricted, single-numa-node. With one NUMA node nothing need be aligned; with more than "
        "one only none is supported.",
    )
    topology_manager_scope: str = flag("container", "Accepted: container or pod; there is nothing to align.")
    hairpin_mode: str = flag("promiscuous-bridge", "Accepted for compatibility; the CNI plugin decides.")
    event_qps: int = flag(50, "Accepted for compatibility.")
    event_burst: int = flag(100, "Accepted for compatibility.")
    kube_api_qps: int = flag(50, "Accepted for compatibility.")
    kube_api_burst: int = flag(100, "Accepted for compatibility.")
    max_open_files: int = flag(1000000, "Accepted for compatibility.")
    oom_score_adj: int = flag(-999, "The oom-score-adj of the kubelet itself, as far as it may be set.")
    pod_logs_dir: str = flag("/var/log/pods", "The path for directory of pod logs.")
    seccomp_default: bool = flag(
        False, "Enable the use of RuntimeDefault as the default seccomp profile for all workloads."
    )
    system_reserved: dict[str, str] = flag(
        {}, "Resources reserved for non-kubernetes components (cpu=200m,memory=500Mi)."
    )
    reserved_cpus: str = flag(
        "",
        "CPUs (0-2,5) that are reserved; how many they are counts instead of what else is reserved of CPU.",
    )
    kube_reserved: dict[str, str] = flag({}, "Resources reserved for kubernetes system components.")
    eviction_hard: tuple[str, ...] = flag(
        (
            "memory.available<100Mi",
            "nodefs.available<10%",
            "nodefs.inodesFree<5%",
            "imagefs.available<15%",
            "imagefs.inodesFree<5%",
        ),
        "Eviction thresholds (e.g. memory.available<1Gi) that, if met, would trigger a pod eviction.",
    )
    eviction_soft: tuple[str, ...] = flag(
        (),
        "Eviction thresholds that, if met over a corresponding grace period, would trigger a pod eviction.",
    )
    eviction_soft_grace_period: dict[str, str] = flag(
        {}, "Eviction grace periods (e.g. memory.available=1m30s) of the soft eviction thresholds."
    )
    eviction_minimum_reclaim: dict[str, str] = flag(
        {},
        "Minimum reclaims (e.g. nodefs.available=2Gi): what the kubelet wins back at least under pressure.",
    )
    eviction_max_pod_grace_period: int = flag(
        0,
        "Longest grace period (seconds) for pods that end because of a soft threshold; negative: the pod's own.",
    )
    merge_default_eviction_settings: bool = flag(
        False, "Signals that are not named keep their default threshold.", group=FILE_ONLY
    )
    eviction_pressure_transition_period: Duration = flag(
        Duration(300.0),
        "Duration for which the kubelet has to wait before transitioning out of a pressure condition.",
    )
    allowed_unsafe_sysctls: tuple[str, ...] = flag(
        (), "Unsafe sysctls or unsafe sysctl patterns (ending in *) that are allowed."
    )
    make_iptables_util_chains: bool = flag(
        True, "Accepted for compatibility; kube-proxy makes its own chains."
    )
    fail_swap_on: bool = flag(True, "Fail to start if swap is enabled on the node.")
    fail_cgroup_v1: bool = flag(
        False,
        "Fail to start on a host with cgroup v1. Upstream's default is true; here both versions are at home.",
        group=FILE_ONLY,
    )
    single_process_oom_kill: bool = flag(
        False,
        "Let the kernel kill one process of a container that is out of memory, not all (cgroup v2).",
        group=FILE_ONLY,
    )
    feature_gates: dict[str, bool] = flag({}, f"Pairs of name=value. {features.HELP}")

    @property
    def cfs_period(self) -> int:
        """In microseconds; 0 where CPU limits are not enforced."""
        return round(self.cpu_cfs_quota_period * 1e6) if self.cpu_cfs_quota else 0

    @property
    def eviction_thresholds(self) -> dict[str, str]:
        """Signal -> amount."""
        return {name: amount for name, _, amount in (text.partition("<") for text in self.eviction_hard)}

    @property
    def report_frequency(self) -> float:
        """Upstream: whoever sets the update frequency alone wants the status that often."""
        if self.node_status_report_frequency:
            return self.node_status_report_frequency
        return 300.0 if self.node_status_update_frequency == 10.0 else self.node_status_update_frequency

    @property
    def node_name(self) -> str:
        """The name under which the node is registered."""
        return (self.hostname_override or os.uname().nodename).lower()
