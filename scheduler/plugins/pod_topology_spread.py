"""Spread pods of one sort evenly over zones, hosts, or whatever a node label names.

A constraint counts the pods that its selector matches in each domain (each value of its topology key).
`DoNotSchedule` rules
out nodes whose domain would be ahead of the emptiest by more than `maxSkew`; `ScheduleAnyway` ranks emptier
domains higher.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import orjson

from kubarium.api.core.pod import affinity
from kubarium.apimachinery import labels, owners
from kubarium.apimachinery.codec import encode_to_keep
from kubarium.apimachinery.labels import Requirement, Selector
from kubarium.apimachinery.object import Object, labels_of
from scheduler.framework import node_selection
from scheduler.framework.columns import Floats, Ids, Mask
from scheduler.framework.interface import (
    MAX_SCORE,
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
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_counts import Counter
from scheduler.framework.pod_info import PodInfo, PodKind

REASON = "node(s) didn't match pod topology spread constraints"
REASON_LABEL = f"{REASON} (missing required label)"

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"

SYSTEM_DEFAULTS: list[Object] = [
    {"topologyKey": HOSTNAME, "maxSkew": 3, "whenUnsatisfiable": "ScheduleAnyway"},
    {"topologyKey": ZONE, "maxSkew": 5, "whenUnsatisfiable": "ScheduleAnyway"},
]


class Constraint(NamedTuple):
    """One spread constraint, read."""

    topology_key: str
    max_skew: int
    hard: bool
    selector: Selector
    min_domains: int
    honor_affinity: bool
    honor_taints: bool


class _Domains(NamedTuple):
    """What a constraint sees of the nodes; it stays while labels and taints do."""

    bins: Ids  # per node: 0 without the label, else 1 + id of its value
    eligible: Floats  # 1.0 where pods are counted
    present: Mask  # per bin: has it an eligible node?
    number: int  # of bins that have
    size: int  # of all bins
    lacking: Mask | None  # nodes without the label, if there are any


class PodTopologySpread(PreFilterPlugin, FilterPlugin, PreScorePlugin, ScorePlugin):
    """Rules out by hard constraints, ranks by soft ones; pods without any get the profile's default constraints."""

    name = "PodTopologySpread"
    local = False
    depends_on_pods = True

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        self._is_system = (args.get("defaultingType") or "System") == "System"
        self._defaults: list[Object] = (
            SYSTEM_DEFAULTS if self._is_system else args.get("defaultConstraints") or []
        )
        self._selectors = DefaultSelectors(handle) if self._defaults else None

    def events(self) -> list[EventHint]:
        return [
            EventHint(
                "AssignedPod", Action.ADD | Action.DELETE | Action.POD_LABEL | Action.UPDATE, _counts_for
            ),
            EventHint(
                "Node", Action.ADD | Action.DELETE | Action.NODE_LABEL | Action.NODE_TAINT, _names_domain
            ),
            EventHint("UnscheduledPod", Action.POD_LABEL | Action.POD_TOLERATION),
        ]

    # ---- hard constraints

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        found = self._constraints(pod, hard=True)
        if not found:
            return SKIP
        state.data[self.name] = found
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        constraints: list[Constraint] = state.data.get(self.name) or self._constraints(pod, hard=True)
        keys = tuple(constraint.topology_key for constraint in constraints)
        already: Mask | None = None  # the first constraint that a node violates gives the reason
        for constraint in constraints:
            domains = self._domains(constraint, keys, pod, nodes)
            lacking = domains.lacking
            if lacking is not None:
                yield Refusal(
                    lacking if already is None else lacking & ~already, REASON_LABEL, resolvable=False
                )
            counts = self._counter(constraint, pod, nodes).sums(domains)
            fewest = counts[domains.present].min(initial=math.inf)
            if domains.number < constraint.min_domains:
                fewest = 0.0
            self_match = 1 if constraint.selector.matches(pod.labels) else 0
            ahead = counts + (self_match - fewest) > constraint.max_skew
            ahead[0] = False
            if ahead.any():
                crowded = ahead[domains.bins]
                yield Refusal(crowded if already is None else crowded & ~already, REASON)
                lacking = crowded if lacking is None else lacking | crowded
            if lacking is not None:
                already = lacking if already is None else already | lacking

    # ---- soft constraints

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        found = self._constraints(pod, hard=False)
        if not found:
            return SKIP
        own = bool(affinity.topology_spread_constraints(pod.pod))
        state.data[self.name + "/soft"] = (found, own or not self._is_system)
        return None

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        constraints, needs_all_keys = state.data[self.name + "/soft"]
        keys = tuple(constraint.topology_key for constraint in constraints) if needs_all_keys else ()
        ignored = np.zeros(nodes.length, dtype=np.bool_)
        for key in keys:
            ignored |= nodes.label(key).values < 0
        state.data[self.name + "/ignored"] = ignored
        looked_at = feasible & ~ignored
        total = np.zeros(nodes.length)
        for constraint in constraints:
            domains = self._domains(constraint, keys, pod, nodes)
            if constraint.topology_key == HOSTNAME:
                size = int(np.count_nonzero(looked_at))
                number: Floats = self._counter(constraint, pod, nodes).values
            else:
                size = int(np.count_nonzero(np.bincount(domains.bins[looked_at], minlength=1)[1:]))
                number = self._counter(constraint, pod, nodes).sums(domains)[domains.bins]
            has_label = domains.bins > 0
            total += (number * math.log(size + 2) + (constraint.max_skew - 1)) * has_label
        total[ignored] = 0.0
        rounded: Scores = np.floor(total + 0.5)
        return rounded

    def normalize(self, state: CycleState, scores: Scores, feasible: Mask) -> Scores:
        ignored: Mask = state.data[self.name + "/ignored"]
        seen = scores[feasible & ~ignored]
        top, bottom = float(seen.max(initial=0.0)), float(seen.min(initial=math.inf))
        flat = top == 0.0  # no pods anywhere: all are equally good
        result = (
            np.full_like(scores, MAX_SCORE) if flat else np.floor(MAX_SCORE * (top + bottom - scores) / top)
        )
        result[ignored] = 0.0
        return result

    # ---- both

    def _constraints(self, pod: PodInfo, *, hard: bool) -> list[Constraint]:
        own = pod.spec.get("topologySpreadConstraints")
        if own:
            return [c for c in (constraint_of(item, pod) for item in own) if c.hard is hard]
        if self._selectors is None:
            return []
        selector = self._selectors.of(pod)
        if selector is None:
            return []
        defaults = [constraint_of(item, pod)._replace(selector=selector) for item in self._defaults]
        return [constraint for constraint in defaults if constraint.hard is hard]

    def _domains(self, constraint: Constraint, keys: Sequence[str], pod: PodInfo, nodes: Nodes) -> _Domains:
        shape = (
            pod.selector_shape if constraint.honor_affinity else b"",
            pod.toleration_shape if constraint.honor_taints else None,
        )
        return nodes.cached(
            ("spread", constraint.topology_key, keys, shape),
            (nodes.labels_version, nodes.taints_version),
            lambda: _domains(constraint, keys, pod, nodes),
        )

    def _counter(self, constraint: Constraint, pod: PodInfo, nodes: Nodes) -> Counter:
        namespace, selector = pod.namespace, constraint.selector

        def counts(kind: PodKind) -> bool:
            return kind.namespace == namespace and not kind.deleting and selector.matches(dict(kind.labels))

        return nodes.counts.counter(("spread", namespace, selector), counts)


def _domains(constraint: Constraint, keys: Sequence[str], pod: PodInfo, nodes: Nodes) -> _Domains:
    eligible = nodes.valid.copy()
    for key in keys:
        eligible &= nodes.label(key).values >= 0
    if constraint.honor_affinity:
        selected = node_selection.selected(pod, nodes)
        if selected is not None:
            eligible &= selected
    if constraint.honor_taints:
        eligible &= node_selection.tolerated(pod, nodes)
    column = nodes.label(constraint.topology_key)
    bins: Ids = column.values + np.int32(1)
    present = np.bincount(bins, weights=eligible, minlength=column.distinct + 1) > 0
    present[0] = False
    lacking: Mask = bins == 0
    return _Domains(
        bins,
        eligible.astype(np.float64),
        present,
        number=int(np.count_nonzero(present)),
        size=len(present),
        lacking=lacking if lacking.any() else None,
    )


def constraint_of(item: Object, pod: PodInfo) -> Constraint:
    """A constraint as a value; `matchLabelKeys` become requirements with the pod's own values."""
    pairs = tuple((key, pod.labels[key]) for key in item.get("matchLabelKeys") or () if key in pod.labels)
    return _constraint(encode_to_keep(item), pairs)


@lru_cache(maxsize=4096)
def _constraint(text: bytes, pairs: tuple[tuple[str, str], ...]) -> Constraint:
    item = orjson.loads(text)
    selector = labels.from_label_selector(item.get("labelSelector"))
    if pairs:
        more = tuple(Requirement(key, "in", (value,)) for key, value in pairs)
        selector = Selector((*selector.requirements, *more), selector.nothing)
    return Constraint(
        topology_key=item["topologyKey"],
        max_skew=item.get("maxSkew") or 1,
        hard=item.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule",
        selector=selector,
        min_domains=item.get("minDomains") or 1,
        honor_affinity=(item.get("nodeAffinityPolicy") or "Honor") == "Honor",
        honor_taints=(item.get("nodeTaintsPolicy") or "Ignore") == "Honor",
    )


class DefaultSelectors:
    """The selector for a pod without constraints of its own: that of its services and of its owner."""

    def __init__(self, handle: Handle) -> None:
        informers = handle.informers
        services = informers.informer("v1", "services")
        self._services = services.lister
        self._owners = {
            "ReplicaSet": informers.informer("apps/v1", "replicasets").lister,
            "StatefulSet": informers.informer("apps/v1", "statefulsets").lister,
            "ReplicationController": informers.informer("v1", "replicationcontrollers").lister,
        }
        self._known: dict[tuple[PodKind, str], Selector | None] = {}
        services.follow(lambda obj: self._known.clear(), lambda obj: self._known.clear())

    def of(self, pod: PodInfo) -> Selector | None:
        """None when neither a service nor an owner speaks of the pod."""
        owner = owners.controller_of(pod.pod)
        key = (pod.kind, owner["uid"] if owner else "")
        if key not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            selector, complete = self._find(pod, owner)
            if not complete:
                return selector
            self._known[key] = selector
        return self._known[key]

    def _find(self, pod: PodInfo, owner: Object | None) -> tuple[Selector | None, bool]:
        wanted: dict[str, str] = {}
        for service in self._services.list(pod.namespace):
            selector = (service.get("spec") or {}).get("selector")
            if selector and selector.items() <= pod.labels.items():
                wanted |= selector
        more: tuple[Requirement, ...] = ()
        complete = True
        if owner is not None and owner["kind"] in self._owners:
            found = self._owners[owner["kind"]].get(pod.namespace, owner["name"])
            complete = found is not None
            selector = ((found or {}).get("spec") or {}).get("selector")
            if selector and owner["kind"] == "ReplicationController":
                wanted |= selector
            elif selector:
                more = labels.from_label_selector(selector).requirements
        requirements = (*labels.from_map(wanted).requirements, *more)
        return (Selector(requirements) if requirements else None), complete


def _counts_for(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Is the changed pod one that a constraint counts?"""
    changed = new or old or {}
    if changed["metadata"].get("namespace") != pod.namespace:
        return False
    constraints = [constraint_of(item, pod) for item in affinity.topology_spread_constraints(pod.pod)]
    return any(
        constraint.selector.matches(labels_of(side))
        for constraint in constraints
        for side in (old, new)
        if side is not None
    )


def _names_domain(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Is the node in some domain of each hard constraint?"""
    node_labels = labels_of(new or old or {"metadata": {}})
    constraints = affinity.topology_spread_constraints(pod.pod)
    return all(
        item["topologyKey"] in node_labels
        for item in constraints
        if item.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
    )
