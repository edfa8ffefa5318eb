"""How many pods of which sort are on each node: what affinity and topology spreading ask.

Pods with the same namespace and labels are one *kind*. A `Counter` is a question ("pods in these namespaces
with these labels")
with its answer per node, kept up to date as pods come and go: the selector is matched once per kind, not once per pod.
A `PlacedTerm` is the other direction: an affinity term of pods that are placed already, with the number of
such pods per node.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np

from kubarium.apimachinery.object import Object
from scheduler.framework.columns import Column, Floats, Ids, LabelColumn
from scheduler.framework.pod_info import PodInfo, PodKind, Term

DOMAINS = 4  # partings of the nodes for which a counter keeps sums
COUNTERS = 512  # questions kept up to date; the one not asked for longest goes first
MATCHED_KINDS = 4096

AFFINITY, ANTI_AFFINITY, PREFERRED = "affinity", "anti-affinity", "preferred"


class Table(Protocol):
    """Where the columns come from."""

    length: int

    def new_column(self, dtype: Any, empty: Any) -> Column:
        """A column of the table's length."""
        ...


class Domains(Protocol):
    """Nodes parted into bins; those that are not eligible are not counted. It never changes."""

    @property
    def bins(self) -> Ids:
        """Per node, the number of its bin."""
        ...

    @property
    def eligible(self) -> Floats:
        """Per node, 1.0 where its pods count, else 0.0."""
        ...

    @property
    def size(self) -> int:
        """How many bins there are."""
        ...


class Counter:
    """The pods that match a question, per node and in all."""

    __slots__ = ("_sums", "column", "matches", "total")

    def __init__(self, column: Column, matches: Callable[[PodKind], bool]) -> None:
        self.column = column
        self.matches = matches
        self.total = 0
        self._sums: list[tuple[Domains, Floats]] = []  # the newest last

    @property
    def values(self) -> Floats:
        """Matching pods on each node."""
        return self.column.values

    def add(self, place: int, number: int) -> None:
        """So many matching pods more at a place."""
        self.column.values[place] += number
        self.total += number
        for domains, sums in self._sums:
            if place < len(domains.bins):  # else they are of a time with fewer places
                sums[domains.bins[place]] += number * domains.eligible[place]

    def sums(self, domains: Domains) -> Floats:
        """Matching pods in each bin, kept up to date from the first question on. Read the answer, do not change it."""
        for known, sums in self._sums:
            if known is domains:
                return sums
        weights = self.values * domains.eligible
        found: Floats = np.bincount(domains.bins, weights, minlength=domains.size).astype(np.float64)
        self._sums = [*self._sums[1 - DOMAINS :], (domains, found)]
        return found


class _Kind:
    """Where the pods of a kind are, and which counters they count for."""

    __slots__ = ("counters", "places")

    def __init__(self) -> None:
        self.places: dict[int, int] = {}
        self.counters: list[Counter] = []


class PlacedTerm:
    """A term of pods that have a node, and how many such pods each node has."""

    __slots__ = ("column", "role", "term", "total", "weight")

    def __init__(self, role: str, term: Term, weight: int, column: Column) -> None:
        self.role, self.term, self.weight, self.column = role, term, weight, column
        self.total = 0

    @property
    def values(self) -> Floats:
        """Pods with this term on each node."""
        return self.column.values


class PodCounts:
    """Kinds, counters and placed terms of one `Nodes`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._kinds: dict[PodKind, _Kind] = {}
        self._counters: dict[Hashable, Counter] = {}
        self._terms: dict[tuple[str, Term, int], PlacedTerm] = {}
        self._terms_version = 0
        self._matched: dict[PodKind, tuple[int, list[PlacedTerm]]] = {}
        self.namespace_labels: dict[str, Object] = {}

    # ---- questions

    def counter(self, key: Hashable, matches: Callable[[PodKind], bool]) -> Counter:
        """The answer to a question; `key` names it, `matches` is asked once for each kind of pod."""
        known = self._counters.pop(key, None)
        if known is None:
            if len(self._counters) >= COUNTERS:
                self._drop_counter(next(iter(self._counters)))
            known = Counter(self._table.new_column(np.float64, 0.0), matches)
            for kind, placed in self._kinds.items():
                if matches(kind):
                    placed.counters.append(known)
                    for place, number in placed.places.items():
                        known.add(place, number)
        self._counters[key] = known  # now the one asked for last
        return known

    def terms_matching(self, kind: PodKind) -> list[PlacedTerm]:
        """The terms of placed pods that speak of pods of this kind."""
        known = self._matched.get(kind)
        if known is not None and known[0] == self._terms_version:
            return known[1]
        namespace = self.labels_of_namespace(kind.namespace)
        found = [placed for placed in self._terms.values() if placed.term.selects(kind, namespace)]
        if known is None and len(self._matched) >= MATCHED_KINDS:
            self._matched.pop(next(iter(self._matched)))
        self._matched[kind] = (self._terms_version, found)
        return found

    @property
    def has_terms(self) -> bool:
        """Has any placed pod an affinity term?"""
        return bool(self._terms)

    def labels_of_namespace(self, namespace: str) -> Object:
        """The labels of a namespace, as far as known."""
        return self.namespace_labels.get(namespace) or {}

    # ---- changes

    def set_namespace(self, name: str, labels: Object | None) -> None:
        """A namespace came, changed its labels, or went (None). What was matched by namespace labels is
        matched again.
        """
        if labels is None:
            self.namespace_labels.pop(name, None)
            return
        if self.namespace_labels.get(name) == labels:
            return
        is_new = name not in self.namespace_labels
        self.namespace_labels[name] = labels
        if is_new and not any(kind.namespace == name for kind in self._kinds):
            self._matched = {kind: value for kind, value in self._matched.items() if kind.namespace != name}
            return
        self._matched.clear()
        for key in list(self._counters):
            self._drop_counter(key)

    def count(self, pod: PodInfo, place: int, sign: int) -> None:
        """A pod came to a place (1) or went (-1)."""
        placed = self._kinds.get(pod.kind)
        if placed is None:
            placed = self._kinds[pod.kind] = _Kind()
            placed.counters = [counter for counter in self._counters.values() if counter.matches(pod.kind)]
        number = placed.places.get(place, 0) + sign
        if number:
            placed.places[place] = number
        else:
            del placed.places[place]
            if not placed.places:
                del self._kinds[pod.kind]
        for counter in placed.counters:
            counter.add(place, sign)
        if pod.affinity_terms or pod.anti_affinity_terms or pod.preferred_terms:
            self._count_terms(pod, place, sign)

    def _count_terms(self, pod: PodInfo, place: int, sign: int) -> None:
        for term in pod.affinity_terms:
            self._count_term(AFFINITY, term, 1, place, sign)
        for term in pod.anti_affinity_terms:
            self._count_term(ANTI_AFFINITY, term, 1, place, sign)
        for term, weight in pod.preferred_terms:
            self._count_term(PREFERRED, term, weight, place, sign)

    def _count_term(self, role: str, term: Term, weight: int, place: int, sign: int) -> None:
        key = (role, term, weight)
        placed = self._terms.get(key)
        if placed is None:
            placed = self._terms[key] = PlacedTerm(
                role, term, weight, self._table.new_column(np.float64, 0.0)
            )
            self._terms_version += 1
        placed.column.values[place] += sign
        placed.total += sign
        if not placed.total:
            del self._terms[key]
            self._terms_version += 1

    def _drop_counter(self, key: Hashable) -> None:
        counter = self._counters.pop(key)
        for placed in self._kinds.values():
            if counter in placed.counters:
                placed.counters.remove(counter)


def sum_by_domain(values: Floats, domains: LabelColumn) -> Floats:
    """Per node, the sum over all nodes with the same label value; 0 where the label is absent.

    One extra place at the end of the sums collects the nodes without the label, whose id is -1.
    """
    ids = domains.values
    sums = np.bincount(ids + 1, weights=values, minlength=domains.distinct + 1)
    sums[0] = 0.0
    found: Floats = np.asarray(sums[ids + 1], dtype=np.float64)
    return found
