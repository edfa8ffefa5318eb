"""Is there room for what the pod requests, and where is it best put?

`scoringStrategy.type`: LeastAllocated (spread, the default), MostAllocated (pack), RequestedToCapacityRatio
(by a curve).
"""

from __future__ import annotations

import math
from collections.abc import Container, Hashable, Iterator, Mapping
from typing import NamedTuple

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
from scheduler.framework.nodes import Nodes, Places
from scheduler.framework.pod_info import PodInfo

REMEMBERED_REQUESTS = 1024  # of different pods


class _Asked(NamedTuple):
    """What a pod requests, read once."""

    wanted: Mapping[str, int]  # that there must be room for
    extended: tuple[str, ...]  # of these, what devices may stand for
    room_key: Hashable
    named: Mapping[str, float]  # resources that tell where it is best put, and their weights
    use: Mapping[str, int]  # what the pod counts for in each of them
    rank_key: Hashable


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
        self._asked: dict[Hashable, _Asked] = {}
        self._curve = ([point["utilization"] for point in shape], [point["score"] * 10 for point in shape])

    def events(self) -> list[EventHint]:
        return [
            EventHint("AssignedPod", Action.DELETE | Action.POD_SCALE_DOWN, _frees_something),
            EventHint("Node", Action.ADD | Action.NODE_ALLOCATABLE, self._fits_in_empty_node),
            EventHint("DeviceClass", Action.ADD | Action.UPDATE),
            EventHint("UnscheduledPod", Action.POD_SCALE_DOWN),
        ]

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        asked = self._asked.get(pod.request_shape) or self._read(pod, nodes)
        wanted = asked.wanted
        # What devices can stand for is DynamicResources' affair on nodes that do not offer it themselves.
        devices = frozenset(name for name in asked.extended if self.handle.devices.class_for(name))
        room: Mask = nodes.followed(
            (asked.room_key, devices),
            lambda places: _has_room(wanted, devices, nodes, places),
            lambda place: _has_room_at(wanted, devices, nodes, place),
        )
        if np.count_nonzero(room) == nodes.count:  # a place without a node has no room
            return
        yield Refusal(nodes.pod_count + 1 > nodes.pod_limit, "Too many pods")
        for name, number in wanted.items():
            resource = nodes.resource(name)
            short = resource.requested + number > resource.allocatable
            if name in devices:
                short &= resource.allocatable > 0
            if short.any():
                # Where not even an empty node could take it, nobody needs to be asked to leave.
                never = short & (number > resource.allocatable)
                yield Refusal(short & ~never, f"Insufficient {name}")
                yield Refusal(never, f"Insufficient {name}", resolvable=False)

    def _fits_in_empty_node(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """Would the pod fit if the node were empty?"""
        offered = amounts((((new or {}).get("status") or {}).get("allocatable")) or {})
        return all(
            wanted <= offered.get(name, 0) or (name not in offered and self.handle.devices.class_for(name))
            for name, wanted in pod.requests.items()
        )

    def _is_ignored(self, name: str) -> bool:
        return name in self._ignored or (bool(self._ignored_groups) and name.startswith(self._ignored_groups))

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        return None

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        asked = self._asked.get(pod.request_shape) or self._read(pod, nodes)
        named, use = asked.named, asked.use
        found: Scores = nodes.followed(
            asked.rank_key,
            lambda places: self._rank_all(named, use, nodes, places),
            (lambda place: _least_allocated_at(named, use, nodes, place))
            if self._strategy == "LeastAllocated"
            else None,
        )
        return found

    def _read(self, pod: PodInfo, nodes: Nodes) -> _Asked:
        """What the pod asks for, as this plugin looks at it; the same for all pods that ask for the same."""
        wanted = {
            name: number for name, number in pod.requests.items() if number and not self._is_ignored(name)
        }
        # A resource that the pod does not ask for says nothing about where it should go.
        named = {
            name: weight
            for name, weight in self._weights.items()
            if name in ("cpu", "memory") or pod.requests.get(name)
        }
        use = {name: _expected(name, pod) for name in named}
        for name in (*wanted, *named):
            nodes.resource(name)
        if len(self._asked) >= REMEMBERED_REQUESTS:
            self._asked.clear()
        asked = self._asked[pod.request_shape] = _Asked(
            wanted,
            tuple(name for name in wanted if "/" in name),
            ("room", *wanted.items()),
            named,
            use,
            (id(self), *use.items()),
        )
        return asked

    def _rank_all(
        self, weights: Mapping[str, float], use: Mapping[str, int], nodes: Nodes, places: Places
    ) -> Floats:
        """The weighted mean over those resources that a node has."""
        total: Floats = np.zeros_like(nodes.pod_count[places])
        weight_sum: Floats = np.zeros_like(total)
        for name, weight in weights.items():
            allocatable = nodes.resource(name).allocatable[places]
            offered = allocatable > 0
            rank = self._rank(_requested(name, nodes)[places] + use[name], np.maximum(allocatable, 1.0))
            total += rank * offered * weight
            weight_sum += offered * weight
        mean = total / np.maximum(weight_sum, 1e-9)
        ranked: Floats = (
            np.round(mean) if self._strategy == "RequestedToCapacityRatio" else np.floor(mean + 1e-9)
        )
        return ranked

    def _rank(self, requested: Floats, allocatable: Floats) -> Floats:
        """0 to 100 for one resource."""
        match self._strategy:
            case "MostAllocated":
                return np.floor(np.minimum(requested, allocatable) * 100 / allocatable)
            case "RequestedToCapacityRatio":
                used = 100 - np.floor((allocatable - requested) * 100 / allocatable)
                ranked: Floats = np.trunc(
                    np.interp(np.where(requested > allocatable, 100.0, used), *self._curve)
                )
                return ranked
            case _:
                return np.floor(np.maximum(allocatable - requested, 0.0) * 100 / allocatable)


def _has_room(wanted: Mapping[str, int], devices: Container[str], nodes: Nodes, places: Places) -> Mask:
    """Is there room for one more pod, and for all it asks for?"""
    room = nodes.pod_count[places] + 1 <= nodes.pod_limit[places]
    for name, number in wanted.items():
        resource = nodes.resource(name)
        fits = resource.requested[places] + number <= resource.allocatable[places]
        room &= fits | (resource.allocatable[places] == 0) if name in devices else fits
    return room


def _has_room_at(wanted: Mapping[str, int], devices: Container[str], nodes: Nodes, place: int) -> bool:
    """The same for one node."""
    if nodes.pod_count.item(place) + 1 > nodes.pod_limit.item(place):
        return False
    for name, number in wanted.items():
        resource = nodes.resource(name)
        allocatable = resource.allocatable.item(place)
        fits = resource.requested.item(place) + number <= allocatable
        if not fits and not (name in devices and allocatable == 0):
            return False
    return True


def _least_allocated_at(
    weights: Mapping[str, float], use: Mapping[str, int], nodes: Nodes, place: int
) -> float:
    """`_rank_all` for one node, with the default strategy."""
    total = weight_sum = 0.0
    for name, weight in weights.items():
        allocatable = nodes.resource(name).allocatable.item(place)
        if allocatable > 0:
            free = max(max(allocatable, 1.0) - (_requested(name, nodes).item(place) + use[name]), 0.0)
            total += math.floor(free * 100 / max(allocatable, 1.0)) * weight
            weight_sum += weight
    return float(math.floor(total / max(weight_sum, 1e-9) + 1e-9))


def _expected(name: str, pod: PodInfo) -> int:
    """What the pod counts for when nodes are ranked."""
    match name:
        case "cpu":
            return pod.nonzero_cpu
        case "memory":
            return pod.nonzero_memory
        case _:
            return pod.requests.get(name, 0)


def _requested(name: str, nodes: Nodes) -> Floats:
    """What the pods on each node count for when nodes are ranked."""
    match name:
        case "cpu":
            return nodes.nonzero_cpu
        case "memory":
            return nodes.nonzero_memory
        case _:
            return nodes.resource(name).requested


def _frees_something(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Any pod that goes makes a place free; whether the rest suffices, only filtering can tell."""
    return True
