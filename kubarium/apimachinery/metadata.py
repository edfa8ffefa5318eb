"""Labels, annotations and label selectors inside of a spec: what they must obey.

The metadata of the object itself is judged by the API server's registry.
Source: the API conventions ("Metadata") and `k8s.io/apimachinery/pkg/api/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    InOrder,
    forbidden,
    invalid,
    required,
)
from kubarium.apimachinery.object import Object

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values together


def validate_labels(labels: Mapping[str, Any] | None, path: FieldPath) -> list[FieldError]:
    """Keys are qualified names, values short and plain."""
    found: list[FieldError] = []
    for key, value in (labels or {}).items():
        found += [invalid(path, key, text) for text in names.qualified_name_errors(key)]
        found += [invalid(path, value, text) for text in names.label_value_errors(value)]
    return found


def validate_annotations(annotations: Mapping[str, str] | None, path: FieldPath) -> list[FieldError]:
    """Keys are qualified names; all together have a size limit."""
    found: list[FieldError] = []
    size = 0
    for key, value in (annotations or {}).items():
        found += [invalid(path, key, text) for text in names.qualified_name_errors(key.lower())]
        size += len(key.encode()) + len(value.encode())
    if size > ANNOTATIONS_LIMIT:
        body = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        found.append(FieldError("FieldValueTooLong", path, body))
    return found


def validate_label_selector(selector: Object | None, path: FieldPath) -> list[FieldError]:
    """A `LabelSelector` object."""
    found = validate_labels((selector or {}).get("matchLabels"), path / "matchLabels")
    for index, expression in enumerate((selector or {}).get("matchExpressions") or []):
        at = path / "matchExpressions" % index
        values = expression.get("values") or []
        operator = expression.get("operator") or ""
        if operator in ("In", "NotIn"):
            if not values:
                found.append(required(at / "values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                found.append(
                    forbidden(
                        at / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    )
                )
        else:
            found.append(invalid(at / "operator", operator, "not a valid selector operator"))
        key = expression.get("key") or ""
        found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
        for number, value in enumerate(values):
            found += [
                invalid(at / "values" % number, value, text) for text in names.label_value_errors(value)
            ]
    return found


def shown_selector(selector: Object) -> InOrder:
    """A `LabelSelector` as messages show it: its fields in the order of the type."""
    shown = InOrder()
    if selector.get("matchLabels"):
        shown["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        shown["matchExpressions"] = [
            {"key": one.get("key") or "", "operator": one.get("operator") or ""}
            | ({"values": one["values"]} if one.get("values") else {})
            for one in selector["matchExpressions"]
        ]
    return shown
