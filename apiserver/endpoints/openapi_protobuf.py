"""OpenAPI v2 as protobuf, for clients that take `/openapi/v2` in no other form (kubectl up to 1.27, helm).

The field numbers are those of gnostic's `openapi.v2` messages. Extensions and defaults are texts of YAML there; JSON
is YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from kubarium.apimachinery.protobuf.wire import field, number_field

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What the answer's Content-Type says; requests write `v2@v1.0`."""

Encode = Callable[[Any], bytes]


def encode(document: dict[str, Any]) -> bytes:
    """A whole OpenAPI v2 document."""
    return _message(document, _DOCUMENT)


def _text(value: Any) -> bytes:
    return str(value).encode()


def _any(value: Any) -> bytes:
    return field(2, orjson.dumps(value) + b"\n")


def _named(value: dict[str, Any], encode: Encode, number: int = 1) -> bytes:
    """A map, which these messages write as a list of names and values."""
    return b"".join(
        field(number, field(1, name.encode()) + field(2, encode(item))) for name, item in value.items()
    )


def _message(value: dict[str, Any], fields: dict[str, tuple[int, str, Encode]]) -> bytes:
    """An object whose fields are known; what begins with `x-` are extensions."""
    parts = []
    for name, item in value.items():
        if name in fields:
            number, shape, encode = fields[name]
            if shape == "repeated":
                parts += [field(number, encode(one)) for one in item]
            elif shape == "number":
                parts.append(number_field(number, int(item)))
            else:
                parts.append(field(number, encode(item)))
        elif name.startswith("x-") and "x-" in fields:
            parts.append(field(fields["x-"][0], field(1, name.encode()) + field(2, _any(item))))
    return b"".join(parts)


def _schema(value: dict[str, Any]) -> bytes:
    return _message(value, _SCHEMA)


def _additional(value: Any) -> bytes:
    return number_field(2, value) if isinstance(value, bool) else field(1, _schema(value))


def _types(value: Any) -> bytes:
    return b"".join(field(1, _text(one)) for one in ([value] if isinstance(value, str) else value))


def _items(value: Any) -> bytes:
    return field(1, _schema(value))


def _parameter(value: dict[str, Any]) -> bytes:
    if value["in"] == "body":
        return field(1, field(1, _message(value, _BODY)))
    query = value["in"] == "query"
    content = _message(value, _QUERY if query else _PATH)
    return field(1, field(2, field(3 if query else 4, content)))


def _response(value: dict[str, Any]) -> bytes:
    content = field(1, _text(value["description"]))
    if "schema" in value:
        content += field(2, field(1, _schema(value["schema"])))
    return field(1, content)


def _operation(value: dict[str, Any]) -> bytes:
    return _message(value, _OPERATION)


def _one(number: int, encode: Encode = _text) -> tuple[int, str, Encode]:
    return number, "one", encode


def _many(number: int, encode: Encode = _text) -> tuple[int, str, Encode]:
    return number, "repeated", encode


def _number(number: int) -> tuple[int, str, Encode]:
    return number, "number", _text


def _numbered(names: Iterable[tuple[str, int]]) -> dict[str, tuple[int, str, Encode]]:
    return {name: _number(number) for name, number in names}


_SCHEMA: dict[str, tuple[int, str, Encode]] = {
    "$ref": _one(1), "format": _one(2), "title": _one(3), "description": _one(4), "default": _one(5, _any),
    "pattern": _one(13), "required": _many(19), "enum": _many(20, _any), "additionalProperties": _one(21, _additional),
    "type": _one(22, _types), "items": _one(23, _items), "allOf": _many(24, _schema),
    "properties": _one(25, lambda value: _named(value, _schema)), "x-": _one(31),
    **_numbered((("maxLength", 11), ("minLength", 12), ("maxItems", 14), ("minItems", 15), ("uniqueItems", 16))),
}  # fmt: skip
_BODY = {
    "description": _one(1),
    "name": _one(2),
    "in": _one(3),
    "required": _number(4),
    "schema": _one(5, _schema),
}
_QUERY = {
    "required": _number(1), "in": _one(2), "description": _one(3), "name": _one(4), "type": _one(6),
    "uniqueItems": _number(20),
}  # fmt: skip
_PATH = {
    "required": _number(1), "in": _one(2), "description": _one(3), "name": _one(4), "type": _one(5),
    "uniqueItems": _number(19),
}  # fmt: skip
_OPERATION = {
    "tags": _many(1), "description": _one(3), "operationId": _one(5), "produces": _many(6), "consumes": _many(7),
    "parameters": _many(8, _parameter), "responses": _one(9, lambda value: _named(value, _response)),
    "schemes": _many(10), "x-": _one(13),
}  # fmt: skip
_ITEM = {
    "get": _one(2, _operation), "put": _one(3, _operation), "post": _one(4, _operation), "delete": _one(5, _operation),
    "options": _one(6, _operation), "head": _one(7, _operation), "patch": _one(8, _operation),
    "parameters": _many(9, _parameter),
}  # fmt: skip
_DOCUMENT = {
    "swagger": _one(1),
    "info": _one(2, lambda value: _message(value, {"title": _one(1), "version": _one(2)})),
    "paths": _one(8, lambda value: _named(value, lambda item: _message(item, _ITEM), number=2)),
    "definitions": _one(9, lambda value: _named(value, _schema)),
}
