"""LimitRange: least, most and default amounts in a namespace."""

from __future__ import annotations

from kubarium.apimachinery.object import Object


def fill_defaults(limit_range: Object) -> None:
    """A default limit follows from the maximum, a default request from the default limit or the minimum."""
    for item in (limit_range.get("spec") or {}).get("limits") or []:
        if item.get("type") != "Container":
            continue
        default = dict(item.get("default") or {})
        for name, amount in (item.get("max") or {}).items():
            default.setdefault(name, amount)
        request = dict(item.get("defaultRequest") or {})
        for name, amount in [*default.items(), *(item.get("min") or {}).items()]:
            request.setdefault(name, amount)
        if default:
            item["default"] = default
        if request:
            item["defaultRequest"] = request
