"""What cannot be in the kubelet's configuration, in upstream's words."""

from __future__ import annotations

import os

from kubarium.component_base import serving
from kubarium.component_base.cipher_suites import CipherSuite
from kubarium.component_base.options import format_duration
from kubelet import reservations
from kubelet.options import Options

RANGES = (  # option, name in the file, flag, smallest, largest
    ("healthz_port", "healthzPort", "--healthz-port", 0, 65535),
    ("image_gc_high_threshold", "imageGCHighThresholdPercent", "--image-gc-high-threshold", 0, 100),
    ("image_gc_low_threshold", "imageGCLowThresholdPercent", "--image-gc-low-threshold", 0, 100),
    ("oom_score_adj", "oomScoreAdj", "--oom-score-adj", -1000, 1000),
    ("port", "port", "--port", 1, 65535),
    ("read_only_port", "readOnlyPort", "--read-only-port", 0, 65535),
)
NOT_NEGATIVE = (
    ("event_burst", "eventBurst", "--event-burst"),
    ("event_qps", "eventRecordQPS", "--event-qps"),
    ("kube_api_burst", "kubeAPIBurst", "--kube-api-burst"),
    ("kube_api_qps", "kubeAPIQPS", "--kube-api-qps"),
    ("max_open_files", "maxOpenFiles", "--max-open-files"),
    ("max_pods", "maxPods", "--max-pods"),
    ("pods_per_core", "podsPerCore", "--pods-per-core"),
    ("registry_burst", "registryBurst", "--registry-burst"),
    ("registry_qps", "registryPullQPS", "--registry-qps"),
)
ENFORCEMENTS = (
    "pods",
    "system-reserved",
    "system-reserved-compressible",
    "kube-reserved",
    "kube-reserved-compressible",
)
TOPOLOGY_POLICIES = ("none", "best-effort", "restricted", "single-numa-node")
HAIRPIN_MODES = ("none", "hairpin-veth", "promiscuous-bridge")
VERIFICATION_POLICIES = (
    "NeverVerify",
    "NeverVerifyPreloadedImages",
    "NeverVerifyAllowlistedImages",
    "AlwaysVerify",
)


def complaints(options: Options) -> list[str]:
    """Everything that cannot be."""
    found = [*_numbers(options), *_allocatable(options), *_images(options), *_shutdown(options)]
    policy, scope = options.topology_manager_policy, options.topology_manager_scope
    if policy not in TOPOLOGY_POLICIES:
        listed = " ".join(f'"{one}"' for one in TOPOLOGY_POLICIES)
        found.append(
            f'topologyManagerPolicy (--topology-manager-policy) "{policy}" must be one of: [{listed}]'
        )
    if scope not in ("container", "pod"):
        found.append(
            f'topologyManagerScope (--topology-manager-scope) "{scope}" must be one of: "container", or "pod"'
        )
    if options.swap_behavior not in ("", "NoSwap", "LimitedSwap"):
        text = f'memorySwap.swapBehavior "{options.swap_behavior}"'
        found.append(f'{text} must be one of: "", "LimitedSwap" or "NoSwap"')
    if options.hairpin_mode not in HAIRPIN_MODES:
        text = f'option "{options.hairpin_mode}" specified for hairpinMode (--hairpin-mode)'
        found.append(f'{text}. Valid options are "none", "hairpin-veth" or "promiscuous-bridge"')
    if not options.container_runtime_endpoint:
        found.append("the containerRuntimeEndpoint was not specified or empty")
    if options.container_log_max_workers < 1:
        found.append("containerLogMaxWorkers must be greater than or equal to 1")
    if options.container_log_monitor_interval < 3:
        found.append(
            "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s"
        )
    if options.container_log_max_files <= 1:
        found.append("containerLogMaxFiles must be greater than 1")
    if not options.pod_logs_dir.startswith("/"):
        found.append(f'pod logs path "{options.pod_logs_dir}" must be absolute path')
    if options.pod_logs_dir != os.path.normpath(options.pod_logs_dir):
        found.append(f'pod logs path "{options.pod_logs_dir}" must be normalized')
    longest = options.max_container_restart_period
    if longest and not 1 <= longest <= 300:
        text = f"CrashLoopBackOff.MaxContainerRestartPeriod (got: {longest:g} seconds)"
        found.append(f"{text} must be set between 1s and 300s")
    return [f"invalid configuration: {text}" for text in found]


def unknown_tls(options: Options) -> str:
    """What the file asks of TLS and nobody knows; of flags it has been said."""
    if options.tls_min_version not in ("", *serving.TLS_VERSIONS):
        return f'unknown tls version "{options.tls_min_version}"'
    try:
        for name in options.tls_cipher_suites:
            CipherSuite(name)
    except ValueError as error:
        return str(error)
    return ""


def _numbers(options: Options) -> list[str]:
    found = []
    if options.node_lease_duration_seconds <= 0:
        found.append("nodeLeaseDurationSeconds must be greater than 0")
    for option, name, flag, smallest, largest in RANGES:
        value = getattr(options, option)
        if not smallest <= value <= largest:
            least = 1 if option == "healthz_port" else smallest
            found.append(f"{name} ({flag}) {value} must be between {least} and {largest}, inclusive")
    for option, name, flag in NOT_NEGATIVE:
        value = getattr(options, option)
        if value < 0:
            found.append(f"{name} ({flag}) {value} must not be a negative number")
    if not 0.001 <= options.cpu_cfs_quota_period <= 1:
        text = (
            f"cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {{{format_duration(options.cpu_cfs_quota_period)}}}"
        )
        found.append(f"{text} must be between 1ms and 1s, inclusive")
    if options.node_status_max_images < -1:
        text = f"nodeStatusMaxImages (--node-status-max-images) {options.node_status_max_images}"
        found.append(f"{text} must be -1 or greater")
    return found


def _allocatable(options: Options) -> list[str]:
    found, name = [], "enforceNodeAllocatable (--enforce-node-allocatable)"
    given = options.enforce_node_allocatable
    for kind in ("system", "kube"):
        whole, part = f"{kind}-reserved", f"{kind}-reserved-compressible"
        if {whole, part} <= set(given):
            found.append(f'both "{whole}" and "{part}" cannot be specified together in {name}')
    for index, value in enumerate(given):
        if value in given[:index]:
            found.append(f'duplicated enforcements "{value}" in {name}')
        elif value == "none":
            if len(given) > 1:
                found.append(f'{name} may not contain additional enforcements when "none" is specified')
        elif value not in ENFORCEMENTS:
            listed = ", ".join(f'"{one}"' for one in ENFORCEMENTS)
            found.append(f'option "{value}" specified for {name}. Valid options are {listed} or "none"')
        else:
            kind = value.partition("-")[0]
            if kind != "pods" and not getattr(options, f"{kind}_reserved_cgroup"):
                text = f"{kind}ReservedCgroup (--{kind}-reserved-cgroup) must be specified when"
                both = f'"{kind}-reserved" or "{kind}-reserved-compressible"'
                found.append(f"{text} {both} included in {name}")
            if not options.cgroups_per_qos:
                text = "cgroupsPerQOS (--cgroups-per-qos) must be set to true when"
                found.append(f'{text} "{value}" contained in {name}')
    if options.reserved_cpus:
        if options.system_reserved_cgroup or options.kube_reserved_cgroup:
            found.append(
                "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup) "
                "or kubeReservedCgroup (--kube-reserved-cgroup)"
            )
        try:
            reservations.cpu_numbers(options.reserved_cpus)
        except ValueError as error:
            text = f"unable to parse reservedSystemCPUs (--reserved-cpus) {options.reserved_cpus}"
            found.append(f"{text}, error: {error}")
    return found


def _images(options: Options) -> list[str]:
    found = []
    high, low = options.image_gc_high_threshold, options.image_gc_low_threshold
    if low >= high:
        found.append(
            f"imageGCLowThresholdPercent (--image-gc-low-threshold) {low} must be less than "
            f"imageGCHighThresholdPercent (--image-gc-high-threshold) {high}"
        )
    oldest, youngest = options.image_maximum_gc_age, options.minimum_image_ttl_duration
    if youngest < 0:
        found.append(f"imageMinimumGCAge {format_duration(youngest)} must not be negative")
    if oldest < 0:
        found.append(f"imageMaximumGCAge {format_duration(oldest)} must not be negative")
    if 0 < oldest <= youngest:
        found.append(
            f"imageMaximumGCAge {format_duration(oldest)} must be greater than "
            f"imageMinimumGCAge {format_duration(youngest)}"
        )
    if options.max_parallel_image_pulls < 0:
        found.append(f"maxParallelImagePulls {options.max_parallel_image_pulls} must be a positive number")
    if options.serialize_image_pulls and options.max_parallel_image_pulls > 1:
        found.append(
            "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls "
            "(--serialize-image-pulls) is set to false"
        )
    policy = options.image_pull_credentials_verification_policy
    if policy not in VERIFICATION_POLICIES:
        listed = ", ".join(f'"{one}"' for one in VERIFICATION_POLICIES[:-1])
        text = f'option "{policy}" specified for imagePullCredentialsVerificationPolicy. Valid options are'
        found.append(f'{text} {listed} or "{VERIFICATION_POLICIES[-1]}"')
    elif options.preloaded_images_verification_allowlist and policy != "NeverVerifyAllowlistedImages":
        found.append(
            "can't set `preloadedImagesVerificationAllowlist` if `imagePullCredentialsVertificationPolicy` "
            'is not "NeverVerifyAllowlistedImages"'
        )
    return found


def _shutdown(options: Options) -> list[str]:
    found = []
    whole, critical = options.shutdown_grace_period, options.shutdown_grace_period_critical_pods
    shown = {
        name: f"{{{format_duration(value)}}}" for name, value in (("whole", whole), ("critical", critical))
    }
    if critical > whole:
        found.append(
            f"shutdownGracePeriodCriticalPods {shown['critical']} must be <= shutdownGracePeriod {shown['whole']}"
        )
    for name, key, value in (
        ("shutdownGracePeriod", "whole", whole),
        ("shutdownGracePeriodCriticalPods", "critical", critical),
    ):
        if value < 0 or 0 < value < 1:
            found.append(f"{name} {shown[key]} must be either zero or otherwise >= 1 sec")
    if options.shutdown_grace_period_by_pod_priority and (whole > 0 or critical > 0):
        found.append(
            "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time"
        )
    return found
