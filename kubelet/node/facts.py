"""What this kubelet was told of its node, together with what it finds on the machine."""

from __future__ import annotations

from kubelet import reservations
from kubelet.node import machine
from kubelet.node import status as node_status
from kubelet.node.machine import Machine
from kubelet.node.status import NodeFacts
from kubelet.options import Options


def gather(options: Options, api_host: str) -> NodeFacts:
    """Look once; what changes later is asked of the machine again."""
    found = machine.look()
    return NodeFacts(
        name=options.node_name,
        ips=node_status.find_ips(options.node_ip, api_host),
        hostname=options.node_name,
        machine=found,
        root=options.root_dir,
        max_pods=_max_pods(options, found.cpus),
        port=options.port,
        reserved=reservations.reserved(options),
        eviction_hard=options.eviction_thresholds,
        manages_storage=options.local_storage_capacity_isolation,
    )


def _max_pods(options: Options, cpus: int) -> int:
    return min(options.max_pods, options.pods_per_core * cpus) if options.pods_per_core else options.max_pods


def labels(options: Options, found: Machine) -> dict[str, str]:
    """Labels that a node has from the beginning."""
    return {
        "kubernetes.io/hostname": options.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": found.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": found.architecture,
        **options.node_labels,
    }
