"""The flags of the cloud controller manager."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag
from kubarium.component_base.secure_serving import SECURE, SecureServing


@dataclass(frozen=True)
class Options(SecureServing):
    """Names and defaults are upstream's."""

    kubeconfig: str = flag("", "Path to kubeconfig file with authorization and master location information.")
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
    feature_gates: tuple[str, ...] = flag((), "A set of key=value pairs that describe feature gates.")
    leader_elect: bool = flag(
        True, "Start a leader election client and gain leadership before executing the loops."
    )
    leader_elect_lease_duration: Duration = flag(
        Duration(15.0), "How long non-leader candidates wait after observing a renewal."
    )
    leader_elect_renew_deadline: Duration = flag(
        Duration(10.0), "How long the acting leader retries before it stops leading."
    )
    leader_elect_retry_period: Duration = flag(Duration(2.0), "How long clients wait between tries.")
    leader_elect_resource_name: str = flag("cloud-controller-manager", "The name of the lock resource.")
    leader_elect_resource_namespace: str = flag("kube-system", "The namespace of the lock resource.")
    secure_port: int = flag(10258, "The port on which to serve HTTPS.", group=SECURE)
    verbosity: int = flag(0, "number for the log level verbosity")
