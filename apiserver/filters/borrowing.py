"""Levels lend each other the seats that they do not need.

Every level has a nominal number of seats, some of which it may lend, and a limit to what it may borrow. Every ten
seconds the seats are shared out anew by what was wanted in the meantime: each level gets what it needs, within its
bounds, and the rest in the same proportion.

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#seats-borrowing and KEP-1040
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PERIOD = 10.0  # seconds between two adjustments
_SMOOTHING = 0.977  # as much of an earlier, higher demand is remembered


@dataclass(frozen=True, slots=True)
class Range:
    """How many seats a level has by right, at least, and at most."""

    nominal: int
    least: int
    most: int


def range_of(nominal: int, lendable_percent: int, borrowing_percent: int | None, total: int) -> Range:
    """The bounds that follow from percentages; without a limit a level may borrow everything."""
    lendable = _rounded(nominal * lendable_percent / 100)
    borrowed = total if borrowing_percent is None else _rounded(nominal * borrowing_percent / 100)
    return Range(nominal, nominal - lendable, min(nominal + borrowed, max(total, nominal)))


def _rounded(number: float) -> int:
    return math.floor(number + 0.5)


class Demand:
    """How many seats were wanted over a period: average, deviation, highest; and smoothed over periods."""

    __slots__ = ("_highest", "_since", "_square", "_sum", "_value", "_when", "highest", "smoothed")

    def __init__(self, now: float) -> None:
        self._value = 0
        self._since = self._when = now
        self._sum = self._square = 0.0
        self._highest = 0
        self.highest = 0
        self.smoothed = 0.0

    def note(self, value: int, now: float) -> None:
        """So many seats are wanted from now on."""
        spent = now - self._when
        if spent > 0:
            self._sum += self._value * spent
            self._square += self._value * self._value * spent
            self._when = now
        self._value = value
        if value > self._highest:
            self._highest = value

    def close(self, now: float) -> None:
        """End the period, and begin the next one."""
        self.note(self._value, now)
        spent = now - self._since
        average = self._sum / spent if spent > 0 else float(self._value)
        deviation = math.sqrt(max(self._square / spent - average * average, 0.0)) if spent > 0 else 0.0
        envelope = average + deviation
        self.highest = self._highest
        self.smoothed = max(envelope, _SMOOTHING * self.smoothed + (1 - _SMOOTHING) * envelope)
        self._since, self._sum, self._square, self._highest = now, 0.0, 0.0, self._value


@dataclass(frozen=True, slots=True)
class Share:
    """What one level needs: at least, ideally, at most."""

    least: float
    target: float
    most: float


def share_of(seats: Range, demand: Demand) -> Share:
    """What a level needs after a period. Of its own seats it gets back what it used at most."""
    least = max(seats.least, min(seats.nominal, demand.highest))
    return Share(least, max(least, demand.smoothed), max(seats.most, least))


def allocate(total: float, shares: Sequence[Share]) -> list[float]:
    """Share out seats: all in the same proportion to their targets, as far as their bounds allow."""
    if sum(share.least for share in shares) >= total:
        return [share.least for share in shares]
    if sum(share.most for share in shares) <= total:
        return [share.most for share in shares]
    low, high = 0.0, 1.0
    while sum(_clipped(share, high) for share in shares) < total and high < 1e12:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if sum(_clipped(share, middle) for share in shares) < total:
            low = middle
        else:
            high = middle
    return [_clipped(share, high) for share in shares]


def _clipped(share: Share, proportion: float) -> float:
    return min(max(share.target * proportion, share.least), share.most)


def seats_of(share: float) -> int:
    """A share as a number of seats."""
    return _rounded(share)
