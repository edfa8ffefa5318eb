"""A dict -> the protobuf message that upstream's encoder makes of it, the mirror of `decoding`.

A message's writer is a list of its fields in the order of their numbers, made when the message is first needed. What
JSON leaves out is left out here too, where upstream writes plain zeros: both are read as the same.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf.table import MAGIC, fields_of, message_of
from kubarium.apimachinery.protobuf.wire import BYTES, FIXED64, VARINT, field, number_field, varint
from kubarium.apimachinery.time import parse_time
from kubarium.component_base.options import parse_duration

_NO_CONTENT_TYPE = b"\x1a\x00\x22\x00"  # contentEncoding and contentType of the envelope


class NotMarshalable(LookupError):
    """The kind has no message: a custom resource, a table. The text is that of upstream's encoder, in types of Go."""

    def __init__(self, kind: str, is_list: bool = False) -> None:
        go_type = "*v1.Table" if kind == "Table" else f"*unstructured.Unstructured{'List' if is_list else ''}"
        super().__init__(
            f"object {go_type} does not implement the protobuf marshalling interface and cannot be encoded to a "
            "protobuf message"
        )


def encode(obj: Object) -> bytes:
    """An object in its envelope. Raises NotMarshalable."""
    api_version, kind = obj.get("apiVersion") or "", obj.get("kind") or ""
    name = message_of(api_version, kind)
    if name is None:
        raise NotMarshalable(kind, isinstance(obj.get("items"), list))
    type_meta = field(1, api_version.encode()) + field(2, kind.encode())
    return MAGIC + field(1, type_meta) + field(2, _write(obj, _writer(name))) + _NO_CONTENT_TYPE


def encode_event(kind: str, obj: Object) -> bytes:
    """A watch event, which has no envelope; the object in it has one. Raises NotMarshalable."""
    return field(1, kind.encode()) + field(2, field(1, encode(obj)))


class _Writing(NamedTuple):
    """One field of a message: `put` makes its tag and payload."""

    name: str
    """Empty for a message that stands inline: it gets the parent."""
    put: Callable[[Any], bytes]


def _write(obj: Object, writer: tuple[_Writing, ...]) -> bytes:
    parts = []
    for name, put in writer:
        value = obj.get(name) if name else obj
        if value is not None:
            parts.append(put(value))
    return b"".join(parts)


@lru_cache(None)
def _writer(name: str) -> tuple[_Writing, ...]:
    return tuple(
        _Writing("" if field.shape == "^" else field.name, _put(field.number, field.shape, field.kind))
        for field in fields_of(name)
    )


def _put(number: int, shape: str, kind: str) -> Callable[[Any], bytes]:
    one = _single(number, kind)
    if shape == "*":
        return lambda values: b"".join(map(one, values))
    if shape == "%":
        value_of = _single(2, kind)
        return lambda values: b"".join(
            field(number, field(1, key.encode()) + value_of(values[key])) for key in sorted(values)
        )
    return one


def _single(number: int, kind: str) -> Callable[[Any], bytes]:
    """Writes one value with its tag."""
    if kind in ("i", "I", "b", "B"):
        tag = varint(number << 3 | VARINT)
        return lambda value: tag + varint(int(value))
    if kind == "D":
        tag = varint(number << 3 | FIXED64)
        return lambda value: tag + struct.pack("<d", value)
    tag, write = varint(number << 3 | BYTES), _WRITE.get(kind) or _message(kind)

    def put(value: Any) -> bytes:
        payload = write(value) if value is not None else b""  # `null` stands in maps of times
        return tag + varint(len(payload)) + payload

    return put


def _message(name: str) -> Callable[[Any], bytes]:
    return lambda value: _write(value, _writer(name))


# Messages whose JSON form is not an object.


def _int_or_string(value: int | str) -> bytes:
    is_text = isinstance(value, str)
    text = value.encode() if isinstance(value, str) else b""
    return number_field(1, is_text) + number_field(2, 0 if isinstance(value, str) else value) + field(3, text)


def _time(value: str) -> bytes:
    moment = parse_time(value)
    seconds = int(moment.replace(microsecond=0).timestamp())
    return number_field(1, seconds) + number_field(2, moment.microsecond * 1000)


def _duration(value: str) -> bytes:
    return number_field(1, round(parse_duration(value) * 10**9))


def _raw(value: Any) -> bytes:
    return field(1, orjson.dumps(value))


def _strings(values: list[str]) -> bytes:
    return b"".join(field(1, value.encode()) for value in values)


def _schema(value: Object) -> bytes:
    return _write(value, _writer("apiextensions.JSONSchemaProps"))


def _schema_or_array(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(field(2, _schema(one)) for one in value)
    return field(1, _schema(value))


def _schema_or_bool(value: Any) -> bytes:
    if isinstance(value, bool):
        return number_field(1, value)
    return number_field(1, 1) + field(2, _schema(value))


def _schema_or_strings(value: Any) -> bytes:
    if isinstance(value, list):
        return b"".join(field(2, name.encode()) for name in value)
    return field(1, _schema(value))


_WRITE: dict[str, Callable[[Any], bytes]] = {
    "s": str.encode,
    "S": str.encode,
    "y": base64.b64decode,
    "quantity": lambda value: field(1, str(value).encode()),
    "intOrString": _int_or_string,
    "time": _time,
    "microTime": _time,
    "duration": _duration,
    "raw": _raw,
    "strings": _strings,
    "schemaOrArray": _schema_or_array,
    "schemaOrBool": _schema_or_bool,
    "schemaOrStringArray": _schema_or_strings,
}
