"""Is a value of an applied configuration of the type that the schema says? Told in upstream's words.

Source: https://github.com/kubernetes-sigs/structured-merge-diff (what its validation accepts)
"""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.go_text import go_syntax, go_type, printed
from kubarium.apimachinery.schema.structural import Structural

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_UNTYPED = ("io.k8s.apimachinery.pkg.util.intstr.IntOrString",)
_TEXT_FORMATS = ("", "byte")  # text of any other format may be a number, too


def mismatch(value: Any, schema: Structural) -> str:
    """What is wrong with the type of a value; empty when nothing is. A null is nothing at all."""
    if value is None:
        return ""
    if schema.int_or_string or schema.name in _UNTYPED:
        return ""
    if schema.name == _QUANTITY:
        return _any_scalar(value)
    if schema.properties or schema.additional is not None or schema.type == "object":
        return "" if isinstance(value, dict) else f"expected map, got {_shown(value)}"
    if schema.items is not None or schema.type == "array":
        return "" if isinstance(value, list) else f"expected list, got {_shown(value)}"
    return _scalar_mismatch(value, schema)


def _scalar_mismatch(value: Any, schema: Structural) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if schema.type == "string":
        if schema.format not in _TEXT_FORMATS:
            return _any_scalar(value)
        wanted = f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
        return "" if isinstance(value, str) else wanted
    if schema.type in ("integer", "number"):
        return "" if is_number else f"expected numeric (int or float), got {go_type(value)}"
    if schema.type == "boolean":
        return "" if isinstance(value, bool) else f"expected boolean, got {_shown(value)}"
    return ""


def _any_scalar(value: Any) -> str:
    return f"expected any scalar, got {_shown(value)}" if isinstance(value, dict | list) else ""


def _shown(value: Any) -> str:
    return f"&{{{printed(value)}}}"
