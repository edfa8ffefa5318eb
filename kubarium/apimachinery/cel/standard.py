"""The standard functions of CEL: operators, sizes, conversions, text, times.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import re2

from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.parser import UInt
from kubarium.apimachinery.cel.types import Type, named
from kubarium.apimachinery.quantity import Quantity

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1


# What calls cost while they run: the figures of cel-go's `interpreter/runtimecost.go` and of upstream's
# `apiserver/pkg/cel/library/cost.go`.


def size_of(value: Any) -> int:
    """Characters, bytes, items; everything else is as large as one of them."""
    return len(value) if isinstance(value, str | bytes | list | Mapping) else 1


def tenths(count: int) -> int:
    """A tenth of a unit for each of so many characters."""
    return -(-count // 10)


def by_length(text: Any, *_: Any) -> int:
    """The text is looked at once."""
    return tenths(size_of(text))


def by_two_passes(text: Any, *_: Any) -> int:
    """The text is looked at, and another one is made of it."""
    return tenths(2 * size_of(text))


def by_both(left: Any, right: Any) -> int:
    """Both are looked at, one after the other."""
    return tenths(size_of(left) + size_of(right))


def by_shorter(left: Any, right: Any) -> int:
    """A comparison ends where the shorter one does."""
    return tenths(min(size_of(left), size_of(right)))


def by_matching(text: str, pattern: str, *_: Any) -> int:
    """Every character, for every part of a pattern; a part has four characters."""
    return tenths(1 + len(text)) * -(-len(pattern) // 4)


def by_traversal(value: Any, *_: Any) -> int:
    """Everything that is in the value is looked at."""
    if isinstance(value, str | bytes):
        return len(value) // 10
    if isinstance(value, list):
        return sum(map(by_traversal, value))
    if isinstance(value, Mapping):
        return sum(by_traversal(key) + by_traversal(inner) for key, inner in value.items())
    return 1


def no_overload() -> EvaluationError:
    """The values have types for which there is no such function."""
    return EvaluationError("no such overload")


def int64(number: int) -> int:
    """A whole number, if 64 bits are enough for it."""
    if INT_MIN <= number <= INT_MAX:
        return number
    raise EvaluationError("integer overflow")


def uint64(number: int) -> UInt:
    """A whole number that is not negative, if 64 bits are enough for it."""
    if 0 <= number <= UINT_MAX:
        return UInt(number)
    raise EvaluationError("unsigned integer overflow")


def equals(left: Any, right: Any) -> bool:
    """Equal by CEL's rules: numbers by value whatever their type, a boolean is no number, lists and maps by
    content.
    """
    if type(left) is type(right) and isinstance(left, str | int | float):
        return bool(left == right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(equals, left, right))
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and left.keys() == right.keys()
            and all(equals(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        return left.nano == right.nano
    if isinstance(left, Type) and isinstance(right, Type):
        return left.kind == right.kind
    return bool(left == right)


# Arithmetic. The compiler uses shorter ways where it knows the types.


@function("_+_ | int, int -> int")
def _add_ints(left: int, right: int) -> int:
    return int64(left + right)


@function("_-_ | int, int -> int")
def _subtract_ints(left: int, right: int) -> int:
    return int64(left - right)


@function("_*_ | int, int -> int")
def _multiply_ints(left: int, right: int) -> int:
    return int64(left * right)


@function("_/_ | int, int -> int")
def _divide_ints(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("division by zero")
    quotient = abs(left) // abs(right)
    return int64(quotient if (left < 0) == (right < 0) else -quotient)


@function("_%_ | int, int -> int")
def _modulo_ints(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("modulus by zero")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


@function("-_ | int -> int")
def _negate_int(value: int) -> int:
    return int64(-value)


@function("_+_ | uint, uint -> uint")
def _add_uints(left: int, right: int) -> UInt:
    return uint64(int(left) + int(right))


@function("_-_ | uint, uint -> uint")
def _subtract_uints(left: int, right: int) -> UInt:
    return uint64(int(left) - int(right))


@function("_*_ | uint, uint -> uint")
def _multiply_uints(left: int, right: int) -> UInt:
    return uint64(int(left) * int(right))


@function("_/_ | uint, uint -> uint")
def _divide_uints(left: int, right: int) -> UInt:
    if right == 0:
        raise EvaluationError("division by zero")
    return UInt(int(left) // int(right))


@function("_%_ | uint, uint -> uint")
def _modulo_uints(left: int, right: int) -> UInt:
    if right == 0:
        raise EvaluationError("modulus by zero")
    return UInt(int(left) % int(right))


@function("_+_ | double, double -> double")
def _add_doubles(left: float, right: float) -> float:
    return left + right


@function("_-_ | double, double -> double")
def _subtract_doubles(left: float, right: float) -> float:
    return left - right


@function("_*_ | double, double -> double")
def _multiply_doubles(left: float, right: float) -> float:
    return left * right


@function("_/_ | double, double -> double")
def _divide_doubles(left: float, right: float) -> float:
    if right == 0:
        return float("nan") if left == 0 or left != left else float("inf") if left > 0 else float("-inf")
    return left / right


@function("-_ | double -> double")
def _negate_double(value: float) -> float:
    return -value


@function("_+_ | string, string -> string", "_+_ | bytes, bytes -> bytes", cost=by_both)
def _concatenate(left: Any, right: Any) -> Any:
    return left + right


@function("_+_ | list(A), list(A) -> list(A)")
def _concatenate_lists(left: list[Any], right: list[Any]) -> list[Any]:
    return left + right


@function("_+_ | timestamp, duration -> timestamp", "_+_ | duration, timestamp -> timestamp")
@function("_+_ | duration, duration -> duration")
def _add_times(left: Any, right: Any) -> Any:
    try:
        return left + right
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


@function("_-_ | timestamp, timestamp -> duration", "_-_ | timestamp, duration -> timestamp")
@function("_-_ | duration, duration -> duration")
def _subtract_times(left: Any, right: Any) -> Any:
    try:
        return left - right
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


# Comparison.

_NUMBERS = ("int", "uint", "double")
_ORDERED = ["bool", "string", "bytes", "timestamp", "duration"]
_PAIRS = [f"{a}, {b}" for a in _NUMBERS for b in _NUMBERS] + [f"{kind}, {kind}" for kind in _ORDERED]


@function(*(f"_<_ | {pair} -> bool" for pair in _PAIRS), cost=by_shorter)
def _less(left: Any, right: Any) -> bool:
    return bool(left < right)


@function(*(f"_<=_ | {pair} -> bool" for pair in _PAIRS), cost=by_shorter)
def _less_or_equal(left: Any, right: Any) -> bool:
    return bool(left <= right)


@function(*(f"_>_ | {pair} -> bool" for pair in _PAIRS), cost=by_shorter)
def _greater(left: Any, right: Any) -> bool:
    return bool(left > right)


@function(*(f"_>=_ | {pair} -> bool" for pair in _PAIRS), cost=by_shorter)
def _greater_or_equal(left: Any, right: Any) -> bool:
    return bool(left >= right)


@function("_==_ | A, A -> bool", cost=by_shorter)
def _equal(left: Any, right: Any) -> bool:
    return equals(left, right)


@function("_!=_ | A, A -> bool", cost=by_shorter)
def _not_equal(left: Any, right: Any) -> bool:
    return not equals(left, right)


@function("!_ | bool -> bool")
def _not(value: bool) -> bool:
    return not value


@function("@in | A, list(A) -> bool", cost=lambda item, items: len(items))
def _in_list(item: Any, items: list[Any]) -> bool:
    return any(equals(item, other) for other in items)


@function("@in | A, map(A, B) -> bool")
def _in_map(key: Any, values: Mapping[Any, Any]) -> bool:
    return key in values


@function("_[_] | list(A), int -> A")
def _item(items: list[Any], index: int) -> Any:
    if 0 <= index < len(items):
        return items[index]
    raise EvaluationError(f"index out of bounds: {index}")


@function("_[_] | map(A, B), A -> B")
def _value(values: Mapping[Any, Any], key: Any) -> Any:
    try:
        return values[key]
    except (KeyError, TypeError):
        raise EvaluationError(f"no such key: {key}") from None


@function("size | string -> int", "size | bytes -> int", "size | list(A) -> int", "size | map(A, B) -> int")
@function("string.size | -> int", "bytes.size | -> int", "list(A).size | -> int", "map(A, B).size | -> int")
def _size(value: Any) -> int:
    return len(value)


# Text.


@function(
    "string.contains | string -> bool",
    cost=lambda text, part: tenths(size_of(text)) * tenths(size_of(part)),
)
def _contains(text: str, part: str) -> bool:
    return part in text


@function("string.startsWith | string -> bool", cost=lambda text, part: tenths(size_of(part)))
def _starts_with(text: str, part: str) -> bool:
    return text.startswith(part)


@function("string.endsWith | string -> bool", cost=lambda text, part: tenths(size_of(part)))
def _ends_with(text: str, part: str) -> bool:
    return text.endswith(part)


@lru_cache(2048)
def compiled_pattern(pattern: str) -> Any:
    """A regular expression in RE2's syntax."""
    try:
        return re2.compile(pattern)
    except re2.error as error:
        raise EvaluationError(f"error parsing regexp: {error}") from None


@function("string.matches | string -> bool", "matches | string, string -> bool", cost=by_matching)
def _matches(text: str, pattern: str) -> bool:
    return compiled_pattern(pattern).search(text) is not None


# Conversions.


@function("int | int -> int", "int | uint -> int", "int | double -> int", "int | string -> int")
@function("int | timestamp -> int")
def _to_int(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp() // 1)
    try:
        if isinstance(value, str) and not re.fullmatch(r"[+-]?\d+", value):
            raise ValueError
        return int64(int(value))
    except (ValueError, OverflowError):
        raise EvaluationError(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


@function("uint | int -> uint", "uint | uint -> uint", "uint | double -> uint", "uint | string -> uint")
def _to_uint(value: Any) -> UInt:
    try:
        return uint64(int(value))
    except (ValueError, OverflowError):
        raise EvaluationError(f'strconv.ParseUint: parsing "{value}": invalid syntax') from None


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
        raise EvaluationError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


@function("bool | bool -> bool", "bool | string -> bool")
def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise EvaluationError(f'strconv.ParseBool: parsing "{value}": invalid syntax')


@function(*(f"string | {kind} -> string" for kind in (*_NUMBERS, *_ORDERED)))
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
    if isinstance(value, datetime):
        return timestamp_text(value)
    if isinstance(value, timedelta):
        return f"{plain_text(value.total_seconds())}s"
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
    (list, "list"), (Mapping, "map"), (datetime, "timestamp"), (timedelta, "duration"), (Type, "type"),
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


def plain_text(number: float) -> str:
    """A number in as many digits as it needs, never with an exponent."""
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


# Times.

_DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> timedelta:
    """`1h30m`, as Go reads it."""
    match = _DURATION.fullmatch(text)
    if match is None:
        if text in ("0", "+0", "-0"):
            return timedelta()
        raise EvaluationError(f'time: invalid duration "{text}"')
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    return timedelta(seconds=-total if match[1] == "-" else total)


def parse_timestamp(text: str) -> datetime:
    """RFC 3339, or a plain date as the schema format `date` has it."""
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise EvaluationError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None


def timestamp_text(moment: datetime) -> str:
    """RFC 3339 without needless zeros."""
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


@function("duration | string -> duration", "duration | duration -> duration", "duration | int -> duration")
def _to_duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return timedelta(seconds=value) if isinstance(value, int) else parse_duration(value)


@function(
    "timestamp | string -> timestamp", "timestamp | timestamp -> timestamp", "timestamp | int -> timestamp"
)
def _to_timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else parse_timestamp(value)


def _zone(name: str) -> tzinfo:
    match = re.fullmatch(r"([+-]?)(\d\d):(\d\d)", name)
    try:
        if match is not None:
            offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
            return timezone(-offset if match[1] == "-" else offset)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise EvaluationError(f"unknown time zone {name}") from None


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
    "getHours": 3_600_000_000, "getMinutes": 60_000_000, "getSeconds": 1_000_000, "getMilliseconds": 1000,
}  # fmt: skip


def _register_parts() -> None:
    for name, part in _PARTS.items():
        function(f"timestamp.{name} | -> int")(lambda moment, part=part: part(moment))
        function(f"timestamp.{name} | string -> int")(
            lambda moment, zone, part=part: part(moment.astimezone(_zone(zone)))
        )
    for name, size in _DURATION_PARTS.items():
        function(f"duration.{name} | -> int")(
            lambda span, size=size: int(span / timedelta(microseconds=1)) // size
        )


_register_parts()
