"""JSON patch: a list of operations. Source: RFC 6902, with the leniencies of upstream's library.

Indices may be negative and count from the end; removing a key that is not there is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubarium.apimachinery.errors import BadRequest, Invalid, RequestEntityTooLarge
from kubarium.apimachinery.object import Object, copy

MOST_OPERATIONS = 10_000
REJECTED = "the server rejected our request due to an error in our request"


class _CannotApply(Exception):
    """An operation does not fit the document."""


def apply(document: Object, operations: Any) -> Any:
    """The document after all operations, or Invalid if one of them cannot be done."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    if len(operations) > MOST_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        )
    holder: list[Any] = [copy(document)]
    try:
        for operation in operations:
            _apply_one(holder, operation)
    except _CannotApply as error:
        # Upstream keeps the reason to itself; people who debug find it as the cause of this exception.
        raise Invalid(REJECTED, {}) from error
    return holder[0]


def _apply_one(holder: list[Any], operation: Object) -> None:
    run = _OPERATIONS.get(operation.get("op") or "")
    if run is None:
        raise _CannotApply(f"Unexpected kind: {operation.get('op')}")
    path = operation.get("path")
    if not isinstance(path, str):
        raise _CannotApply("failed to decode path")
    run(holder, _tokens(path), operation)


def _tokens(path: str) -> list[str]:
    """The unescaped steps of a JSON pointer (RFC 6901)."""
    if path == "":
        return []
    if not path.startswith("/"):
        raise _CannotApply(f"path {path!r} does not begin with a slash")
    return [token.replace("~1", "/").replace("~0", "~") for token in path[1:].split("/")]


def _get(holder: list[Any], tokens: list[str]) -> Any:
    value = holder[0]
    for token in tokens:
        if isinstance(value, dict):
            if token not in value:
                raise _CannotApply(f"unable to get nonexistent key: {token}: missing value")
            value = value[token]
        elif isinstance(value, list):
            value = value[_index(value, token)]
        else:
            raise _CannotApply(f"doc is missing path: {token}: missing value")
    return value


def _index(items: list[Any], token: str, *, insert: bool = False) -> int:
    if insert and token == "-":
        return len(items)
    digits = token.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or (len(digits) > 1 and digits[0] == "0"):
        raise _CannotApply(f"value was not a proper array index: {token}")
    index, end = int(token), len(items) + (1 if insert else 0)
    if index < 0:
        index += end
    if not 0 <= index < end:
        raise _CannotApply(f"Unable to access invalid index: {token}")
    return index


def _put(holder: list[Any], tokens: list[str], value: Any) -> None:
    if not tokens:
        holder[0] = value
        return
    parent = _get(holder, tokens[:-1])
    if isinstance(parent, dict):
        parent[tokens[-1]] = value
    elif isinstance(parent, list):
        parent.insert(_index(parent, tokens[-1], insert=True), value)
    else:
        raise _CannotApply("doc is missing path: missing value")


def _take(holder: list[Any], tokens: list[str]) -> Any:
    if not tokens:
        raise _CannotApply("Unable to remove the whole document")
    parent = _get(holder, tokens[:-1])
    if isinstance(parent, list):
        return parent.pop(_index(parent, tokens[-1]))
    if not isinstance(parent, dict) or tokens[-1] not in parent:
        raise _CannotApply(f"Unable to remove nonexistent key: {tokens[-1]}: missing value")
    return parent.pop(tokens[-1])


def _value_of(operation: Object) -> Any:
    return operation.get("value")


def _source_of(operation: Object) -> list[str]:
    source = operation.get("from")
    if not isinstance(source, str):
        raise _CannotApply("failed to decode from")
    return _tokens(source)


def _add(holder: list[Any], tokens: list[str], operation: Object) -> None:
    _put(holder, tokens, _value_of(operation))


def _remove(holder: list[Any], tokens: list[str], operation: Object) -> None:
    _take(holder, tokens)


def _replace(holder: list[Any], tokens: list[str], operation: Object) -> None:
    if not tokens:
        holder[0] = _value_of(operation)
        return
    parent = _get(holder, tokens[:-1])
    if isinstance(parent, list):
        parent[_index(parent, tokens[-1])] = _value_of(operation)
    elif isinstance(parent, dict) and tokens[-1] in parent:
        parent[tokens[-1]] = _value_of(operation)
    else:
        raise _CannotApply(
            f"replace operation does not apply: doc is missing key: {tokens[-1]}: missing value"
        )


def _move(holder: list[Any], tokens: list[str], operation: Object) -> None:
    source = _source_of(operation)
    if tokens[: len(source)] == source and len(tokens) > len(source):
        raise _CannotApply("a value cannot be moved into itself")
    _put(holder, tokens, _take(holder, source))


def _copy(holder: list[Any], tokens: list[str], operation: Object) -> None:
    _put(holder, tokens, copy({"value": _get(holder, _source_of(operation))})["value"])


def _test(holder: list[Any], tokens: list[str], operation: Object) -> None:
    try:
        found = _get(holder, tokens)
    except _CannotApply:
        found = None  # upstream: an absent value equals null
    if not _equal(found, _value_of(operation)):
        raise _CannotApply(f"testing value {operation.get('path')} failed: test failed")


def _equal(left: Any, right: Any) -> bool:
    """Equal as JSON: a boolean is no number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


_OPERATIONS: dict[str, Callable[[list[Any], list[str], Object], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
