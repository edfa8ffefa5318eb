"""The rules for single keywords in the schema of a CustomResourceDefinition.

Whether the schema as a whole is structural is asked in `structure.py`.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.schema.json_paths import BadFieldPath, resolved
from kubarium.apimachinery.schema.structural import from_openapi
from kubarium.apimachinery.schema.structure import EMBEDDED, JUNCTORS, PRESERVE, unsupported, wrong_type

Document = Mapping[str, Any]

RULES = "x-kubernetes-validations"
_LIST, _KEYS, _MAP = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST_TYPES = ("atomic", "set", "map")
_MAP_TYPES = ("atomic", "granular")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_TYPE_META = frozenset(("metadata", "kind", "apiVersion"))
_OF_A_SET = "must be atomic as item of a list with x-kubernetes-list-type=set"
_KEY_RULE = (
    "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
)
_QUADRATIC = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"


@dataclass(frozen=True)
class Allowances:
    """What a definition may keep because it had it before there were rules against it."""

    unknown_types: bool = False
    sets_of_open_items: bool = False  # items of a set that are not atomic
    loose_keys: bool = False  # keys of a list that may be null or missing


NOTHING = Allowances()


@dataclass(frozen=True)
class _Place:
    """Where a schema stands: why it may have no default, and whether it belongs to an object's metadata."""

    allowances: Allowances
    no_default: str | None = None
    in_metadata: bool = False


def keyword_errors(document: Document, path: FieldPath, allowances: Allowances = NOTHING) -> list[FieldError]:
    """The errors in a version's openAPIV3Schema; `path` leads to it."""
    return list(_errors(document, path, _Place(allowances), root=True))


def nodes(document: Any) -> Iterator[Document]:
    """A schema and all schemas below."""
    if not isinstance(document, Mapping):
        return
    yield document
    for keyword in (*JUNCTORS, "not", "items", "additionalProperties", "additionalItems"):
        below = document.get(keyword)
        for child in below if isinstance(below, list) else [below]:
            yield from nodes(child)
    for keyword in ("properties", "patternProperties", "definitions"):
        for child in (document.get(keyword) or {}).values():
            yield from nodes(child)


def allowances_of(document: Document | None) -> Allowances:
    """What stands in a schema already that would be refused in a new one."""
    found = list(nodes(document))
    here = FieldPath()
    return Allowances(
        any(node.get("type") and node["type"] not in _TYPES for node in found),
        any(True for node in found for _ in _set_errors(node, here)),
        any(True for node in found for _ in _key_errors(node, here)),
    )


def _errors(
    document: Document, path: FieldPath, place: _Place, *, root: bool = False
) -> Iterator[FieldError]:
    yield from _unsupported_errors(document, path, place)
    yield from _child_errors(document, path, place, root)
    if document.get(PRESERVE) is False:
        yield invalid(path / PRESERVE, False, "must be true or undefined")
    yield from _merge_errors(document, path, place.allowances)
    yield from _list_map_errors(document, path)
    if not place.allowances.loose_keys:
        yield from _key_errors(document, path)
    for index, rule in enumerate(document.get(RULES) or ()):
        yield from _rule_errors(rule, document, path / RULES % index)


def _unsupported_errors(document: Document, path: FieldPath, place: _Place) -> Iterator[FieldError]:
    kind = document.get("type") or ""
    if kind and kind not in _TYPES and not place.allowances.unknown_types:
        yield not_supported(path / "type", kind, _TYPES)
    if document.get("default") is not None and place.no_default is not None:
        yield forbidden(path / "default", f"must not be set {place.no_default}")
    for keyword in ("id", "patternProperties", "definitions"):
        if document.get(keyword):
            yield forbidden(path / keyword, f"{keyword} is not supported")
    for keyword in ("additionalItems", "dependencies", "$ref"):
        if document.get(keyword) is not None:
            yield forbidden(path / keyword, f"{keyword} is not supported")
    if kind == "null":
        yield forbidden(path / "type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(document.get("items"), list):
        yield forbidden(path / "items", "items must be a schema object and not an array")
    if place.in_metadata and document.get(EMBEDDED):
        yield forbidden(path / EMBEDDED, "must not be used inside of resource meta")
    if document.get("uniqueItems"):
        yield forbidden(path / "uniqueItems", _QUADRATIC)


def _child_errors(document: Document, path: FieldPath, place: _Place, root: bool) -> Iterator[FieldError]:
    properties, additional = document.get("properties") or {}, document.get("additionalProperties")
    if additional is not None and additional is not True and properties:
        text = "additionalProperties and properties are mutual exclusive"
        yield forbidden(path / "additionalProperties", text)
    if isinstance(additional, Mapping):
        reason = "inside additionalProperties applying to object metadata"
        below = replace(place, no_default=reason) if place.in_metadata else place
        yield from _errors(additional, path / "additionalProperties", below)
    for key, child in properties.items():
        below = place
        if (root or document.get(EMBEDDED)) and key in _TYPE_META:
            below = replace(place, in_metadata=True)
            if root:
                below = replace(below, no_default=f"in top-level {key}")
        yield from _errors(child, (path / "properties").key(key), below)
    if isinstance(document.get("not"), Mapping):
        yield from _errors(document["not"], path / "not", place)
    for junctor in JUNCTORS:
        for index, branch in enumerate(document.get(junctor) or ()):
            yield from _errors(branch, path / junctor % index, place)
    if isinstance(items := document.get("items"), Mapping):
        yield from _errors(items, path / "items", place)


def _merge_errors(document: Document, path: FieldPath, allowances: Allowances) -> Iterator[FieldError]:
    kind, list_type, map_type = document.get("type") or "", document.get(_LIST), document.get(_MAP)
    if map_type is not None and kind != "object":
        yield wrong_type(path, kind, "must be object if x-kubernetes-map-type is specified")
    if map_type is not None and map_type not in _MAP_TYPES:
        yield not_supported(path / _MAP, map_type, _MAP_TYPES)
    if list_type is not None and kind != "array":
        yield wrong_type(path, kind, "must be array if x-kubernetes-list-type is specified")
    elif not allowances.sets_of_open_items:
        yield from _set_errors(document, path)
    if list_type is not None and list_type not in _LIST_TYPES:
        yield not_supported(path / _LIST, list_type, _LIST_TYPES)
    if document.get(_KEYS) and list_type != "map":
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        yield required(path / _LIST, text) if list_type is None else invalid(path / _LIST, list_type, text)


def _set_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    """The items of a set are compared as wholes."""
    items = document.get("items")
    if document.get(_LIST) != "set" or not isinstance(items, Mapping):
        return
    list_type, kind = items.get(_LIST), items.get("type")
    if kind == "array" and list_type not in (None, "atomic"):
        yield invalid(path / "items" / _LIST, list_type, _OF_A_SET)
    if kind == "object" and items.get(_MAP) != "atomic":
        yield invalid(path / "items" / _MAP, list_type, _OF_A_SET)  # upstream shows the list type here, too


def _list_map_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    if document.get(_LIST) != "map":
        return
    keys, items = document.get(_KEYS) or [], document.get("items")
    if not keys:
        yield required(path / _KEYS, "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        yield required(path / "items", "must have a schema if x-kubernetes-list-type is map")
    elif isinstance(items, list):
        text = "must only have a single schema if x-kubernetes-list-type is map"
        yield invalid(path / "items", items, text)
    elif items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(path / "items" / "type", items.get("type") or "", text)
    else:
        yield from _named_key_errors(items, keys, path)


def _named_key_errors(items: Document, keys: list[str], path: FieldPath) -> Iterator[FieldError]:
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        known = properties.get(key)
        if known is None:
            yield invalid(path / _KEYS, keys, "entries must all be names of item properties")
        elif known.get("type") in ("array", "object"):
            text = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid((path / "items" / "properties").key(key) / "type", items["type"], text)
        if key in keys[:index]:
            yield invalid(path / _KEYS, keys, "must not contain duplicate entries")


def _key_errors(document: Document, path: FieldPath) -> Iterator[FieldError]:
    """Items that are known by their keys have all of them."""
    list_type, items = document.get(_LIST), document.get("items")
    if list_type not in ("set", "map") or not isinstance(items, Mapping):
        return
    if items.get("nullable"):
        text = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        yield forbidden(path / "items" / "nullable", text)
    if list_type == "set":
        return
    properties, needed = items.get("properties") or {}, items.get("required") or ()
    for key in document.get(_KEYS) or ():
        known, at = properties.get(key), (path / "items" / "properties").key(key)
        if known is None:
            continue
        if key not in needed and known.get("default") is None:
            yield required(at / "default", _KEY_RULE)
        if known.get("nullable"):
            text = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            yield forbidden(at / "nullable", text)


def _rule_errors(rule: Document, document: Document, path: FieldPath) -> Iterator[FieldError]:
    """What a rule in CEL says besides its expression."""
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        yield required(path / "rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid(path / "message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        yield invalid(path / "message", message, "must not contain line breaks")
    elif _has_lines(text) and not message:
        yield required(path / "message", "message must be specified if rule contains line breaks")
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        yield required(path / "messageExpression", "messageExpression must be non-empty if specified")
    if (reason := rule.get("reason")) is not None and reason not in _REASONS:
        yield not_supported(path / "reason", reason, _REASONS)
    field = rule.get("fieldPath") or ""
    if field and not field.strip():
        yield invalid(path / "fieldPath", field, "must be non-empty if specified")
    if _has_lines(field):
        yield invalid(path / "fieldPath", field, "must not contain line breaks")
    if field and not _leads_somewhere(field, document):
        yield invalid(path / "fieldPath", field, "must be a valid path")


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _leads_somewhere(field: str, document: Document) -> bool:
    if unsupported(document):
        return True  # told elsewhere
    try:
        resolved(field, from_openapi(document))
    except BadFieldPath:
        return False
    return True
