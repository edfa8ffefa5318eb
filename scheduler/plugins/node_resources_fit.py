"""Is there room for what the pod requests, and where is it best put?

`scoringStrategy.type`: LeastAllocated (spread, the default), MostAllocated (pack), RequestedToCapacityRatio
(by a curve).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kubarium.api.core.pod.resources import amounts
from kubarium.apimachinery.object import Object
from scheduler.framework.columns import Floats, Mask
from scheduler.framework.interface import (
    Action,
    CycleState,
    EventHint,
    FilterPlugin,
    Handle,
    PreScorePlugin,
    Refusal,
    ScorePlugin,
    Scores,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

ALWAYS_CHECKED = ("cpu", "memory", "ephemeral-storage")


class NodeResourcesFit(FilterPlugin, PreScorePlugin, ScorePlugin):
    """Rules out nodes without room; ranks by how much would be left."""

    name = "NodeResourcesFit"
    depends_on_pods = True

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        self._ignored = set(args.get("ignoredResources") or ())
        self._ignored_groups = tuple(f"{group}/" for group in args.get("ignoredResourceGroups") or ())
        strategy = args.get("scoringStrategy") or {}
        default: list[Object] = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
        self._weights = {
            entry["name"]: float(entry.get("weight") or 1) for entry in strategy.get("resources") or default
        }
        self._strategy: str = strategy.get("type") or "LeastAllocated"
        shape = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or []
        self._curve = ([point["utilization"] for point in shape], [point["score"] * 10 for point in shape])

    def events(self) -> list[EventHint]:
        return [
            EventHint("AssignedPod", Action.DELETE | Action.POD_SCALE_DOWN, _frees_something),
            EventHint("Node", Action.ADD | Action.NODE_ALLOCATABLE, _fits_in_empty_node),
            EventHint("UnscheduledPod", Action.POD_SCALE_DOWN),
        ]

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        yield Refusal(nodes.pod_count + 1 > nodes.pod_limit, "Too many pods")
        for name, wanted in pod.requests.items():
            if not wanted or self._is_ignored(name):
                continue
            resource = nodes.resource(name)
            short = resource.requested + wanted > resource.allocatable
            if short.any():
                # Where not even an empty node could take it, nobody needs to be asked to leave.
                never = wanted > resource.allocatable
                yield Refusal(short & ~never, f"Insufficient {name}")
                yield Refusal(never, f"Insufficient {name}", resolvable=False)

    def _is_ignored(self, name: str) -> bool:
        return name in self._ignored or (bool(self._ignored_groups) and name.startswith(self._ignored_groups))

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        return None

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        total = np.zeros(nodes.length)
        weights = np.zeros(nodes.length)
        for name, weight in self._weights.items():
            requested, allocatable = expected_use(name, pod, nodes)
            if name not in ("cpu", "memory") and not pod.requests.get(name):
                continue  # a resource that the pod does not ask for says nothing about where it should go
            offered = allocatable > 0
            with np.errstate(divide="ignore", invalid="ignore"):
                total += np.where(offered, self._rank(requested, allocatable), 0.0) * weight
            weights += offered * weight
        with np.errstate(divide="ignore", invalid="ignore"):
            if self._strategy == "RequestedToCapacityRatio":
                return np.where(weights > 0, np.round(total / weights), 0.0)
            return np.where(weights > 0, np.floor(total / weights), 0.0)

    def _rank(self, requested: Floats, allocatable: Floats) -> Floats:
        """0 to 100 for one resource."""
        match self._strategy:
            case "MostAllocated":
                return np.floor(np.minimum(requested, allocatable) * 100 / allocatable)
            case "RequestedToCapacityRatio":
                use = np.where(
                    requested > allocatable,
                    100.0,
                    100 - np.floor((allocatable - requested) * 100 / allocatable),
                )
                ranked: Floats = np.trunc(np.interp(use, *self._curve))
                return ranked
            case _:
                return np.floor(np.maximum(allocatable - requested, 0.0) * 100 / allocatable)


def expected_use(name: str, pod: PodInfo, nodes: Nodes) -> tuple[Floats, Floats]:
    """What would be requested on each node with this pod, and what there is."""
    resource = nodes.resource(name)
    if name == "cpu":
        return nodes.nonzero_cpu + pod.nonzero_cpu, resource.allocatable
    if name == "memory":
        return nodes.nonzero_memory + pod.nonzero_memory, resource.allocatable
    return resource.requested + pod.requests.get(name, 0), resource.allocatable


def _frees_something(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Any pod that goes makes a place free; whether the rest suffices, only filtering can tell."""
    return True


def _fits_in_empty_node(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Would the pod fit if the node were empty?"""
    offered = amounts((((new or {}).get("status") or {}).get("allocatable")) or {})
    return all(wanted <= offered.get(name, 0) for name, wanted in pod.requests.items())
