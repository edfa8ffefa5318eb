"""Strategic merge patch: a merge patch that also merges lists, by the keys that types declare beside their fields.

What a patch may contain besides values:

    $patch: replace | delete              in an object: take the patch instead, or empty it;
                                          in an item of a list: replace the list by the patch, or remove the item;
                                          in what is new altogether: leave it out
    $retainKeys: [a, b]                   the other keys of the object go
    $setElementOrder/list: [..]           the order of the merged list
    $deleteFromPrimitiveList/list: [..]   values to remove from a list of plain values

Source:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

from typing import Any, cast

from kubarium.apimachinery.errors import BadRequest, Invalid, StatusError
from kubarium.apimachinery.object import Object, copy
from kubarium.apimachinery.patch.json_patch import REJECTED
from kubarium.apimachinery.schema.structural import ANY, Structural

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList"

_PREFIXES = (RETAIN_KEYS, f"{SET_ORDER}/", f"{DELETE_PRIMITIVES}/")

_BAD_PRIMITIVES = "invalid patch format of primitive list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ORDER = "invalid patch format of setElementOrder list"


def apply(document: Object, patch: Any, schema: Structural) -> Object:
    """The document with the patch applied. BadRequest for directives in the wrong form."""
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: a strategic merge patch is a JSON object")
    return _merge_object(copy(document), copy(patch), schema)


def _merge_object(target: Object, patch: Object, schema: Structural) -> Object:
    """Merge into the target; both are ours to change."""
    directive = patch.pop(DIRECTIVE, None)
    if directive == "replace":
        return cast(Object, _plain(patch))
    if directive == "delete":
        return {}
    if directive is not None:
        raise _unknown(directive, patch)
    _retain_keys(target, patch)
    _delete_primitives(target, patch)
    _set_orders(target, patch, schema)
    for key, value in patch.items():
        merged = _merged(target.get(key), value, schema.child(key) or ANY)
        if merged is None:
            target.pop(key, None)
        else:
            target[key] = merged
    return target


def _merged(before: Any, value: Any, schema: Structural) -> Any:
    """What stands in a field after the patch; None for nothing."""
    if isinstance(value, dict) and isinstance(before, dict):
        return _plain(value) if "replace" in schema.merge_strategies else _merge_object(before, value, schema)
    if isinstance(value, list) and isinstance(before, list):
        return _merge_list(before, value, schema) if "merge" in schema.merge_strategies else _plain(value)
    return _new(value)


def _new(value: Any) -> Any:
    """A value where nothing like it was; objects with a directive vanish, whatever it says. None for nothing."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return None
        items = {key: _new(item) for key, item in value.items() if not key.startswith(_PREFIXES)}
        return {key: item for key, item in items.items() if item is not None}
    if isinstance(value, list):
        return [item for item in map(_new, value) if item is not None]
    return value


def _plain(value: Any) -> Any:
    """A value that is taken as it is, but for the directives in it and nulls, which mean nothing there."""
    if isinstance(value, dict):
        return {
            key: _plain(item)
            for key, item in value.items()
            if item is not None and key != DIRECTIVE and not key.startswith(_PREFIXES)
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _retain_keys(target: Object, patch: Object) -> None:
    if RETAIN_KEYS not in patch:
        return
    keys = patch.pop(RETAIN_KEYS)
    if not isinstance(keys, list) or any(key not in keys for key in patch if _is_set(key, patch)):
        raise BadRequest(_BAD_RETAIN_KEYS)
    for key in [key for key in target if key not in keys]:
        del target[key]


def _is_set(key: str, patch: Object) -> bool:
    """Whether the patch sets the field; a null or a directive about a list does not."""
    return patch[key] is not None and not key.startswith(_PREFIXES)


def _delete_primitives(target: Object, patch: Object) -> None:
    for directive in [key for key in patch if key.startswith(DELETE_PRIMITIVES + "/")]:
        values, field = patch.pop(directive), directive.partition("/")[2]
        if not isinstance(values, list):
            raise BadRequest(_BAD_PRIMITIVES)
        if isinstance(there := target.get(field), list):
            target[field] = [value for value in there if value not in values]


def _set_orders(target: Object, patch: Object, schema: Structural) -> None:
    """Merge and order the lists whose order the patch gives; they are done then."""
    for directive in [key for key in patch if key.startswith(SET_ORDER + "/")]:
        order, field = patch.pop(directive), directive.partition("/")[2]
        if not isinstance(order, list):
            raise BadRequest(_BAD_ORDER)
        there, change = target.get(field), patch.pop(field, None)
        if not isinstance(there, list) and not isinstance(change, list):
            if change is None and field in target:
                del target[field]
            continue
        child = schema.child(field) or ANY
        before = there if isinstance(there, list) else []
        if isinstance(change, list):
            _check_order(change, order, child.merge_key)
        if isinstance(change, list) and not isinstance(there, list):
            merged = _new(change)
        elif isinstance(change, list):
            merged = (
                _merge_list(list(before), change, child)
                if "merge" in child.merge_strategies
                else _plain(change)
            )
            before = _with_slots_filled(before, change, merged, child.merge_key)
        else:
            merged = before
        target[field] = _in_order(merged, order, before, child.merge_key)


def _check_order(change: list[Any], order: list[Any], key: str) -> None:
    """The items of a patch must stand in the order that it demands, if it demands any."""
    if not order:
        return
    ids = [_identity(item, key) for item in change if not (isinstance(item, dict) and DIRECTIVE in item)]
    wanted = iter([_identity(item, key) for item in order])
    if not all(item in wanted for item in ids):
        raise _failure(f" The order in patch list:\n{change}\n doesn't match {SET_ORDER} list:\n{order}\n")


def _with_slots_filled(before: list[Any], change: list[Any], merged: list[Any], key: str) -> list[Any]:
    """The old list as the order of the new one is taken from it: new items have taken the places at its end that
    removed ones left.
    """
    there = {_identity(item, key) for item in before}
    left = {_identity(item, key) for item in merged}
    kept = [item for item in before if _identity(item, key) in left]
    new = [item for item in change if _identity(item, key) in left - there]
    return (kept + new)[: len(before)]


def _merge_list(before: list[Any], change: list[Any], schema: Structural) -> list[Any]:
    """Two lists as one: items with the same key merge, plain values are kept once."""
    sample = (before or change or [None])[0]
    if isinstance(sample, list):
        raise Invalid(REJECTED, {})
    if not isinstance(sample, dict):
        merged = list(dict.fromkeys([*before, *change]))
        return _in_order(merged, change, before, "")
    key = schema.merge_key
    if not key:
        raise _failure(f"cannot merge lists without merge key for {schema.name}")
    before, change, replaced = _special_items(before, change, key)
    if replaced:
        return cast(list[Any], _plain(change))
    merged = list(before)
    item_schema = schema.items or ANY
    places = {_identity(item, key): place for place, item in reversed(list(enumerate(merged)))}
    for item in change:
        identity = _required_identity(item, key)
        place = places.get(identity)
        if place is None:
            places[identity] = len(merged)
            merged.append(_plain(item))
        else:
            merged[place] = _merge_object(merged[place], item, item_schema)
    return _in_order(merged, change, before, key)


def _special_items(before: list[Any], change: list[Any], key: str) -> tuple[list[Any], list[Any], bool]:
    """Obey the items that are directives; returns both lists without them, and whether the change replaces all."""
    plain: list[Any] = []
    replaced = False
    for item in change:
        if not isinstance(item, dict):
            raise _failure(f"wrong type: expected a map, got {item!r}")
        directive = item.get(DIRECTIVE)
        if directive is None:
            plain.append(item)
        elif directive == "delete":
            gone = _required_identity(item, key)
            before = [there for there in before if _identity(there, key) != gone]
        elif directive == "replace":
            replaced = True
        elif directive == "merge":
            raise _failure("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown(directive, item)
    return before, plain, replaced


def _in_order(merged: list[Any], order: list[Any], before: list[Any], key: str) -> list[Any]:
    """Items that the patch names stand in its order, the others in the old order; where only one of two items was
    there before, the one of the patch stands first.
    """
    rank = {_identity(item, key): place for place, item in reversed(list(enumerate(order)))}
    old_rank = {_identity(item, key): place for place, item in reversed(list(enumerate(before)))}
    named = sorted(
        (item for item in merged if _identity(item, key) in rank), key=lambda i: rank[_identity(i, key)]
    )
    others = [item for item in merged if _identity(item, key) not in rank]
    others.sort(key=lambda item: old_rank.get(_identity(item, key), len(before)))
    result: list[Any] = []
    left = 0
    for item in named:
        place = old_rank.get(_identity(item, key))
        while place is not None and left < len(others):
            other = old_rank.get(_identity(others[left], key))
            if other is None or other > place:
                break
            result.append(others[left])
            left += 1
        result.append(item)
    return result + others[left:]


def _identity(item: Any, key: str) -> Any:
    """What makes an item this item: its key's value, or the plain value itself."""
    found = item.get(key) if isinstance(item, dict) else item
    return repr(found) if isinstance(found, dict | list) else found


def _required_identity(item: Object, key: str) -> Any:
    if key not in item:
        raise _failure(f"map: {item} does not contain declared merge key: {key}")
    return _identity(item, key)


def _unknown(directive: Any, patch: Object) -> StatusError:
    return _failure(f"unknown patch type: {directive} in map: {patch}")


def _failure(message: str) -> StatusError:
    """Upstream answers with a plain 500 where the patch does not fit the schema."""
    return StatusError(message, code=500, reason="InternalError")
