"""`Object{...}` and `JSONPatch{...}` of mutating policies: dicts that know under which type's name they were made.

The name of a type is the way to the field that may hold it: `Object{spec: Object.spec{replicas: 3}}`.
Source: https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubarium.apimachinery.cel.types import DYN, STRING, Type

OBJECT, JSON_PATCH = "Object", "JSONPatch"
_PATCH_FIELDS = {"op": STRING, "path": STRING, "from": STRING, "value": DYN}


class Struct(dict[str, Any]):
    """What an initializer makes."""

    def __init__(self, type_name: str) -> None:
        super().__init__()
        self.type_name = type_name


class Mismatch(Exception):
    """Initializers stand in fields whose names are not theirs."""


def field_type(type_name: str, field: str) -> Type | None:
    """What a field may hold; None if there is no such field. Those of objects are not known here."""
    return _PATCH_FIELDS.get(field) if type_name == JSON_PATCH else DYN


def result_problem(found: Type, wanted: str) -> str:
    """Why an expression of this type cannot be a mutation: `Object`, or `list(JSONPatch)`. Empty if it can."""
    if found.kind == "dyn" and not found.name:
        return ""  # only known while running
    return "" if str(found) == wanted else f"must evaluate to {wanted} but got {found}"


def plain(value: Any) -> Any:
    """The value without its names. Raises Mismatch if they do not fit."""
    problems = list(_problems(value, [value.type_name])) if isinstance(value, Struct) else []
    if problems:
        raise Mismatch("\n".join(problems))
    return _plain(value)


def _problems(value: Any, path: list[str]) -> Iterator[str]:
    if isinstance(value, Struct):
        expected = ".".join(path)
        if value.type_name != expected:
            yield (
                f'unexpected type name "{value.type_name}", expected "{expected}", which matches field name path '
                "from root Object type"
            )
        for name, inner in value.items():
            yield from _problems(inner, [*path, name])
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _problems(inner, path)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
