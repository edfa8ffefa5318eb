"""Near these pods, far from those.

Looked at in both directions: the terms of the new pod against the pods that are placed, and the terms of
placed pods against
the new one. Anti-affinity of placed pods is binding; their preferences, and (lightly) their required
affinity, count as score.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kubarium.apimachinery.object import Object, labels_of
from scheduler.framework.columns import Floats, Mask
from scheduler.framework.interface import (
    SKIP,
    Action,
    CycleState,
    EventHint,
    FilterPlugin,
    Handle,
    PreFilterPlugin,
    PreScorePlugin,
    Refusal,
    ScorePlugin,
    Scores,
    Status,
    spread_out,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_counts import (
    AFFINITY,
    ANTI_AFFINITY,
    PREFERRED,
    Counter,
    PlacedTerm,
    sum_by_domain,
)
from scheduler.framework.pod_info import PodInfo, PodKind, Term

REASON_AFFINITY = "node(s) didn't match pod affinity rules"
REASON_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
REASON_EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"


class InterPodAffinity(PreFilterPlugin, FilterPlugin, PreScorePlugin, ScorePlugin):
    """Rules out by required terms of either side, ranks by preferred terms of either side."""

    name = "InterPodAffinity"
    local = False
    depends_on_pods = True

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        weight = args.get("hardPodAffinityWeight")
        self._hard_weight = 1 if weight is None else int(weight)
        self._last_read: tuple[Object, PodInfo] | None = None
        self._ignore_preferences_of_placed = bool(args.get("ignorePreferredTermsOfExistingPods"))

    def events(self) -> list[EventHint]:
        return [
            EventHint("AssignedPod", Action.ADD | Action.DELETE | Action.POD_LABEL, self._concerns),
            EventHint("Node", Action.ADD | Action.NODE_LABEL),
            EventHint("UnscheduledPod", Action.POD_LABEL),
        ]

    # ---- required

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        if pod.affinity_terms or pod.anti_affinity_terms:
            return None
        if any(placed.role == ANTI_AFFINITY for placed in nodes.counts.terms_matching(pod.kind)):
            return None
        return SKIP

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        near = self._near_enough(pod, nodes)
        if near is not None:
            yield Refusal(~near, REASON_AFFINITY, resolvable=False)
        else:
            near = np.ones(nodes.length, dtype=np.bool_)
        clash = self._clashes_with_placed(pod, nodes)
        if clash is not None:
            yield Refusal(clash & near, REASON_ANTI_AFFINITY)
            near &= ~clash
        unwanted = self._unwanted_by_placed(pod, nodes)
        if unwanted is not None:
            yield Refusal(unwanted & near, REASON_EXISTING)

    def _near_enough(self, pod: PodInfo, nodes: Nodes) -> Mask | None:
        """Nodes where for every term a pod is near that matches all terms.

        When no such pod exists anywhere, a pod that matches its own terms may start the group.
        """
        if not pod.affinity_terms:
            return None
        counter = self._counter(pod.affinity_terms, nodes)
        near = np.ones(nodes.length, dtype=np.bool_)
        labelled = near.copy()
        nobody = True
        for term in pod.affinity_terms:
            column = nodes.label(term.topology_key)
            sums = sum_by_domain(counter.values, column)
            found = sums > 0
            nobody = nobody and not found.any()
            near &= found
            labelled &= column.values >= 0
        if nobody and self._selects_all(pod.affinity_terms, pod.kind, nodes):
            return labelled
        return near

    def _clashes_with_placed(self, pod: PodInfo, nodes: Nodes) -> Mask | None:
        clash: Mask | None = None
        for term in pod.anti_affinity_terms:
            counter = self._counter((term,), nodes)
            if counter.total:
                found = sum_by_domain(counter.values, nodes.label(term.topology_key)) > 0
                clash = found if clash is None else clash | found
        return clash

    def _unwanted_by_placed(self, pod: PodInfo, nodes: Nodes) -> Mask | None:
        unwanted: Mask | None = None
        for placed in nodes.counts.terms_matching(pod.kind):
            if placed.role == ANTI_AFFINITY:
                found = sum_by_domain(placed.values, nodes.label(placed.term.topology_key)) > 0
                unwanted = found if unwanted is None else unwanted | found
        return unwanted

    # ---- preferred

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        if pod.preferred_terms or self._weighted_terms_of_placed(pod, nodes):
            return None
        return SKIP

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        by_key: dict[str, Floats] = {}  # summed before looking at domains: one gather per topology key
        for term, weight in pod.preferred_terms:
            counter = self._counter((term,), nodes)
            if counter.total:
                _add(by_key, term.topology_key, counter.values, weight, nodes)
        for placed, weight in self._weighted_terms_of_placed(pod, nodes):
            _add(by_key, placed.term.topology_key, placed.values, weight, nodes)
        total = np.zeros(nodes.length)
        for key, values in by_key.items():
            total += sum_by_domain(values, nodes.label(key))
        return total

    def normalize(self, state: CycleState, scores: Scores, feasible: Mask) -> Scores:
        return spread_out(scores, feasible)

    def _weighted_terms_of_placed(self, pod: PodInfo, nodes: Nodes) -> list[tuple[PlacedTerm, int]]:
        if not nodes.counts.has_terms:
            return []
        found: list[tuple[PlacedTerm, int]] = []
        for placed in nodes.counts.terms_matching(pod.kind):
            if placed.role == AFFINITY and self._hard_weight:
                found.append((placed, self._hard_weight))
            elif placed.role == PREFERRED and not self._ignore_preferences_of_placed:
                found.append((placed, placed.weight))
        return found

    # ---- both

    def _counter(self, terms: tuple[Term, ...], nodes: Nodes) -> Counter:
        """Placed pods that all terms select."""
        return nodes.counts.counter(("affinity", terms), lambda kind: self._selects_all(terms, kind, nodes))

    @staticmethod
    def _selects_all(terms: tuple[Term, ...], kind: PodKind, nodes: Nodes) -> bool:
        namespace = nodes.counts.labels_of_namespace(kind.namespace)
        return all(term.selects(kind, namespace) for term in terms)

    def _concerns(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """Does a term of the waiting pod select the changed pod, or a term of that pod the waiting one?"""
        changed = self._read(new or old or {})
        nodes = self.handle.nodes
        for term in (*pod.affinity_terms, *pod.anti_affinity_terms):
            namespace = nodes.counts.labels_of_namespace(changed.namespace)
            if term.selects(changed.kind, namespace):
                return True
            if old is not None and term.selects(
                changed.kind._replace(labels=tuple(sorted(labels_of(old).items()))), namespace
            ):
                return True
        namespace = nodes.counts.labels_of_namespace(pod.namespace)
        return new is None and any(term.selects(pod.kind, namespace) for term in changed.anti_affinity_terms)

    def _read(self, pod: Object) -> PodInfo:
        """One event is held against many waiting pods: its pod is read once."""
        if self._last_read is None or self._last_read[0] is not pod:
            self._last_read = (pod, PodInfo(pod))
        return self._last_read[1]


def _add(by_key: dict[str, Floats], key: str, values: Floats, weight: int, nodes: Nodes) -> None:
    total = by_key.get(key)
    if total is None:
        total = by_key[key] = np.zeros(nodes.length)
    total += values * weight
