"""What was found out about a pod: the nodes that are left, why the others are not, and which one it shall be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scheduler.framework.columns import Floats, Mask

Parts = dict[str, Any]
"""By plugin, its weighted scores; in the journal perhaps only that of the winner."""


class Refused(NamedTuple):
    """Nodes that one plugin ruled out first, for one reason."""

    plugin: str
    reason: str
    resolvable: bool
    nodes: Mask


@dataclass(slots=True)
class Verdict:
    """The outcome of PreFilter and Filter for one pod."""

    feasible: Mask
    node_count: int
    refused: list[Refused] = field(default_factory=list)
    pre_filter_reason: str = ""  # no node was looked at, because of this
    pre_filter_resolvable: bool = True
    plugins: set[str] = field(default_factory=set)  # who said no

    def resolvable_nodes(self, valid: Mask) -> Mask:
        """Nodes that might take the pod if other pods went away: every reason there must be of that kind."""
        if self.pre_filter_reason:
            return valid.copy() if self.pre_filter_resolvable else np.zeros_like(valid)
        mask = valid & ~self.feasible
        for refused in self.refused:
            if not refused.resolvable:
                mask &= ~refused.nodes
        return mask

    def message(self, post_filter: str = "") -> str:
        """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …`, as
        upstream words it.
        """
        text = f"0/{self.node_count} nodes are available"
        if self.pre_filter_reason:
            text += f": {self.pre_filter_reason}."
        else:
            text += summary(self.refused)
        return f"{text} {post_filter}" if post_filter else text


@dataclass(slots=True)
class Choice:
    """What a scheduling cycle found: a node, or why there is none."""

    verdict: Verdict
    node: str = ""
    totals: Floats | None = None  # by place, -1 where the pod cannot go; None: there was no choice
    parts: Parts | None = None
    place: int = -1  # of the node, where there was a choice


def summary(refused: list[Refused]) -> str:
    """`: 1 Insufficient cpu, 2 Too many pods.`, sorted as text."""
    numbers: Counter[str] = Counter()
    for entry in refused:
        numbers[entry.reason] += int(np.count_nonzero(entry.nodes))
    parts = sorted(f"{number} {reason}" for reason, number in numbers.items() if number)
    return f": {', '.join(parts)}." if parts else "."
