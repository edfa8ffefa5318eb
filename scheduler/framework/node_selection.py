"""Node selectors and tolerations answered for all nodes at once.

A requirement is answered once for each distinct value of its label, then spread over the nodes by value id.
The answers are cached under the shape of what was asked, so pods of one template ask once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kubarium.api.core.pod import affinity
from kubarium.apimachinery import labels
from kubarium.apimachinery.codec import encode_to_keep
from kubarium.apimachinery.labels import Requirement
from kubarium.apimachinery.object import Object
from scheduler.framework.columns import Floats, Mask
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo


def selected(pod: PodInfo, nodes: Nodes) -> Mask | None:
    """The nodes that node selector and required node affinity accept; None: all of them."""
    if not pod.selector_shape:
        return None
    return nodes.cached(
        ("selected", pod.selector_shape), nodes.labels_version, lambda: _selected(pod.pod, nodes)
    )


def _selected(pod: Object, nodes: Nodes) -> Mask:
    mask = np.ones(nodes.length, dtype=np.bool_)
    for key, value in affinity.node_selector_of(pod).items():
        mask &= requirement_mask(Requirement(key, "=", (value,)), nodes)
    terms = affinity.required_node_terms(pod)
    if terms is not None:
        mask &= terms_mask(terms, nodes)
    return mask


def terms_mask(terms: list[Object], nodes: Nodes) -> Mask:
    """Nodes that any of the node selector terms selects."""
    mask = np.zeros(nodes.length, dtype=np.bool_)
    for term in terms:
        mask |= term_mask(term, nodes)
    return mask


def reachable(terms: list[Object], nodes: Nodes) -> Mask:
    """`terms_mask`, remembered: for terms that are asked again and again, such as those of a volume."""
    key = ("reachable", encode_to_keep(terms))
    return nodes.cached(key, nodes.labels_version, lambda: terms_mask(terms, nodes))


def term_mask(term: Object, nodes: Nodes) -> Mask:
    """Nodes that fulfil every requirement of a term; an empty term selects nothing."""
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return np.zeros(nodes.length, dtype=np.bool_)
    mask = np.ones(nodes.length, dtype=np.bool_)
    try:
        for expression in expressions:
            mask &= requirement_mask(labels.requirement_of(expression), nodes)
        for field in fields:
            mask &= _field_mask(labels.requirement_of(field), nodes)
    except ValueError:
        return np.zeros(nodes.length, dtype=np.bool_)
    return mask


def requirement_mask(requirement: Requirement, nodes: Nodes) -> Mask:
    """Nodes whose label fulfils a requirement."""
    column = nodes.label(requirement.key)
    table = np.empty(column.distinct + 1, dtype=np.bool_)  # the last entry is for -1: no such label
    if requirement.operator in ("=", "in", "!=", "notin"):
        wanted = requirement.operator in ("=", "in")
        table[:] = not wanted
        for value in requirement.values:
            known = column.ids.get(value)
            if known is not None:
                table[known] = wanted
    else:
        for known, text in enumerate(column.texts):
            table[known] = requirement.matches({requirement.key: text})
        table[-1] = requirement.matches({})
    found: Mask = table[column.values]
    return found


def _field_mask(requirement: Requirement, nodes: Nodes) -> Mask:
    """`metadata.name` is the only field of a node that can be selected by."""
    inside = requirement.operator in ("=", "in")
    if requirement.key != "metadata.name":
        return np.zeros(nodes.length, dtype=np.bool_)
    places = [nodes.index[name] for name in requirement.values if name in nodes.index]
    mask = nodes.mask_of(places)
    return mask if inside else ~mask


def tolerated(pod: PodInfo, nodes: Nodes) -> Mask:
    """Nodes without a taint that keeps the pod away."""
    return nodes.cached(
        ("tolerated", pod.toleration_shape), nodes.taints_version, lambda: _tolerated(pod, nodes)
    )


def _tolerated(pod: PodInfo, nodes: Nodes) -> Mask:
    tolerations = affinity.tolerations_of(pod.pod)
    table = [affinity.untolerated_taint(taints, tolerations) is None for taints in nodes.taint_sets]
    found: Mask = np.array(table, dtype=np.bool_)[nodes.taint_set]
    return found


def untolerated(pod: PodInfo, nodes: Nodes) -> Mask | None:
    """Nodes with a taint that keeps the pod away; None when there are none."""

    def compute() -> Mask | None:
        mask = ~tolerated(pod, nodes) & nodes.valid
        return mask if mask.any() else None

    version = (nodes.taints_version, nodes.labels_version)
    return nodes.cached(("untolerated", pod.toleration_shape), version, compute)


def any_avoided(pod: PodInfo, nodes: Nodes) -> bool:
    """Does any node have a PreferNoSchedule taint that the pod does not tolerate?"""
    key = ("any avoided", pod.toleration_shape)
    return nodes.cached(key, nodes.taints_version, lambda: bool(count_avoided(pod, nodes).any()))


def count_avoided(pod: PodInfo, nodes: Nodes) -> Floats:
    """Per node, the PreferNoSchedule taints that the pod does not tolerate."""
    return nodes.cached(
        ("avoided", pod.toleration_shape), nodes.taints_version, lambda: _count_avoided(pod, nodes)
    )


def _count_avoided(pod: PodInfo, nodes: Nodes) -> Floats:
    tolerations = [
        t for t in affinity.tolerations_of(pod.pod) if t.get("effect") in (None, "", "PreferNoSchedule")
    ]

    def avoided(taints: list[Object]) -> int:
        soft = [taint for taint in taints if taint.get("effect") == "PreferNoSchedule"]
        return sum(1 for taint in soft if not any(affinity.tolerates(t, taint) for t in tolerations))

    found: Floats = np.array([avoided(taints) for taints in nodes.taint_sets], dtype=np.float64)[
        nodes.taint_set
    ]
    return found


def preferred_weights(pod: PodInfo, terms: list[Object], nodes: Nodes) -> Floats:
    """Per node, the weights of the preferred node terms that select it, summed."""

    def compute() -> Floats:
        total = np.zeros(nodes.length)
        for term in terms:
            if term.get("weight"):
                total += term["weight"] * term_mask(term.get("preference") or {}, nodes)
        return total

    key: Any = ("preferred", pod.selector_shape)
    return nodes.cached(key, nodes.labels_version, compute)
