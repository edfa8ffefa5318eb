"""What CEL's values are beyond Python's: numbers of 64 bits, and equality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubarium.apimachinery.cel.functions import EvaluationError
from kubarium.apimachinery.cel.nodes import UInt
from kubarium.apimachinery.cel.types import Type
from kubarium.apimachinery.quantity import Quantity

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
NUMBERS = ("int", "uint", "double")
ORDERED = ("bool", "string", "bytes", "timestamp", "duration")
"""Types of which one value comes before another; numbers also before those of another type."""


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
