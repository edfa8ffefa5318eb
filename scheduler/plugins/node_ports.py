"""A port of the node can be taken once."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.framework.interface import (
    SKIP,
    Action,
    CycleState,
    EventHint,
    FilterPlugin,
    PreFilterPlugin,
    Refusal,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import HostPort, PodInfo

EVERY_ADDRESS = "0.0.0.0"


class NodePorts(PreFilterPlugin, FilterPlugin):
    """Rules out nodes where a host port of the pod is in use. `0.0.0.0` collides with every address."""

    name = "NodePorts"
    depends_on_pods = True

    def events(self) -> list[EventHint]:
        return [EventHint("AssignedPod", Action.DELETE), EventHint("Node", Action.ADD)]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        return None if pod.host_ports else SKIP

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        taken = {place for port in pod.host_ports for place in users_of(port, nodes)}
        if taken:
            yield Refusal(
                nodes.mask_of(list(taken)), "node(s) didn't have free ports for the requested pod ports"
            )


def users_of(port: HostPort, nodes: Nodes) -> Iterator[int]:
    """The places of nodes where the port is taken."""
    by_address = nodes.ports.get((port.protocol, port.port))
    if not by_address:
        return
    for address, places in by_address.items():
        if address == port.address or EVERY_ADDRESS in (address, port.address):
            yield from places
