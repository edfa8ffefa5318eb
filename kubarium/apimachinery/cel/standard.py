"""The standard functions of CEL: operators, sizes, text.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import re2

from kubarium.apimachinery.cel.call_costs import by_both, by_matching, by_shorter, size_of, tenths
from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.nodes import UInt
from kubarium.apimachinery.cel.values import NUMBERS, ORDERED, equals, int64, uint64

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
        return (
            math.nan if left == 0 or left != left else math.copysign(math.inf, left) * math.copysign(1, right)
        )
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
    except OverflowError as error:
        raise EvaluationError(str(error)) from None


@function("_-_ | timestamp, timestamp -> duration", "_-_ | timestamp, duration -> timestamp")
@function("_-_ | duration, duration -> duration")
def _subtract_times(left: Any, right: Any) -> Any:
    try:
        return left - right
    except OverflowError as error:
        raise EvaluationError(str(error)) from None


# Comparison.

_PAIRS = [f"{a}, {b}" for a in NUMBERS for b in NUMBERS] + [f"{kind}, {kind}" for kind in ORDERED]


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
