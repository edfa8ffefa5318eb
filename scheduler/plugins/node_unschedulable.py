"""Cordoned nodes take no new pods, except those that tolerate it."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core.pod import affinity
from scheduler.framework.interface import Action, CycleState, EventHint, FilterPlugin, Refusal
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NodeUnschedulable(FilterPlugin):
    """Rules out nodes with `spec.unschedulable`."""

    name = "NodeUnschedulable"

    def events(self) -> list[EventHint]:
        return [
            EventHint("Node", Action.ADD | Action.NODE_TAINT),
            EventHint("UnscheduledPod", Action.POD_TOLERATION),
        ]

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        cordoned = nodes.unschedulable
        if (
            cordoned.any()
            and affinity.untolerated_taint([TAINT], affinity.tolerations_of(pod.pod)) is not None
        ):
            yield Refusal(cordoned, "node(s) were unschedulable", resolvable=False)
