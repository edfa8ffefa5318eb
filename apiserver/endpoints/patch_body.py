"""What a client sends as a patch: read, and judged as upstream's decoder judges it before anything is patched."""

from __future__ import annotations

from typing import Any

import orjson

from kubarium.apimachinery import codec, errors
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.patch.json_patch import MOST_OPERATIONS

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_OPERATION = "handlers.jsonPatchOp"
_TEXTS = ("op", "path", "from")


def read(media_type: str, content: bytes) -> tuple[Any, list[str]]:
    """A JSON, merge or strategic merge patch, and its unknown and repeated fields."""
    begin = "" if media_type == STRATEGIC_MERGE_PATCH else "error decoding patch: "
    try:
        patch = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(begin + codec.go_json_error(content, error)) from None
    if media_type == JSON_PATCH:
        problems = _operations(patch) + codec.repetitions(content, patch)
        return patch, [f"json patch {problem}" for problem in problems]
    if patch is None and media_type == MERGE_PATCH:
        raise errors.BadRequest("Invalid JSON Patch")
    if not isinstance(patch, dict | None):
        raise errors.BadRequest(begin + _mistyped(patch, "Go value", "map[string]interface {}"))
    return patch or {}, codec.repetitions(content, patch)


def _mistyped(value: Any, what: str, go_type: str) -> str:
    return f"json: cannot unmarshal {codec.json_type(value)} into {what} of type {go_type}"


def _operations(patch: Any) -> list[str]:
    """The unknown fields of the operations of a JSON patch, which must be operations."""
    if not isinstance(patch, list | None):
        raise errors.BadRequest("error decoding patch: " + _mistyped(patch, "Go value", f"[]{_OPERATION}"))
    unknown: list[str] = []
    for index, operation in enumerate(patch or ()):
        if not isinstance(operation, dict | None):
            raise errors.BadRequest("error decoding patch: " + _mistyped(operation, "Go value", _OPERATION))
        _check_texts(operation or {})
        fields = [name for name in operation or () if name not in (*_TEXTS, "value")]
        unknown += [f'unknown field "[{index}].{name}"' for name in fields]
    if patch and len(patch) > MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(patch)}"
        raise errors.RequestEntityTooLarge(f"Request entity too large: {text}")
    return unknown


def _check_texts(operation: Object) -> None:
    for name in _TEXTS:
        if not isinstance(operation.get(name), str | None):
            field = f"Go struct field jsonPatchOp.{name}"
            raise errors.BadRequest("error decoding patch: " + _mistyped(operation[name], field, "string"))
