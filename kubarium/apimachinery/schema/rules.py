"""The rules for the schema of a CustomResourceDefinition: it must be *structural*.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-
a-structural-schema
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import re2

from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.schema.structural import from_openapi
from kubarium.apimachinery.schema.validation import validate

Document = Mapping[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST_TYPES = ("atomic", "map", "set")
_MAP_TYPES = ("atomic", "granular")
_NEVER = {
    "$ref": "$ref is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "id": "id is not supported",
    "patternProperties": "patternProperties is not supported",
    "additionalItems": "additionalItems is not supported",
    "deprecated": "deprecated is not supported",
    "discriminator": "discriminator is not supported",
    "readOnly": "readOnly is not supported",
    "writeOnly": "writeOnly is not supported",
    "xml": "xml is not supported",
}
_METADATA_RULE = (
    "must not specify anything other than name and generateName, but metadata is implicitly specified"
)
_KEY_RULE = (
    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
)
_ONLY_OUTSIDE = (
    "type", "additionalProperties", "default", "title", "description", "nullable",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
)  # fmt: skip
"""Keywords that shape an object, and so may not stand inside allOf, anyOf, oneOf and not."""


def validate_schema(document: Document, path: FieldPath) -> list[FieldError]:
    """The errors in a CRD version's openAPIV3Schema; `path` leads to it."""
    errors: list[FieldError] = []
    kind = document.get("type") or ""
    if not kind:
        errors.append(required(path / "type", "must not be empty at the root"))
    elif kind != "object":
        errors.append(invalid(path / "type", kind, "must be object"))
    if document.get("nullable"):
        errors.append(forbidden(path / "nullable", "nullable cannot be true at the root"))
    errors += _metadata_errors(document, path)
    errors += _node_errors(document, path, "at the root")
    return errors


def _metadata_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    metadata = (document.get("properties") or {}).get("metadata") or {}
    where = path / "properties" / "metadata"
    for key in metadata.get("properties") or {}:
        if key not in ("name", "generateName"):
            yield forbidden(where, _METADATA_RULE)


def _node_errors(document: Document, path: FieldPath, role: str) -> Iterator[FieldError]:
    yield from _keyword_errors(document, path)
    kind = document.get("type") or ""
    either = bool(document.get("x-kubernetes-int-or-string"))
    anything = bool(document.get("x-kubernetes-preserve-unknown-fields"))
    if not kind and not either and not anything and role != "at the root":
        yield required(path / "type", f"must not be empty {role}")
    if kind and kind not in _TYPES:
        yield not_supported(path / "type", kind, _TYPES)
    if document.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(path / "x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    if document.get("x-kubernetes-embedded-resource") and kind != "object":
        yield invalid(path / "type", kind, "must be object if x-kubernetes-embedded-resource is true")
    yield from _merge_errors(document, path)
    yield from _child_errors(document, path)
    if "default" in document:
        yield from validate(document["default"], from_openapi(document), path / "default")


def _child_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    properties, additional = document.get("properties") or {}, document.get("additionalProperties")
    for key, child in properties.items():
        yield from _node_errors(child, (path / "properties").key(key), "for specified object fields")
    if isinstance(additional, Mapping):
        if properties:
            yield forbidden(
                path / "additionalProperties", "additionalProperties and properties are mutual exclusive"
            )
        yield from _node_errors(additional, path / "additionalProperties", "for specified object fields")
    elif additional is False:
        yield forbidden(path / "additionalProperties", "additionalProperties cannot be set to false")
    items = document.get("items")
    if isinstance(items, Mapping):
        yield from _node_errors(items, path / "items", "for specified array items")
    elif isinstance(items, list):
        yield forbidden(path / "items", "items must be a schema object and not an array")
    elif document.get("type") == "array":
        yield required(path / "items", "must be specified")
    for junctor in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(document.get(junctor) or ()):
            yield from _branch_errors(
                branch, path / junctor % index, bool(document.get("x-kubernetes-int-or-string"))
            )
    if isinstance(document.get("not"), Mapping):
        yield from _branch_errors(document["not"], path / "not", False)


def _keyword_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    for keyword, message in _NEVER.items():
        if document.get(keyword):
            yield forbidden(path / keyword, message)
    if document.get("uniqueItems"):
        yield forbidden(
            path / "uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        )
    if pattern := document.get("pattern"):
        try:
            re2.compile(pattern)
        except re2.error as error:
            yield invalid(
                path / "pattern", pattern, f"must be a valid regular expression, but isn't: {_in_go(error)}"
            )


_GO_WORDS = {"missing )": "missing closing )", "missing ]": "missing closing ]"}


def _in_go(error: re2.error) -> str:
    """What the library says of an expression, as its sister in Go says it."""
    said = error.args[0] if error.args else ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    what, _, where = text.partition(": ")
    return f"error parsing regexp: {_GO_WORDS.get(what, what)}: `{where}`"


def _branch_errors(document: Document, path: FieldPath, may_have_type: bool) -> Iterator[FieldError]:
    for keyword in _ONLY_OUTSIDE:
        if document.get(keyword) and not (keyword == "type" and may_have_type):
            state = "undefined" if keyword == "default" else "empty"
            yield forbidden(path / keyword, f"must be {state} to be structural")
    for key, child in (document.get("properties") or {}).items():
        yield from _branch_errors(child, (path / "properties").key(key), False)
    if isinstance(document.get("items"), Mapping):
        yield from _branch_errors(document["items"], path / "items", False)
    for junctor in ("allOf", "anyOf", "oneOf"):
        for index, branch in enumerate(document.get(junctor) or ()):
            yield from _branch_errors(branch, path / junctor % index, may_have_type)


def _merge_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    kind = document.get("type") or ""
    list_type, keys = document.get("x-kubernetes-list-type"), document.get("x-kubernetes-list-map-keys") or ()
    if list_type is not None:
        if kind != "array":
            yield invalid(path / "type", kind, "must be array if x-kubernetes-list-type is specified")
        if list_type not in _LIST_TYPES:
            yield not_supported(path / "x-kubernetes-list-type", list_type, _LIST_TYPES)
    map_type = document.get("x-kubernetes-map-type")
    if map_type is not None:
        if kind != "object":
            yield invalid(path / "type", kind, "must be object if x-kubernetes-map-type is specified")
        if map_type not in _MAP_TYPES:
            yield not_supported(path / "x-kubernetes-map-type", map_type, _MAP_TYPES)
    where = path / "x-kubernetes-list-map-keys"
    if keys and list_type != "map":
        message = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield invalid(path / "x-kubernetes-list-type", list_type or "", message)
    if list_type == "map" and not keys:
        yield required(where, "must not be empty if x-kubernetes-list-type is map")
    if list_type == "map":
        yield from _key_errors(document, keys, path)


def _key_errors(document: Document, keys: Any, path: FieldPath) -> Iterator[FieldError]:
    items = document.get("items") or {}
    properties, needed = items.get("properties") or {}, items.get("required") or ()
    if items.get("type") != "object":
        message = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(path / "items" / "type", items.get("type") or "", message)
    for key in keys:
        known = properties.get(key)
        if known is None:
            where = path / "x-kubernetes-list-map-keys"
            yield invalid(where, list(keys), "entries must all be names of item properties")
        elif known.get("type") in ("array", "object"):
            message = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid((path / "items" / "properties").key(key) / "type", known["type"], message)
        elif key not in needed and "default" not in known:
            yield required((path / "items" / "properties").key(key) / "default", _KEY_RULE)
