"""From one type to another, and times in all their parts.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from kubarium.apimachinery.cel.call_costs import by_length
from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.nodes import UInt
from kubarium.apimachinery.cel.times import EPOCH, SECOND, Duration, Timestamp, plain_text
from kubarium.apimachinery.cel.types import Type, named
from kubarium.apimachinery.cel.values import NUMBERS, ORDERED, int64, uint64
from kubarium.apimachinery.time_layout import RFC3339, TimeWrong, read_time


def _no_conversion(value: Any, wanted: str) -> EvaluationError:
    return EvaluationError(f"type conversion error from '{kind_of(value)}' to '{wanted}'")


@function("int | int -> int", "int | uint -> int", "int | double -> int", "int | string -> int")
@function("int | timestamp -> int", "int | duration -> int")
def _to_int(value: Any) -> int:
    if isinstance(value, Timestamp):
        return value.nanoseconds // SECOND
    if isinstance(value, Duration):
        return value.nanoseconds
    try:
        if isinstance(value, str) and not re.fullmatch(r"[+-]?\d+", value):
            raise ValueError
        return int64(int(value))
    except (ValueError, OverflowError):
        raise _no_conversion(value, "int") from None


@function("uint | int -> uint", "uint | uint -> uint", "uint | double -> uint", "uint | string -> uint")
def _to_uint(value: Any) -> UInt:
    try:
        return uint64(int(value))
    except (ValueError, OverflowError):
        raise _no_conversion(value, "uint") from None


@function(
    "double | int -> double",
    "double | uint -> double",
    "double | double -> double",
    "double | string -> double",
)
def _to_double(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise _no_conversion(value, "double") from None


@function("bool | bool -> bool", "bool | string -> bool")
def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise _no_conversion(value, "bool")


@function(*(f"string | {kind} -> string" for kind in (*NUMBERS, *ORDERED)))
def to_string(value: Any) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    return str(value)


@function("bytes | string -> bytes", "bytes | bytes -> bytes", cost=by_length)
def _to_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value


@function("dyn | A -> dyn")
def _to_dyn(value: Any) -> Any:
    return value


@function("type | A -> type")
def _type_of(value: Any) -> Type:
    return named(kind_of(value))


_KINDS: list[tuple[Any, str]] = [
    (bool, "bool"), (UInt, "uint"), (int, "int"), (float, "double"), (str, "string"), (bytes, "bytes"),
    (list, "list"), (Mapping, "map"), (Timestamp, "timestamp"), (Duration, "duration"), (Type, "type"),
]  # fmt: skip


def kind_of(value: Any) -> str:
    """The name of a value's type."""
    if value is None:
        return "null"
    return next((kind for python, kind in _KINDS if isinstance(value, python)), type(value).__name__)


def double_text(number: float) -> str:
    """A number as Go's `%g` prints it: with an exponent from a million on, and when it is very small."""
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "+Inf" if number > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)
    power = len(digits) + exponent - 1
    if number == 0 or -4 <= power < 6:
        return plain_text(number)
    mantissa = f"{digits[0]}" + (f".{''.join(map(str, digits[1:]))}" if len(digits) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{power:+03d}"


# Times.

_DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
}  # fmt: skip


def parse_duration(text: str) -> Duration:
    """`1h30m`, as Go reads it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        if text in ("0", "+0", "-0"):
            return Duration(0)
        raise EvaluationError(f'time: invalid duration "{text}"')
    total = sum(
        int(whole or 0) * _UNITS[unit] + int(part or 0) * _UNITS[unit] // 10 ** len(part)
        for whole, part, unit in _PART.findall(text)
    )
    try:
        return Duration(-total if match[1] == "-" else total)
    except OverflowError:
        raise EvaluationError(f'time: invalid duration "{text}"') from None


_FRACTION = re.compile(r"(:\d\d)[.,](\d+)")


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339, or a plain date as the schema format `date` has it; the zone stays what it is."""
    try:
        fraction = _FRACTION.search(text)
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = moment - EPOCH
        nanoseconds = (since.days * 86400 + since.seconds) * SECOND
        nanoseconds += int(fraction[2][:9].ljust(9, "0")) if fraction else 0
        return Timestamp(nanoseconds, moment.tzinfo or UTC)
    except (ValueError, OverflowError):
        raise EvaluationError(f'parsing time "{text}" as "{RFC3339}": cannot parse') from None


def timestamp_of(text: str) -> Timestamp:
    """What `timestamp` makes of a text: it has to be RFC 3339."""
    try:
        read_time(text, RFC3339)
        return parse_timestamp(text)
    except (TimeWrong, EvaluationError):
        raise _no_conversion(text, "google.protobuf.Timestamp") from None


@function("duration | string -> duration", "duration | duration -> duration")
def _to_duration(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    try:
        return parse_duration(value)
    except EvaluationError:
        raise _no_conversion(value, "google.protobuf.Duration") from None


@function(
    "timestamp | string -> timestamp", "timestamp | timestamp -> timestamp", "timestamp | int -> timestamp"
)
def _to_timestamp(value: Any) -> Timestamp:
    if isinstance(value, Timestamp):
        return value
    if not isinstance(value, int):
        return timestamp_of(value)
    try:
        return Timestamp(value * SECOND)
    except OverflowError as error:
        raise EvaluationError(str(error)) from None


def _zone(name: str) -> tzinfo:
    match = re.fullmatch(r"([+-]?)(\d\d):(\d\d)", name)
    try:
        if match is not None:
            offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
            return timezone(-offset if match[1] == "-" else offset)
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, KeyError):
        raise EvaluationError(f"unknown time zone {name}") from None


def _within(moment: Timestamp, zone: tzinfo) -> datetime:
    """The moment as the clocks of a zone show it."""
    try:
        return moment.within(zone)
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


_PARTS = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}
_DURATION_PARTS = {
    "getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND, "getMilliseconds": 10**6,
}  # fmt: skip


def _truncated(number: int, size: int) -> int:
    """Whole parts, without what is left, towards zero."""
    return number // size if number >= 0 else -(-number // size)


def _register_parts() -> None:
    for name, part in _PARTS.items():
        function(f"timestamp.{name} | -> int")(lambda moment, part=part: part(_within(moment, UTC)))
        function(f"timestamp.{name} | string -> int")(
            lambda moment, zone, part=part: part(_within(moment, _zone(zone)))
        )
    for name, size in _DURATION_PARTS.items():
        function(f"duration.{name} | -> int")(lambda span, size=size: _truncated(span.nanoseconds, size))


_register_parts()
