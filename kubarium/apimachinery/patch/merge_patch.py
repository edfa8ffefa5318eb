"""JSON merge patch: a document that looks like the change. Source: RFC 7386."""

from __future__ import annotations

from typing import Any

import orjson

from kubarium.apimachinery.errors import BadRequest
from kubarium.apimachinery.object import Object, copy


def apply(document: Object, patch: Any) -> Object:
    """The document with the patch applied: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        raise BadRequest("Invalid JSON Patch")
    return merge_into(copy(document), patch)


def merge_into(target: Object, patch: Object) -> Object:
    """The same, in place; the result may share values with the patch."""
    for key, value in patch.items():
        there = target.get(key)
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(there, dict):
            merge_into(there, value)
        else:
            # Upstream's library removes nulls from what is new, but not where it takes the place of an object.
            target[key] = value if isinstance(there, dict) else _without_nulls(value)
    return target


def _without_nulls(value: Any) -> Any:
    """A value without the fields that are null, in the items of its lists, too; a list keeps its nulls."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def create(old: Object, new: Object) -> Object:
    """The patch that turns `old` into `new`; empty when they are equal."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if key in old and before == value and _same_types(before, value):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            patch[key] = create(before, value)
        else:
            patch[key] = value
    return patch


def _same_types(left: Any, right: Any) -> bool:
    """Python finds `1 == True == 1.0`; JSON does not."""
    return left is right or orjson.dumps(left, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        right, option=orjson.OPT_SORT_KEYS
    )
