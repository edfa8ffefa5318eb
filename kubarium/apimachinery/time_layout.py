"""Times read by the layouts of Go's package `time`: what they take, and the words that name the wrong place."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

RFC3339 = "2006-01-02T15:04:05Z07:00"
RFC3339_MICRO = "2006-01-02T15:04:05.000000Z07:00"

_CYCLE = 400
"""Years after which the calendar repeats: what lies outside datetime's years is reckoned inside of them."""


@dataclass(slots=True)
class Reading:
    """What was read so far of one time."""

    year: int = 0
    month: int = 1
    day: int = 1
    clock: dict[str, int] = field(default_factory=dict)
    nanoseconds: int = 0
    offset_minutes: int = 0

    def text(self, micro: bool = False) -> str:
        """The moment in UTC, in seconds or microseconds."""
        moment = datetime(2 * _CYCLE + self.year % _CYCLE, self.month, self.day, **self.clock, tzinfo=UTC)
        moment -= timedelta(minutes=self.offset_minutes)
        year = moment.year - 2 * _CYCLE + self.year - self.year % _CYCLE
        fraction = f".{self.nanoseconds // 1000:06d}" if micro else ""
        return f"{year:04d}{moment:-%m-%dT%H:%M:%S}{fraction}Z"

    def is_zero(self) -> bool:
        """Whether it is the moment that Go takes for no time at all."""
        return self.nanoseconds == 0 and self.text() == "0001-01-01T00:00:00Z"


class TimeWrong(ValueError):
    """A text that is no time of the layout."""


class _Misread(Exception):
    """The element of the layout cannot be read here."""


class _OutOfRange(Exception):
    """The element was read, and there is no such value of it."""


def read_time(text: str, layout: str) -> Reading:
    """The time that the text tells. Raises TimeWrong in Go's words."""
    reading, rest = Reading(), text
    for element in _ELEMENT.findall(layout):
        try:
            rest = _READERS.get(element, _literal)(reading, rest, element)
        except _OutOfRange as error:
            raise TimeWrong(f"parsing time {quoted(text)}: {error} out of range") from None
        except _Misread:
            raise TimeWrong(
                f'parsing time {quoted(text)} as "{layout}": cannot parse {quoted(rest)} as "{element}"'
            ) from None
        if element == "05" and ".000000" not in layout:
            rest = _free_fraction(reading, rest)
    if rest:
        raise TimeWrong(f"parsing time {quoted(text)}: extra text: {quoted(rest)}")
    # the calendar repeats every 400 years, and so year 0 is asked of as another
    if not 1 <= reading.day <= monthrange(_CYCLE + reading.year, reading.month)[1]:
        raise TimeWrong(f"parsing time {quoted(text)}: day out of range")
    return reading


def quoted(text: str) -> str:
    """The text in quotes, with what is not plain ASCII written byte by byte."""
    shown = [
        f"\\{char}" if char in '"\\' else char if " " <= char < "\x80" else _bytes_shown(char)
        for char in text
    ]
    return f'"{"".join(shown)}"'


def _bytes_shown(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


_ELEMENT = re.compile(r"2006|01|02|15|04|05|\.000000|Z07:00|.")
_ZONE = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")
_FRACTION = re.compile(r"[.,][0-9]+")


def _matched(pattern: str, rest: str) -> str:
    match = re.match(pattern, rest)
    if match is None:
        raise _Misread
    return match[0]


def _literal(reading: Reading, rest: str, element: str) -> str:
    if not rest.startswith(element):
        raise _Misread
    return rest[len(element) :]


def _year(reading: Reading, rest: str, element: str) -> str:
    reading.year = int(_matched("[0-9]{4}", rest))
    return rest[4:]


def _month(reading: Reading, rest: str, element: str) -> str:
    reading.month = int(_matched("[0-9]{2}", rest))
    if not 1 <= reading.month <= 12:
        raise _OutOfRange("month")
    return rest[2:]


def _day(reading: Reading, rest: str, element: str) -> str:
    reading.day = int(_matched("[0-9]{2}", rest))
    return rest[2:]


def _of_clock(name: str, limit: int, pattern: str) -> Callable[[Reading, str, str], str]:
    def read(reading: Reading, rest: str, element: str) -> str:
        digits = _matched(pattern, rest)
        reading.clock[name] = int(digits)
        if int(digits) >= limit:
            raise _OutOfRange(name)
        return rest[len(digits) :]

    return read


def _six_digits(reading: Reading, rest: str, element: str) -> str:
    reading.nanoseconds = int(_matched("[.,][0-9]{6}", rest)[1:]) * 1000
    return rest[7:]


def _free_fraction(reading: Reading, rest: str) -> str:
    """A fraction of a second is taken behind the seconds where the layout has none."""
    match = _FRACTION.match(rest)
    if match is None:
        return rest
    reading.nanoseconds = int(f"{match[0][1:10]:0<9}")
    return rest[match.end() :]


def _offset(reading: Reading, rest: str, element: str) -> str:
    if rest.startswith("Z"):
        return rest[1:]
    match = _ZONE.match(rest)
    if match is None:
        raise _Misread
    hours, minutes = int(match[2]), int(match[3])
    if hours > 24:
        raise _OutOfRange("time zone offset hour")
    if minutes > 60:
        raise _OutOfRange("time zone offset minute")
    reading.offset_minutes = (60 * hours + minutes) * (-1 if match[1] == "-" else 1)
    return rest[6:]


_READERS: dict[str, Callable[[Reading, str, str], str]] = {
    "2006": _year,
    "01": _month,
    "02": _day,
    "15": _of_clock("hour", 24, "[0-9]{1,2}"),
    "04": _of_clock("minute", 60, "[0-9]{2}"),
    "05": _of_clock("second", 60, "[0-9]{2}"),
    ".000000": _six_digits,
    "Z07:00": _offset,
}
