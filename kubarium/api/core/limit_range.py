"""LimitRange: least, most and default amounts in a namespace."""

from __future__ import annotations

from kubarium.api.core.pod.container_validation import container_name_errors, resource_name_errors
from kubarium.apimachinery import names, quantity
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    required,
)
from kubarium.apimachinery.object import Object

STANDARD_TYPES = ("Container", "PersistentVolumeClaim", "Pod")
_PARTS = ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio")


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


def validate(limit_range: Object) -> list[FieldError]:
    """Each sort of thing once, and amounts that are in order."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, item in enumerate((limit_range.get("spec") or {}).get("limits") or []):
        at = SPEC / "limits" % index
        kind = item.get("type") or ""
        found += _type_errors(kind, at / "type")
        if kind in seen:
            found.append(duplicate(at / "type", kind))
        seen.add(kind)
        found += _forbidden_parts(item, kind, at)
        found += _name_errors(item, kind, at)
        for name in dict.fromkeys(name for part in _PARTS for name in item.get(part) or {}):
            found += _order_errors(item, name, at)
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def _type_errors(kind: str, path: FieldPath) -> list[FieldError]:
    found = [invalid(path, kind, text) for text in names.qualified_name_errors(kind)]
    if not found and "/" not in kind and kind not in STANDARD_TYPES:
        found.append(invalid(path, kind, "must be a standard limit type or fully qualified"))
    return found


def _name_errors(item: Object, kind: str, path: FieldPath) -> list[FieldError]:
    """Containers and pods have only what containers use; other things may have any standard resource."""
    rule = container_name_errors if kind in ("Container", "Pod") else resource_name_errors
    return [
        error
        for part in _PARTS
        if kind != "Pod" or part not in ("default", "defaultRequest")
        for name in item.get(part) or {}
        for error in rule(name, (path / part).key(name))
    ]


def _forbidden_parts(item: Object, kind: str, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    if kind == "Pod":
        why = "may not be specified when `type` is 'Pod'"
        found += [forbidden(path / part, why) for part in ("default", "defaultRequest") if item.get(part)]
    if kind == "PersistentVolumeClaim" and not any(
        "storage" in (item.get(part) or {}) for part in ("min", "max")
    ):
        why = "either minimum or maximum storage value is required, but neither was provided"
        found.append(required(path / "limits", why))
    return found


def _order_errors(item: Object, name: str, path: FieldPath) -> list[FieldError]:
    """Least <= default request <= default <= most, and a ratio that these allow."""
    least, most, default, request, ratio = ((item.get(part) or {}).get(name) for part in _PARTS)
    found: list[FieldError] = []

    def in_order(low: str | None, high: str | None, part: str, shown: str | None, text: str) -> None:
        if low is not None and high is not None and quantity.compare(low, high) > 0:
            found.append(invalid((path / part).key(name), shown, text.format(low, high)))

    in_order(least, most, "min", least, "min value {} is greater than max value {}")
    in_order(
        least, request, "defaultRequest", request, "min value {} is greater than default request value {}"
    )
    in_order(
        request, most, "defaultRequest", request, "default request value {} is greater than max value {}"
    )
    in_order(
        request,
        default,
        "defaultRequest",
        request,
        "default request value {} is greater than default limit value {}",
    )
    in_order(least, default, "default", least, "min value {} is greater than default value {}")
    in_order(default, most, "default", most, "default value {} is greater than max value {}")
    if ratio is not None:
        at = (path / "maxLimitRequestRatio").key(name)
        if quantity.compare(ratio, 1) < 0:
            found.append(invalid(at, ratio, f"ratio {ratio} is less than 1"))
        if least is not None and most is not None and quantity.milli_value(least):
            widest = quantity.milli_value(most) / quantity.milli_value(least)
            if quantity.milli_value(ratio) / 1000 > widest:
                found.append(invalid(at, ratio, f"ratio {ratio} is greater than max/min = {widest:f}"))
    return found
