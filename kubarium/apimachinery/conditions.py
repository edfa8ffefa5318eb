"""Conditions: `status.conditions` as a small map by type."""

from __future__ import annotations

from datetime import datetime

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object


def find(conditions: list[Object] | None, type: str) -> Object | None:
    """The condition of that type, if it is there."""
    return next((condition for condition in conditions or [] if condition.get("type") == type), None)


def is_true(obj: Object, type: str) -> bool:
    """Does the object's status say that this condition is True?"""
    condition = find((obj.get("status") or {}).get("conditions"), type)
    return condition is not None and condition.get("status") == "True"


def set_condition(conditions: list[Object], new: Object, now: datetime) -> bool:
    """Put a condition into the list; the transition time moves only when `status` changes. True if anything changed."""
    old = find(conditions, new["type"])
    if old is None:
        conditions.append({"lastTransitionTime": time.format_time(now), **new})
        return True
    changed = dict(new)
    if old.get("status") == new.get("status"):
        changed["lastTransitionTime"] = old.get("lastTransitionTime")
    else:
        changed.setdefault("lastTransitionTime", time.format_time(now))
    if all(old.get(key) == value for key, value in changed.items()):
        return False
    old.update(changed)
    return True
