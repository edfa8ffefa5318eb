"""Whatever stands in a query, the answer is an understanding or a refusal, never a crash."""

from __future__ import annotations

import base64
import contextlib

import orjson
from hypothesis import given
from hypothesis import strategies as st

from apiserver.endpoints.continue_tokens import decode_token, encode_token
from apiserver.endpoints.list_options import list_options, watch_options
from apiserver.endpoints.selection import selection_of
from apiserver.extensions import json_path
from apiserver.registry.resource import Resource
from apiserver.request import parse_query, parse_request
from apiserver.storage.stored import encode, stored
from kubarium.apimachinery import fields, labels
from kubarium.apimachinery.errors import StatusError

MAPS = Resource("v1", "ConfigMap", "configmaps")
POD = stored(
    "/registry/pods/default/web",
    7,
    encode({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "labels": {"a": "1", "b": "x"}}}),
)
words = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            "1",
            "x/y",
            "=",
            "==",
            "!=",
            "!",
            "in",
            "notin",
            "(",
            ")",
            ",",
            " ",
            ">",
            "<",
            "\\",
            "metadata.name",
        ]
    ),
    max_size=10,
).map("".join)
texts = words | st.text(max_size=20)


@given(texts)
def test_label_selectors(text: str) -> None:
    with contextlib.suppress(labels.ParseError):
        selector = labels.parse(text)
        again = labels.parse(str(selector))
        for found in ({}, {"a": "1"}, {"b": "x", "x/y": ""}):
            assert selector.matches(found) == again.matches(found)


@given(texts)
def test_field_selectors(text: str) -> None:
    with contextlib.suppress(fields.ParseError):
        fields.parse(text)


@given(texts, texts)
def test_selections(by_label: str, by_field: str) -> None:
    query = {"labelSelector": [by_label], "fieldSelector": [by_field]}
    info = parse_request("GET", "/api/v1/namespaces/default/configmaps", query)
    with contextlib.suppress(StatusError):
        predicate = selection_of(MAPS, info).predicate
        assert predicate is None or predicate(POD) in (True, False)


names = st.sampled_from(
    ["limit", "continue", "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "watch", "timeoutSeconds",
     "allowWatchBookmarks"]
)  # fmt: skip
values = st.sampled_from(
    ["", "0", "-1", "18446744073709551616", "Exact", "NotOlderThan", "true", "e30"]
) | st.text(max_size=12)


@given(st.dictionaries(names, st.lists(values, min_size=1, max_size=2), max_size=4))
def test_options(query: dict[str, list[str]]) -> None:
    for read in (list_options, watch_options):
        with contextlib.suppress(StatusError):
            read(query)


@given(st.binary(max_size=80))
def test_queries(raw: bytes) -> None:
    with contextlib.suppress(StatusError):
        parse_request("GET", "/" + raw.decode("latin-1"), parse_query(raw))


json = st.recursive(
    st.none() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["v", "rv", "start"]), inner),
    max_leaves=5,
)


@given(json.map(lambda body: base64.urlsafe_b64encode(orjson.dumps(body)).decode()) | st.text(max_size=30))
def test_continue_tokens(token: str) -> None:
    with contextlib.suppress(StatusError):
        revision, start = decode_token(token)
        assert decode_token(encode_token(revision, start)) == (revision, start)


@given(
    st.lists(
        st.sampled_from([".", "a", "[", "]", "*", "'", '"', "0", "-1", ":", "?(", ")", "@", "..", "{", "}"])
    ).map("".join)
)
def test_json_paths(text: str) -> None:
    obj = {"a": [{"a": 1}, [2], None], "0": "x"}
    with contextlib.suppress(json_path.BadPath):
        json_path.find(obj, text)
        json_path.text(obj, text)
