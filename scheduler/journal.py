"""Why is this pod here? The last decisions, kept in memory, and how they are shown.

An entry keeps what the decision computed anyway: masks as bits, scores as small numbers. Nothing is formatted before
somebody asks. With few nodes all scores of all plugins are kept; with many, the totals of all nodes and the
parts of the winner.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime
from typing import Any

import numpy as np

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, ObjectKey
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.runtime import PluginScores
from scheduler.framework.verdict import Verdict

PODS = 2000  # pods whose decisions are kept
ATTEMPTS = 4  # of each pod
ALL_SCORES_UP_TO = 256  # nodes


class Decision:
    """One attempt to find a node for a pod."""

    __slots__ = (
        "message",
        "moment",
        "names",
        "node",
        "parts",
        "pod",
        "refused",
        "result",
        "seconds",
        "totals",
        "valid",
    )

    def __init__(self, pod: PodInfo, moment: datetime) -> None:
        self.pod = pod.key
        self.moment = moment
        self.node = ""
        self.result = ""
        self.message = ""
        self.seconds = 0.0
        self.names: list[str] | None = None  # by place; None: ask the nodes
        self.valid: Any = None
        self.refused: list[tuple[str, str, bool, Any]] = []
        self.totals: Any = None
        self.parts: dict[str, Any] = {}


class Journal:
    """The newest decisions of the newest pods."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._decisions: OrderedDict[ObjectKey, deque[Decision]] = OrderedDict()
        self._names: list[str] = []
        self._names_version = (-1, -1)

    def write(
        self,
        pod: PodInfo,
        moment: datetime,
        verdict: Verdict,
        *,
        node: str = "",
        totals: Any = None,
        parts: PluginScores | None = None,
        message: str = "",
        seconds: float = 0.0,
    ) -> Decision:
        """Keep a decision."""
        decision = Decision(pod, moment)
        decision.node, decision.message, decision.seconds = node, message, seconds
        decision.result = "scheduled" if node else "unschedulable"
        decision.names = self._current_names()
        decision.refused = [(r.plugin, r.reason, r.resolvable, np.packbits(r.nodes)) for r in verdict.refused]
        decision.valid = np.packbits(verdict.feasible)
        if totals is not None and parts is not None:
            self._keep_scores(decision, node, totals, parts)
        kept = self._decisions.get(pod.key)
        if kept is None:
            kept = self._decisions[pod.key] = deque(maxlen=ATTEMPTS)
            if len(self._decisions) > PODS:
                self._decisions.popitem(last=False)
        kept.append(decision)
        return decision

    def _keep_scores(self, decision: Decision, node: str, totals: Any, parts: PluginScores) -> None:
        decision.totals = totals.astype(np.int32)
        if self._nodes.count <= ALL_SCORES_UP_TO:
            decision.parts = {name: scores.astype(np.int32) for name, scores in parts.items()}
        else:
            place = self._nodes.index[node]
            decision.parts = {name: int(scores[place]) for name, scores in parts.items()}

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
    names = decision.names or []
    length = len(names)
    feasible = np.unpackbits(decision.valid, count=length).astype(bool)
    nodes: dict[str, Object] = {name: {"node": name} for name in names if name}
    for plugin, reason, resolvable, bits in decision.refused:
        for place in np.flatnonzero(np.unpackbits(bits, count=length)):
            entry = nodes.get(names[place])
            if entry is not None:
                refusal = {"plugin": plugin, "reason": reason, "preemptionMayHelp": resolvable}
                entry.setdefault("refusedBy", []).append(refusal)
    for place in np.flatnonzero(feasible):
        entry = nodes.get(names[place])
        if entry is None:
            continue
        entry["feasible"] = True
        if decision.totals is not None:
            entry["score"] = int(decision.totals[place])
            scores = _parts_at(decision, names, int(place))
            if scores:
                entry["scores"] = scores
    return {
        "pod": str(decision.pod),
        "time": time.format_micro_time(decision.moment),
        "result": decision.result,
        "node": decision.node,
        "message": decision.message,
        "seconds": round(decision.seconds, 6),
        "nodes": sorted(nodes.values(), key=lambda entry: (-entry.get("score", -1), entry["node"])),
    }


def _parts_at(decision: Decision, names: list[str], place: int) -> dict[str, int]:
    parts = {}
    for plugin, scores in decision.parts.items():
        if isinstance(scores, int):
            if names[place] == decision.node:
                parts[plugin] = scores
        else:
            parts[plugin] = int(scores[place])
    return parts
