"""Closures of the macros that go through a list or a map.

Each takes the range, the places of its variables and its compiled bodies; the type None is that of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kubarium.apimachinery.cel import conversions
from kubarium.apimachinery.cel.functions import EvaluationError
from kubarium.apimachinery.cel.program import Env, Run, Typed, spend, truth
from kubarium.apimachinery.cel.types import BOOL, DYN, Type, list_of, map_of

_Loop = tuple[Type | None, Run]


def _pairs(value: Any, count: int) -> Any:
    """What the variables hold, turn by turn."""
    if isinstance(value, list):
        return enumerate(value) if count == 2 else value
    if isinstance(value, Mapping):
        return value.items() if count == 2 else value
    shown = "types." + conversions.kind_of(value).rpartition(".")[2].title()
    if count == 2:
        raise EvaluationError(f"unsupported comprehension range type: {shown}")
    raise EvaluationError(f"got '{shown}', expected iterable type")


def _turns(target: Run, slots: Sequence[int], cost: int) -> Callable[[Env], Any]:
    """A generator of turns: it sets the variables and pays for the bodies."""
    first = slots[0]
    if len(slots) == 1:

        def one(env: Env) -> Any:
            for item in _pairs(target(env), 1):
                spend(env, cost)
                env[first] = item
                yield item

        return one
    second = slots[1]

    def two(env: Env) -> Any:
        for key, item in _pairs(target(env), 2):
            spend(env, cost)
            env[first], env[second] = key, item
            yield key

    return two


# What a turn costs besides its bodies: upstream's loops are comprehensions, which ask whether to go on, read what was
# gathered so far, and add to it. A list that is made for one item costs ten units, unless it is always the same.

_ALL, _EXISTS = 3, 4
_LIST = 10
_KEEP = 2
"""To read what was gathered, and to add to it."""


def _quantifier(deciding: bool) -> Callable[[Run, Sequence[int], Sequence[Typed]], _Loop]:
    """`all` and `exists`: the first item that decides ends the loop, and hides errors of the others."""

    def make(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
        price = _EXISTS if deciding else _ALL
        turns, body = _turns(target, slots, bodies[0].cost + price), bodies[0].run

        def run(env: Env) -> bool:
            failed: EvaluationError | None = None
            decided = False
            for _ in turns(env):
                if decided:  # which is only seen when the next turn would begin
                    env[0] += bodies[0].cost + 1
                    return deciding
                try:
                    decided = truth(body(env)) is deciding
                except EvaluationError as error:
                    failed = failed or error
            if failed is not None and not decided:
                raise failed
            return deciding if decided else not deciding

        return BOOL, run

    return make


def _exists_one(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns, body = _turns(target, slots, bodies[0].cost), bodies[0].run

    def run(env: Env) -> bool:
        found = 0
        for _ in turns(env):
            if truth(body(env)):
                spend(env, _KEEP)
                found += 1
        spend(env, 1)
        return found == 1

    return BOOL, run


def _filter(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns, body = _turns(target, slots, bodies[0].cost), bodies[0].run

    def run(env: Env) -> list[Any]:
        kept = []
        for item in turns(env):
            if truth(body(env)):
                spend(env, _KEEP + _LIST + 1)
                kept.append(item)
        return kept

    return None, run


def _chosen(
    target: Run, slots: Sequence[int], bodies: Sequence[Typed], price: int
) -> Callable[[Env], Iterator[tuple[Any, Any]]]:
    """A generator of what is made of the items that fulfil the condition, if there is one."""
    *conditions, made = bodies
    run, price = made.run, price + made.cost
    if not conditions:
        turns = _turns(target, slots, price)
        return lambda env: ((key, run(env)) for key in turns(env))
    test = conditions[0].run
    turns = _turns(target, slots, conditions[0].cost)

    def chosen(env: Env) -> Iterator[tuple[Any, Any]]:
        for key in turns(env):
            if truth(test(env)):
                spend(env, price)
                yield key, run(env)

    return chosen


def _map(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    made = bodies[-1]
    chosen = _chosen(target, slots, bodies, _KEEP + (0 if made.is_constant else _LIST))
    return list_of(made.type), lambda env: [value for _, value in chosen(env)]


def _transform_map(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    chosen = _chosen(target, slots, bodies, _KEEP + 1)
    return map_of(DYN, bodies[-1].type), lambda env: dict(chosen(env))


def _transform_entries(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    chosen = _chosen(target, slots, bodies, _KEEP)

    def transform(env: Env) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for _, entries in chosen(env):
            for key, value in entries.items():
                if key in result:
                    raise EvaluationError(f"insert failed: key {key} already exists")
                result[key] = value
        return result

    return bodies[-1].type, transform


PREDICATES = ("all", "exists", "exists_one", "existsOne", "filter")
LOOPS: dict[str, Callable[[Run, Sequence[int], Sequence[Typed]], _Loop]] = {
    "all": _quantifier(False),
    "exists": _quantifier(True),
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "filter": _filter,
    "map": _map,
    "transformList": _map,
    "transformMap": _transform_map,
    "transformMapEntry": _transform_entries,
}
