"""Why is this pod here? The last decisions, kept in memory, and how they are shown.

Writing must cost next to nothing, and what costs is to run code and to touch memory that the decision itself has no use
for. So nothing is copied that need not be: the total scores are computed into a row of the journal's own ring, the
refusals are kept as they are. Only each plugin's part of the winner's score is picked out, since plugins go on to work
in their arrays; with few nodes that is done for all nodes. Nothing is looked up by pod, named or formatted before
somebody asks. Older entries lose their row and refusals, and keep the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, ObjectKey
from kubarium.component_base.clock import Clock
from scheduler.framework.columns import Floats, Mask
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.verdict import Choice, Parts, Refused

DECISIONS = 8000  # that are kept, of all pods together
ATTEMPTS = 4  # of one pod that are shown
ALL_PARTS_UP_TO = 256  # places for nodes
RING_PLACES = 1_000_000  # rows times nodes: 8 MB
RING_ROWS = (16, 2000)  # at least, at most


class Entry(NamedTuple):
    """One attempt to find a node for a pod, as it was written down."""

    pod: ObjectKey
    moment: float  # on the monotonic clock, which is cheaper to ask
    node: str
    message: str
    seconds: float
    names: Sequence[str]  # of the nodes, by place; shared by all entries made while the node set was the same
    row: int  # which row of the ring is its own, of all so far
    parts: Parts | None  # the winner's, or with few nodes all; None: there was no choice


class Decision(NamedTuple):
    """An entry with what is still known of all nodes."""

    entry: Entry
    time: datetime
    feasible: Mask | None  # None: that was long ago
    totals: Floats | None  # None: there was no choice, or it was long ago
    refused: Sequence[Refused]


class Journal:
    """The newest decisions."""

    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self._nodes, self._clock = nodes, clock
        # Fields of an Entry; plain is cheaper.
        self._entries: deque[tuple[Any, ...]] = deque(maxlen=DECISIONS)
        self._ring: list[Floats] = []
        # One for each row: the refusals, and where there was no choice what was feasible.
        self._kept: list[tuple[Sequence[Refused], Mask | None]] = []
        self._places = 0
        self._written = 0  # rows, ever
        self._first = 0  # the first that was written into the present ring

    def row(self) -> Floats:
        """Where the total scores of the next decision shall be put."""
        if self._nodes.length != self._places:
            self._make_ring(self._nodes.length)
        return self._ring[self._written % len(self._ring)]

    def write(
        self, pod: PodInfo, moment: float, choice: Choice, message: str = "", seconds: float = 0.0
    ) -> None:
        """Keep a decision, made at a `moment` of the monotonic clock; its totals are in the `row`.

        The parts of its scores are the journal's own from now on.
        """
        row, names = self._written, self._nodes.names
        verdict, parts = choice.verdict, choice.parts
        if parts is None:
            self.row()  # of the right length
        elif len(names) > ALL_PARTS_UP_TO:
            place = choice.place
            for plugin, scores in parts.items():
                parts[plugin] = scores.item(place)
        else:
            for plugin, scores in parts.items():
                parts[plugin] = scores.astype(np.int16)
        self._kept[row % len(self._kept)] = (verdict.refused, verdict.feasible if parts is None else None)
        self._entries.append((pod.key, moment, choice.node, message, seconds, names, row, parts))
        self._written = row + 1

    def _make_ring(self, places: int) -> None:
        least, most = RING_ROWS
        rows = max(least, min(most, RING_PLACES // places))
        self._places, self._first = places, self._written
        self._ring, self._kept = list(np.zeros((rows, places))), [((), None)] * rows

    def attempts(self, key: ObjectKey) -> list[Decision]:
        """What was decided about a pod, oldest first."""
        found = [Entry._make(fields) for fields in self._entries if fields[0] == key]
        return [self._decision(entry) for entry in found[-ATTEMPTS:]]

    def _decision(self, entry: Entry) -> Decision:
        moment = self._clock.now() - timedelta(seconds=self._clock.monotonic() - entry.moment)
        if entry.row < max(self._first, self._written - len(self._ring)):
            return Decision(entry, moment, None, None, ())
        slot = entry.row % len(self._ring)
        refused, feasible = self._kept[slot]
        if feasible is not None:
            return Decision(entry, moment, feasible, None, refused)
        totals = self._ring[slot].copy()
        return Decision(entry, moment, totals >= 0, totals, refused)

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
    entry, feasible, totals = decision.entry, decision.feasible, decision.totals
    names, winner = entry.names, entry.node
    if feasible is None:
        scores = _parts_at(entry, names.index(winner)) if winner else {}
        return [{"node": winner, "feasible": True, "scores": scores}] if winner else []
    nodes: dict[str, Object] = {name: {"node": name} for name in names if name}
    for plugin, reason, resolvable, mask in decision.refused:
        refusal = {"plugin": plugin, "reason": reason, "preemptionMayHelp": resolvable}
        for place in np.flatnonzero(mask).tolist():
            nodes[names[place]].setdefault("refusedBy", []).append(refusal)
    for place in np.flatnonzero(feasible).tolist():
        shown = nodes[names[place]]
        shown["feasible"] = True
        if totals is not None:
            shown["score"] = int(totals[place])
            shown["scores"] = _parts_at(entry, place)
    return sorted(nodes.values(), key=lambda one: (-one.get("score", -1), one["node"]))


def _parts_at(entry: Entry, place: int) -> dict[str, int]:
    """Each plugin's part of a node's score, as far as it is kept."""
    won = entry.names[place] == entry.node
    return {
        plugin: int(part[place] if np.ndim(part) else part)
        for plugin, part in (entry.parts or {}).items()
        if won or np.ndim(part)
    }
