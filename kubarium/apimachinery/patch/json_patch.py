"""JSON patch: a list of operations. Source: RFC 6902, with the leniencies of upstream's library.

Indices may be negative and count from the end. A key that is not there reads as null, so that it can be replaced,
copied and tested; only to remove it is an error. Whatever stands before the first slash of a path means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from kubarium.apimachinery.errors import BadRequest, Invalid, RequestEntityTooLarge
from kubarium.apimachinery.object import Object, copy

MOST_OPERATIONS = 10_000
REJECTED = "the server rejected our request due to an error in our request"

_INDEX = re.compile(r"[+-]?[0-9]+")

Container = dict[str, Any] | list[Any]


class CannotApply(Exception):
    """An operation does not fit the document."""


class _Nowhere(CannotApply):
    """A path leads nowhere."""


class TestFailed(CannotApply):
    """A value is not what an operation says."""


def apply(document: Object, operations: Any) -> Any:
    """The document after all operations, or Invalid if one of them cannot be done."""
    if operations is None:
        return document
    if not isinstance(operations, list) or not all(isinstance(one, dict | None) for one in operations):
        raise BadRequest("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(operations) > MOST_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        )
    root: Container = copy(document)
    try:
        for operation in operations:
            root = _apply_one(root, operation or {})
    except CannotApply as error:
        # Upstream keeps the reason to itself; people who debug find it as the cause of this exception.
        raise Invalid(REJECTED, {}) from error
    return root


def attempt(document: Object, operations: Sequence[Object]) -> Any:
    """The document after all operations of a policy: there nothing may be missing. Raises CannotApply, TestFailed.

    Source: https://github.com/evanphx/json-patch/tree/master/v5, whose texts these are.
    """
    root: Container = copy(document)
    for operation in operations:
        _check_places(root, operation)
        root = _apply_one(root, operation)
    return root


_NOWHERE = {
    "add": 'add operation does not apply: doc is missing path: "{}"',
    "remove": 'remove operation does not apply: doc is missing path: "{}"',
    "replace": "replace operation does not apply: doc is missing path: {}",
    "test": "test operation does not apply: is missing path: {}",
    "move": "move operation does not apply: doc is missing destination path: {}",
    "copy": "copy operation does not apply: doc is missing destination path: {}",
}


def _check_places(root: Container, operation: Object) -> None:
    kind, path = operation.get("op") or "", operation.get("path") or ""
    if "from" in operation and kind in ("move", "copy"):
        source = operation["from"]
        missing = f"{kind} operation does not apply: doc is missing from path: {source}"
        holder, key = _place_or(root, source, missing)
        where = f"move for path: '{key}'" if kind == "move" else f"copy for from: '{source}'"
        _must_have(holder, key, f"error in {where}: unable to get nonexistent key: {key}")
    if path and kind in _NOWHERE:
        holder, key = _place_or(root, path, _NOWHERE[kind].format(path))
        if kind == "replace":
            _must_have(holder, key, f"replace operation does not apply: doc is missing key: {path}")
        elif kind == "remove":
            nothing = f"unable to remove nonexistent key: {key}"
            _must_have(holder, key, f"error in remove for path: '{path}': {nothing}")


def _place_or(root: Container, path: str, missing: str) -> tuple[Container, str]:
    try:
        return _place(root, path)
    except CannotApply:
        raise CannotApply(f"{missing}: missing value") from None


def _must_have(holder: Container, key: str, missing: str) -> None:
    if isinstance(holder, dict) and key not in holder:
        raise CannotApply(f"{missing}: missing value")


def _apply_one(root: Container, operation: Object) -> Container:
    """The root after one operation: another one when that was replaced, else the same, changed."""
    kind, path = operation.get("op"), _path(operation, "path")
    run = _OPERATIONS.get(kind) if isinstance(kind, str) else None
    if run is None:
        raise CannotApply(f"Unexpected kind: {kind}")
    if path == "" and kind == "replace":
        return _whole(operation.get("value"))
    if path == "" and kind == "test":
        _check_equal(root, operation)
    else:
        try:
            run(root, path, operation)
        except _Nowhere:
            raise CannotApply(f"{_NOWHERE[str(kind)].format(path)}: missing value") from None
    return root


def _path(operation: Object, name: str) -> str:
    path = operation.get(name)
    if not isinstance(path, str):
        raise CannotApply(f"failed to decode {name}")
    return path


def _whole(value: Any) -> Container:
    if not isinstance(value, dict | list):
        raise CannotApply("replace operation value must be object or array")
    return value


def _place(root: Container, path: str) -> tuple[Container, str]:
    """Where a path leads: the object or list, and the key or index in it (RFC 6901)."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    if not steps:
        raise _Nowhere(path)
    holder: Any = root
    for step in steps[:-1]:
        holder = _get(holder, step)
        if not isinstance(holder, dict | list):
            raise _Nowhere(path)
    return holder, steps[-1]


def _get(holder: Container, key: str) -> Any:
    """A value; null for a key that is not there."""
    return holder.get(key) if isinstance(holder, dict) else holder[_index(key, len(holder))]


def _index(key: str, end: int) -> int:
    if not _INDEX.fullmatch(key):
        raise CannotApply(f"value was not a proper array index: '{key}'")
    index = int(key)
    if not -end <= index < end:
        raise CannotApply(f"Unable to access invalid index: {index}")
    return index % end


def _put(holder: Container, key: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[key] = value
    elif key == "-":
        holder.append(value)
    else:
        holder.insert(_index(key, len(holder) + 1), value)


def _take(holder: Container, key: str) -> Any:
    if isinstance(holder, list):
        return holder.pop(_index(key, len(holder)))
    if key not in holder:
        raise CannotApply(f"Unable to remove nonexistent key: {key}")
    return holder.pop(key)


def _add(root: Container, path: str, operation: Object) -> None:
    _put(*_place(root, path), operation.get("value"))


def _remove(root: Container, path: str, operation: Object) -> None:
    _take(*_place(root, path))


def _replace(root: Container, path: str, operation: Object) -> None:
    holder, key = _place(root, path)
    if isinstance(holder, list):
        holder[_index(key, len(holder))] = operation.get("value")
    else:
        holder[key] = operation.get("value")


def _move(root: Container, path: str, operation: Object) -> None:
    value = _take(*_place(root, _path(operation, "from")))
    _put(*_place(root, path), value)


def _copy(root: Container, path: str, operation: Object) -> None:
    value = _get(*_place(root, _path(operation, "from")))
    _put(*_place(root, path), copy({"value": value})["value"])


def _test(root: Container, path: str, operation: Object) -> None:
    _check_equal(_get(*_place(root, path)), operation)


def _check_equal(found: Any, operation: Object) -> None:
    if not _equal(found, operation.get("value")):
        raise TestFailed(f"testing value {operation['path']} failed: test failed")


def _equal(left: Any, right: Any) -> bool:
    """Equal as JSON is written: a boolean is no number, and 1.0 is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return type(left) is type(right) and bool(left == right)


_OPERATIONS: dict[str, Callable[[Container, str, Object], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
