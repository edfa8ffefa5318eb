"""What expressions of policies may cost together."""

from __future__ import annotations

import pytest

from apiserver.admission.expressions import ExpressionFailed, Expressions, Metered, OutOfBudget
from kubarium.apimachinery.cel import types


def test_expressions_of_a_policy_share_a_budget() -> None:
    metered = Metered(Expressions(), budget=8)
    bindings = {"object": {"x": 1}}
    assert metered.evaluate("object.x == 1", bindings, types.BOOL) is True  # 3
    assert metered.evaluate("object.x == 2", bindings, types.BOOL) is False  # 6
    with pytest.raises(OutOfBudget, match="due to running out of cost budget"):
        metered.evaluate("object.x == 1", bindings, types.BOOL)
    assert issubclass(OutOfBudget, ExpressionFailed)
