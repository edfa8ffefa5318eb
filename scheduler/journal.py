"""Why is this pod here? The last decisions, kept in memory, and how they are shown.

What a decision found is packed: masks as bits, total scores as small numbers in a ring of rows that is made once
(fresh arrays would cost more than the decision itself). Nothing is formatted before somebody asks. With few nodes all
scores of all plugins are kept; with many, the totals of all nodes and the parts of the winner. Older entries lose
their row and keep the rest.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, ObjectKey
from scheduler.framework.columns import Mask
from scheduler.framework.interface import Scores
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.runtime import PluginScores
from scheduler.framework.verdict import Verdict

PODS = 2000  # pods whose decisions are kept
ATTEMPTS = 4  # of each pod
ALL_SCORES_UP_TO = 256  # nodes
RING_PLACES = 4_000_000  # rows times nodes: 8 MB


class _Refused(NamedTuple):
    plugin: str
    reason: str
    resolvable: bool
    bits: npt.NDArray[np.uint8]


class Decision:
    """One attempt to find a node for a pod."""

    __slots__ = (
        "feasible",
        "message",
        "moment",
        "names",
        "node",
        "parts",
        "pod",
        "refused",
        "seconds",
        "totals",
    )

    def __init__(self, pod: PodInfo, moment: datetime) -> None:
        self.pod = pod.key
        self.moment = moment
        self.node = ""
        self.message = ""
        self.seconds = 0.0
        self.names: list[str] = []  # by place
        self.feasible: Any = None  # bits; None: where the total is not negative
        self.totals: Any = None  # a row of the ring; None: there was no choice, or it was long ago
        self.refused: list[_Refused] = []
        self.parts: dict[str, Any] = {}  # plugin -> its scores, or the winner's


class Journal:
    """The newest decisions of the newest pods."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._decisions: OrderedDict[ObjectKey, deque[Decision]] = OrderedDict()
        self._ring = np.zeros((0, 0), dtype=np.int16)
        self._owners: list[Decision | None] = []
        self._next_row = 0
        self._names: list[str] = []
        self._names_version = (-1, -1)

    def write(
        self,
        pod: PodInfo,
        moment: datetime,
        verdict: Verdict,
        *,
        node: str = "",
        totals: Scores | None = None,
        parts: PluginScores | None = None,
        message: str = "",
        seconds: float = 0.0,
    ) -> Decision:
        """Keep a decision. `totals` are negative where the pod cannot go."""
        decision = Decision(pod, moment)
        decision.node, decision.message, decision.seconds = node, message, seconds
        decision.names = self._current_names()
        decision.refused = [_Refused(*entry[:3], np.packbits(entry.nodes)) for entry in verdict.refused]
        if totals is None or parts is None:
            decision.feasible = np.packbits(verdict.feasible)
        else:
            decision.totals = self._new_row(decision, totals)
            decision.parts = self._parts(node, parts)
        kept = self._decisions.get(decision.pod)
        if kept is None:
            kept = self._decisions[decision.pod] = deque(maxlen=ATTEMPTS)
            if len(self._decisions) > PODS:
                self._decisions.popitem(last=False)
        kept.append(decision)
        return decision

    def _new_row(self, decision: Decision, totals: Scores) -> npt.NDArray[np.int16]:
        """Copy the totals into the oldest row, which its owner loses."""
        if self._ring.shape[1] != len(totals):
            for owner in self._owners:
                if owner is not None:
                    owner.totals = (
                        owner.totals.copy()
                    )  # rows of another length stay until their pod is forgotten
            rows = max(16, min(PODS, RING_PLACES // len(totals)))
            self._ring = np.zeros((rows, len(totals)), dtype=np.int16)
            self._owners = [None] * rows
            self._next_row = 0
        row: npt.NDArray[np.int16] = self._ring[self._next_row]
        former = self._owners[self._next_row]
        if former is not None:
            former.totals, former.refused, former.names = None, [], []
        self._owners[self._next_row] = decision
        self._next_row = (self._next_row + 1) % len(self._owners)
        row[:] = totals
        return row

    def _parts(self, node: str, parts: PluginScores) -> dict[str, Any]:
        if self._nodes.count <= ALL_SCORES_UP_TO:
            return {name: scores.astype(np.int16) for name, scores in parts.items()}
        place = self._nodes.index[node]
        return {name: int(scores[place]) for name, scores in parts.items()}

    def _current_names(self) -> list[str]:
        """The node names by place; one list is shared by all decisions made while the node set was the same."""
        version = (self._nodes.labels_version, self._nodes.length)
        if version != self._names_version:
            self._names = [info.name if info is not None else "" for info in self._nodes.infos]
            self._names_version = version
        return self._names

    def attempts(self, key: ObjectKey) -> list[Decision]:
        """What was decided about a pod, oldest first."""
        return list(self._decisions.get(key, ()))

    def pods(self) -> list[ObjectKey]:
        """The pods of which something is known, newest last."""
        return list(self._decisions)


def show(decision: Decision) -> Object:
    """A decision as JSON: per node the filter that refused it or its scores."""
    return {
        "pod": str(decision.pod),
        "time": time.format_micro_time(decision.moment),
        "result": "scheduled" if decision.node else "unschedulable",
        "node": decision.node,
        "message": decision.message,
        "seconds": round(decision.seconds, 6),
        "nodes": _nodes(decision),
    }


def _nodes(decision: Decision) -> list[Object]:
    """One entry per node, the best first; only the winner where the rest was forgotten."""
    names = decision.names
    if not names:
        scores = {name: part for name, part in decision.parts.items() if isinstance(part, int)}
        return [{"node": decision.node, "feasible": True, "scores": scores}]
    nodes: dict[str, Object] = {name: {"node": name} for name in names if name}
    for plugin, reason, resolvable, bits in decision.refused:
        refusal = {"plugin": plugin, "reason": reason, "preemptionMayHelp": resolvable}
        for place in np.flatnonzero(np.unpackbits(bits, count=len(names))):
            nodes[names[place]].setdefault("refusedBy", []).append(refusal)
    for place in np.flatnonzero(_feasible(decision)):
        entry = nodes[names[place]]
        entry["feasible"] = True
        if decision.totals is not None:
            entry["score"] = int(decision.totals[place])
            entry["scores"] = _parts_at(decision, int(place))
    return sorted(nodes.values(), key=lambda entry: (-entry.get("score", -1), entry["node"]))


def _feasible(decision: Decision) -> Mask:
    if decision.feasible is None:
        found: Mask = decision.totals >= 0
        return found
    return np.unpackbits(decision.feasible, count=len(decision.names)).astype(np.bool_)


def _parts_at(decision: Decision, place: int) -> dict[str, int]:
    """Each plugin's part of a node's score, as far as it is kept."""
    winner = decision.names[place] == decision.node
    return {
        plugin: scores if isinstance(scores, int) else int(scores[place])
        for plugin, scores in decision.parts.items()
        if winner or not isinstance(scores, int)
    }
