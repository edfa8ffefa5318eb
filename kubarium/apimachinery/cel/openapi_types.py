"""Types of what an OpenAPI v3 document describes. References are followed when a field is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kubarium.apimachinery.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
    unescape,
)
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object

_KINDS = "x-kubernetes-group-version-kind"
_REFERENCE = "#/components/schemas/"
_FORMATS = {"byte": BYTES, "date": TIMESTAMP, "date-time": TIMESTAMP, "duration": DURATION}
_SCALARS = {"boolean": BOOL, "integer": INT, "number": DOUBLE}


def type_of_kind(document: Object, kind: GroupVersionKind) -> Type | None:
    """The type of a kind's objects, if the document describes it."""
    wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    schemas: Mapping[str, Any] = (document.get("components") or {}).get("schemas") or {}
    for name, schema in schemas.items():
        if wanted in (schema.get(_KINDS) or ()):
            return _of(schema, schemas, name)
    return None


def _of(schema: Object, schemas: Mapping[str, Any], name: str = "object") -> Type:
    while (reference := _reference(schema)) is not None:
        name = reference.removeprefix(_REFERENCE)
        schema = schemas.get(name) or {}
    if schema.get("x-kubernetes-int-or-string") or schema.get("oneOf") or schema.get("anyOf"):
        return DYN
    properties, additional = schema.get("properties"), schema.get("additionalProperties")
    if schema.get("x-kubernetes-preserve-unknown-fields") and not properties:
        return DYN
    if properties:
        return _object(properties, schemas, name, bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    kind, text_format = schema.get("type") or "", schema.get("format") or ""
    if kind == "object":
        return map_of(STRING, _of(additional, schemas)) if isinstance(additional, dict) else DYN
    if kind == "array":
        return replace(list_of(_of(schema.get("items") or {}, schemas)), size=schema.get("maxItems"))
    return _FORMATS.get(text_format, STRING) if kind == "string" else _SCALARS.get(kind, DYN)


def _reference(schema: Object) -> str | None:
    if "$ref" in schema:
        return str(schema["$ref"])
    parts = schema.get("allOf") or []
    return str(parts[0]["$ref"]) if len(parts) == 1 and "$ref" in parts[0] else None


def _object(properties: Mapping[str, Any], schemas: Mapping[str, Any], name: str, open_ended: bool) -> Type:
    found: dict[str, Type] = {}

    def field_of(field: str) -> Type | None:
        schema = properties.get(unescape(field))
        if schema is None:
            return DYN if open_ended else None
        made = found.get(field)
        if made is None:
            made = found[field] = _of(schema, schemas)
        return made

    return Type("object", (), name, field_of)
