"""Values that may be absent.

Source: https://github.com/google/cel-spec/wiki/proposal-246
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class
from kubarium.apimachinery.cel.times import Duration


class Optional(NamedTuple):
    """A value that may be absent."""

    present: bool
    value: Any = None


NONE = Optional(False)
register_class("optional", Optional)


@function("optional::of | A -> optional(A)")
def _optional_of(value: Any) -> Optional:
    return Optional(True, value)


@function("optional::none | -> optional(A)")
def _optional_none() -> Optional:
    return NONE


@function("optional::ofNonZeroValue | A -> optional(A)")
def _optional_of_non_zero(value: Any) -> Optional:
    zero = (
        value is None
        or value is False
        or (not isinstance(value, bool) and value in (0, "", b"", Duration(0)))
    )
    return NONE if zero or (isinstance(value, list | Mapping) and not value) else Optional(True, value)


@function("optional(A).hasValue | -> bool")
def _has_value(value: Optional) -> bool:
    return value.present


@function("optional(A).value | -> A")
def _value(value: Optional) -> Any:
    if not value.present:
        raise EvaluationError("optional.none() dereference")
    return value.value


@function("optional(A).orValue | A -> A")
def _or_value(value: Optional, other: Any) -> Any:
    return value.value if value.present else other


@function("optional(A).or | optional(A) -> optional(A)")
def _or(value: Optional, other: Optional) -> Optional:
    return value if value.present else other
