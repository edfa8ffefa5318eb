"""Flags of the controller manager; names, forms and defaults are kube-controller-manager's."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag
from kubarium.component_base.process_flags import (
    CLIENT,
    ELECTION,
    ClientFlags,
    LeaderElectionFlags,
    LoggingFlags,
    MetricsFlags,
    VersionFlags,
)
from kubarium.component_base.secure_serving import SECURE, SecureServing

CLOUD = "Cloud flags"
NODES = "Node flags"
CERTIFICATES = "Certificate flags"


_NO_MIGRATION = "Accepted; no controller moves between programs."
_NO_CLOUD = "Accepted; clouds are the cloud controller manager's affair."
_NO_RECYCLER = "Accepted; volumes are not recycled by pods."
_BATCH = "How long changes of pods are collected before {} are written; 0 is not at all."


def _signs(what: str, signer: str) -> str:
    return f"The same ({what}) for the signer kubernetes.io/{signer} alone; then none of them may be for all."


@dataclass(frozen=True)
class Options(LeaderElectionFlags, ClientFlags, SecureServing, MetricsFlags, VersionFlags, LoggingFlags):
    """How this controller manager was started."""

    kube_api_qps: float = flag(
        20.0, "Accepted; the API server's fairness limits who asks too much.", group=CLIENT
    )
    kube_api_burst: int = flag(30, "Accepted, as --kube-api-qps.", group=CLIENT)
    controllers: tuple[str, ...] = flag(
        ("*",),
        "A list of controllers to enable. '*' enables all on-by-default controllers, 'foo' enables the controller "
        "named 'foo', '-foo' disables the controller named 'foo'.",
    )
    use_service_account_credentials: bool = flag(
        False, "If true, use individual service account credentials for each controller."
    )
    cluster_name: str = flag("kubernetes", "The instance prefix for the cluster.")
    leader_elect_resource_name: str = flag(
        "kube-controller-manager", "The name of the lock resource.", group=ELECTION
    )
    enable_leader_migration: bool = flag(False, _NO_MIGRATION, group=ELECTION)
    leader_migration_config: str = flag("", _NO_MIGRATION, group=ELECTION)
    controller_start_interval: Duration = flag(0.0, "Interval between starting controller managers.")
    controller_shutdown_timeout: Duration = flag(10.0, "Accepted; controllers end at once.")
    min_resync_period: Duration = flag(
        12 * 3600.0, "Accepted; informers do not tell again what has not changed."
    )

    secure_port: int = flag(10257, "The port on which to serve HTTPS; 0 serves nothing.", group=SECURE)

    allow_untagged_cloud: bool = flag(False, _NO_CLOUD, group=CLOUD)
    cidr_allocator_type: str = flag("RangeAllocator", _NO_CLOUD, group=CLOUD)
    cloud_config: str = flag("", _NO_CLOUD, group=CLOUD)
    cloud_provider: str = flag("", _NO_CLOUD, group=CLOUD)
    concurrent_service_syncs: int = flag(1, _NO_CLOUD, group=CLOUD)
    configure_cloud_routes: bool = flag(True, _NO_CLOUD, group=CLOUD)
    external_cloud_volume_plugin: str = flag("", _NO_CLOUD, group=CLOUD)
    route_reconciliation_period: Duration = flag(10.0, _NO_CLOUD, group=CLOUD)

    root_ca_file: str = flag("", "The authority that is published to every namespace.", group=CERTIFICATES)
    service_account_private_key_file: str = flag(
        "", "Private RSA or ECDSA key that signs service account tokens.", group=CERTIFICATES
    )
    cluster_signing_cert_file: str = flag("", "Certificate of the authority that signs.", group=CERTIFICATES)
    cluster_signing_key_file: str = flag("", "Key of the authority that signs.", group=CERTIFICATES)
    cluster_signing_kubelet_serving_cert_file: str = flag(
        "", _signs("cert", "kubelet-serving"), group=CERTIFICATES
    )
    cluster_signing_kubelet_serving_key_file: str = flag(
        "", _signs("key", "kubelet-serving"), group=CERTIFICATES
    )
    cluster_signing_kubelet_client_cert_file: str = flag(
        "", _signs("cert", "kube-apiserver-client-kubelet"), group=CERTIFICATES
    )
    cluster_signing_kubelet_client_key_file: str = flag(
        "", _signs("key", "kube-apiserver-client-kubelet"), group=CERTIFICATES
    )
    cluster_signing_kube_apiserver_client_cert_file: str = flag(
        "", _signs("cert", "kube-apiserver-client"), group=CERTIFICATES
    )
    cluster_signing_kube_apiserver_client_key_file: str = flag(
        "", _signs("key", "kube-apiserver-client"), group=CERTIFICATES
    )
    cluster_signing_legacy_unknown_cert_file: str = flag(
        "", _signs("cert", "legacy-unknown"), group=CERTIFICATES
    )
    cluster_signing_legacy_unknown_key_file: str = flag(
        "", _signs("key", "legacy-unknown"), group=CERTIFICATES
    )
    cluster_signing_duration: Duration = flag(
        365 * 24 * 3600.0, "The longest validity of signed certificates.", group=CERTIFICATES
    )

    allocate_node_cidrs: bool = flag(False, "Should ranges for pods be allocated?", group=NODES)
    cluster_cidr: str = flag("", "Range for pods in the cluster.", group=NODES)
    service_cluster_ip_range: str = flag("", "Range for Services in the cluster.", group=NODES)
    node_cidr_mask_size: int = flag(0, "Mask size for a node's range.", group=NODES)
    node_cidr_mask_size_ipv4: int = flag(0, "Mask size for a node's IPv4 range.", group=NODES)
    node_cidr_mask_size_ipv6: int = flag(0, "Mask size for a node's IPv6 range.", group=NODES)
    node_monitor_period: Duration = flag(5.0, "How often nodes are looked at.", group=NODES)
    node_monitor_grace_period: Duration = flag(
        50.0, "How long a running node may be silent before it is lost.", group=NODES
    )
    node_startup_grace_period: Duration = flag(
        60.0, "How long a starting node may be silent before it is lost.", group=NODES
    )
    node_eviction_rate: float = flag(0.1, "Nodes per second whose pods are evicted.", group=NODES)
    secondary_node_eviction_rate: float = flag(0.01, "The same in an unhealthy zone.", group=NODES)
    large_cluster_size_threshold: int = flag(50, "Number of nodes of a large cluster.", group=NODES)
    unhealthy_zone_threshold: float = flag(
        0.55, "Share of lost nodes from which a zone is unhealthy.", group=NODES
    )
    terminated_pod_gc_threshold: int = flag(
        12500, "How many finished pods may exist before they are collected; 0 or less: any number."
    )

    concurrent_deployment_syncs: int = flag(5, "Deployments worked on at a time.")
    concurrent_replicaset_syncs: int = flag(5, "ReplicaSets worked on at a time.")
    concurrent_rc_syncs: int = flag(
        5, "ReplicationControllers worked on at a time.", name="concurrent-rc-syncs"
    )
    concurrent_statefulset_syncs: int = flag(5, "StatefulSets worked on at a time.")
    concurrent_daemonset_syncs: int = flag(2, "DaemonSets worked on at a time.")
    concurrent_job_syncs: int = flag(5, "Jobs worked on at a time.")
    concurrent_cron_job_syncs: int = flag(5, "CronJobs worked on at a time.")
    concurrent_horizontal_pod_autoscaler_syncs: int = flag(5, "Autoscalers worked on at a time.")
    concurrent_endpoint_syncs: int = flag(5, "Services whose Endpoints are worked on at a time.")
    concurrent_service_endpoint_syncs: int = flag(5, "Services whose slices are worked on at a time.")
    mirroring_concurrent_service_endpoint_syncs: int = flag(5, "Endpoints mirrored at a time.")
    concurrent_namespace_syncs: int = flag(10, "Namespaces worked on at a time.")
    concurrent_gc_syncs: int = flag(20, "Objects collected at a time.")
    concurrent_resource_quota_syncs: int = flag(5, "Quotas worked on at a time.")
    concurrent_serviceaccount_token_syncs: int = flag(5, "Token secrets worked on at a time.")
    concurrent_ttl_after_finished_syncs: int = flag(5, "Finished Jobs worked on at a time.")
    concurrent_ephemeralvolume_syncs: int = flag(5, "Pods with ephemeral volumes worked on at a time.")
    concurrent_device_taint_eviction_syncs: int = flag(8, "Pods evicted from tainted devices at a time.")
    concurrent_resource_claim_syncs: int = flag(50, "Claims for devices worked on at a time.")
    concurrent_validating_admission_policy_status_syncs: int = flag(5, "Policies checked at a time.")
    endpoint_updates_batch_period: Duration = flag(0.0, _BATCH.format("Endpoints"))
    endpointslice_updates_batch_period: Duration = flag(0.0, _BATCH.format("EndpointSlices"))
    mirroring_endpointslice_updates_batch_period: Duration = flag(0.0, _BATCH.format("mirrored slices"))
    max_endpoints_per_slice: int = flag(100, "Endpoints in one EndpointSlice.")
    mirroring_max_endpoints_per_subset: int = flag(1000, "Endpoints mirrored of one subset.")
    resource_quota_sync_period: Duration = flag(300.0, "How often quotas are recounted.")
    namespace_sync_period: Duration = flag(300.0, "Accepted; namespaces are followed by watch.")
    pvclaimbinder_sync_period: Duration = flag(15.0, "How often claims are looked at again.")
    attach_detach_reconcile_sync_period: Duration = flag(60.0, "Accepted; attachments are followed by watch.")
    disable_attach_detach_reconcile_sync: bool = flag(False, "Accepted; attachments are followed by watch.")
    disable_force_detach_on_timeout: bool = flag(
        False, "Never detach a volume from a node only because that takes too long."
    )
    flex_volume_plugin_dir: str = flag(
        "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/", "Accepted; there are no flex volumes."
    )
    pv_recycler_increment_timeout_nfs: int = flag(30, _NO_RECYCLER)
    pv_recycler_minimum_timeout_hostpath: int = flag(60, _NO_RECYCLER)
    pv_recycler_minimum_timeout_nfs: int = flag(300, _NO_RECYCLER)
    pv_recycler_pod_template_filepath_hostpath: str = flag("", _NO_RECYCLER)
    pv_recycler_pod_template_filepath_nfs: str = flag("", _NO_RECYCLER)
    pv_recycler_timeout_increment_hostpath: int = flag(30, _NO_RECYCLER)
    enable_garbage_collector: bool = flag(True, "Collect objects whose owners are gone.")
    enable_hostpath_provisioner: bool = flag(
        False, "Accepted; an add-on provisions local volumes for claims of the default class."
    )
    enable_dynamic_provisioning: bool = flag(True, "Provision volumes for claims.")

    horizontal_pod_autoscaler_sync_period: Duration = flag(15.0, "How often autoscalers look.")
    horizontal_pod_autoscaler_downscale_stabilization: Duration = flag(
        300.0, "For how long the largest recommendation counts."
    )
    horizontal_pod_autoscaler_tolerance: float = flag(0.1, "Ratio change that is too small to act on.")
    horizontal_pod_autoscaler_cpu_initialization_period: Duration = flag(
        300.0, "After a pod's start, for how long its CPU samples may be skipped."
    )
    horizontal_pod_autoscaler_initial_readiness_delay: Duration = flag(
        30.0, "After a pod's start, for how long readiness changes count as initial."
    )
    legacy_service_account_token_clean_up_period: Duration = flag(
        365 * 24 * 3600.0, "How long a token secret must be unused before it is cleaned up."
    )

    def signing_files(self) -> dict[str, tuple[str, str]]:
        """Certificate and key for each signer that has both named. Raises ValueError where the flags contradict."""
        own = {
            "kubernetes.io/kubelet-serving": (
                self.cluster_signing_kubelet_serving_cert_file,
                self.cluster_signing_kubelet_serving_key_file,
            ),
            "kubernetes.io/kube-apiserver-client-kubelet": (
                self.cluster_signing_kubelet_client_cert_file,
                self.cluster_signing_kubelet_client_key_file,
            ),
            "kubernetes.io/kube-apiserver-client": (
                self.cluster_signing_kube_apiserver_client_cert_file,
                self.cluster_signing_kube_apiserver_client_key_file,
            ),
            "kubernetes.io/legacy-unknown": (
                self.cluster_signing_legacy_unknown_cert_file,
                self.cluster_signing_legacy_unknown_key_file,
            ),
        }
        for_all = self.cluster_signing_cert_file, self.cluster_signing_key_file
        if not any(map(any, own.values())):
            return dict.fromkeys(own, for_all) if all(for_all) else {}
        if all(for_all):
            raise ValueError("cannot specify default and per controller certs at the same time")
        return {signer: files for signer, files in own.items() if any(files)}

    def mask_size(self, family: int) -> int:
        """Bits of a node's range, of the family 4 or 6."""
        own = self.node_cidr_mask_size_ipv4 if family == 4 else self.node_cidr_mask_size_ipv6
        return own or self.node_cidr_mask_size or (24 if family == 4 else 64)
