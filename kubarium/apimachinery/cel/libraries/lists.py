"""Lists and sets.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-list-library
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kubarium.apimachinery.cel import values
from kubarium.apimachinery.cel.call_costs import by_traversal
from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.values import equals


def _compare_errors(run: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*args: Any) -> Any:
        try:
            return run(*args)
        except TypeError:
            raise values.no_overload() from None

    return guarded


@function("list(A).isSorted | -> bool", cost=by_traversal)
@_compare_errors
def _is_sorted(items: Sequence[Any]) -> bool:
    return all(items[index] <= items[index + 1] for index in range(len(items) - 1))


@function("list(A).sum | -> A", cost=by_traversal)
@_compare_errors
def _sum(items: Sequence[Any]) -> Any:
    if not items:
        return 0
    result = items[0]
    for item in items[1:]:
        result = result + item
    return values.int64(result) if type(result) is int else result


@function("list(A).min | -> A", cost=by_traversal)
@_compare_errors
def _min(items: Sequence[Any]) -> Any:
    if not items:
        raise EvaluationError("min called on empty list")
    return min(items)


@function("list(A).max | -> A", cost=by_traversal)
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
    return len(left) * len(right)


@function("sets::contains | list(A), list(A) -> bool", cost=_product)
def _set_contains(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return all(any(equals(item, other) for other in left) for item in right)


@function("sets::equivalent | list(A), list(A) -> bool", cost=_product)
def _set_equivalent(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return _set_contains(left, right) and _set_contains(right, left)


@function("sets::intersects | list(A), list(A) -> bool", cost=_product)
def _set_intersects(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return any(any(equals(item, other) for other in left) for item in right)
