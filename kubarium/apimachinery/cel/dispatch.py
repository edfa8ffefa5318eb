"""Closures that call functions: directly where the types are sure, else by the types of the values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kubarium.apimachinery.cel import values
from kubarium.apimachinery.cel.functions import Overload, accepts
from kubarium.apimachinery.cel.program import Env, Run, spend
from kubarium.apimachinery.cel.types import Type


def shown(types: Sequence[Type], member: bool) -> str:
    """Types of arguments, for complaints."""
    if member:
        return f"{types[0]}.({', '.join(map(str, types[1:]))})"
    return f"({', '.join(map(str, types))})"


def is_certain(overload: Overload, types: Sequence[Type]) -> bool:
    """Are the values sure to fit, so that nothing need be asked while running?"""
    return all(
        given.kind not in ("dyn", "null") or wanted.kind == "dyn" or len(wanted.kind) == 1
        for wanted, given in zip(overload.params, types, strict=True)
    )


def direct(overload: Overload, runs: Sequence[Run]) -> Run:
    """Call one overload, whose types are sure."""
    function, price = overload.run, overload.cost
    if price is not None:
        return _priced(function, price, runs)
    if len(runs) == 1:
        (first,) = runs
        return lambda env: function(first(env))
    if len(runs) == 2:
        left, right = runs
        return lambda env: function(left(env), right(env))
    return lambda env: function(*[run(env) for run in runs])


def _priced(function: Callable[..., Any], price: Callable[..., int], runs: Sequence[Run]) -> Run:
    def run(env: Env) -> Any:
        args = [run(env) for run in runs]
        spend(env, price(*args))
        return function(*args)

    return run


def costs(overloads: Sequence[Overload]) -> int:
    """What is paid before a call is made: the unit, unless it turns out while running what the call costs."""
    return 1 if all(overload.cost is None for overload in overloads) else 0


def dispatched(overloads: Sequence[Overload], runs: Sequence[Run]) -> Run:
    """Which overload it is turns out while running."""
    is_paid = costs(overloads) > 0

    def run(env: Env) -> Any:
        args = [run(env) for run in runs]
        for overload in overloads:
            if all(accepts(wanted, arg) for wanted, arg in zip(overload.params, args, strict=True)):
                if not is_paid:
                    spend(env, overload.cost(*args) if overload.cost is not None else 1)
                return overload.run(*args)
        raise values.no_overload()

    return run
