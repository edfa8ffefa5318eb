"""Lists and sets.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-list-library
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kubarium.apimachinery.cel import values
from kubarium.apimachinery.cel.call_costs import by_traversal
from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.nodes import UInt
from kubarium.apimachinery.cel.values import equals


def _compare_errors(run: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any) -> Any:
        try:
            return run(*args)
        except TypeError:
            raise values.no_overload() from None

    return guarded


_ORDERED = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_SUMMED = ("int", "uint", "duration")


@function(*(f"list({kind}).isSorted | -> bool" for kind in _ORDERED), cost=by_traversal)
@_compare_errors
def _is_sorted(items: Sequence[Any]) -> bool:
    return all(items[index] <= items[index + 1] for index in range(len(items) - 1))


@function(*(f"list({kind}).sum | -> {kind}" for kind in _SUMMED), cost=by_traversal)
@_compare_errors
def _sum(items: Sequence[Any]) -> Any:
    if not items:
        return 0
    result = items[0]
    for item in items[1:]:
        result = result + item
    if isinstance(items[0], UInt):
        return values.uint64(result)
    return values.int64(result) if type(result) is int else result


@function("list(double).sum | -> double", cost=by_traversal)
def _sum_of_doubles(items: Sequence[Any]) -> float:
    return sum(items, 0.0)


@function(*(f"list({kind}).min | -> {kind}" for kind in _ORDERED), cost=by_traversal)
@_compare_errors
def _min(items: Sequence[Any]) -> Any:
    if not items:
        raise EvaluationError("min called on empty list")
    return min(items)


@function(*(f"list({kind}).max | -> {kind}" for kind in _ORDERED), cost=by_traversal)
@_compare_errors
def _max(items: Sequence[Any]) -> Any:
    if not items:
        raise EvaluationError("max called on empty list")
    return max(items)


@function("list(A).indexOf | A -> int", cost=by_traversal)
def _index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if equals(item, wanted)), -1)


@function("list(A).lastIndexOf | A -> int", cost=by_traversal)
def _last_index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equals(items[index], wanted)), -1)


def _product(left: Sequence[Any], right: Sequence[Any]) -> int:
    return len(left) * len(right) + 1


def _two_products(left: Sequence[Any], right: Sequence[Any]) -> int:
    return 2 * len(left) * len(right) + 1


@function("sets::contains | list(A), list(A) -> bool", cost=_product)
def _set_contains(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return all(any(equals(item, other) for other in left) for item in right)


@function("sets::equivalent | list(A), list(A) -> bool", cost=_two_products)
def _set_equivalent(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return _set_contains(left, right) and _set_contains(right, left)


@function("sets::intersects | list(A), list(A) -> bool", cost=_product)
def _set_intersects(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return any(any(equals(item, other) for other in left) for item in right)
