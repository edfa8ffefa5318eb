"""CEL expressions that must all be true before a webhook or a policy is asked."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.admission.plugin import Attributes
from kubarium.apimachinery.object import Object


class ConditionFailed(Exception):
    """An expression could not be evaluated."""


class Conditions:
    """Compiles each expression once."""

    def hold(self, conditions: Sequence[Object], attributes: Attributes) -> bool:
        """Are all true? A false one settles it, whatever becomes of the others. Raises ConditionFailed."""
        if not conditions:
            return True
        raise ConditionFailed("match conditions are not supported yet")
