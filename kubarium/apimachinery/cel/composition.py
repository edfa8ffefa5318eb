"""Expressions that share named expressions, as the `spec.variables` of admission policies do.

A variable is evaluated when it is first used, once for each request, and may use those before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubarium.apimachinery.cel.compiler import COST_LIMIT, CostExceeded, EvaluationError, Program, compile
from kubarium.apimachinery.cel.types import Type, object_of
from kubarium.apimachinery.schema.structural import Structural

VARIABLES = "variables"


class Composition:
    """The variables that a set of expressions may use, and the named expressions among them."""

    def __init__(self, variables: Mapping[str, Type | Structural], named: Sequence[tuple[str, str]] = ()) -> None:
        """`named` are names and expressions, in order. Raises CompileError."""
        self._types: dict[str, Type | Structural] = dict(variables)
        self._programs: dict[str, Program] = {}
        found: dict[str, Type] = {}
        self._types[VARIABLES] = object_of(found, VARIABLES)
        for name, expression in named:
            program = compile(expression, self._types)
            found[name] = program.result_type
            self._programs[name] = program

    def compile(self, expression: str, result: Type | None = None) -> Program:
        """An expression over the variables and the named expressions."""
        return compile(expression, self._types, result)

    def bind(self, bindings: Mapping[str, Any], cost_limit: int = COST_LIMIT) -> dict[str, Any]:
        """The bindings for one request, with the named expressions. `cost_limit` is for each of them."""
        bound = dict(bindings)
        bound[VARIABLES] = _Lazy(self._programs, bound, cost_limit)
        return bound


class _Lazy(Mapping[str, Any]):
    """Named expressions and their values, as far as somebody has asked."""

    def __init__(self, programs: Mapping[str, Program], bindings: Mapping[str, Any], cost_limit: int) -> None:
        self._programs = programs
        self._bindings = bindings
        self._cost_limit = cost_limit
        self._values: dict[str, Any] = {}
        self._errors: dict[str, EvaluationError] = {}

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in self._errors:
            raise self._errors[name]
        try:
            value = self._values[name] = self._programs[name].evaluate(self._bindings, self._cost_limit)
        except (EvaluationError, CostExceeded) as error:
            failure = EvaluationError(f'composited variable "{name}" fails to evaluate: {error}')
            self._errors[name] = failure
            raise failure from error
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._programs

    def __iter__(self) -> Iterator[str]:
        return iter(self._programs)

    def __len__(self) -> int:
        return len(self._programs)
