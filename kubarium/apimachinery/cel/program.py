"""A compiled expression: closures over an environment, and what running them costs.

The environment is a list: the budget that is left at 0, then one place for each variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kubarium.apimachinery.cel import values
from kubarium.apimachinery.cel.functions import CostExceeded, EvaluationError
from kubarium.apimachinery.cel.types import Type

COST_LIMIT = 1_000_000
"""What one expression may cost (upstream's PerCallLimit)."""
RULES_COST_LIMIT = 10_000_000
"""What all rules of one object may cost together (upstream's RuntimeCELCostBudget)."""

Env = list[Any]
Run = Callable[[Env], Any]


class Typed(NamedTuple):
    """A compiled part: its type, how to compute it, what it costs without its loops, whether it is always the same."""

    type: Type
    run: Run
    cost: int
    is_constant: bool = False


class Program:
    """A compiled expression. It keeps no state between evaluations, and may be used by many tasks."""

    def __init__(self, source: str, root: Typed, slots: Mapping[str, int], size: int, estimate: int) -> None:
        self.source = source
        self.result_type = root.type
        self.estimated_cost = estimate
        self._run = root.run
        self._cost = root.cost
        self._slots = slots
        self._size = size

    def evaluate(self, bindings: Mapping[str, Any], cost_limit: int = COST_LIMIT) -> Any:
        """The value for these variables. Raises EvaluationError, or CostExceeded above the limit."""
        return self.evaluate_with_cost(bindings, cost_limit)[0]

    def evaluate_with_cost(
        self, bindings: Mapping[str, Any], cost_limit: int = COST_LIMIT
    ) -> tuple[Any, int]:
        """The value and what it has cost."""
        env: Env = [UNBOUND] * self._size
        env[0] = cost_limit
        for name, slot in self._slots.items():
            env[slot] = bindings.get(name, UNBOUND)
        spend(env, self._cost)
        try:
            value = self._run(env)
        except RecursionError:
            raise EvaluationError("expression is nested too deeply") from None
        return value, cost_limit - env[0]


class _Unbound:
    """The value of a variable that is not given."""


UNBOUND = _Unbound()


def spend(env: Env, cost: int) -> None:
    """Take something off the budget. Raises CostExceeded."""
    env[0] -= cost
    if env[0] < 0:
        raise CostExceeded


def truth(value: Any) -> bool:
    """A boolean as it is; anything else is none."""
    if value is True or value is False:
        return bool(value)
    raise values.no_overload()
