"""Runs the plugins of one profile, point by point."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from scheduler.framework import metrics
from scheduler.framework.columns import Mask
from scheduler.framework.interface import (
    BindPlugin,
    Code,
    CycleState,
    FilterPlugin,
    Handle,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PostFilterResult,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    ReservePlugin,
    ScorePlugin,
    Scores,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.verdict import Parts, Refused, Verdict
from scheduler.framework.waiting_pods import WaitingPod

P = TypeVar("P", bound=Plugin)

MEASURED_SHARE = 16  # one cycle in so many has its plugins measured


class Framework:
    """One profile: its name and its plugins, sorted into extension points.

    Within a point the plugins run in the order of the profile; the first refusal of a node is the one that counts.
    """

    def __init__(
        self,
        name: str,
        handle: Handle,
        plugins: Mapping[str, Plugin],
        orders: Mapping[str, Sequence[str]],
        weights: Mapping[str, float],
    ) -> None:
        """`orders`: the names of the plugins at each extension point; who has nothing to say there is left out."""
        self.name = name
        self.handle = handle
        self.plugins = list(plugins.values())
        self.weights = {name: weights.get(name, 1.0) for name in plugins}

        def at(point: str, kind: type[P]) -> list[P]:
            found = (plugins[name] for name in orders.get(point, ()))
            return [plugin for plugin in found if isinstance(plugin, kind)]

        self.pre_enqueue_plugins = at("preEnqueue", PreEnqueuePlugin)
        self.queue_sort_plugins = at("queueSort", QueueSortPlugin)
        self.pre_filter_plugins = at("preFilter", PreFilterPlugin)
        self.filter_plugins = at("filter", FilterPlugin)
        self.post_filter_plugins = at("postFilter", PostFilterPlugin)
        self.pre_score_plugins = at("preScore", PreScorePlugin)
        self.score_plugins = [p for p in at("score", ScorePlugin) if self.weights[p.name]]
        self.reserve_plugins = at("reserve", ReservePlugin)
        self.permit_plugins = at("permit", PermitPlugin)
        self.pre_bind_plugins = at("preBind", PreBindPlugin)
        self.bind_plugins = at("bind", BindPlugin)
        self.post_bind_plugins = at("postBind", PostBindPlugin)
        self.evaluations: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._cycles = 0
        self._measured = False  # is this one of the cycles whose plugins are timed?
        self._point_metrics: dict[tuple[str, str], Any] = {}
        handle.framework = self

    # ---- before the cycle

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        """The first objection to letting the pod into the queue."""
        for plugin in self.pre_enqueue_plugins:
            status = plugin.pre_enqueue(pod)
            if status is not None:
                return Status(status.code, status.reason, plugin.name)
        return None

    # ---- filtering

    def find_nodes(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Verdict:
        """PreFilter and Filter: which nodes are left, and why not the others."""
        self._cycles += 1
        measured = self._measured = self._cycles % MEASURED_SHARE == 0
        started = time.perf_counter() if measured else 0.0
        refused = self._pre_filter(state, pod, nodes)
        if measured:
            now = time.perf_counter()
            self._observe("PreFilter", "Success" if refused is None else "Unschedulable", now - started)
            started = now
        if refused is not None:
            verdict = Verdict(np.zeros(nodes.length, dtype=np.bool_), nodes.count)
            verdict.pre_filter_reason = refused.reason
            verdict.pre_filter_resolvable = refused.code is not Code.UNRESOLVABLE
            verdict.plugins.add(refused.plugin)
            return verdict
        verdict = self._filter_respecting_nominations(state, pod, nodes)
        if measured:
            self._observe(
                "Filter",
                "Success" if verdict.feasible.any() else "Unschedulable",
                time.perf_counter() - started,
            )
        return verdict

    def _pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        for plugin in self.pre_filter_plugins:
            status = plugin.pre_filter(state, pod, nodes)
            if status is None:
                self.evaluations["PreFilter", plugin.name] += 1
                continue
            if status.code is Code.SKIP:
                state.skip_filter.add(plugin.name)
            else:
                return Status(status.code, status.reason, plugin.name)
        return None

    def _filter_respecting_nominations(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Verdict:
        """Nodes must accept the pod both with and without the pods to which room on them was promised.

        With them, because they will come; without, because they may not, and affinity must not lean on them.
        """
        verdict = self.filter(state, pod, nodes)
        promised = [
            (nodes.index[node], other)
            for node, other in self.handle.nominator.ahead_of(pod)
            if node in nodes.index and other.node < 0
        ]
        if not promised or not verdict.feasible.any():
            return verdict
        for place, other in promised:
            nodes.put_pod(other, place)
        try:
            crowded = self.filter(CycleState(), pod, nodes, fresh=True)
        finally:
            for _, other in promised:
                nodes.take_pod(other)
        for entry in crowded.refused:
            newly = entry.nodes & verdict.feasible
            if newly.any():
                verdict.refused.append(entry._replace(nodes=newly))
                verdict.plugins.add(entry.plugin)
        verdict.feasible &= crowded.feasible
        return verdict

    def filter(
        self, state: CycleState, pod: PodInfo, nodes: Nodes, *, fresh: bool = False, only_pods: bool = False
    ) -> Verdict:
        """Filter alone. `fresh`: run PreFilter first; `only_pods`: only plugins whose verdict depends on
        placed pods.
        """
        if fresh and self._pre_filter(state, pod, nodes) is not None:
            return Verdict(np.zeros(nodes.length, dtype=np.bool_), nodes.count)
        feasible = nodes.valid.copy()
        verdict = Verdict(feasible, nodes.count)
        if state.confined is not None and not only_pods:
            _confine(verdict, nodes, *state.confined)
        for plugin in self.filter_plugins:
            if plugin.name in state.skip_filter or (only_pods and not plugin.depends_on_pods):
                continue
            self.evaluations["Filter", plugin.name] += 1
            before: Mask | None = None
            started = time.perf_counter() if self._measured else 0.0
            for refusal in plugin.filter(state, pod, nodes):
                if before is None:
                    before = feasible.copy()
                newly = refusal.nodes & before
                if newly.any():
                    verdict.refused.append(Refused(plugin.name, refusal.reason, refusal.resolvable, newly))
                    verdict.plugins.add(plugin.name)
                    feasible &= ~newly
            if self._measured:
                self._observe_plugin("Filter", plugin.name, time.perf_counter() - started)
        return verdict

    async def post_filter(self, state: CycleState, pod: PodInfo, verdict: Verdict) -> PostFilterResult:
        """Ask each plugin to make room; the first that succeeds ends it."""
        messages: list[str] = []
        result = PostFilterResult()
        for plugin in self.post_filter_plugins:
            result = await plugin.post_filter(state, pod, verdict)
            if result.success:
                return result  # what the others had to say is of no interest any more
            if result.message:
                messages.append(result.message)
        return result._replace(message=", ".join(messages))

    # ---- scoring

    def score(
        self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask, out: Scores | None = None
    ) -> tuple[Scores, Parts]:
        """The sum of all weighted scores, which is the caller's own, and each plugin's part of it, which is not.

        `out`: where the sum shall be put.
        """
        measured = self._measured
        started = time.perf_counter() if measured else 0.0
        for pre_score in self.pre_score_plugins:
            if pre_score.pre_score(state, pod, nodes, feasible) is not None:
                state.skip_score.add(pre_score.name)
        parts: Parts = {}
        for plugin in self.score_plugins:
            if plugin.name in state.skip_score:
                continue
            self.evaluations["Score", plugin.name] += 1
            begun = time.perf_counter() if measured else 0.0
            scores = plugin.normalize(state, plugin.score(state, pod, nodes, feasible), feasible)
            if measured:
                self._observe_plugin("Score", plugin.name, time.perf_counter() - begun)
            weight = self.weights[plugin.name]
            parts[plugin.name] = scores * weight if weight != 1 else scores
        if measured:
            self._observe("Score", "Success", time.perf_counter() - started)
        return _sum(list(parts.values()), np.empty(nodes.length) if out is None else out), parts

    # ---- a node is chosen

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """Let every plugin take what belongs to the node; the first that cannot ends it."""
        for plugin in self.reserve_plugins:
            status = plugin.reserve(state, pod, node)
            if status is not None:
                return _told("Reserve", plugin, status)
        return None

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        """Give everything back, in reverse order."""
        for plugin in reversed(self.reserve_plugins):
            plugin.unreserve(state, pod, node)

    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Status | WaitingPod | None:
        """None: go on. A status: go back. A waiting pod: somebody wants to think about it."""
        holders: dict[str, float] = {}
        for plugin in self.permit_plugins:
            status = plugin.permit(state, pod, node)
            if status is None:
                continue
            if status.code is not Code.WAIT:
                return _told("Permit", plugin, status)
            holders[plugin.name] = status.seconds
        if not holders:
            return None
        waiting = WaitingPod(pod, node, holders)
        self.handle.waiting.add(waiting)
        return waiting

    async def wait_on_permit(self, waiting: WaitingPod) -> Status | None:
        """Wait for the decision about a waiting pod."""
        started = time.perf_counter()
        try:
            rejected = await waiting.decision(self.handle.clock)
        finally:
            self.handle.waiting.remove(waiting.pod)
        result = "Success" if rejected is None else "Unschedulable"
        metrics.permit_wait_seconds.labels(result).observe(time.perf_counter() - started)
        return None if rejected is None else Status(Code.UNSCHEDULABLE, rejected[1], rejected[0])

    def takes_time(self, state: CycleState, pod: PodInfo, node: str) -> bool:
        """Will some plugin prepare something before the pod is bound?"""
        return any(plugin.takes_time(state, pod, node) for plugin in self.pre_bind_plugins)

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """PreBind, Bind and PostBind."""
        for pre_bind in self.pre_bind_plugins:
            status = await pre_bind.pre_bind(state, pod, node)
            if status is not None:
                return _told("PreBind", pre_bind, status)
        for plugin in self.bind_plugins:
            status = await plugin.bind(state, pod, node)
            if status is not None and status.code is Code.SKIP:
                continue
            if status is not None:
                return _told("Bind", plugin, status)
            break
        for post_bind in self.post_bind_plugins:
            post_bind.post_bind(state, pod, node)
        return None

    @staticmethod
    def _observe_plugin(point: str, plugin: str, seconds: float) -> None:
        metrics.plugin_seconds.labels(point, plugin, "Success").observe(seconds)

    def _observe(self, point: str, status: str, seconds: float) -> None:
        child = self._point_metrics.get((point, status))
        if child is None:
            child = metrics.extension_point_seconds.labels(point, self.name, status)
            self._point_metrics[point, status] = child
        child.observe(seconds)


def _confine(verdict: Verdict, nodes: Nodes, plugin: str, names: frozenset[str]) -> None:
    """PreFilter has named the only nodes that come into question; the others are not looked at."""
    inside = nodes.mask_of([nodes.index[name] for name in names if name in nodes.index])
    outside = verdict.feasible & ~inside
    if outside.any():
        reason = f"node(s) didn't satisfy plugin(s) [{plugin}]"
        verdict.refused.append(Refused(plugin, reason, False, outside))
        verdict.plugins.add(plugin)
        verdict.feasible &= inside


def _told(point: str, plugin: Plugin, status: Status) -> Status:
    """What a plugin said, with its name; an error also says what it was doing."""
    error = status.code is Code.ERROR
    reason = f'running {point} plugin "{plugin.name}": {status.reason}' if error else status.reason
    return Status(status.code, reason, plugin.name)


def _sum(parts: Sequence[Scores], total: Scores) -> Scores:
    """Without zeros to begin with, where there are two to add."""
    if len(parts) < 2:
        total[:] = parts[0] if parts else 0.0
        return total
    np.add(parts[0], parts[1], out=total)
    for part in parts[2:]:
        total += part
    return total
