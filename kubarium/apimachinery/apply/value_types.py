"""Is a value of an applied configuration of the type that the schema says? Told in upstream's words.

Source: https://github.com/kubernetes-sigs/structured-merge-diff (what its validation accepts)
"""

from __future__ import annotations

import json
from typing import Any

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
        wanted = f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"
        return "" if isinstance(value, str) else wanted
    if schema.type in ("integer", "number"):
        return "" if is_number else f"expected numeric (int or float), got {go_type(value)}"
    if schema.type == "boolean":
        return "" if isinstance(value, bool) else f"expected boolean, got {_shown(value)}"
    return ""


def _any_scalar(value: Any) -> str:
    return f"expected any scalar, got {_shown(value)}" if isinstance(value, dict | list) else ""


# How Go prints a value: `%T`, `%#v` and `%v`.


def go_type(value: Any) -> str:
    """As `%T` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, list):
        return "[]interface {}"
    return {str: "string", bool: "bool", int: "int64", float: "float64"}[type(value)]


def _go_syntax(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)}:{_go_syntax(value[key])}" for key in sorted(value))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, value))}}}"
    if value is None:
        return "interface {}(nil)"
    return json.dumps(value, ensure_ascii=False)


def _shown(value: Any) -> str:
    return f"&{{{printed(value)}}}"


def printed(value: Any) -> str:
    """As `%v` prints it: `map[a:1 b:[x y]]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(printed, value))}]"
    if value is None:
        return "<nil>"
    return value if isinstance(value, str) else json.dumps(value)
