"""Flags of the kubelet and the `KubeletConfiguration` file; a flag wins over the file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kubarium.component_base.options import Duration, flag, parse, parse_duration

CONFIG_KIND = "KubeletConfiguration"


@dataclass(frozen=True)
class Options:
    """Names, meanings and defaults are upstream's."""

    kubeconfig: str = flag("", "Path to a kubeconfig file, specifying how to connect to the API server.")
    bootstrap_kubeconfig: str = flag(
        "", "Path to a kubeconfig file that will be used to get client certificate for kubelet."
    )
    cert_dir: str = flag("/var/lib/kubelet/pki", "The directory where the TLS certs are located.")
    rotate_certificates: bool = flag(False, "Auto rotate the kubelet client certificates before they expire.")
    config: str = flag("", "The Kubelet will load its initial configuration from this file.")
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
    image_service_endpoint: str = flag("", "The endpoint of container image service; the runtime's if empty.")
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
    pod_logs_dir: str = flag("/var/log/pods", "The path for directory of pod logs.")
    seccomp_default: bool = flag(
        False, "Enable the use of RuntimeDefault as the default seccomp profile for all workloads."
    )
    system_reserved: dict[str, str] = flag(
        {}, "Resources reserved for non-kubernetes components (cpu=200m,memory=500Mi)."
    )
    kube_reserved: dict[str, str] = flag({}, "Resources reserved for kubernetes system components.")
    eviction_hard: tuple[str, ...] = flag(
        ("memory.available<100Mi", "nodefs.available<10%", "nodefs.inodesFree<5%", "imagefs.available<15%"),
        "Eviction thresholds (e.g. memory.available<1Gi) that, if met, would trigger a pod eviction.",
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
    fail_swap_on: bool = flag(True, "Accepted for compatibility.")
    feature_gates: dict[str, bool] = flag({}, "Feature gates.")
    verbosity: int = flag(0, "Number for the log level verbosity.")

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


# Names in the file that are not the flag's name in camel case.
FILE_NAMES = {
    "staticPodPath": "pod_manifest_path",
    "podManifestPath": "pod_manifest_path",
    "clusterDNS": "cluster_dns",
    "tlsCertFile": "tls_cert_file",
    "tlsPrivateKeyFile": "tls_private_key_file",
    "imageGCHighThresholdPercent": "image_gc_high_threshold",
    "imageGCLowThresholdPercent": "image_gc_low_threshold",
    "podPidsLimit": "pod_max_pids",
    "cgroupsPerQOS": "cgroups_per_qos",
    "nodeStatusUpdateFrequency": "node_status_update_frequency",
    "resolvConf": "resolv_conf",
}


def read(argv: Sequence[str]) -> Options:
    """Flags over file over defaults."""
    options = parse(Options, argv, program="kubelet")
    if not options.config:
        return options
    document = yaml.safe_load(Path(options.config).read_text()) or {}
    return parse(Options, argv, program="kubelet", defaults=from_file(document))


def from_file(document: Mapping[str, Any]) -> Options:
    """A `KubeletConfiguration` as options. Raises ValueError for another kind; unknown fields are left out."""
    if document.get("kind", CONFIG_KIND) != CONFIG_KIND:
        raise ValueError(f"no kind {document.get('kind')!r} is registered for the kubelet's configuration")
    fields = {field.name: field for field in dataclasses.fields(Options)}
    values: dict[str, Any] = {}
    for key, value in document.items():
        name = FILE_NAMES.get(key) or _snake(key)
        if name in fields and value is not None:
            values[name] = _converted(fields[name], value)
    authentication = document.get("authentication") or {}
    if "enabled" in (authentication.get("anonymous") or {}):
        values["anonymous_auth"] = authentication["anonymous"]["enabled"]
    if "enabled" in (authentication.get("webhook") or {}):
        values["authentication_token_webhook"] = authentication["webhook"]["enabled"]
    if (authentication.get("x509") or {}).get("clientCAFile"):
        values["client_ca_file"] = authentication["x509"]["clientCAFile"]
    if (document.get("authorization") or {}).get("mode"):
        values["authorization_mode"] = document["authorization"]["mode"]
    return Options(**values)


def as_configuration(options: Options) -> dict[str, Any]:
    """What `/configz` shows."""
    shown: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        shown[_camel(field.name)] = list(value) if isinstance(value, tuple) else value
    return shown


def _converted(field: Any, value: Any) -> Any:
    if "Duration" in str(field.type) and isinstance(value, str):
        return parse_duration(value)
    if "tuple" in str(field.type) and isinstance(value, dict):
        return tuple(f"{key}<{one}" for key, one in value.items())
    if "tuple" in str(field.type):
        return tuple(value) if isinstance(value, list) else (value,)
    if "dict" in str(field.type):
        return {str(key): one if isinstance(one, bool) else str(one) for key, one in dict(value).items()}
    return value


def _snake(camel: str) -> str:
    return "".join(f"_{character.lower()}" if character.isupper() else character for character in camel)


def _camel(snake: str) -> str:
    head, *rest = snake.split("_")
    return head + "".join(part.capitalize() for part in rest)
