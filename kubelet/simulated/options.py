"""Flags of the simulated nodes."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag


@dataclass(frozen=True)
class Options:
    """How many nodes, what they look like, and what their pods do unless an annotation says otherwise."""

    kubeconfig: str = flag("", "Path to the kubeconfig with which all the nodes talk to the API server.")
    count: int = flag(1, "How many nodes; simulated nodes beyond that number are deleted.")
    prefix: str = flag("simulated-", "What the nodes' names begin with; a number from 1 follows.")
    capacity: dict[str, str] = flag(
        {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"},
        "What each node offers, as capacity and as allocatable.",
    )
    node_labels: dict[str, str] = flag({}, "Labels to add to each node.")
    register_with_taints: tuple[str, ...] = flag((), "Taints of each node (key=value:Effect).")
    zones: int = flag(0, "Spread the nodes over that many zones (zone-1, zone-2 ...).")
    pod_cidr: str = flag(
        "100.64.0.0/10", "Each node takes the addresses of its pods from a part of this range."
    )
    node_lease_duration_seconds: int = flag(
        40, "The duration of each node's Lease, which is renewed twice in that time."
    )
    node_status_report_frequency: Duration = flag(
        Duration(300.0), "How often an unchanged node status is posted."
    )
    senders: int = flag(24, "How many requests are under way at the same time.")
    job_duration: Duration = flag(
        Duration(1.0), "How long containers of a Job's pods run when no annotation says it."
    )
    images: tuple[str, ...] = flag(("*",), "Patterns of the images that exist.")
    unknown_images: tuple[str, ...] = flag(
        ("invalid.*", "*.invalid/*", "*.invalid:*"),
        "Patterns of images that do not exist, whatever --images says.",
    )
    node_ip: str = flag(
        "127.0.0.1", "The address that all nodes show, and on which their kubelet's port is served."
    )
    port: int = flag(0, "The port for logs and exec of all nodes; 0: none is served.")
    tls_cert_file: str = flag("", "File containing x509 Certificate used for serving HTTPS.")
    tls_private_key_file: str = flag("", "File containing x509 private key matching --tls-cert-file.")
    client_ca_file: str = flag("", "Clients with a certificate of one of these authorities are recognised.")
    verbosity: int = flag(0, "Number for the log level verbosity.")
