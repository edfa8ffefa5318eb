"""How near a value comes to a schema: upstream counts the checks that were made of it and of what is in it.

Of several branches that all fail, the errors of the nearest are told.
Source: `MatchCount` of `k8s.io/kube-openapi/pkg/validation/validate`.
"""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.schema.structural import Structural
from kubarium.apimachinery.schema.value_checks import type_check

_ALWAYS = 4  # combinations, enumerations, and the value itself
_BY_TYPE = {str: 1, int: 2, float: 2, list: 2, dict: 1}


def match_count(value: Any, schema: Structural) -> int:
    """The more, the nearer."""
    count = _ALWAYS + _BY_TYPE.get(type(value), 0)
    if schema.type or schema.format:
        count += 1 if type_check(schema)(value) else 2
    if isinstance(value, dict):
        for key, child in value.items():
            below = schema.child(key)
            if below is not None:
                count += match_count(child, below)
    elif isinstance(value, list) and schema.items is not None:
        count += sum(match_count(item, schema.items) for item in value)
    return count
