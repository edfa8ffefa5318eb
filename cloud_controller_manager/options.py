"""The flags of the cloud controller manager."""

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

_NO_MIGRATION = "Accepted; no controller moves between programs."


@dataclass(frozen=True)
class Options(LeaderElectionFlags, ClientFlags, SecureServing, MetricsFlags, VersionFlags, LoggingFlags):
    """Names and defaults are upstream's."""

    kube_api_qps: float = flag(
        20.0, "Accepted; the API server's fairness limits who asks too much.", group=CLIENT
    )
    kube_api_burst: int = flag(30, "Accepted, as --kube-api-qps.", group=CLIENT)
    cloud_provider: str = flag("local", "The provider for cloud services.")
    cloud_config: str = flag("", "The path to the cloud provider configuration file.")
    cluster_name: str = flag("kubernetes", "The instance prefix for the cluster.")
    cluster_cidr: str = flag("", "CIDR Range for Pods in cluster.")
    configure_cloud_routes: bool = flag(
        True, "Should CIDRs allocated by the node IPAM be configured in the cloud?"
    )
    controllers: tuple[str, ...] = flag(("*",), "A list of controllers to enable: '*', 'foo', '-foo'.")
    node_status_update_frequency: Duration = flag(
        Duration(300.0), "Specifies how often the controller updates nodes' status."
    )
    node_monitor_period: Duration = flag(
        Duration(5.0), "How often the cloud is asked about nodes that are not ready."
    )
    route_reconciliation_period: Duration = flag(
        Duration(10.0), "The period for reconciling routes created for Nodes by cloud provider."
    )
    allocate_node_cidrs: bool = flag(False, "Accepted for compatibility: the controller manager allocates.")
    concurrent_service_syncs: int = flag(1, "The number of services that are allowed to sync concurrently.")
    concurrent_node_syncs: int = flag(1, "Number of workers concurrently synchronizing nodes.")
    use_service_account_credentials: bool = flag(
        False, "Accepted for compatibility: all controllers share one."
    )
    leader_elect_resource_name: str = flag(
        "cloud-controller-manager", "The name of the lock resource.", group=ELECTION
    )
    enable_leader_migration: bool = flag(False, _NO_MIGRATION, group=ELECTION)
    leader_migration_config: str = flag("", _NO_MIGRATION, group=ELECTION)
    allow_untagged_cloud: bool = flag(False, "Accepted; the providers here know no tags.")
    cidr_allocator_type: str = flag("RangeAllocator", "Accepted: the controller manager allocates.")
    controller_start_interval: Duration = flag(0.0, "Accepted; all controllers start at once.")
    min_resync_period: Duration = flag(
        12 * 3600.0, "Accepted; informers do not tell again what has not changed."
    )
    webhooks: tuple[str, ...] = flag((), "Accepted; the providers here have no webhooks.")
    secure_port: int = flag(10258, "The port on which to serve HTTPS.", group=SECURE)
