"""The flags of the cloud controller manager."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag


@dataclass(frozen=True)
class Options:
    """Names and defaults are upstream's."""

    kubeconfig: str = flag("", "Path to kubeconfig file with authorization and master location information.")
    authentication_kubeconfig: str = flag("", "Accepted; clients are known by their certificate.")
    authorization_kubeconfig: str = flag("", "Accepted; clients are known by their certificate.")
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
    bind_address: str = flag("0.0.0.0", "The IP address on which to listen for the --secure-port port.")
    secure_port: int = flag(10258, "The port on which to serve HTTPS.")
    tls_cert_file: str = flag("", "File containing the x509 certificate for HTTPS.")
    tls_private_key_file: str = flag("", "File containing the x509 private key matching --tls-cert-file.")
    client_ca_file: str = flag(
        "", "Requests with a client certificate signed by one of these are authenticated."
    )
    verbosity: int = flag(0, "number for the log level verbosity")
