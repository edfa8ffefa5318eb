"""Sets of field paths, in the wire form of `fieldsV1`.

    {"f:spec": {"f:replicas": {},
                "f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}

A key is one step of a path: `f:<field>`, `k:<the key fields of a list's item>`, `v:<a value in a set>`, `i:<index>`.
A node that is empty, or has the key ".", stands in the set itself; the other nodes are only on the way to something.
No function changes what it is given; results may share parts with the arguments.

Source: https://github.com/kubernetes-sigs/structured-merge-diff, `metav1.FieldsV1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import orjson

from kubarium.apimachinery.schema.structural import ANY, Structural

FieldSet: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]

SELF = "."
MEMBER: FieldSet = {}
"""A node that is in the set and has nothing below. Shared: never changed."""


def is_member(node: FieldSet) -> bool:
    """Is the path to this node in the set?"""
    return not node or SELF in node


def read(fields: Any) -> FieldSet:
    """A set that a client sent, as it is kept; unknown steps are passed over. Raises ValueError if it is none."""
    try:
        found = _read(fields)
    except RecursionError:
        raise ValueError("a set of fields that is nested too deeply") from None
    found.pop(SELF, None)
    return found


def _read(node: Any) -> FieldSet:
    if not isinstance(node, dict | None):
        raise ValueError(f"not a set of fields: {node!r}")
    found: FieldSet = {}
    for step, below in (node or {}).items():
        if step == SELF:
            found[SELF] = MEMBER
        elif step[1:2] != ":":
            raise ValueError(f"not a step of a path: {step!r}")
        elif step[0] in "fkvi":
            inner = _read(below)
            found[_read_step(step)] = MEMBER if len(inner) == 1 and SELF in inner else inner
    return found


def _read_step(step: str) -> str:
    kind, rest = step[0], step[2:]
    if kind == "f":
        return step
    if kind == "i":
        return f"i:{int(rest)}"
    value = orjson.loads(rest)  # its error is a ValueError
    if kind == "k" and not isinstance(value, dict):
        raise ValueError(f"not the keys of an item: {rest}")
    return f"{kind}:{orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()}"


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in either set."""
    if not right or left is right:
        return left
    return _union(left, right) if left else right


def _union(left: FieldSet, right: FieldSet) -> FieldSet:
    merged = left
    for step, node in right.items():
        there = left.get(step)
        new = node if there is None else there if there == node else _union_nodes(there, node)
        if new is not there:
            if merged is left:
                merged = dict(left)
            merged[step] = new
    return merged


def _union_nodes(left: FieldSet, right: FieldSet) -> FieldSet:
    if not left:
        return right if SELF in right else {SELF: MEMBER, **right}
    if not right:
        return left if SELF in left else {SELF: MEMBER, **left}
    return _union(left, right)


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in the left set only. Returns the left set itself when nothing is taken away."""
    return _difference(left, right, root=True) or {}


def _difference(left: FieldSet, right: FieldSet, root: bool = False) -> FieldSet | None:
    """None stands for the empty set, since `{}` is a member."""
    rest: FieldSet | None = None
    for step in right:
        there = left.get(step)
        if there is None or step == SELF:
            continue
        kept = _difference(there, right[step])
        if kept is there:
            continue
        if rest is None:
            rest = dict(left)
        if kept is None:
            del rest[step]
        else:
            rest[step] = kept
    return _without_self(left, rest, remove=not root and is_member(right), root=root)


def _without_self(left: FieldSet, rest: FieldSet | None, *, remove: bool, root: bool) -> FieldSet | None:
    """A node after things below it were taken away, and perhaps itself."""
    was_member = not root and is_member(left)
    current = left if rest is None else rest
    if was_member and remove:
        below = {step: node for step, node in current.items() if step != SELF}
        return below or None
    if was_member and len(current) <= 1:
        return MEMBER  # with nothing below, a member is an empty node
    return current if was_member or current else None


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in both sets."""
    found: FieldSet = {}
    small, large = (left, right) if len(left) <= len(right) else (right, left)
    for step, node in small.items():
        other = large.get(step)
        if other is None or step == SELF:
            continue
        below = intersection(node, other) if node and other else {}
        if is_member(node) and is_member(other):
            found[step] = {SELF: MEMBER, **below} if below else MEMBER
        elif below:
            found[step] = below
    return found


def without(fields: FieldSet, paths: Sequence[Path]) -> FieldSet:
    """The set without these paths and everything below them."""
    for path in paths:
        fields = _without(fields, path) or {}
    return fields


def _without(fields: FieldSet, path: Path) -> FieldSet | None:
    step = path[0]
    there = fields.get(step)
    if there is None:
        return fields
    below = _without(there, path[1:]) if len(path) > 1 else None
    if below is there:
        return fields
    rest = {key: node for key, node in fields.items() if key != step}
    if below is not None:
        rest[step] = below
    if len(rest) == 1 and SELF in rest:
        return MEMBER
    return rest or None


def paths(fields: FieldSet, prefix: Path = ()) -> Iterator[Path]:
    """Every path in the set, in upstream's order: at each place what is a member, then what lies below."""
    steps = sorted(step for step in fields if step != SELF)
    for step in steps:
        if is_member(fields[step]):
            yield (*prefix, step)
    for step in steps:
        yield from paths(fields[step], (*prefix, step))


def field_path(*names: str) -> Path:
    """`field_path("metadata", "labels")`: a path of plain fields."""
    return tuple(f"f:{name}" for name in names)


def path_text(path: Path) -> str:
    """`.spec.containers[name="web"].image`: how upstream prints a path."""
    return "".join(_step_text(step) for step in path)


def _step_text(step: str) -> str:
    kind, _, rest = step.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        keys = orjson.loads(rest)
        shown = ",".join(f"{key}={orjson.dumps(keys[key]).decode()}" for key in sorted(keys))
        return f"[{shown}]"
    return f"[={rest}]" if kind == "v" else f"[{rest}]"


def item_step(item: Any, schema: Structural) -> str:
    """The step that leads to an item of a `set` or `map` list."""
    if schema.list_type == "set":
        return f"v:{orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode()}"
    keys = {}
    for key in schema.list_keys:
        if isinstance(item, dict) and key in item:
            keys[key] = item[key]  # null is a value, too
            continue
        known = schema.items.properties.get(key) if schema.items is not None else None
        if known is not None and isinstance(known.default, str | int | bool):
            keys[key] = known.default
    return f"k:{orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()}"


def is_atomic(value: Any, schema: Structural) -> bool:
    """Is the value owned as a whole?"""
    if isinstance(value, dict):
        if schema.map_type == "atomic":
            return True
        # An object of which nothing is known is atomic, unless the schema says that anything may stand there.
        opaque = schema.type == "object" and not schema.properties and schema.additional is None
        return opaque and not schema.preserve_unknown
    if isinstance(value, list):
        return schema.list_type == "atomic"
    return True


def of_object(value: Any, schema: Structural) -> FieldSet:
    """The fields that an applied configuration names."""
    return _named(value, schema) or {}


def _named(value: Any, schema: Structural) -> FieldSet | None:
    """The set of a value's fields without the value itself; None when there is none below."""
    if is_atomic(value, schema):
        return None
    found: FieldSet = {}
    if isinstance(value, dict):
        for key, child in value.items():
            known = schema.properties.get(key)
            node_schema = known or schema.additional or ANY
            below = _named(child, node_schema)
            # Keys of a map are members themselves, fields of a struct only when nothing stands below them.
            # An empty list is no member, an empty object is.
            if known is not None and isinstance(child, list) and not child and known.list_type != "atomic":
                continue
            if (
                known is not None
                and below is None
                and isinstance(child, dict)
                and child
                and not is_atomic(child, known)
            ):
                continue  # a struct with nothing but empty lists
            found[f"f:{key}"] = _node(below, is_self=known is None)
    elif isinstance(value, list):
        items = schema.items or ANY
        for item in value:
            found[item_step(item, schema)] = _node(_named(item, items), is_self=True)
    return found or None


def _node(below: FieldSet | None, *, is_self: bool) -> FieldSet:
    if not below:
        return MEMBER
    return {SELF: MEMBER, **below} if is_self else below


def everything(value: Any, schema: Structural) -> FieldSet:
    """A node in which the value and everything below it is a member: what appears when a value is added."""
    if is_atomic(value, schema):
        return MEMBER
    found: FieldSet = {SELF: MEMBER}
    if isinstance(value, dict):
        for key, child in value.items():
            found[f"f:{key}"] = everything(child, schema.child(key) or ANY)
    else:
        items = schema.items or ANY
        for item in value:
            step = item_step(item, schema)
            # What stands twice is owned as a whole: nobody knows whose fields these are.
            found[step] = MEMBER if step in found else everything(item, items)
    return found if len(found) > 1 else MEMBER
