"""Why is this pod here? The last decisions, kept in memory, and how they are shown.

Writing must cost next to nothing, so an entry is what was at hand: the total scores as a row of a ring that is made
once (fresh arrays would cost more than the decision itself), the verdict beside it, the winner's part of each plugin's
score. Nothing is looked up by pod, named or formatted before somebody asks. With few nodes all scores of all plugins
are kept. Older entries lose their row and verdict and keep the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, ObjectKey
from kubarium.component_base.clock import Clock
from scheduler.framework.interface import Scores
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.runtime import PluginScores
from scheduler.framework.verdict import Verdict

DECISIONS = 8000  # that are kept, of all pods together
ATTEMPTS = 4  # of one pod that are shown
ALL_SCORES_UP_TO = 256  # nodes
RING_PLACES = 1_000_000  # rows times nodes: 2 MB, so that the ring stays near the processor


class Entry(NamedTuple):
    """One attempt to find a node for a pod, as it was written down."""

    pod: ObjectKey
    moment: float  # on the monotonic clock, which is cheaper to ask
    node: str
    message: str
    seconds: float
    names: Sequence[str]  # of the nodes, by place; shared by all entries made while the node set was the same
    row: int  # which row of the ring is its own, of all so far
    chosen: bool  # were scores written into it?
    plugins: Sequence[str]
    parts: Sequence[Any]  # of each plugin: its scores, or the winner's


class Decision(NamedTuple):
    """An entry with what is still known of all nodes."""

    entry: Entry
    time: datetime
    verdict: Verdict | None  # None: that was long ago
    totals: (
        Any  # by place, negative where the pod could not go; None: there was no choice, or it was long ago
    )

    @property
    def node(self) -> str:
        """The chosen node, or nothing."""
        return self.entry.node


class Journal:
    """The newest decisions."""

    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self._nodes, self._clock = nodes, clock
        self._entries: deque[tuple[Any, ...]] = deque(
            maxlen=DECISIONS
        )  # fields of an Entry; plain is cheaper
        self._ring = np.zeros((0, 0), dtype=np.int16)
        self._verdicts: list[Verdict | None] = []  # one for each row
        self._rows_written = 0
        self._first_row = 0  # the first that was written into the present ring
        self._names: Sequence[str] = ()
        self._names_version = (-1, -1)

    def write(
        self,
        pod: PodInfo,
        moment: float,
        verdict: Verdict,
        *,
        node: str = "",
        totals: Scores | None = None,
        parts: PluginScores | None = None,
        message: str = "",
        seconds: float = 0.0,
    ) -> None:
        """Keep a decision, made at a `moment` of the monotonic clock. `totals` are negative where the pod cannot go."""
        nodes = self._nodes
        if (nodes.labels_version, nodes.length) != self._names_version:
            self._name_places()
        ring = self._ring
        if ring.shape[1] != nodes.length:
            ring = self._make_ring(nodes.length)
        row = self._rows_written
        self._rows_written = row + 1
        slot = row % len(ring)
        self._verdicts[slot] = verdict
        kept: Sequence[Any] = ()
        if totals is not None and parts is not None:
            ring[slot] = totals
            if len(nodes.index) > ALL_SCORES_UP_TO:
                place = nodes.index[node]
                kept = [scores[place] for scores in parts.values()]
            else:
                kept = [scores.astype(np.int16) for scores in parts.values()]
        self._entries.append(
            (
                pod.key,
                moment,
                node,
                message,
                seconds,
                self._names,
                row,
                totals is not None,
                tuple(parts or ()),
                kept,
            )
        )

    def _make_ring(self, places: int) -> npt.NDArray[np.int16]:
        self._ring = np.zeros((max(16, min(2000, RING_PLACES // places)), places), dtype=np.int16)
        self._verdicts = [None] * len(self._ring)
        self._first_row = self._rows_written
        return self._ring

    def _name_places(self) -> None:
        self._names = [info.name if info is not None else "" for info in self._nodes.infos]
        self._names_version = (self._nodes.labels_version, self._nodes.length)

    def attempts(self, key: ObjectKey) -> list[Decision]:
        """What was decided about a pod, oldest first."""
        found = [self._decision(Entry._make(fields)) for fields in self._entries if fields[0] == key]
        return found[-ATTEMPTS:]

    def _decision(self, entry: Entry) -> Decision:
        moment = self._clock.now() - timedelta(seconds=self._clock.monotonic() - entry.moment)
        if entry.row < max(self._first_row, self._rows_written - len(self._ring)):
            return Decision(entry, moment, None, None)
        slot = entry.row % len(self._ring)
        return Decision(
            entry, moment, self._verdicts[slot], self._ring[slot].copy() if entry.chosen else None
        )

    def pods(self) -> list[ObjectKey]:
        """The pods of which something is known, newest last."""
        return list(dict.fromkeys(fields[0] for fields in reversed(self._entries)))[::-1]


def show(decision: Decision) -> Object:
    """A decision as JSON: per node the filter that refused it or its scores."""
    entry = decision.entry
    return {
        "pod": str(entry.pod),
        "time": time.format_micro_time(decision.time),
        "result": "scheduled" if entry.node else "unschedulable",
        "node": entry.node,
        "message": entry.message,
        "seconds": round(entry.seconds, 6),
        "nodes": _nodes(decision),
    }


def _nodes(decision: Decision) -> list[Object]:
    """One entry per node, the best first; only the winner where the rest was forgotten."""
    entry, verdict, names = decision.entry, decision.verdict, decision.entry.names
    if verdict is None:
        parts = zip(entry.plugins, entry.parts, strict=True)
        scores = {plugin: int(part) for plugin, part in parts if not np.ndim(part)}
        return [{"node": entry.node, "feasible": True, "scores": scores}] if entry.node else []
    nodes: dict[str, Object] = {name: {"node": name} for name in names if name}
    for plugin, reason, resolvable, mask in verdict.refused:
        refusal = {"plugin": plugin, "reason": reason, "preemptionMayHelp": resolvable}
        for place in np.flatnonzero(mask).tolist():
            nodes[names[place]].setdefault("refusedBy", []).append(refusal)
    for place in np.flatnonzero(verdict.feasible).tolist():
        shown = nodes[names[place]]
        shown["feasible"] = True
        if decision.totals is not None:
            shown["score"] = int(decision.totals[place])
            shown["scores"] = _parts_at(entry, place)
    return sorted(nodes.values(), key=lambda one: (-one.get("score", -1), one["node"]))


def _parts_at(entry: Entry, place: int) -> dict[str, int]:
    """Each plugin's part of a node's score, as far as it is kept."""
    winner = entry.names[place] == entry.node
    return {
        plugin: int(part[place] if np.ndim(part) else part)
        for plugin, part in zip(entry.plugins, entry.parts, strict=True)
        if winner or np.ndim(part)
    }
