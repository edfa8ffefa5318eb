"""The `variables` of a policy: each computed when it is first asked for, from those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apiserver.admission.expressions import ExpressionFailed, Expressions, Metered
from kubarium.apimachinery.cel.functions import EvaluationError
from kubarium.apimachinery.object import Object


class Variables(dict[str, Any]):
    """A map that computes its entries."""

    def __init__(
        self, expressions: Expressions | Metered, wanted: Sequence[Object], bindings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._expressions = expressions
        self._wanted = {variable.get("name") or "": variable.get("expression") or "" for variable in wanted}
        self._bindings = bindings
        self._failed: dict[str, str] = {}

    def __missing__(self, name: str) -> Any:
        if name not in self._wanted:
            raise KeyError(name)
        if name in self._failed:
            raise EvaluationError(self._failed[name])
        self._failed[name] = f"variable {name} refers to itself"
        try:
            value = self._expressions.evaluate(self._wanted[name], {**self._bindings, "variables": self})
        except ExpressionFailed as error:
            self._failed[name] = f'composited variable "{name}" fails to evaluate: {error}'
            raise EvaluationError(self._failed[name]) from None
        del self._failed[name]
        self[name] = value
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._wanted

    def get(self, name: str, default: Any = None) -> Any:
        """The value, computed if need be."""
        return self[name] if name in self._wanted else default
