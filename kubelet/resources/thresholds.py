"""Pure: what is left of the node and what must be left of it -> which thresholds have been passed.

    hard   acts at once                       memory.available<100Mi
    soft   acts when it lasted for so long    memory.available<500Mi, grace period 1m30s

A threshold that was passed holds until so much more is free again as `evictionMinimumReclaim` asks for.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kubarium.apimachinery import quantity
from kubarium.component_base.options import parse_duration
from kubelet.reservations import portion

MEMORY, ALLOCATABLE_MEMORY = "memory.available", "allocatableMemory.available"
NODEFS, NODEFS_INODES = "nodefs.available", "nodefs.inodesFree"
IMAGEFS, IMAGEFS_INODES = "imagefs.available", "imagefs.inodesFree"
CONTAINERFS, CONTAINERFS_INODES = "containerfs.available", "containerfs.inodesFree"
PID = "pid.available"

CONDITIONS = {
    MEMORY: "MemoryPressure",
    ALLOCATABLE_MEMORY: "MemoryPressure",
    NODEFS: "DiskPressure",
    NODEFS_INODES: "DiskPressure",
    IMAGEFS: "DiskPressure",
    IMAGEFS_INODES: "DiskPressure",
    CONTAINERFS: "DiskPressure",
    CONTAINERFS_INODES: "DiskPressure",
    PID: "PIDPressure",
}
RESOURCES = {
    MEMORY: "memory",
    ALLOCATABLE_MEMORY: "memory",
    NODEFS: "ephemeral-storage",
    NODEFS_INODES: "inodes",
    IMAGEFS: "ephemeral-storage",
    IMAGEFS_INODES: "inodes",
    CONTAINERFS: "ephemeral-storage",
    CONTAINERFS_INODES: "inodes",
    PID: "pids",
}
"""Order is the order in which resources are won back: memory first."""

IN_BYTES = ("memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Observation:
    """How much of something is there, and how much of it is left."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """So much of a signal must be left; an amount or a percentage."""

    signal: str
    amount: str
    grace: float = 0.0  # seconds; 0 for a hard one
    reclaim: str = "0"

    def of(self, capacity: int) -> int:
        """The amount in bytes or pieces."""
        return portion(self.amount, capacity)


@dataclass(frozen=True, slots=True)
class Met:
    """A threshold that has been passed."""

    threshold: Threshold
    limit: int
    available: int

    @property
    def signal(self) -> str:
        """What runs short."""
        return self.threshold.signal

    @property
    def resource(self) -> str:
        """What pods have too much of."""
        return RESOURCES[self.signal]

    @property
    def message(self) -> str:
        """What the evicted pod's status says first."""
        limit, available = (of_resource(one, self.resource) for one in (self.limit, self.available))
        return (
            f"The node was low on resource: {self.resource}. "
            f"Threshold quantity: {limit}, available: {available}. "
        )


def of_resource(amount: int, resource: str) -> str:
    """An amount as text in the unit that fits."""
    return quantity.of_value(amount, "BinarySI" if resource in IN_BYTES else "DecimalSI")


def read(
    hard: Mapping[str, str],
    soft: Mapping[str, str] | None = None,
    grace: Mapping[str, str] | None = None,
    reclaim: Mapping[str, str] | None = None,
) -> list[Threshold]:
    """Thresholds as the kubelet is configured. Raises ValueError with upstream's words."""
    given = {signal: amount for signal, amount in (reclaim or {}).items() if _known(signal)}
    for signal, amount in given.items():
        if (float(amount[:-1]) if amount.endswith("%") else quantity.value(amount)) < 0:
            raise ValueError(f"negative eviction minimum reclaim specified for {signal}")
    periods = {signal: parse_duration(text) for signal, text in (grace or {}).items() if _known(signal)}
    for signal, seconds in periods.items():
        if seconds < 0:
            raise ValueError(
                f"invalid eviction grace period specified: {(grace or {})[signal]}, must be a positive value"
            )
    found = [
        Threshold(signal, amount, 0.0, given.get(signal, "0"))
        for signal, amount in hard.items()
        if _counts(signal, amount)
    ]
    for signal, amount in (soft or {}).items():
        if not _counts(signal, amount):
            continue
        if signal not in periods:
            raise ValueError(f"grace period must be specified for the soft eviction threshold {signal}")
        found.append(Threshold(signal, amount, periods[signal], given.get(signal, "0")))
    return found


def _known(signal: str) -> bool:
    if signal not in RESOURCES:
        raise ValueError(f"unrecognized eviction signal {signal}")
    return True


def _counts(signal: str, amount: str) -> bool:
    """Is this a threshold at all? 0% and 100% switch one off."""
    _known(signal)
    if amount.endswith("%"):
        percent = float(amount[:-1])
        if percent < 0:
            raise ValueError(f"eviction percentage threshold {signal} must be >= 0%: {amount}")
        if percent > 100:
            raise ValueError(f"eviction percentage threshold {signal} must be <= 100%: {amount}")
        return 0 < percent < 100
    if quantity.value(amount) < 0:
        raise ValueError(f"eviction threshold {signal} must be positive: {amount}")
    return True


def for_allocatable(thresholds: Iterable[Threshold]) -> list[Threshold]:
    """Pods together may use what is allocatable: the hard threshold of memory holds for that as well."""
    return [
        Threshold(ALLOCATABLE_MEMORY, one.amount, 0.0, one.reclaim)
        for one in thresholds
        if one.signal == MEMORY and not one.grace
    ]


def met(
    observed: Mapping[str, Observation], thresholds: Iterable[Threshold], with_reclaim: bool = False
) -> list[Met]:
    """Those that have been passed, or from which not enough has been won back."""
    found = []
    for one in thresholds:
        seen = observed.get(one.signal)
        if seen is None:
            continue
        limit = one.of(seen.capacity)
        more = portion(one.reclaim, seen.capacity) if with_reclaim else 0
        if seen.available < limit + more:
            found.append(Met(one, limit, seen.available))
    return found


def in_order(found: Sequence[Met]) -> list[Met]:
    """Memory first; the rest in the order of the table."""
    order = list(RESOURCES)
    return sorted(found, key=lambda one: order.index(one.signal))


class Watch:
    """Remembers since when thresholds are passed, so that soft ones get their time and each its reclaim."""

    def __init__(self, thresholds: Sequence[Threshold]) -> None:
        self.thresholds = list(thresholds)
        self._since: dict[Threshold, float] = {}
        self._last: list[Threshold] = []  # those that led to something the last time

    def look(self, observed: Mapping[str, Observation], now: float) -> tuple[list[Met], list[Met]]:
        """Thresholds that are passed, and those of them that were passed for long enough."""
        passed = met(observed, self.thresholds)
        known = {one.threshold for one in passed}
        passed += [one for one in met(observed, self._last, with_reclaim=True) if one.threshold not in known]
        self._since = {one.threshold: self._since.get(one.threshold, now) for one in passed}
        due = [one for one in passed if now - self._since[one.threshold] >= one.threshold.grace]
        self._last = [one.threshold for one in due]
        return passed, in_order(due)
