"""Closures of the macros that go through a list or a map.

Each takes the range, the places of its variables and its compiled bodies; the type None is that of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubarium.apimachinery.cel import standard
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
    raise standard.no_overload()


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


def _quantifier(deciding: bool) -> Callable[[Run, Sequence[int], Sequence[Typed]], _Loop]:
    """`all` and `exists`: the first item that decides ends the loop, and hides errors of the others."""

    def make(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
        turns, body = _turns(target, slots, bodies[0].cost + 3), bodies[0].run

        def run(env: Env) -> bool:
            failed: EvaluationError | None = None
            for _ in turns(env):
                try:
                    if truth(body(env)) is deciding:
                        return deciding
                except EvaluationError as error:
                    failed = failed or error
            if failed is not None:
                raise failed
            return not deciding

        return BOOL, run

    return make


def _exists_one(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns, body = _turns(target, slots, bodies[0].cost + 3), bodies[0].run
    return BOOL, lambda env: sum(1 for _ in turns(env) if truth(body(env))) == 1


def _filter(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns, body = _turns(target, slots, bodies[0].cost + 3), bodies[0].run
    return None, lambda env: [item for item in turns(env) if truth(body(env))]


def _map(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns = _turns(target, slots, sum(body.cost for body in bodies) + 3)
    *conditions, made = bodies
    run = made.run
    if not conditions:
        return list_of(made.type), lambda env: [run(env) for _ in turns(env)]
    test = conditions[0].run
    return list_of(made.type), lambda env: [run(env) for _ in turns(env) if truth(test(env))]


def _transform_map(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns = _turns(target, slots, sum(body.cost for body in bodies) + 3)
    *conditions, made = bodies
    run, tests = made.run, [condition.run for condition in conditions]
    return (
        map_of(DYN, made.type),
        lambda env: {key: run(env) for key in turns(env) if all(truth(test(env)) for test in tests)},
    )


def _transform_entries(target: Run, slots: Sequence[int], bodies: Sequence[Typed]) -> _Loop:
    turns = _turns(target, slots, sum(body.cost for body in bodies) + 3)
    *conditions, made = bodies
    run, tests = made.run, [condition.run for condition in conditions]

    def transform(env: Env) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for _ in turns(env):
            if all(truth(test(env)) for test in tests):
                for key, value in run(env).items():
                    if key in result:
                        raise EvaluationError(f"insert failed: key {key} already exists")
                    result[key] = value
        return result

    return made.type, transform


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
