"""Nodes on which a pod could be put if others left, and where that hurts least.

What was found for a node is kept as numbers in columns, by what the pod asks for, and holds while the node's stamp is
the same: of thousands of nodes only those are looked at anew where something has changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.verdict import Refused

Numbers = npt.NDArray[np.intp]
Pain = tuple[float, float, float, float, float]
"""What it costs, most telling first; the smallest is the best: budgets broken, the highest priority among the victims,
the sum of all, their number, and how long ago the first of the most important ones has started."""

NEVER = 99991231235959.0  # later than any start


@dataclass
class Candidate:
    """A node, and who would have to leave it."""

    place: int
    victims: list[PodInfo] = field(default_factory=list)  # most important first
    violations: int = 0  # victims that a disruption budget protects
    pain: Pain = (math.inf, 0.0, 0.0, 0.0, 0.0)

    def settle(self) -> None:
        """All victims are known: weigh them."""
        self.victims.sort(key=importance)
        if not self.victims:
            return
        highest = self.victims[0].priority
        total = sum(victim.priority + 2**31 for victim in self.victims)
        start = min(_moment(victim) for victim in self.victims if victim.priority == highest)
        self.pain = (self.violations, highest, total, len(self.victims), -start)


class Outcome(NamedTuple):
    """What became of one node, as it was at this stamp."""

    stamp: int
    candidate: Candidate | None
    reasons: tuple[str, ...]


class Outcomes:
    """What became of the nodes, for pods that ask for the same."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._stamps = nodes.new_column(np.int64, -1)
        self._pains = [nodes.new_column(np.float64, math.inf) for _ in range(5)]
        self._candidates: dict[int, Candidate] = {}
        self._reasons: dict[int, tuple[str, ...]] = {}

    def unknown(self, places: Numbers) -> Numbers:
        """Those of the places that must be looked at, for the first time or anew."""
        found: Numbers = places[self._stamps.values[places] != self._nodes.stamps[places]]
        return found

    def note(self, outcomes: Mapping[int, Outcome]) -> None:
        """Remember what was found."""
        for place, outcome in outcomes.items():
            self._stamps.values[place] = outcome.stamp
            candidate = outcome.candidate
            pain = candidate.pain if candidate is not None else (math.inf, 0.0, 0.0, 0.0, 0.0)
            for column, number in zip(self._pains, pain, strict=True):
                column.values[place] = number
            self._reasons[place] = outcome.reasons
            if candidate is not None:
                self._candidates[place] = candidate
            else:
                self._candidates.pop(place, None)

    def best(self, places: Numbers) -> Candidate | None:
        """Where it hurts least, if it helps anywhere."""
        for column in self._pains:
            values = column.values[places]
            least = values.min(initial=math.inf)
            if least == math.inf:
                return None
            places = places[values == least]
            if len(places) == 1:
                break
        return self._candidates[int(places[0])]

    def candidates(self, places: Numbers) -> list[Candidate]:
        """All of them."""
        return [self._candidates[place] for place in places.tolist() if place in self._candidates]

    def refused(self, places: Numbers) -> list[Refused]:
        """Why the places are no candidates."""
        by_reason: dict[str, list[int]] = {}
        for place in places.tolist():
            for reason in self._reasons[place]:
                by_reason.setdefault(reason, []).append(place)
        return [Refused("", reason, True, self._nodes.mask_of(found)) for reason, found in by_reason.items()]


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate where it hurts least."""
    return min(candidates, key=lambda candidate: candidate.pain)


def importance(pod: PodInfo) -> tuple[Any, ...]:
    """Sorts the most important pod first: priority, then who has run longer."""
    return (-pod.priority, _moment(pod))


def _moment(pod: PodInfo) -> float:
    """When it started, as a number whose digits are those of the time; who has not started is the youngest."""
    text = (pod.pod.get("status") or {}).get("startTime")
    if not text:
        return NEVER
    return float("".join(character for character in text[:19] if character.isdigit()))
