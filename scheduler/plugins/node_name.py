"""A pod that names its node runs there or nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.framework.interface import Action, CycleState, EventHint, FilterPlugin, Refusal
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo


class NodeName(FilterPlugin):
    """Rules out every node but the one in `spec.nodeName`.

    Pods with a node are not queued at all, so this is only asked when somebody simulates.
    """

    name = "NodeName"

    def events(self) -> list[EventHint]:
        return [EventHint("Node", Action.ADD)]

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        wanted = pod.spec.get("nodeName")
        if wanted:
            others = ~nodes.mask_of([nodes.index[wanted]] if wanted in nodes.index else [])
            yield Refusal(others, "node(s) didn't match the requested node name", resolvable=False)
