"""The flags of the DNS server."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag


@dataclass(frozen=True)
class Options:
    """Without a kubeconfig it uses the service account of its pod."""

    kubeconfig: str = flag("", "Path to a kubeconfig file; the pod's service account when empty.")
    cluster_domain: str = flag("cluster.local", "The domain of this cluster.")
    bind_address: str = flag("0.0.0.0", "The IP addresses to answer on, split by commas.")
    port: int = flag(53, "The port to answer on, UDP and TCP.")
    health_port: int = flag(8080, "The port of /health.")
    ready_port: int = flag(8181, "The port of /ready.")
    metrics_port: int = flag(9153, "The port of /metrics.")
    resolv_conf: str = flag("/etc/resolv.conf", "Where the resolvers for other domains are named.")
    reload: Duration = flag(Duration(30.0), "How often that file is read again.")
    lameduck: Duration = flag(
        Duration(5.0), "How long to go on answering after the signal to end: clients must learn of it first."
    )
    verbosity: int = flag(0, "number for the log level verbosity")
