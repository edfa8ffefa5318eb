"""The flags of the metrics server; names and defaults are upstream's."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag


@dataclass(frozen=True)
class Options:
    """Without a kubeconfig it uses the service account of its pod."""

    kubeconfig: str = flag("", "The path to the kubeconfig used to connect to the Kubernetes API server.")
    metric_resolution: Duration = flag(
        Duration(15.0), "The resolution at which metrics-server will retain metrics."
    )
    kubelet_insecure_tls: bool = flag(
        False, "Do not verify CA of serving certificates presented by kubelets."
    )
    kubelet_certificate_authority: str = flag(
        "", "Path to the CA to use to validate the kubelet's certificates."
    )
    bind_address: str = flag("0.0.0.0", "The IP address on which to listen for the --secure-port port.")
    secure_port: int = flag(10250, "The port on which to serve HTTPS.")
    cert_dir: str = flag("/tmp", "The directory where a self-signed certificate is made.")
    verbosity: int = flag(0, "number for the log level verbosity")
