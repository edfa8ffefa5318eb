"""Strategic merge patch: a merge patch that also merges lists, by the keys that types declare beside their fields.

What a patch may contain besides values:

    $patch: replace | delete              in an object: take the patch instead, or empty it;
                                          in an item of a list: replace the list by the patch, or remove the item;
                                          in what is new altogether: leave it out
    $retainKeys: [a, b]                   the other keys of the object go
    $setElementOrder/list: [..]           the order of the merged list
    $deleteFromPrimitiveList/list: [..]   values to remove from a list of plain values

What is taken whole keeps the directives in it: whoever decodes the object then tells of unknown fields.

Source:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from kubarium.apimachinery.errors import BadRequest, Invalid, StatusError
from kubarium.apimachinery.go_text import go_type, printed
from kubarium.apimachinery.object import Object, copy
from kubarium.apimachinery.patch.json_patch import REJECTED
from kubarium.apimachinery.schema.structural import ANY, Structural

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList"

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
    if DIRECTIVE in patch:
        return _directed(patch)
    _retain_keys(target, patch)
    _set_orders(target, patch, schema)
    for key in [key for key in patch if key.startswith(DELETE_PRIMITIVES)]:
        _merge_field(target, _field_of(key, _BAD_PRIMITIVES), patch.pop(key), schema, deleting=True)
    for key, value in patch.items():
        _merge_field(target, key, value, schema)
    return target


def _directed(patch: Object) -> Object:
    """What an object becomes that a directive speaks of as a whole."""
    directive = patch[DIRECTIVE]
    if directive == "delete":
        return {}
    if directive != "replace":
        raise _unknown(directive, patch)
    del patch[DIRECTIVE]
    return patch


def _merge_field(target: Object, key: str, value: Any, schema: Structural, *, deleting: bool = False) -> None:
    """Merge one value of a patch, or the values to delete from a list, into what stands there."""
    before: Any = target.get(key)
    if value is None:
        target.pop(key, None)
    elif type(before) is not type(value):
        if not deleting:
            _put_new(target, key, value)
    elif isinstance(value, dict):
        child = _child(schema, key)
        replaced = "replace" in child.merge_strategies
        target[key] = value if replaced else _merge_object(before, value, child)
    elif isinstance(value, list):
        child = _child(schema, key)
        merges = deleting or "merge" in child.merge_strategies
        target[key] = _merge_list(before, value, child, deleting=deleting) if merges else value
    else:
        target[key] = value


def _child(schema: Structural, key: str) -> Structural:
    """What the schema says of a field; whoever merges something in an unknown one has lost their way."""
    if schema is ANY:
        return ANY
    if schema.additional is not None:
        raise _failure("merging an object in json but data type is not struct, instead is: map")
    child = schema.properties.get(key)
    if child is None:
        struct = schema.name.rpartition(".")[2]
        raise _failure(f'unable to find api field in struct {struct} for the json field "{key}"')
    return child


def _put_new(target: Object, key: str, value: Any) -> None:
    """Set a field where nothing like it was; what bears a directive vanishes, whatever that says."""
    if _is_marked(value):
        target.pop(key, None)
    else:
        target[key] = _new(value)


def _new(value: Any) -> Any:
    """A new value without nulls in objects and without what bears a directive."""
    if isinstance(value, dict):
        return {key: _new(item) for key, item in value.items() if item is not None and not _is_marked(item)}
    return [_new(item) for item in value if not _is_marked(item)] if isinstance(value, list) else value


def _is_marked(value: Any) -> bool:
    return isinstance(value, dict) and value.get(DIRECTIVE) is not None


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
    return patch[key] is not None and not key.startswith((SET_ORDER, DELETE_PRIMITIVES))


def _field_of(directive: str, refusal: str) -> str:
    """The list that `$directive/list` speaks of."""
    name, slash, field = directive.partition("/")
    if not slash or name not in (SET_ORDER, DELETE_PRIMITIVES):
        raise BadRequest(refusal)
    return field


def _set_orders(target: Object, patch: Object, schema: Structural) -> None:
    """Merge and order the lists whose order the patch gives; they are done then."""
    for directive in [key for key in patch if key.startswith(SET_ORDER)]:
        order = _as_list(patch.pop(directive))
        field = _field_of(directive, _BAD_ORDER)
        before = _as_list(target[field]) if field in target else None
        change = _as_list(patch.pop(field)) if field in patch else None
        child = _child(schema, field)
        _check_order(change or [], order, child.merge_key)
        if before is not None or change is not None:
            target[field] = _ordered(before, change, order, child)


def _as_list(value: Any) -> list[Any]:
    return cast(list[Any], _of_type(value, []))


def _of_type(value: Any, sample: list[Any] | Object) -> Any:
    if type(value) is not type(sample):
        received = "%!s(<nil>)" if value is None else go_type(value)
        raise _failure(f"expected a {go_type(sample)}, but received a {received}")
    return value


def _ordered(
    before: list[Any] | None, change: list[Any] | None, order: list[Any], schema: Structural
) -> list[Any]:
    """A list after a change of it, in the order that the patch demands."""
    key = schema.merge_key
    old = before or []
    if change is None:
        merged = old
    elif before is None:
        merged = _new(change)
    elif "merge" in schema.merge_strategies:
        merged = _merge_list(list(before), change, schema)
        old = _with_slots_filled(before, change, merged, key)
    else:
        merged = change
    _element_type(before or [], change or [])
    return _in_order(merged, order, old, key)


def _check_order(change: list[Any], order: list[Any], key: str) -> None:
    """The items of a patch must stand in the order that it demands, if it demands any."""
    if not order:
        return
    items = change
    if key:
        items = [item for item in change if _of_type(item, {}).get(DIRECTIVE) != "delete"]
    at = 0
    for wanted in order:
        while at < len(items) and _is_marked(items[at]):
            at += 1
        if at == len(items):
            return
        if _required_identity(items[at], key) == _required_identity(wanted, key):
            at += 1
    if at < len(items):
        raise _failure(
            f"The order in patch list:\n{printed(change)}\n doesn't match {SET_ORDER} list:\n{printed(order)}\n"
        )


def _with_slots_filled(before: list[Any], change: list[Any], merged: list[Any], key: str) -> list[Any]:
    """The old list as the order of the new one is taken from it: new items have taken the places at its end that
    removed ones left.
    """
    there = {_identity(item, key) for item in before}
    left = {_identity(item, key) for item in merged}
    kept = [item for item in before if _identity(item, key) in left]
    new = [item for item in change if _identity(item, key) in left - there]
    return (kept + new)[: len(before)]


def _merge_list(
    before: list[Any], change: list[Any], schema: Structural, *, deleting: bool = False
) -> list[Any]:
    """Two lists as one: items with the same key merge, plain values are kept once."""
    if not before and not change:
        return before
    if _element_type(before, change) is not dict:
        if deleting:
            return [value for value in before if value not in change]
        return _in_order(list(dict.fromkeys([*before, *change])), change, before, "")
    key = schema.merge_key
    if not key:
        raise _failure("cannot merge lists without merge key for struct")
    before, change = _without_special_items(before, change, key)
    merged = list(before)
    item_schema = schema.items or ANY
    places = {_identity(item, key): place for place, item in reversed(list(enumerate(merged)))}
    for item in change:
        identity = _required_identity(item, key)
        place = places.get(identity)
        if place is None:
            places[identity] = len(merged)
            merged.append(item)
        else:
            merged[place] = _merge_object(merged[place], item, item_schema)
    return _in_order(merged, change, before, key)


def _element_type(before: Sequence[Any], change: Sequence[Any]) -> type:
    """The type of all items; no list holds items of two types, or lists."""
    types = list(map(type, [*before, *change]))
    if not types:
        raise _failure("no elements in any of the given slices")
    if types[0] is list:
        raise Invalid(REJECTED, {})
    if any(found is not types[0] for found in types):
        raise _failure(f"list element types are not identical: {printed([before, change])}")
    return types[0]


def _without_special_items(before: list[Any], change: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Obey the items that are directives; returns both lists without them. A replaced list is nobody's change."""
    plain: list[Any] = []
    replaced = False
    for item in change:
        directive = item.get(DIRECTIVE)
        if DIRECTIVE not in item:
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
    return (plain, []) if replaced else (before, plain)


def _in_order(merged: list[Any], order: list[Any], before: list[Any], key: str) -> list[Any]:
    """Items that the patch names stand in its order, the others in the old order; where only one of two items was
    there before, the one of the patch stands first.
    """
    for item in (*merged, *order, *before):
        _required_identity(item, key)
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
    found = item.get(key) if key and isinstance(item, dict) else item
    return repr(found) if isinstance(found, dict | list) else (type(found), found)


def _required_identity(item: Any, key: str) -> Any:
    if (key or isinstance(item, dict)) and key not in _of_type(item, {}):
        raise _failure(f"map: {printed(item)} does not contain declared merge key: {key}")
    return _identity(item, key)


def _unknown(directive: Any, patch: Object) -> StatusError:
    shown = directive if isinstance(directive, str) else f"%!s({_go_value(directive)})"
    return _failure(f"unknown patch type: {shown} in map: {printed(patch)}")


def _go_value(value: Any) -> str:
    return "<nil>" if value is None else f"{go_type(value)}={printed(value)}"


def _failure(message: str) -> StatusError:
    """Upstream answers with a plain 500 where the patch does not fit the schema."""
    return StatusError(message, code=500, reason="")
