"""Timestamps and durations, counted in nanoseconds as Go does; Python's own stop at microseconds.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#timestamp,
https://pkg.go.dev/time#ParseDuration
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

SECOND = 10**9  # nanoseconds
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = int((datetime(1, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * SECOND
_LAST = (int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - EPOCH).total_seconds()) + 1) * SECOND


@dataclass(frozen=True, order=True)
class Duration:
    """How long something takes: 64 bits of nanoseconds."""

    nanoseconds: int

    def __post_init__(self) -> None:
        """Raises OverflowError where Go has no such duration."""
        if not -(2**63) <= self.nanoseconds < 2**63:
            raise OverflowError("integer overflow")

    def __bool__(self) -> bool:
        """Is it any time at all?"""
        return self.nanoseconds != 0

    def __add__(self, other: Duration) -> Duration:
        """Both, one after the other."""
        if isinstance(other, Duration):
            return Duration(self.nanoseconds + other.nanoseconds)
        return NotImplemented

    def __sub__(self, other: Duration) -> Duration:
        """So much longer."""
        return Duration(self.nanoseconds - other.nanoseconds)

    def __str__(self) -> str:
        """Seconds, as a number with as many digits as it needs."""
        seconds = abs(self.nanoseconds) // SECOND + abs(self.nanoseconds) % SECOND / 1e9
        return f"{plain_text(-seconds if self.nanoseconds < 0 else seconds)}s"


@dataclass(frozen=True, order=True)
class Timestamp:
    """A moment: nanoseconds since 1970, and the zone in which it was written, which does not count."""

    nanoseconds: int
    zone: tzinfo = field(default=UTC, compare=False)

    def __post_init__(self) -> None:
        """Raises OverflowError before the first and after the last year."""
        if not _FIRST <= self.nanoseconds < _LAST:
            raise OverflowError("timestamp overflow")

    def __add__(self, other: Duration) -> Timestamp:
        """So much later."""
        return Timestamp(self.nanoseconds + other.nanoseconds, self.zone)

    __radd__ = __add__

    def __sub__(self, other: Timestamp | Duration) -> Timestamp | Duration:
        """So much earlier, or how long after another moment."""
        rest = self.nanoseconds - other.nanoseconds
        return Duration(rest) if isinstance(other, Timestamp) else Timestamp(rest, self.zone)

    def within(self, zone: tzinfo) -> datetime:
        """What the clocks of a zone show; of the seconds only whole microseconds."""
        return (EPOCH + timedelta(microseconds=self.nanoseconds // 1000)).astimezone(zone)

    def __str__(self) -> str:
        """RFC 3339 in the zone of the moment, without needless zeros."""
        seconds, zone = (text := self.within(self.zone).replace(microsecond=0).isoformat())[:19], text[19:]
        fraction = f".{self.nanoseconds % SECOND:09d}".rstrip("0") if self.nanoseconds % SECOND else ""
        return f"{seconds}{fraction}{'Z' if zone == '+00:00' else zone}"


def plain_text(number: float) -> str:
    """A number in as many digits as it needs, never with an exponent."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
