"""The flags of the agent."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base.options import Duration, flag


@dataclass(frozen=True)
class Options:
    """Without a kubeconfig it uses the service account of its pod."""

    kubeconfig: str = flag("", "Path to a kubeconfig file; the pod's service account when empty.")
    hostname_override: str = flag(
        "", "The name of this node as the API server knows it; the host's if empty."
    )
    node_netns: str = flag(
        "",
        "Serve several nodes of this machine: the path of their network namespaces, with * for the node's name.",
    )
    cni_notes: str = flag(
        "/var/lib/cni",
        "Where network plugins' results are kept, which tell a new pod's address before its containers start;"
        " with * for the node's name if several nodes are served.",
    )
    pod_bridge: str = flag(
        "cni0",
        "The interface of a node behind which its pods are. As long as there are policies, an address behind it that"
        " is not known to be a pod's is cut off; nobody is if empty.",
    )
    min_sync_period: Duration = flag(
        Duration(0.1), "Changes that come within this time are applied together."
    )
    sync_period: Duration = flag(Duration(30.0), "How often it is looked whether the rules are still there.")
    metrics_bind_address: str = flag("127.0.0.1:10254", "Address of /healthz and /metrics; none if empty.")
    cleanup: bool = flag(False, "Remove all rules and exit.")
    verbosity: int = flag(0, "number for the log level verbosity")
