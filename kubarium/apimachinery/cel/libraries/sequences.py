"""Lists that are made of lists: parts of them, in another order, without what is there twice.

Source: https://github.com/google/cel-go/tree/master/ext#lists, version 3
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubarium.apimachinery.cel.call_costs import size_of
from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.libraries.optionals import NONE, Optional
from kubarium.apimachinery.cel.values import equals

_ORDERED = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_MAKING = 11  # the call and the new list
_COMPARING, _COMPARING_TEXTS = 2.0, 2.1


def _of_result(count: int) -> int:
    return count + _MAKING


def _by_slice(items: Sequence[Any], start: int, end: int) -> int:
    return _of_result(max(end - start, 0))


def _by_size(items: Sequence[Any]) -> int:
    return _of_result(size_of(items))


def _by_depth(items: Sequence[Any], depth: int = 1) -> int:
    return _of_result(size_of(items) * (depth if depth >= 0 else 1))


def _by_comparisons(items: Sequence[Any]) -> int:
    """Each is compared with each."""
    factor = _COMPARING_TEXTS if items and isinstance(items[0], str | bytes) else _COMPARING
    return int(len(items) ** 2 * factor) + _MAKING


def _by_keys(items: Sequence[Any], keys: Sequence[Any]) -> int:
    return _by_comparisons(keys)


@function("list(A).slice | int, int -> list(A)", cost=_by_slice)
def _slice(items: Sequence[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        text = f"cannot slice({start}, {end}), start index must be less than or equal to end index"
        raise EvaluationError(text)
    if len(items) < end:
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return list(items[start:end])


@function("list(list(A)).flatten | -> list(A)", "list(dyn).flatten | int -> list(dyn)", cost=_by_depth)
def _flatten(items: Sequence[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    found: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth:
            found += _flatten(item, depth - 1)
        else:
            found.append(item)
    return found


@function(*(f"list({kind}).sort | -> list({kind})" for kind in _ORDERED), cost=_by_comparisons)
def _sort(items: Sequence[Any]) -> list[Any]:
    return _sort_by(items, items)


@function(*(f"list(A).@sortByAssociatedKeys | list({kind}) -> list(A)" for kind in _ORDERED), cost=_by_keys)
def _sort_by(items: Sequence[Any], keys: Sequence[Any]) -> list[Any]:
    """The macro `sortBy` calls it."""
    if keys and isinstance(keys[0], dict | list):
        raise EvaluationError("list elements must be comparable")
    if any(type(key) is not type(keys[0]) for key in keys):
        raise EvaluationError("list elements must have the same type")
    return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]


@function("lists::range | int -> list(int)", cost=lambda count: _of_result(max(count, 0)))
def _range(count: int) -> list[int]:
    if count < 0:
        raise EvaluationError(f"lists.range: size must be non-negative, got {count}")
    return list(range(count))


@function("list(A).reverse | -> list(A)", cost=_by_size)
def _reverse(items: Sequence[Any]) -> list[Any]:
    return list(reversed(items))


@function("list(A).distinct | -> list(A)", cost=_by_comparisons)
def _distinct(items: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not any(equals(item, other) for other in found):
            found.append(item)
    return found


@function("list(A).first | -> optional(A)")
def _first(items: Sequence[Any]) -> Optional:
    return Optional(True, items[0]) if items else NONE


@function("list(A).last | -> optional(A)")
def _last(items: Sequence[Any]) -> Optional:
    return Optional(True, items[-1]) if items else NONE


@function("optional::unwrap | list(optional(A)) -> list(A)", "list(optional(A)).unwrapOpt | -> list(A)")
def _unwrap(items: Sequence[Any]) -> list[Any]:
    for item in items:
        if not isinstance(item, Optional):
            raise EvaluationError(f"value {item} is not optional")
    return [item.value for item in items if item.present]
