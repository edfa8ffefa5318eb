"""Values that may be a number or a percentage or a name, such as ports and rollout limits."""

from __future__ import annotations

import math

IntOrString = int | str


def scaled(value: IntOrString, total: int, *, round_up: bool) -> int:
    """`25%` of a total, or the number itself. Raises ValueError for any other text."""
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdigit():
        raise ValueError(
            f"invalid value for IntOrString: invalid type: string is not a percentage: {value!r}"
        )
    share = int(value[:-1]) * total / 100
    return math.ceil(share) if round_up else math.floor(share)
