"""What a template may call: Go's own functions, and the two that kubectl adds."""

from __future__ import annotations

import base64
import binascii
import html
import json
import operator
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from kubarium.kubectl.go_template.values import show, sprint, sprintf, type_of


class CallError(Exception):
    """A function cannot do what it was asked."""


class WrongArgument(CallError):
    """A function cannot even be called so."""


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict | list):
        return len(value)
    raise CallError(
        "reflect: call of reflect.Value.Type on zero Value"
        if value is None
        else f"len of type {type_of(value)}"
    )


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise CallError(f"value has type {type_of(key)}; should be string")
            value = value.get(key)
        elif isinstance(value, list | str):
            value = _at(value, key)
        else:
            raise CallError(
                "index of untyped nil" if value is None else f"can't index item of type {type_of(value)}"
            )
    return value


def _at(value: Any, key: Any) -> Any:
    if type(key) is not int:
        raise CallError(
            "cannot index slice/array with nil"
            if key is None
            else f"cannot index slice/array with type {type_of(key)}"
        )
    if not 0 <= key < len(value):
        raise CallError(f"index out of range: {key}")
    return value[key] if isinstance(value, list) else value.encode()[key]


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, list | str):
        raise CallError(f"can't slice item of type {type_of(value)}")
    for bound in bounds:
        if type(bound) is not int or not 0 <= bound <= len(value):
            raise CallError(f"index out of range: {show(bound)}")
    return value[slice(*bounds[:2])] if len(bounds) > 1 else value[bounds[0] if bounds else 0 :]


def _same(one: Any, other: Any) -> bool:
    """Two values of one type; nothing equals nothing only."""
    if one is None or other is None:
        return one is other
    if type(one) is not type(other):
        raise _incompatible(one, other)
    if isinstance(one, dict | list):
        raise CallError(f"non-comparable type {show(one)}: {type_of(one)}")
    return bool(one == other)


def _incompatible(one: Any, other: Any) -> CallError:
    return CallError(f"incompatible types for comparison: {type_of(one)} and {type_of(other)}")


def _eq(*values: Any) -> bool:
    if len(values) < 2:
        raise CallError("missing argument for comparison")
    return any(_same(values[0], value) for value in values[1:])


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def function(one: Any, other: Any) -> bool:
        if type(one) not in (str, int, float):
            raise CallError("invalid type for comparison")
        if type(one) is not type(other):
            raise _incompatible(one, other)
        return compare(one, other)

    return function


def _base64decode(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongArgument(
            "invalid value; expected string"
            if value is None
            else f"wrong type for value; expected string; got {type_of(value)}"
        )
    try:
        return base64.b64decode(value, validate=True).decode(errors="surrogateescape")
    except binascii.Error as error:
        raise CallError("base64 decode failed: illegal base64 data") from error


def _exists(value: Any, *keys: Any) -> bool:
    """Does a path lead anywhere?"""
    for key in keys:
        if isinstance(value, dict) and isinstance(key, str):
            if key not in value:
                return False
            value = value[key]
        elif isinstance(value, list) and type(key) is int and 0 <= key < len(value):
            value = value[key]
        else:
            return False
    return value is not None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": lambda value: not value,
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": lambda *values: sprint(values),
    "printf": lambda form, *values: sprintf(form, values),
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "eq": _eq,
    "ne": lambda one, other: not _same(one, other),
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "html": lambda *values: html.escape(sprint(values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "js": lambda *values: json.dumps(sprint(values))[1:-1].replace("'", "\\'"),
    "urlquery": lambda *values: quote_plus(sprint(values)),
    "base64decode": _base64decode,
    "exists": _exists,
}
