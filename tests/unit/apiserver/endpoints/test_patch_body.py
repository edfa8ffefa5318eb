"""What is read as a patch, and in which words anything else is refused."""

from __future__ import annotations

import pytest

from apiserver.endpoints.patch_body import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, read
from kubarium.apimachinery import errors

_MAP = "of type map[string]interface {}"
_OPERATION = "of type handlers.jsonPatchOp"
_WRONG = "error decoding patch: json: cannot unmarshal"


@pytest.mark.parametrize(
    ("media_type", "content", "words"),
    [
        (MERGE_PATCH, b"null", "Invalid JSON Patch"),
        (MERGE_PATCH, b"[]", f"{_WRONG} array into Go value {_MAP}"),
        (MERGE_PATCH, b"", "error decoding patch: unexpected end of JSON input"),
        (STRATEGIC_MERGE_PATCH, b"[]", f"json: cannot unmarshal array into Go value {_MAP}"),
        (STRATEGIC_MERGE_PATCH, b"{", "unexpected end of JSON input"),
        (JSON_PATCH, b"{}", f"{_WRONG} object into Go value of type []handlers.jsonPatchOp"),
        (JSON_PATCH, b"[1]", f"{_WRONG} number into Go value {_OPERATION}"),
        (JSON_PATCH, b'[{"op":"add","path":[]}]',
         f"{_WRONG} array into Go struct field jsonPatchOp.path of type string"),
    ],
)  # fmt: skip
def test_no_patches(media_type: str, content: bytes, words: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        read(media_type, content)
    assert refused.value.message == words


def test_too_many_operations() -> None:
    with pytest.raises(errors.RequestEntityTooLarge, match="10000, got 10001"):
        read(JSON_PATCH, b"[" + b",".join([b"{}"] * 10_001) + b"]")


def test_unknown_and_repeated_fields_are_told() -> None:
    assert read(STRATEGIC_MERGE_PATCH, b"null") == ({}, [])
    assert read(JSON_PATCH, b"null") == (None, [])
    assert read(MERGE_PATCH, b'{"a":1,"a":2}') == ({"a": 2}, ['duplicate field "a"'])
    patch, problems = read(JSON_PATCH, b'[{"op":"add","x":1,"op":"test"},null]')
    assert patch == [{"op": "test", "x": 1}, None]
    assert problems == ['json patch unknown field "[0].x"', 'json patch duplicate field "[0].op"']
