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
        Duration(300.0), "How often node addresses are looked after."
    )
    leader_elect: bool = flag(
        True, "Start a leader election client and gain leadership before executing the loops."
    )
    secure_port: int = flag(10258, "The port on which to serve HTTPS.", group=SECURE)
    verbosity: int = flag(0, "number for the log level verbosity")
