"""What `apply` has to send: the patch that leads from what is to what a file says.

    original   what was applied last, from its annotation: what is in it but no longer in the file goes
    modified   what the file says: it is put in where the current object has something else
    current    what the server has: what neither of the two mentions is left alone

Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config/
"""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.apimachinery.patch.strategic_merge_patch import (
    DELETE_PRIMITIVES,
    DIRECTIVE,
    RETAIN_KEYS,
    SET_ORDER,
)
from kubarium.apimachinery.schema.structural import ANY, Structural


def patch(original: Object, modified: Object, current: Object, schema: Structural = ANY) -> Object:
    """A strategic merge patch, or with no schema a plain merge patch; empty if there is nothing to do."""
    found: Object = {key: None for key in original if key not in modified}
    for key, wanted in modified.items():
        if wanted is None:
            continue
        child = schema.properties.get(key) or schema.additional or ANY
        before, present = original.get(key), current.get(key)
        if isinstance(wanted, dict) and isinstance(present, dict):
            if change := patch(before if isinstance(before, dict) else {}, wanted, present, child):
                found[key] = change | _kept(child, wanted)
        elif isinstance(wanted, list) and isinstance(present, list) and "merge" in child.merge_strategies:
            known = before if isinstance(before, list) else []
            found |= _list_patch(key, known, wanted, present, child)
        elif wanted != present:
            found[key] = wanted
    return found


def _kept(schema: Structural, wanted: Object) -> Object:
    """In a union, what belongs to another choice goes with the change."""
    return {RETAIN_KEYS: sorted(wanted)} if "retainKeys" in schema.merge_strategies else {}


def _list_patch(
    name: str, original: list[Any], modified: list[Any], current: list[Any], schema: Structural
) -> Object:
    key = schema.merge_key
    if not key:
        added = [value for value in modified if value not in current]
        gone = [value for value in original if value not in modified]
        return ({name: added} if added else {}) | ({f"{DELETE_PRIMITIVES}/{name}": gone} if gone else {})
    before, there = _by_key(original, key), _by_key(current, key)
    changes: list[Object] = []
    for item in modified:
        identity = item.get(key)
        if identity not in there:
            changes.append(item)
        elif change := patch(before.get(identity, {}), item, there[identity], schema.items or ANY):
            changes.append({**change, **_kept(schema, item), key: identity})
    wanted = [item.get(key) for item in modified]
    changes += [{DIRECTIVE: "delete", key: identity} for identity in before if identity not in wanted]
    order = [identity for identity in there if identity in wanted]
    if not changes and order == [identity for identity in wanted if identity in there]:
        return {}
    ordered = {f"{SET_ORDER}/{name}": [{key: identity} for identity in wanted]}
    return ({name: changes} if changes else {}) | ordered


def _by_key(items: list[Any], key: str) -> dict[Any, Object]:
    found: dict[Any, Object] = {}
    for item in items:
        found.setdefault(item.get(key), item)
    return found
