"""Node selectors and node affinity."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core.pod import affinity
from kubarium.apimachinery.object import Object
from scheduler.framework import node_selection
from scheduler.framework.columns import Mask
from scheduler.framework.interface import (
    SKIP,
    Action,
    Code,
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
    scale_to_maximum,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON = "node(s) didn't match Pod's node affinity/selector"
REASON_ENFORCED = "node(s) didn't match scheduler-enforced node affinity"


class NodeAffinity(PreFilterPlugin, FilterPlugin, PreScorePlugin, ScorePlugin):
    """Rules out by what is required, ranks by what is preferred; `addedAffinity` applies to every pod."""

    name = "NodeAffinity"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        added = args.get("addedAffinity") or {}
        required = added.get("requiredDuringSchedulingIgnoredDuringExecution")
        self._added_required: list[Object] | None = required["nodeSelectorTerms"] if required else None
        self._added_preferred: list[Object] = (
            added.get("preferredDuringSchedulingIgnoredDuringExecution") or []
        )

    def events(self) -> list[EventHint]:
        return [EventHint("Node", Action.ADD | Action.NODE_LABEL, accepts_now)]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        if not pod.selector_shape and self._added_required is None:
            return SKIP
        terms = affinity.required_node_terms(pod.pod)
        names = _named(terms) if terms else None
        if names is not None:
            if not names:
                return Status(Code.UNRESOLVABLE, "pod affinity terms conflict")
            state.confined = (self.name, names)
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        if self._added_required is not None:
            enforced = self._enforced(self._added_required, nodes)
            yield Refusal(~enforced, REASON_ENFORCED, resolvable=False)
            selected = node_selection.selected(pod, nodes)
            if selected is not None:
                yield Refusal(enforced & ~selected, REASON, resolvable=False)
            return
        selected = node_selection.selected(pod, nodes)
        if selected is not None:
            yield Refusal(~selected, REASON, resolvable=False)

    def _enforced(self, terms: list[Object], nodes: Nodes) -> Mask:
        return nodes.cached(
            ("enforced", id(self)), nodes.labels_version, lambda: node_selection.terms_mask(terms, nodes)
        )

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        if self._added_preferred or (pod.selector_shape and affinity.preferred_node_terms(pod.pod)):
            return None
        return SKIP

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        terms = [*self._added_preferred, *affinity.preferred_node_terms(pod.pod)]
        return node_selection.preferred_weights(pod, terms, nodes)

    def normalize(self, state: CycleState, scores: Scores, feasible: Mask) -> Scores:
        return scale_to_maximum(scores, feasible)


def _named(terms: list[Object]) -> frozenset[str] | None:
    """The nodes that the terms ask for by name; None where a term does without names."""
    found: set[str] = set()
    for term in terms:
        wanted: set[str] | None = None
        for field in term.get("matchFields") or []:
            if field.get("key") == "metadata.name" and field.get("operator") == "In":
                names = set(field.get("values") or [])
                wanted = names if wanted is None else wanted & names
        if wanted is None:
            return None
        found |= wanted
    return frozenset(found)


def accepts_now(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Does the node accept the pod, and did it not before?"""
    if new is None or not affinity.node_selector_accepts(pod.pod, new):
        return False
    return old is None or not affinity.node_selector_accepts(pod.pod, old)
