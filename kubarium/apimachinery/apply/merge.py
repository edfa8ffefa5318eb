"""Two objects of one kind: what differs between them, and the second merged into the first.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/ ("Merge strategy").
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kubarium.apimachinery.apply.field_set import (
    MEMBER,
    SELF,
    FieldSet,
    everything,
    is_atomic,
    is_member,
    item_step,
    of_object,
    path_text,
)
from kubarium.apimachinery.apply.value_types import mismatch
from kubarium.apimachinery.codec import encode_to_keep
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.schema.structural import ANY, Structural

_ABSENT = object()

_EMBEDDED_STRUCTS = frozenset(
    (
        "metadata", "spec", "status", "strategy", "updateStrategy", "template", "jobTemplate", "resources",
        "loadBalancer", "nodeInfo", "daemonEndpoints", "kubeletEndpoint", "names", "acceptedNames",
    )
)  # fmt: skip
"""Fields that upstream's structs always contain: they are never added, only what is in them."""

NOT_OWNED = frozenset(
    (
        "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields",
        "clusterName",
    )
)  # fmt: skip
"""Metadata that nobody owns."""


class Comparison(NamedTuple):
    """What differs between two objects, as sets of fields."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    def is_same(self) -> bool:
        """Nothing differs."""
        return not (self.added or self.modified or self.removed)


def compare(old: Object, new: Object, schema: Structural) -> Comparison:
    """What differs in the fields that can be owned (see NOT_OWNED)."""
    difference = Comparison({}, {}, {})
    for key in {**old, **new}:
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if before == after or key in ("apiVersion", "kind"):
            continue
        if key == "metadata":
            before, after = _ownable(before), _ownable(after)
            _compare_objects(before, after, schema.child(key) or ANY, _Below(difference, "f:metadata"))
        elif before is _ABSENT and isinstance(after, dict):
            difference.added.update(_appeared(key, after, schema))
        else:
            _compare_field(before, after, key, schema, _Below(difference, ""))
    return difference


_seen: dict[tuple[int, str, bytes | tuple[str, ...]], tuple[Structural, FieldSet]] = {}
_SEEN_LIMIT = 256


def _appeared(key: str, value: Object, schema: Structural) -> FieldSet:
    """What a whole new spec adds. Objects made from one template share it, so that it is found once for all of
    them. In one that holds nothing but plain values, these make no difference.
    """
    flat = not any(isinstance(item, dict | list) for item in value.values())
    mark = (id(schema), key, tuple(value) if flat else encode_to_keep(value))
    known = _seen.get(mark)
    if known is None:
        difference = Comparison({}, {}, {})
        _compare_field(_ABSENT, value, key, schema, _Below(difference, ""))
        if len(_seen) >= _SEEN_LIMIT:
            _seen.clear()
        known = _seen[mark] = (schema, difference.added)  # the schema is kept so that its id stays its own
    return known[1]


def _ownable(metadata: Any) -> Object:
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if key not in NOT_OWNED}


class _Below:
    """Where differences below some path are written; the nodes on the way are made when there is something to say."""

    __slots__ = ("_nodes", "_parent", "_step")

    def __init__(self, parent: _Below | Comparison, step: str) -> None:
        self._parent = parent
        self._step = step
        self._nodes: list[FieldSet | None] = [None, None, None]

    def node(self, side: int) -> FieldSet:
        """The dict of this path in `added` (0), `modified` (1) or `removed` (2)."""
        node = self._nodes[side]
        if node is None:
            parent = self._parent[side] if isinstance(self._parent, Comparison) else self._parent.node(side)
            node = parent.setdefault(self._step, {}) if self._step else parent
            self._nodes[side] = node
        return node


def _compare_objects(old: Object, new: Object, schema: Structural, below: _Below) -> None:
    for key, after in new.items():
        before = old.get(key, _ABSENT)
        if before is not after and before != after:
            _compare_field(before, after, key, schema, below)
    for key, before in old.items():
        if key not in new:
            _compare_field(before, _ABSENT, key, schema, below)


def _compare_field(before: Any, after: Any, key: str, schema: Structural, below: _Below) -> None:
    known = schema.properties.get(key)
    child = known or schema.additional or ANY
    if known is not None and schema.name and (key in _EMBEDDED_STRUCTS or key in schema.required):
        if before is _ABSENT and isinstance(after, dict | list) and not is_atomic(after, child):
            before = type(after)()
        elif after is _ABSENT and isinstance(before, dict | list) and not is_atomic(before, child):
            after = type(before)()
    _compare_values(before, after, child, f"f:{key}", below)


def _compare_values(before: Any, after: Any, schema: Structural, step: str, below: _Below) -> None:
    if before is None or after is None:  # of a list or a map, null has nothing in it
        if before in _EMPTY and after in _EMPTY:
            below.node(1)[step] = MEMBER  # but it is not the same as being empty
            return
        before, after = _without_null(before, after, schema), _without_null(after, before, schema)
    if before is _ABSENT:
        below.node(0)[step] = everything(after, schema)
    elif after is _ABSENT:
        below.node(2)[step] = everything(before, schema)
    elif isinstance(after, dict) and isinstance(before, dict) and not is_atomic(after, schema):
        _compare_objects(before, after, schema, _Below(below, step))
    elif isinstance(after, list) and isinstance(before, list) and not is_atomic(after, schema):
        _compare_lists(before, after, schema, _Below(below, step))
    else:
        below.node(1)[step] = MEMBER
        if type(before) is not type(after):  # what was below is gone, what is below now is new
            for side, value in ((0, after), (2, before)):
                within = everything(value, schema)
                if len(within) > 1:
                    below.node(side)[step] = {name: node for name, node in within.items() if name != SELF}


_EMPTY: tuple[Any, ...] = (None, {}, [])


def _without_null(value: Any, other: Any, schema: Structural) -> Any:
    is_nothing = value is None and isinstance(other, dict | list) and not is_atomic(other, schema)
    return type(other)() if is_nothing else value


def _compare_lists(old: list[Any], new: list[Any], schema: Structural, below: _Below) -> None:
    items = schema.items or ANY
    before = {item_step(item, schema): item for item in old}
    after = {item_step(item, schema): item for item in new}
    if len(before) < len(old) or len(after) < len(new):
        _compare_repeated(old, new, schema, below)
        return
    for step, item in after.items():
        there = before.get(step, _ABSENT)
        if there is not item and there != item:
            _compare_values(there, item, items, step, below)
    for step, item in before.items():
        if step not in after:
            below.node(2)[step] = everything(item, items)


def _compare_repeated(old: list[Any], new: list[Any], schema: Structural, below: _Below) -> None:
    """Compare lists in which items stand twice, which are owned as a whole while they do."""
    items = schema.items or ANY
    before, after = _by_step(old, schema), _by_step(new, schema)
    for step in {**before, **after}:
        left, right = before.get(step, []), after.get(step, [])
        if len(left) > 1 and len(right) > 1:
            if left != right:
                below.node(1)[step] = MEMBER
            continue
        if len(left) <= 1 and len(right) <= 1:
            pairs = [(left[0] if left else _ABSENT, right[0] if right else _ABSENT)]
        else:
            pairs = [(_ABSENT, item) for item in right[:1] if len(left) > 1]
            pairs += [(item, _ABSENT) for item in left[:1] if len(right) > 1]
            below.node(2 if len(left) > 1 else 0)[step] = MEMBER
        for there, item in pairs:
            if there != item:
                _compare_values(there, item, items, step, below)


def _by_step(values: list[Any], schema: Structural) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for item in values:
        found.setdefault(item_step(item, schema), []).append(item)
    return found


def merge(live: Any, config: Any, schema: Structural) -> Any:
    """The live value with the applied one merged into it. Shares parts with both."""
    if isinstance(live, dict) and isinstance(config, dict) and not is_atomic(config, schema):
        merged = dict(live)
        for key, value in config.items():
            merged[key] = merge(live[key], value, schema.child(key) or ANY) if key in live else value
        return merged
    if isinstance(live, list) and isinstance(config, list) and not is_atomic(config, schema):
        return _merge_lists(live, config, schema)
    if config is None and live and isinstance(live, dict | list) and not is_atomic(live, schema):
        return live  # no fields or items are named
    return config


def _merge_lists(live: list[Any], config: list[Any], schema: Structural) -> list[Any]:
    """The applied items keep their order; items of the live list that are not applied stay near their neighbours."""
    items = schema.items or ANY
    before = [(item_step(item, schema), item) for item in live]
    live_items = dict(before)
    if len(live_items) < len(before):  # what stands twice is replaced, not merged
        live_items = {step: one[0] for step, one in _by_step(live, schema).items() if len(one) == 1}
    after = [(item_step(item, schema), item) for item in config]
    applied = dict(after)
    merged: list[Any] = []
    left = 0
    done: set[str] = set()
    for step, item in after:
        while left < len(before) and (before[left][0] not in applied or before[left][0] in done):
            if before[left][0] not in applied:
                merged.append(before[left][1])
            left += 1
        merged.append(merge(live_items[step], item, items) if step in live_items else item)
        done.add(step)
        if left < len(before) and before[left][0] == step:
            left += 1
    merged += [item for step, item in before[left:] if step not in applied]
    return merged


def remove(value: Any, schema: Structural, last: FieldSet, owned: FieldSet) -> Any:
    """The merged value without what its applier applied last time and nobody owns any more."""
    if isinstance(value, dict) and not is_atomic(value, schema):
        return _remove_fields(value, schema, last, owned)
    if isinstance(value, list) and not is_atomic(value, schema):
        items = schema.items or ANY
        steps = [(item_step(item, schema), item) for item in value]
        kept = [(step, item) for step, item in steps if not _is_gone(step, last, owned, is_field=False)]
        return [_remove_below(item, items, step, last, owned) for step, item in kept]
    return value


def _remove_fields(value: Object, schema: Structural, last: FieldSet, owned: FieldSet) -> Object:
    kept: Object = {}
    for key, child in value.items():
        step, known = f"f:{key}", schema.properties.get(key)
        if _is_gone(step, last, owned, is_field=known is not None):
            continue
        left = _remove_below(child, known or schema.additional or ANY, step, last, owned)
        if known is not None and last.get(step) and _holds_only_empty_lists(left, known):
            continue
        if left is not None or child is None or not schema.name:  # structs of built-in types hold no null
            kept[key] = left
    return kept


def _holds_only_empty_lists(value: Any, schema: Structural) -> bool:
    is_struct = isinstance(value, dict) and bool(value) and not is_atomic(value, schema)
    return is_struct and not of_object(value, schema)


def _remove_below(value: Any, schema: Structural, step: str, last: FieldSet, owned: FieldSet) -> Any:
    below = last.get(step)
    if not below:
        return value
    left = remove(value, schema, below, owned.get(step) or {})
    # Upstream's merge leaves null where nothing is left; defaulting drops it where the schema does not want it.
    return None if value and left in _EMPTY else left


def _is_gone(step: str, last: FieldSet, owned: FieldSet, *, is_field: bool) -> bool:
    """Was it applied, and is it owned by nobody now? A struct's field counts as soon as something below it does."""
    before, now = last.get(step), owned.get(step)
    if before is None or not (is_field or is_member(before)):
        return False
    return now is None or not (is_field or is_member(now))


def undeclared(value: Any, schema: Structural, path: tuple[str, ...] = ()) -> list[str]:
    """What an applied configuration may not contain, in upstream's words: unknown fields, values of another type,
    items that stand twice.
    """
    problems: list[str] = []
    if wrong := mismatch(value, schema):
        problems.append(f"{path_text(path)}: {wrong}")
    elif isinstance(value, dict):
        for key, child in value.items():
            step = (*path, f"f:{key}")
            known = schema.child(key)
            if known is not None:
                problems += undeclared(child, known, step)
            elif not path and key in ("apiVersion", "kind", "metadata"):
                continue  # every object has these, whatever its schema says
            elif schema.properties and not schema.preserve_unknown:
                problems.append(f"{path_text(step)}: field not declared in schema")
    elif isinstance(value, list) and schema.items is not None:
        problems += _list_problems(value, schema, path)
    return problems


def _list_problems(value: list[Any], schema: Structural, path: tuple[str, ...]) -> list[str]:
    problems: list[str] = []
    items = schema.items or ANY
    if schema.list_type == "atomic":
        for index, item in enumerate(value):
            problems += undeclared(item, items, (*path, f"i:{index}"))
        return problems
    seen: set[str] = set()
    for index, item in enumerate(value):
        step = item_step(item, schema)
        if wrong := _no_item(item, step, schema):
            return [*problems, f"{path_text(path)}: element {index}: {wrong}"]
        if step in seen:
            problems.append(f"{path_text(path)}: duplicate entries for key {path_text((step,))}")
        seen.add(step)
        problems += undeclared(item, items, (*path, step))
    return problems


def _no_item(item: Any, step: str, schema: Structural) -> str:
    """Why a thing cannot be an item of an associative list; nothing below it is looked at then."""
    if schema.list_type == "set":
        kinds = {dict: "associative list without keys has an element that's a map type",
                 list: "not supported: associative list with lists as elements",
                 type(None): "associative list without keys has an element that's an explicit null"}  # fmt: skip
        return kinds.get(type(item), "")
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    if step == "k:{}":
        keys = " ".join(f'"{key}"' for key in schema.list_keys)
        return (
            f"associative list with keys has an element that omits all key fields [{keys}] "
            "(and doesn't have default values for any key fields)"
        )
    return ""


def atomic_places(value: Any, schema: Structural, path: tuple[str, ...] = ()) -> list[str]:
    """Where a configuration sets lists, maps or structs that can only be replaced as a whole."""
    if not isinstance(value, dict | list):
        return []
    if path and is_atomic(value, schema):
        return [path_text(path)]
    if isinstance(value, dict):
        inner = [((*path, f"f:{key}"), child, schema.child(key) or ANY) for key, child in value.items()]
    else:
        items = schema.items or ANY
        inner = [((*path, item_step(item, schema)), item, items) for item in value]
    return [place for step, child, known in inner for place in atomic_places(child, known, step)]


__all__ = ["SELF", "Comparison", "atomic_places", "compare", "merge", "remove", "undeclared"]
