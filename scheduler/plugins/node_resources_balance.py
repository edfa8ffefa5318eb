"""Prefer nodes whose cpu and memory would be used evenly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np

from kubarium.apimachinery.object import Object
from scheduler.framework.columns import Mask
from scheduler.framework.interface import (
    MAX_SCORE,
    SKIP,
    CycleState,
    Handle,
    PreScorePlugin,
    ScorePlugin,
    Scores,
    Status,
)
from scheduler.framework.nodes import Nodes, Places
from scheduler.framework.pod_info import PodInfo

REMEMBERED_REQUESTS = 1024  # of different pods


class NodeResourcesBalancedAllocation(PreScorePlugin, ScorePlugin):
    """100 where all fractions would be equal, less by the standard deviation between them."""

    name = "NodeResourcesBalancedAllocation"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        named = args.get("resources") or [{"name": "cpu"}, {"name": "memory"}]
        self._resources = [entry["name"] for entry in named]
        self._asked: dict[Hashable, tuple[Mapping[str, int], Hashable]] = {}

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        # A pod that asks for nothing would always go where the balance is best, and so all of them to one node.
        return None if any(pod.requests.get(name) for name in self._resources) else SKIP

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        use, key = self._asked.get(pod.request_shape) or self._read(pod, nodes)
        found: Scores = nodes.followed(
            key,
            lambda places: _balance(use, nodes, places),
            (lambda place: _balance_at(use, nodes, place)) if len(use) == 2 else None,
        )
        return found

    def _read(self, pod: PodInfo, nodes: Nodes) -> tuple[Mapping[str, int], Hashable]:
        """What pods like this one take of each resource, and a key for it."""
        use = {
            name: pod.requests.get(name, 0)
            for name in self._resources
            if name in ("cpu", "memory") or pod.requests.get(name)
        }
        for name in use:
            nodes.resource(name)
        if len(self._asked) >= REMEMBERED_REQUESTS:
            self._asked.clear()
        read = self._asked[pod.request_shape] = (use, (self.name, *use.items()))
        return read


def _balance(use: Mapping[str, int], nodes: Nodes, places: Places) -> Scores:
    fractions: list[Scores] = []
    offered: list[Mask] = []
    for name, number in use.items():
        resource = nodes.resource(name)
        allocatable = resource.allocatable[places]
        has_any = allocatable > 0
        share = (resource.requested[places] + number) / np.maximum(allocatable, 1.0) * has_any
        fractions.append(np.minimum(share, 1.0))
        offered.append(has_any)
    if len(fractions) == 2:
        deviation = np.abs(fractions[0] - fractions[1]) / 2 * (offered[0] & offered[1])
    else:
        deviation = _deviation(np.array(fractions), np.array(offered))
    found: Scores = np.floor((1.0 - deviation) * MAX_SCORE)
    return found


def _balance_at(use: Mapping[str, int], nodes: Nodes, place: int) -> float:
    """The same for one node and two resources."""
    shares = []
    for name, number in use.items():
        resource = nodes.resource(name)
        allocatable = resource.allocatable.item(place)
        if allocatable <= 0:
            return MAX_SCORE
        shares.append(min((resource.requested.item(place) + number) / max(allocatable, 1.0), 1.0))
    return float(math.floor((1.0 - abs(shares[0] - shares[1]) / 2) * MAX_SCORE))


def _deviation(fractions: Scores, offered: Mask) -> Scores:
    """The standard deviation over those resources that a node has."""
    number = np.maximum(offered.sum(axis=0), 1)
    mean = (fractions * offered).sum(axis=0) / number
    deviation: Scores = np.sqrt((((fractions - mean) * offered) ** 2).sum(axis=0) / number)
    return deviation
