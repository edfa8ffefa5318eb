"""What expressions of policies may cost together."""

from __future__ import annotations

import pytest

from apiserver.admission.expressions import Conditions, ExpressionFailed, Expressions, Metered, OutOfBudget
from kubarium.apimachinery.cel import types


def test_expressions_of_a_policy_share_a_budget() -> None:
    metered = Metered(Expressions(), budget=8)
    bindings = {"object": {"x": 1}}
    assert metered.evaluate("object.x == 1", bindings, types.BOOL) is True  # 3
    assert metered.evaluate("object.x == 2", bindings, types.BOOL) is False  # 6
    with pytest.raises(OutOfBudget, match="due to running out of cost budget"):
        metered.evaluate("object.x == 1", bindings, types.BOOL)
    assert issubclass(OutOfBudget, ExpressionFailed)


def test_all_conditions_that_fail_are_told_unless_one_is_false() -> None:
    conditions = [
        {"expression": "object.y"},
        {"expression": "object.z == 1"},
        {"expression": "object.x == 1"},
    ]
    with pytest.raises(ExpressionFailed) as failed:
        Conditions(Expressions()).hold(conditions, {"object": {"x": 1}})
    assert str(failed.value) == (
        "[expression 'object.y' resulted in error: no such key: y, "
        "expression 'object.z == 1' resulted in error: no such key: z]"
    )
    assert not Conditions(Expressions()).hold(conditions, {"object": {"x": 2}})
