"""Lists whose items must differ: sets, and maps by their keys.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#custom-resources-and-server-side-apply
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from kubarium.apimachinery.field_path import FieldError, FieldPath, duplicate, invalid
from kubarium.apimachinery.schema.structural import ANY, Structural


def errors(value: Any, schema: Structural, path: FieldPath) -> Iterator[FieldError]:
    """The first repetition of each item that stands there twice, in all lists of a value."""
    if isinstance(value, dict):
        for key, child in value.items():
            known = schema.properties.get(key)
            below = known or schema.additional
            if below is not None and below is not ANY and isinstance(child, dict | list):
                yield from errors(child, below, path / key if known is not None else path.key(key))
    elif isinstance(value, list):
        if schema.list_type == "map":
            yield from _map_errors(value, schema.list_keys, path)
        elif schema.list_type == "set":
            yield from _repeated(value, path)
        if schema.items is not None:
            for index, item in enumerate(value):
                if isinstance(item, dict | list):
                    yield from errors(item, schema.items, path % index)


def _map_errors(items: Sequence[Any], keys: Sequence[str], path: FieldPath) -> Iterator[FieldError]:
    for index, item in enumerate(items):
        if item is not None and not isinstance(item, dict):
            yield invalid(path % index, item, "must be an object for an array of list-type map")
            return
    shown = [{key: item[key] for key in keys if key in item} if item is not None else {} for item in items]
    yield from _repeated(shown, path)


def _repeated(items: Sequence[Any], path: FieldPath) -> Iterator[FieldError]:
    times: dict[str, int] = {}
    for index, item in enumerate(items):
        identity = json.dumps(item, sort_keys=True)
        times[identity] = times.get(identity, 0) + 1
        if times[identity] == 2:
            yield duplicate(path % index, item)


def is_same(value: Any, old: Any, schema: Structural | None) -> bool:
    """Are two values equal? The order of items counts only where they have no keys."""
    if value == old or schema is None:
        return bool(value == old)
    if isinstance(value, dict) and isinstance(old, dict):
        return value.keys() == old.keys() and all(
            is_same(value[key], old[key], schema.child(key)) for key in value
        )
    if not isinstance(value, list) or not isinstance(old, list) or len(value) != len(old):
        return False
    if schema.list_type == "map":
        before = {_identity(item, schema.list_keys): item for item in old}
        pairs = [(item, before.get(_identity(item, schema.list_keys))) for item in value]
    else:
        pairs = list(zip(value, old, strict=True))
    return all(is_same(item, other, schema.items) for item, other in pairs)


def _identity(item: Any, keys: Sequence[str]) -> str:
    return json.dumps([item.get(key) for key in keys] if isinstance(item, dict) else item, sort_keys=True)
