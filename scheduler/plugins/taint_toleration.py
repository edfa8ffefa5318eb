"""Taints keep pods away that do not tolerate them."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core.pod import affinity
from kubarium.apimachinery.object import Object
from scheduler.framework import node_selection
from scheduler.framework.columns import Mask
from scheduler.framework.interface import (
    SKIP,
    Action,
    CycleState,
    EventHint,
    FilterPlugin,
    PreScorePlugin,
    Refusal,
    ScorePlugin,
    Scores,
    Status,
    scale_to_maximum,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON = "node(s) had untolerated taint(s)"  # upstream named the taint until 1.33


class TaintToleration(FilterPlugin, PreScorePlugin, ScorePlugin):
    """Rules out by NoSchedule and NoExecute, ranks by PreferNoSchedule."""

    name = "TaintToleration"

    def events(self) -> list[EventHint]:
        return [
            EventHint("Node", Action.ADD | Action.NODE_TAINT, tolerates_now),
            EventHint("UnscheduledPod", Action.POD_TOLERATION),
        ]

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        tainted = node_selection.untolerated(pod, nodes)
        if tainted is not None:
            yield Refusal(tainted, REASON, resolvable=False)

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        return None if node_selection.any_avoided(pod, nodes) else SKIP  # all are equally good

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        return node_selection.count_avoided(pod, nodes)

    def normalize(self, state: CycleState, scores: Scores, feasible: Mask) -> Scores:
        return scale_to_maximum(scores, feasible, reverse=True)


def tolerates_now(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Did this change of a node make its taints bearable?"""
    taints = ((new or {}).get("spec") or {}).get("taints") or []
    return affinity.untolerated_taint(taints, affinity.tolerations_of(pod.pod)) is None
