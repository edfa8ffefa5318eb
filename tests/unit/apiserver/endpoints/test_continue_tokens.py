"""What a broken continue token is answered; the words are those of apiextensions-apiserver 0.36.4."""

from __future__ import annotations

import base64

import pytest

from apiserver.endpoints.continue_tokens import decode_token
from apiserver.endpoints.list_options import list_options
from kubarium.apimachinery import errors

FIELD = "json: cannot unmarshal {} into Go struct field continueToken.{} of type {}"
TOKENS = {
    "null": "server does not recognize this encoded version ",
    "[]": "json: cannot unmarshal array into Go value of type storage.continueToken",
    "{": "unexpected end of JSON input",
    '{"v":1}': FIELD.format("number", "v", "string"),
    '{"v":"meta.k8s.io/v2","rv":1,"start":"a"}': "server does not recognize this encoded version meta.k8s.io/v2",
    '{"v":"meta.k8s.io/v1"}': "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
    '{"v":"meta.k8s.io/v1","rv":-1}': "encoded start key empty (version meta.k8s.io/v1)",
    '{"v":"meta.k8s.io/v1","rv":"5","start":"a"}': FIELD.format("string", "rv", "int64"),
    '{"v":"meta.k8s.io/v1","rv":1.5,"start":"a"}': FIELD.format("number 1.5", "rv", "int64"),
    '{"v":"meta.k8s.io/v1","rv":true,"start":"a"}': FIELD.format("bool", "rv", "int64"),
    '{"v":"meta.k8s.io/v1","rv":-1,"start":"../a"}': "../a",
}


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("text", TOKENS)
def test_broken_tokens(text: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        decode_token(encoded(text))
    assert refused.value.message == f"invalid continue token: continue key is not valid: {TOKENS[text]}"


@pytest.mark.parametrize("start", ["a1", "/a1"])
def test_a_slash_in_front_means_nothing(start: str) -> None:
    assert decode_token(encoded(f'{{"v":"meta.k8s.io/v1","rv":-1,"start":"{start}"}}')) == (-1, "a1")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"continue": ["!"], "resourceVersion": ["5"]}, "invalid continue token"),
        ({"limit": [""]}, 'strconv.ParseInt: parsing "": invalid syntax'),
        ({"limit": ["1_0"]}, 'strconv.ParseInt: parsing "1_0": invalid syntax'),
        ({"timeoutSeconds": ["9" * 20]}, f'strconv.ParseInt: parsing "{"9" * 20}": value out of range'),
    ],
)
def test_options_are_read_before_they_are_weighed(query: dict[str, list[str]], message: str) -> None:
    with pytest.raises(errors.BadRequest) as refused:
        list_options(query)
    assert refused.value.message.startswith(message)
