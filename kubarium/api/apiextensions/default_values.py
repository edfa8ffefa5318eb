"""The defaults in a schema must be values that the schema would accept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubarium.api.apiextensions import embedded_objects
from kubarium.apimachinery.cel.validation_rules import Rules
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid
from kubarium.apimachinery.object import copy
from kubarium.apimachinery.schema import structural, validation
from kubarium.apimachinery.schema.structural import MISSING, Structural, from_openapi

Document = Mapping[str, Any]

_TYPE_META = ("metadata", "apiVersion", "kind")


def errors(document: Document, path: FieldPath, *, pruned: bool = True) -> list[FieldError]:
    """The errors of all defaults of a schema; with `pruned`, fields that it does not know are errors, too."""
    if not has_any(document):
        return []
    schema = from_openapi(document)
    schema.embedded = True  # a whole object stands here, too
    return list(_errors(schema, path, pruned, in_metadata=False))


def has_any(document: Any) -> bool:
    """Is there a default anywhere in a schema?"""
    if isinstance(document, Mapping):
        return document.get("default") is not None or any(map(has_any, document.values()))
    return isinstance(document, list) and any(map(has_any, document))


def has_unpruned(document: Document | None) -> bool:
    """Is there a default with fields that the schema does not know?"""
    if not document or not has_any(document):
        return False
    return any(error.body.endswith(_UNKNOWN) for error in errors(document, FieldPath()))


def _errors(schema: Structural, path: FieldPath, pruned: bool, in_metadata: bool) -> Iterator[FieldError]:
    if schema.embedded:
        in_metadata = False
    if schema.default is not MISSING and schema.default is not None:
        yield from _value_errors(schema, path / "default", pruned and not in_metadata)
    # Defaults of a map's values are never filled in where there is no value, and are not asked about.
    if schema.items is not None:
        yield from _errors(schema.items, path / "items", pruned, in_metadata)
    for key, child in schema.properties.items():
        inside = in_metadata or (schema.embedded and key in _TYPE_META)
        yield from _errors(child, (path / "properties").key(key), pruned, inside)


_UNKNOWN = "must not have unknown fields"


def _value_errors(schema: Structural, path: FieldPath, pruned: bool) -> Iterator[FieldError]:
    value = schema.default
    if pruned:
        kept = copy({"value": value})["value"]
        structural.prune(kept, schema, root=schema.embedded)
        if kept != value:
            yield invalid(path, value, _UNKNOWN)
    found = list(embedded_objects.errors(value, schema, path))
    if not found:
        found = validation.validate(value, schema, path)
    if not found and (rules := Rules(schema)):
        found = rules.evaluate(value, value, path) or rules.evaluate(value, path=path)
    yield from found
